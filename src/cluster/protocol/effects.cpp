// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/protocol/effects.hpp>

#include <muster/ensure.hpp>

namespace muster {

std::string_view to_string(ShutdownReason reason) noexcept {
    switch (reason) {
    case ShutdownReason::Leaving: return "leaving";
    case ShutdownReason::Downed: return "downed";
    case ShutdownReason::JoinUnsuccessful: return "join unsuccessful";
    case ShutdownReason::IncompatibleConfiguration: return "incompatible configuration";
    case ShutdownReason::Requested: return "requested";
    case ShutdownReason::LeaveUnfinished: return "leave unfinished";
    case ShutdownReason::CannotStart: return "cannot start";
    case ShutdownReason::IncarnationSpent: return "incarnation spent";
    }
    MUSTER_ENSURE(false, "the enumerators above are all there are");
    return {};
}

} // namespace muster
