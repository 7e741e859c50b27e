// SPDX-License-Identifier: Apache-2.0
#include <muster/version.hpp>

namespace muster {

// MUSTER_VERSION is the build's version, so that a program can detect a header and library of different
// releases.
std::string_view version() noexcept { return MUSTER_VERSION; }

} // namespace muster
