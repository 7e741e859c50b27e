// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/state/gossip_limits.hpp>

#include <string_view>
#include <utility>

namespace muster {
namespace {

Error above(std::string_view what, std::size_t has, std::size_t limit) {
    return {Errc::malformed, "a member with " + std::to_string(has) + " " + std::string(what),
            "at most " + std::to_string(limit) + " are allowed"};
}

} // namespace

result<void> check_member_limits(std::span<const std::string> roles, const AppVersion& app_version) {
    if (roles.size() > member_roles_max) return above("roles", roles.size(), member_roles_max);
    std::size_t sum = 0;
    for (const std::string& role : roles) {
        if (role.size() > role_bytes_max) return above("bytes of a role", role.size(), role_bytes_max);
        sum += role.size();
    }
    if (sum > member_roles_bytes_max) return above("bytes of roles", sum, member_roles_bytes_max);
    const std::size_t version = app_version.text().size();
    if (version > app_version_bytes_max) return above("bytes of app version", version, app_version_bytes_max);
    return {};
}

} // namespace muster
