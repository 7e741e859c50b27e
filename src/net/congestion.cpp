// SPDX-License-Identifier: Apache-2.0
#include "congestion.hpp"

#include <fstream>
#include <string>
#include <unistd.h>

namespace muster::net {
namespace {

/// What this process may choose from: "reno cubic".
std::string names_to_choose_from() {
    const bool privileged = ::geteuid() == 0;
    std::ifstream names(privileged ? "/proc/sys/net/ipv4/tcp_available_congestion_control"
                                   : "/proc/sys/net/ipv4/tcp_allowed_congestion_control");
    std::string line;
    std::getline(names, line);
    return line;
}

} // namespace

result<void> name_congestion_control(int descriptor, std::string_view wanted) {
    if (!is_congestion_name(wanted) || set_congestion_control(descriptor, wanted)) return {};
    const std::string names = names_to_choose_from();
    return Error{Errc::invalid_argument,
                 "congestion control \"" + std::string(wanted) + '"',
                 "use auto, system" + (names.empty() ? std::string{} : " or one of: " + names),
                 {}};
}

} // namespace muster::net
