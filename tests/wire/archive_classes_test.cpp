// SPDX-License-Identifier: Apache-2.0
/// Boost serialize() in all its forms.
#include "hex.hpp"

#include <boost/serialization/array.hpp>
#include <boost/serialization/base_object.hpp>
#include <boost/serialization/binary_object.hpp>
#include <boost/serialization/complex.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/optional.hpp>
#include <boost/serialization/shared_ptr.hpp>
#include <boost/serialization/split_free.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/unique_ptr.hpp>
#include <boost/serialization/unordered_map.hpp>
#include <boost/serialization/utility.hpp>
#include <boost/serialization/variant.hpp>
#include <boost/serialization/vector.hpp>
#include <boost/serialization/version.hpp>
#include <gtest/gtest.h>
#include <muster/wire/archive.hpp>

namespace app {

struct Point {
    int x = 0;
    int y = 0;
    bool operator==(const Point&) const = default;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& x;
        ar& BOOST_SERIALIZATION_NVP(y);
    }
};

struct Named : Point {
    std::string name;
    bool operator==(const Named&) const = default;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& boost::serialization::base_object<Point>(*this);
        ar& boost::serialization::make_nvp("name", name);
    }
};

class Private {
public:
    Private() = default;
    explicit Private(int v) : value_(v) {}
    bool operator==(const Private&) const = default;

private:
    friend class boost::serialization::access;
    template <class Archive>
    void serialize(Archive& ar, const unsigned /*version*/) {
        ar& value_;
    }
    int value_ = 0;
};

struct Free {
    int value = 0;
    bool operator==(const Free&) const = default;
};
template <class Archive>
void serialize(Archive& ar, Free& f, unsigned /*version*/) {
    ar& f.value;
}

struct InBoost {
    int value = 0;
    bool operator==(const InBoost&) const = default;
};

class Split {
public:
    Split() = default;
    explicit Split(int seconds) : seconds_(seconds) {}
    bool operator==(const Split&) const = default;

private:
    friend class boost::serialization::access;
    template <class Archive>
    void save(Archive& ar, unsigned /*version*/) const {
        const std::string text = std::to_string(seconds_) + "s";
        ar << text;
    }
    template <class Archive>
    void load(Archive& ar, unsigned /*version*/) {
        std::string text;
        ar >> text;
        seconds_ = std::stoi(text);
    }
    BOOST_SERIALIZATION_SPLIT_MEMBER()
    int seconds_ = 0;
};

struct SplitFree {
    int value = 0;
    bool operator==(const SplitFree&) const = default;
};
template <class Archive>
void save(Archive& ar, const SplitFree& f, unsigned /*version*/) {
    ar << f.value;
}
template <class Archive>
void load(Archive& ar, SplitFree& f, unsigned /*version*/) {
    ar >> f.value;
}

struct Versioned {
    int value = 0;
    unsigned seen_version = 0;
    bool operator==(const Versioned& o) const { return value == o.value; }
    template <class Archive>
    void serialize(Archive& ar, unsigned version) {
        ar& value;
        seen_version = version;
    }
};

/// Made only through load_construct_data.
class NoDefault {
public:
    explicit NoDefault(int v) : value(v) {}
    bool operator==(const NoDefault&) const = default;
    template <class Archive>
    void serialize(Archive& /*ar*/, unsigned /*version*/) {}
    int value;
};

class PrivateDefault {
public:
    static PrivateDefault of(int v) {
        PrivateDefault p;
        p.value_ = v;
        return p;
    }
    bool operator==(const PrivateDefault&) const = default;

private:
    friend class boost::serialization::access;
    PrivateDefault() = default;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& value_;
    }
    int value_ = 0;
};

class Polymorphic {
public:
    virtual ~Polymorphic() = default;
    int base_value = 1;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& base_value;
    }
};
class Derived final : public Polymorphic {
public:
    int value = 2;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& static_cast<Polymorphic&>(*this) & value;
    }
};

struct Raw {
    std::array<char, 4> bytes{'a', 'b', 'c', 'd'};
    int numbers[3] = {1, 2, 3};
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& boost::serialization::make_binary_object(bytes.data(), bytes.size());
        ar& boost::serialization::make_array(numbers, 3);
    }
};

struct Direction {
    bool saved = false;
    bool loaded = false;
    template <class Archive>
    void serialize(Archive& /*ar*/, unsigned /*version*/) {
        if constexpr (Archive::is_saving::value) saved = true;
        if constexpr (Archive::is_loading::value) loaded = true;
    }
};

struct Throwing {
    template <class Archive>
    void serialize(Archive& /*ar*/, unsigned /*version*/) {
        throw std::runtime_error("no such day");
    }
};

struct Everything {
    std::vector<Point> points;
    std::map<std::string, Named> named;
    std::unique_ptr<Split> split;
    std::shared_ptr<Private> shared;
    std::variant<Point, std::string> variant;
    std::optional<Named> option;
    std::complex<double> complex;
    template <class Archive>
    void serialize(Archive& ar, unsigned /*version*/) {
        ar& points& named& split& shared& variant& option& complex;
    }
};

} // namespace app

