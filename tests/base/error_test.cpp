// SPDX-License-Identifier: Apache-2.0
#include <muster/error.hpp>

#include <boost/system/errc.hpp>
#include <cerrno>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

namespace {

using muster::Errc;
using muster::Error;
using muster::from_errno;
using muster::result;

TEST(Error, MessageNamesSubjectWhatCauseAndAdviceInThatOrder) {
    const Error error =
        from_errno(EADDRINUSE, "listen 127.0.0.1:2551", "stop the other process or use port 0");
    EXPECT_EQ(error.message(), "listen 127.0.0.1:2551: the address is in use (Address already in use); "
                               "stop the other process or use port 0");
}

TEST(Error, MessageLeavesOutWhatIsEmpty) {
    EXPECT_EQ((Error{Errc::timed_out, {}, {}, {}}.message()), "timed out");
    EXPECT_EQ((Error{Errc::closed, "tell", {}, {}}.message()), "tell: closed");
    EXPECT_EQ((Error{Errc::too_large, {}, "use at most 16 MiB", {}}.message()),
              "too large; use at most 16 MiB");
}

TEST(Error, EveryCodeHasItsOwnText) {
    std::set<std::string> texts;
    for (int code = static_cast<int>(Errc::end_of_stream); code <= static_cast<int>(Errc::io); ++code)
        texts.insert(muster::muster_category().message(code));
    EXPECT_EQ(texts.size(), static_cast<std::size_t>(Errc::io));
    EXPECT_FALSE(texts.contains("unknown muster error"));
    EXPECT_EQ(muster::muster_category().message(0), "unknown muster error");
}

struct ErrnoCase {
    int errno_value;
    Errc expected;
};

class ErrnoMapping : public testing::TestWithParam<ErrnoCase> {};

TEST_P(ErrnoMapping, KeepsTheCauseAndPicksTheConditionCallersTellApart) {
    const auto [errno_value, expected] = GetParam();
    const Error error = from_errno(errno_value, "peer");
    EXPECT_EQ(error.code, expected);
    EXPECT_EQ(error.cause.value(), errno_value);
    EXPECT_EQ(error.cause.category(), boost::system::system_category());
    EXPECT_EQ(error.subject, "peer");
}

INSTANTIATE_TEST_SUITE_P(
    Table, ErrnoMapping,
    testing::Values(ErrnoCase{ECONNRESET, Errc::reset}, ErrnoCase{EPIPE, Errc::reset},
                    ErrnoCase{ECONNABORTED, Errc::reset}, ErrnoCase{ECONNREFUSED, Errc::refused},
                    ErrnoCase{ENETUNREACH, Errc::unreachable}, ErrnoCase{EHOSTUNREACH, Errc::unreachable},
                    ErrnoCase{ETIMEDOUT, Errc::timed_out}, ErrnoCase{ECANCELED, Errc::cancelled},
                    ErrnoCase{EADDRINUSE, Errc::address_in_use},
                    ErrnoCase{EADDRNOTAVAIL, Errc::address_not_available},
                    ErrnoCase{EACCES, Errc::permission_denied}, ErrnoCase{EPERM, Errc::permission_denied},
                    ErrnoCase{EMFILE, Errc::no_descriptors}, ErrnoCase{ENFILE, Errc::no_descriptors},
                    ErrnoCase{ENOMEM, Errc::no_memory}, ErrnoCase{ENOBUFS, Errc::no_memory},
                    ErrnoCase{ENOSYS, Errc::not_supported}, ErrnoCase{EAFNOSUPPORT, Errc::not_supported},
                    ErrnoCase{EMSGSIZE, Errc::too_large}, ErrnoCase{EINVAL, Errc::io},
                    ErrnoCase{EIO, Errc::io}),
    [](const auto& test) { return std::string{strerrorname_np(test.param.errno_value)}; });

TEST(ErrorCode, ComparesWithPortableConditions) {
    const boost::system::error_code timed_out = Errc::timed_out;
    EXPECT_EQ(timed_out, boost::system::errc::timed_out);
    EXPECT_NE(timed_out, boost::system::errc::connection_refused);
    EXPECT_EQ(muster::make_error_code(Errc::refused), boost::system::errc::connection_refused);
    EXPECT_STREQ(timed_out.category().name(), "muster");
}

TEST(ErrorCode, WithoutAPortableConditionEqualsOnlyItself) {
    const boost::system::error_code mismatch = Errc::mismatch;
    EXPECT_EQ(mismatch, muster::make_error_code(Errc::mismatch));
    EXPECT_EQ(mismatch.default_error_condition().category(), muster::muster_category());
}

result<int> half_of(int number) {
    if (number % 2 != 0)
        return Error{Errc::invalid_argument, "number " + std::to_string(number), "use an even one", {}};
    return number / 2;
}

TEST(Result, CarriesTheValueOrTheError) {
    EXPECT_EQ(half_of(8).value(), 4);
    const auto odd = half_of(7);
    ASSERT_TRUE(odd.has_error());
    EXPECT_TRUE(odd.error() == Errc::invalid_argument);
}

TEST(Result, ValueOfAnErrorNobodyLookedAtThrowsItWhole) {
    try {
        half_of(7).value();
        FAIL() << "value() of an error returned";
    } catch (const muster::ErrorException& thrown) {
        EXPECT_TRUE(thrown.error() == Errc::invalid_argument);
        EXPECT_STREQ(thrown.what(), "number 7: invalid; use an even one");
    }
}

} // namespace
