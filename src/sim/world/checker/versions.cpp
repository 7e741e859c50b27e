// SPDX-License-Identifier: Apache-2.0
// A version id and a clock have one content, and every node in a seen set held it.
#include "sim/world/text.hpp"
#include "state.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

/// The most versions remembered: no node holds older ones any more.
constexpr std::size_t versions_max = 4096;

} // namespace

/// Checks that a version has one content, and that no node counts as having seen a version it never held.
void CheckerState::check_version(std::size_t node, const MembershipState& state) {
    const Gossip& g = state.latest();
    const auto [at, fresh] = versions.try_emplace(g.version_id());
    Version& known = at->second;
    if (fresh) {
        known.content = state.gossip;
        known.held = SeenSet(g.members().size());
        if (versions_forgotten) known.held = g.overview().seen;
        remember_version(node, g);
    } else if (known.content != state.gossip) {
        const Gossip& other = *known.content;
        const bool equal =
            std::ranges::equal(g.members(), other.members(),
                               [](const Member& a, const Member& b) { return a.same_content(b); }) &&
            g.reachability() == other.reachability() && g.version() == other.version();
        if (!equal) {
            note("version-content", fmt::format("node {} holds another content of version {}", node,
                                                g.version_id().to_string()));
            return;
        }
    }
    if (const auto own = g.index_of(state.self); own && g.overview().seen.test(*own)) known.held.set(*own);
    const auto seen = g.overview().seen.words();
    const auto held = known.held.words();
    for (std::size_t word = 0; word < seen.size(); ++word) {
        const std::uint64_t missing = seen[word] & ~held[word];
        if (missing == 0) continue;
        const auto index = word * 64 + static_cast<std::size_t>(std::countr_zero(missing));
        note("seen-unheld", fmt::format("node {} counts {} as having seen a version that it never held", node,
                                        g.members()[index].unique_address().to_string()));
        return;
    }
}

/// A version that is new to all nodes must have a new clock: two versions with one clock would not be merged
/// where clocks are compared, and a descendant of one would replace the other (protocol.md §2).
void CheckerState::remember_version(std::size_t node, const Gossip& gossip) {
    const Hash128& clock = gossip.version().digest();
    const bool fresh =
        gossip.version().size() == 0 || versions_by_clock.try_emplace(clock, gossip.version_id()).second;
    if (!fresh)
        note("clock-content",
             fmt::format("node {} made version {} with the clock of version {}", node,
                         gossip.version_id().to_string(), versions_by_clock.at(clock).to_string()));
    version_order.emplace_back(gossip.version_id(), clock);
    if (version_order.size() <= versions_max) return;
    versions.erase(version_order.front().first);
    versions_by_clock.erase(version_order.front().second);
    version_order.pop_front();
    versions_forgotten = true;
}

void CheckerState::check_size(std::size_t node, const Gossip& gossip) {
    if (gossip.version().size() > gossip.members().size())
        note("clock-too-large", fmt::format("node {} has {} clock entries for {} members", node,
                                            gossip.version().size(), gossip.members().size()));
}

} // namespace muster::sim
