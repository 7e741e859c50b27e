// SPDX-License-Identifier: Apache-2.0
#include <muster/version.hpp>

namespace muster {

// MUSTER_VERSION is the build's own version, so that a header and a library of different releases tell.
std::string_view version() noexcept { return MUSTER_VERSION; }

} // namespace muster