namespace boost::serialization {
template <class Archive>
void serialize(Archive& ar, app::InBoost& value, const unsigned int /*version*/) {
    ar& value.value;
}
template <class Archive>
void save_construct_data(Archive& ar, const app::NoDefault* value, const unsigned int /*version*/) {
    ar << value->value;
}
template <class Archive>
void load_construct_data(Archive& ar, app::NoDefault* place, const unsigned int /*version*/) {
    int value = 0;
    ar >> value;
    ::new (place) app::NoDefault(value);
}
} // namespace boost::serialization
BOOST_SERIALIZATION_SPLIT_FREE(app::SplitFree)
BOOST_CLASS_VERSION(app::Versioned, 7)

namespace muster::wire {
namespace {

template <class T>
void expect_bytes(const T& value, std::string_view expected) {
    const auto bytes = encode(value);
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(hex(bytes->bytes()), expected);
    const auto back = decode<T>(bytes->bytes());
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == value);
}

TEST(ArchiveClasses, MemberFreeAndPrivateSerializeWriteTheirFields) {
    expect_bytes(app::Point{1, 2}, "0204");
    expect_bytes(app::Private{3}, "06");
    expect_bytes(app::Free{4}, "08");
    expect_bytes(app::InBoost{5}, "0a");
}

TEST(ArchiveClasses, ABaseIsItsFieldsBeforeThoseOfTheClass) {
    expect_bytes(app::Named{{1, 2}, "n"}, "0204016e");
}

TEST(ArchiveClasses, SplitSaveAndLoadMayDiffer) {
    expect_bytes(app::Split{60}, "03363073");
    expect_bytes(app::SplitFree{1}, "02");
}

TEST(ArchiveClasses, AClassVersionIsPassedAndWritesNoByte) {
    expect_bytes(app::Versioned{.value = 1}, "02");
    EXPECT_EQ(decode<app::Versioned>(unhex("02"))->seen_version, 7U);
}

TEST(ArchiveClasses, AClassWithoutDefaultConstructorIsMadeByLoadConstructData) {
    expect_bytes(std::vector<app::NoDefault>{app::NoDefault{1}, app::NoDefault{2}}, "020204");
    expect_bytes(std::optional<app::NoDefault>{app::NoDefault{1}}, "0102");
    expect_bytes(std::map<int, app::NoDefault>{{1, app::NoDefault{2}}}, "010204");
    expect_bytes(std::vector<app::PrivateDefault>{app::PrivateDefault::of(1)}, "0102");
}

TEST(ArchiveClasses, APolymorphicBaseIsSavedThroughAPlainCast) {
    const auto bytes = encode(app::Derived{});
    EXPECT_EQ(hex(bytes->bytes()), "0204");
    EXPECT_EQ(decode<app::Derived>(unhex("0608"))->base_value, 3);
}

TEST(ArchiveClasses, BinaryObjectsAndArraysAreRawElements) {
    EXPECT_EQ(hex(encode(app::Raw{})->bytes()), "61626364020406");
    const auto back = decode<app::Raw>(unhex("787878780a0c0e"));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->bytes[0], 'x');
    EXPECT_EQ(back->numbers[2], 7);
}

TEST(ArchiveClasses, SerializeCanAskForTheDirection) {
    app::Direction direction;
    ASSERT_TRUE(encode(direction));
    EXPECT_TRUE(direction.saved && !direction.loaded);
    EXPECT_TRUE(decode<app::Direction>({})->loaded);
}

TEST(ArchiveClasses, StockHeadersOfContainersChangeNothing) {
    app::Everything all;
    all.points = {{1, 2}};
    all.named["k"] = {{3, 4}, "n"};
    all.split = std::make_unique<app::Split>(5);
    all.shared = std::make_shared<app::Private>(6);
    all.variant = "v";
    all.option = app::Named{{7, 8}, "o"};
    const auto bytes = encode(all);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(hex(bytes->bytes()), "010204"
                                   "01016b0608016e"
                                   "01023573"
                                   "010c"
                                   "010176"
                                   "010e10016f" +
                                       std::string(32, '0'));
    const auto back = decode<app::Everything>(bytes->bytes());
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(encode(*back)->bytes().size(), bytes->size());
    EXPECT_EQ(back->named.at("k").name, "n");
}

TEST(ArchiveClasses, WhatAUsersSerializeThrowsIsAnError) {
    const auto encoded = encode(app::Throwing{});
    ASSERT_FALSE(encoded);
    EXPECT_EQ(encoded.error().code, Errc::invalid_argument);
    EXPECT_NE(encoded.error().advice.find("no such day"), std::string::npos);
    const auto decoded = decode<app::Throwing>({});
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, Errc::malformed);
}

} // namespace
} // namespace muster::wire
