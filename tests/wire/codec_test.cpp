// SPDX-License-Identifier: Apache-2.0
#include <muster/wire.hpp>

#include <gtest/gtest.h>

namespace muster::wire {
namespace {

struct Greeting {
    std::string text;
    int times = 0;
    bool operator==(const Greeting&) const = default;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& text& times;
    }
};
struct Farewell {
    std::unique_ptr<int> after; // move-only types travel too
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& after;
    }
};

Codec registered() {
    Codec codec;
    EXPECT_TRUE(codec.add<Greeting>("app.Greeting"));
    EXPECT_TRUE(codec.add<Farewell>("app.Farewell"));
    return codec;
}

TEST(Codec, AValueTravelsUnderItsManifest) {
    const Codec codec = registered();
    const auto encoded = codec.encode(Greeting{"hello", 3});
    ASSERT_TRUE(encoded);
    EXPECT_EQ(encoded->manifest, "app.Greeting");
    EXPECT_EQ(*codec.decode<Greeting>(encoded->manifest, encoded->payload.bytes()), (Greeting{"hello", 3}));
}

TEST(Codec, TheManifestAloneTellsTheType) {
    const Codec codec = registered();
    const auto encoded = codec.encode(Farewell{std::make_unique<int>(5)});
    auto value = codec.decode(encoded->manifest, encoded->payload.bytes());
    ASSERT_TRUE(value);
    EXPECT_EQ(value->type(), typeid(Farewell));
    EXPECT_EQ(value->get_if<Greeting>(), nullptr);
    ASSERT_NE(value->get_if<Farewell>(), nullptr);
    EXPECT_EQ(*value->get_if<Farewell>()->after, 5);
    EXPECT_TRUE(AnyValue{}.empty());
}

TEST(Codec, AnUnknownManifestIsNotFound) {
    const Codec codec = registered();
    EXPECT_EQ(codec.decode("app.Other", {}).error().code, Errc::not_found);
    EXPECT_EQ(codec.decode<Greeting>("app.Other", {}).error().code, Errc::not_found);
    EXPECT_NE(codec.decode("app.Other", {}).error().subject.find("app.Other"), std::string::npos);
}

TEST(Codec, AnUnregisteredTypeIsNotFound) {
    EXPECT_EQ(registered().encode(std::string{"x"}).error().code, Errc::not_found);
    EXPECT_EQ(registered().manifest_of<std::string>().error().code, Errc::not_found);
}

TEST(Codec, AManifestOfAnotherTypeIsAMismatch) {
    EXPECT_EQ(registered().decode<Greeting>("app.Farewell", {}).error().code, Errc::mismatch);
}

TEST(Codec, AManifestAndATypeAreRegisteredOnce) {
    Codec codec = registered();
    EXPECT_EQ(codec.add<std::string>("app.Greeting").error().code, Errc::invalid_argument);
    EXPECT_EQ(codec.add<Greeting>("app.Greeting2").error().code, Errc::invalid_argument);
    EXPECT_EQ(codec.add<Greeting>("app.Greeting").error().code, Errc::invalid_argument);
    EXPECT_EQ(codec.size(), 2U);
    EXPECT_FALSE(codec.knows("app.Greeting2"));
    EXPECT_EQ(*codec.manifest_of<Greeting>(), "app.Greeting");
}

TEST(Codec, AManifestIsANameOfBoundedLength) {
    Codec codec;
    EXPECT_EQ(codec.add<int>("").error().code, Errc::invalid_argument);
    EXPECT_EQ(codec.add<int>("\xff").error().code, Errc::invalid_argument);
    EXPECT_EQ(codec.add<int>(std::string(256, 'm')).error().code, Errc::invalid_argument);
    EXPECT_TRUE(codec.add<int>(std::string(255, 'm')));
}

TEST(Codec, BadBytesAreAnErrorThatNamesTheManifest) {
    const Codec codec = registered();
    for (const auto& error :
         {codec.decode("app.Greeting", {}).error(), codec.decode<Greeting>("app.Greeting", {}).error()}) {
        EXPECT_EQ(error.code, Errc::malformed);
        EXPECT_NE(error.subject.find("app.Greeting"), std::string::npos);
    }
}

} // namespace
} // namespace muster::wire
