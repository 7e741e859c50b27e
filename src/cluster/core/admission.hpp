// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How a member lets others in (protocol.md §5.4, §5.6): InitJoin, proofs of addresses, room, batches.
#include "core_state.hpp"
#include "gossip_sender.hpp"
#include "gossip_size.hpp"
#include "join_proof.hpp"
#include "peer_links.hpp"
#include <cstdint>
#include <map>
#include <muster/cluster/protocol/config_compat.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <optional>
#include <set>
#include <vector>

namespace muster {

/// Judges Joins and holds those that wait: for an answer at their address, for the next batch. Who is
/// admitted in the end is a local change, which the wiring makes.
class Admission {
public:
    /// `config` must live as long as this.
    Admission(const CoreState& core, const PeerLinks& links, GossipSender& sender,
              const ConfigCompat& config) noexcept
        : core_(core), links_(links), sender_(sender), config_(config) {}

    /// From now on a Join waits until its address has answered.
    void expect_proofs() noexcept { proofs_expected_ = true; }
    void on_init_join(const InitJoin& m, Effects& out) const;

    enum class Verdict : std::uint8_t {
        Answered, ///< refused, welcomed again or held: nothing is left to do
        Replaces, ///< members with other uids at its address go first: replacement()
        Admit,
    };
    /// Rules 1 to 4 of §5.6. `is_version_known`: of this node (§1.7).
    Verdict judge(const Join& m, bool is_version_known, const Now& now, Effects& out);
    /// The local change that ends the earlier incarnations of `fresh`; nullopt: they are Down already.
    std::optional<Gossip> replacement(const UniqueAddress& fresh, Effects& out) const;
    /// `fresh` asks again later, when they are removed.
    void defer_replacing(const UniqueAddress& fresh, Effects& out) const;
    /// True: admit it now. Else it waits for the JoinBatch timer, or was told to ask again.
    bool is_due(const Join& m, const Now& now, Effects& out);
    /// At the JoinBatch timer, in the order of arrival. What was true then may have changed: judge() them
    /// again.
    std::vector<Join> take_batch(const Now& now);
    /// Those of `joins` that the largest gossip has room for, in order; the others are told to ask again.
    std::vector<Join> those_with_room(std::vector<Join> joins, Effects& out);
    /// Joins that the gossip takes in one change, with self where it holds nobody yet.
    std::vector<Member> members_of(const std::vector<Join>& joins) const;
    /// Welcomed at the end of the input, with what the leader made of the join at once.
    void welcome_later(const UniqueAddress& node) { welcomes_.push_back(node); }
    std::vector<UniqueAddress> take_welcomes() { return std::exchange(welcomes_, {}); }

    /// `node` has answered at its address: its Join waits no longer, another one's of that address is void.
    std::optional<Join> on_answered(const UniqueAddress& node, Effects& out);
    void expire_unproven(const Now& now, Effects& out);
    /// To a sender that is no member, at most once a second.
    void answer_not_member(const UniqueAddress& stranger, const Now& now, Effects& out);
    void on_removed(const UniqueAddress& node) { not_member_told_.erase(node); }
    void on_new_incarnation() noexcept { unproven_.clear(); }
    /// Invariants (ENSURE), at the end of an input.
    void check() const;

private:
    bool is_acceptable(const Join& m, bool is_version_known, Effects& out) const;
    /// No for a joiner that no gossip may carry; who has proven its address is told so.
    bool is_within_limits(const Join& m, Effects& out) const;
    /// Rules 3 and 4 of §5.6.
    Verdict answer_known(const Join& m, Effects& out);
    bool is_proven(const UniqueAddress& node) const;
    void hold_until_proven(const Join& m, const Now& now, Effects& out);

    const CoreState& core_;
    const PeerLinks& links_;
    GossipSender& sender_;
    const ConfigCompat& config_;
    bool proofs_expected_ = false;
    UnprovenJoins unproven_;
    GossipSize gossip_size_;
    std::vector<Join> waiting_joins_;
    std::set<UniqueAddress> waiting_nodes_; ///< whose joins those are
    std::optional<Instant> last_batch_;
    std::vector<UniqueAddress> welcomes_; ///< admitted in this input
    /// When a sender that is no member was last told so (§6.2).
    std::map<UniqueAddress, Instant> not_member_told_;
};

} // namespace muster
