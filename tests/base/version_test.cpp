// SPDX-License-Identifier: Apache-2.0
#include <muster/version.hpp>

#include <gtest/gtest.h>
#include <string>

namespace {

std::string header_version() {
    return std::to_string(muster::version_major) + "." + std::to_string(muster::version_minor) + "." +
           std::to_string(muster::version_patch);
}

TEST(Version, HeaderConstantsAgreeWithTheBuildSystem) { EXPECT_EQ(header_version(), MUSTER_PROJECT_VERSION); }

TEST(Version, LinkedLibraryTellsTheVersionItWasBuiltAs) { EXPECT_EQ(muster::version(), header_version()); }

TEST(Version, WireVersionRangeIsNotEmptyAndStartsAboveZero) {
    static_assert(muster::wire_version_min >= 1);
    static_assert(muster::wire_version_min <= muster::wire_version_max);
}

} // namespace
