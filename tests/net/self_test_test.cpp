// SPDX-License-Identifier: Apache-2.0
// The self-test of the io_uring back end, and what is left out when it fails.
#include "uring/self_test.hpp"

#include <cstdio>
#include <gtest/gtest.h>
#include <memory>
#include <muster/log.hpp>
#include <muster/uring/probe.hpp>
#include <vector>

namespace muster::uring {
namespace {

std::vector<std::byte> pattern(std::size_t from, std::size_t count) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < count; ++i) bytes.push_back(Pattern::at(from + i));
    return bytes;
}

/// A kernel that delivers right only without some features.
struct Kernel {
    bool wrong_with_incremental = false;
    bool wrong_with_multishot = false;
    bool wrong_anyway = false;
    int tests = 0;

    result<void> test(const Options& options) {
        ++tests;
        const bool wrong = wrong_anyway || (wrong_with_incremental && options.incremental_buffers) ||
                           (wrong_with_multishot && options.multishot_receive);
        if (wrong) return Error{Errc::malformed, "self-test", {}, {}};
        return {};
    }
};

class TrustedOptions : public testing::Test {
protected:
    result<Options> trust(Kernel& kernel) {
        return trusted_options(
            {}, [&](const Options& options) { return kernel.test(options); }, log_);
    }
    std::size_t left_out() const { return sink_->count("runtime.uring.distrusted"); }

    std::shared_ptr<MemoryLogSink> sink_ = std::make_shared<MemoryLogSink>();
    Logger log_{sink_, [] { return WallTime{}; }, {}};
};

} // namespace

TEST(Pattern, GoesOnWhereItEnded) {
    Pattern received;
    EXPECT_TRUE(received.takes(pattern(0, 1000)));
    EXPECT_TRUE(received.takes(pattern(1000, 1)));
    EXPECT_EQ(received.position(), 1001U);
}

TEST(Pattern, ShowsWhatIsLostDoubledOrOutOfItsPlace) {
    for (const std::size_t wrong : {999U, 1001U, 0U, 500U, 1000U + 16U * 1024U, 1000U + 64U * 1024U}) {
        Pattern received;
        EXPECT_TRUE(received.takes(pattern(0, 1000)));
        EXPECT_FALSE(received.takes(pattern(wrong, 64))) << wrong;
    }
}

TEST(SelfTest, PassesOnThisKernelWithAndWithoutEachFeature) {
    const auto found = probe();
    if (!found) {
        std::printf("not run: SelfTest.PassesOnThisKernelWithAndWithoutEachFeature (%s)\n",
                    found.error().message().c_str());
        return;
    }
    for (const bool incremental : {true, false}) {
        for (const bool multishot : {true, false}) {
            Options options;
            options.incremental_buffers = incremental;
            options.multishot_receive = multishot;
            const auto passed = self_test(options);
            EXPECT_TRUE(passed) << (passed ? "" : passed.error().message());
        }
    }
}

TEST(SelfTest, FailsWhereOneByteOrTheOrderOfTwoPiecesIsWrong) {
    if (!probe()) return; // the test above says so
    const auto one_wrong = [](std::size_t position) noexcept {
        return position == 100'000 ? ~Pattern::at(position) : Pattern::at(position);
    };
    const auto swapped = [](std::size_t position) noexcept {
        constexpr std::size_t piece = 16 * 1024;
        const std::size_t at = position / piece;
        return Pattern::at(at == 3 ? position + piece : at == 4 ? position - piece : position);
    };
    for (std::byte (*sent)(std::size_t) noexcept : {+one_wrong, +swapped}) {
        const auto failed = self_test({}, sent);
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code, Errc::malformed);
    }
}

TEST_F(TrustedOptions, KeepEverythingWhenTheKernelIsRight) {
    Kernel kernel;
    const auto options = trust(kernel);
    ASSERT_TRUE(options);
    EXPECT_TRUE(options->incremental_buffers && options->multishot_receive);
    EXPECT_EQ(kernel.tests, 1);
    EXPECT_EQ(left_out(), 0U);
}

TEST_F(TrustedOptions, LeaveOutIncrementalBuffersFirst) {
    Kernel kernel{.wrong_with_incremental = true};
    const auto options = trust(kernel);
    ASSERT_TRUE(options);
    EXPECT_FALSE(options->incremental_buffers);
    EXPECT_TRUE(options->multishot_receive);
    EXPECT_EQ(left_out(), 1U);
}

TEST_F(TrustedOptions, LeaveOutMultishotReceiveAfterThat) {
    Kernel kernel{.wrong_with_multishot = true};
    const auto options = trust(kernel);
    ASSERT_TRUE(options);
    EXPECT_FALSE(options->multishot_receive);
    EXPECT_EQ(left_out(), 2U);
}

TEST_F(TrustedOptions, GiveUpOnAKernelThatIsWrongWithoutThemToo) {
    Kernel kernel{.wrong_anyway = true};
    const auto options = trust(kernel);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code, Errc::not_supported) << "so that Backend::Auto takes epoll";
}

TEST_F(TrustedOptions, SayNothingOfFeaturesWhenThereIsNoIoUring) {
    const auto none = [](const Options&) -> result<void> {
        return Error{Errc::not_supported, "io_uring", {}, {}};
    };
    const auto options = trusted_options({}, none, log_);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().subject, "io_uring");
    EXPECT_EQ(left_out(), 0U);
}

} // namespace muster::uring
