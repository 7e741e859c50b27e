// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What this node's connections with each incarnation say about it (protocol.md §5.6, §12.7).
#include "core_state.hpp"
#include <cstdint>
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/time.hpp>
#include <optional>

namespace muster {

/// One incarnation's connections as ClusterCore::on_link() reported them.
struct PeerLink {
    std::uint32_t open = 0;
    bool was_open = false;
    bool said_goodbye = false; ///< the last one that ended did so in order
    std::optional<Instant> first_refusal;
    bool refused_twice = false;
    bool stopping = false; ///< GoodbyeStopping
    bool replaced = false; ///< another uid answers at its address
    bool proven = false;   ///< it has answered at its address, and nobody else since
};

/// All of them, those of strangers among them: of more than 8 192 the strangers' without a connection are
/// dropped. What they mean for the membership is Evidence's, Admission's and Leaving's.
class PeerLinks {
public:
    explicit PeerLinks(const CoreState& core) noexcept : core_(core) {}

    /// Answers with what is known of `peer` now. ReconnectRefused changes nothing: see on_refused().
    const PeerLink& on_event(const UniqueAddress& peer, LinkEvent event);
    /// A refusal that counts; two, far enough apart, are nobody.
    void on_refused(const UniqueAddress& peer, Instant now);
    /// Only what is refused from now on counts.
    void forget_refusals();
    /// Another process answers at this member's address.
    void mark_replaced(const UniqueAddress& node);
    /// `fresh` answers: every other incarnation of its address is replaced, those of no members (yet) too.
    void on_answered(const UniqueAddress& fresh);
    void on_removed(const UniqueAddress& node);
    void clear() { links_.clear(); }

    /// nullptr: nothing was heard of it.
    const PeerLink* find(const UniqueAddress& node) const noexcept;
    const std::map<UniqueAddress, PeerLink>& all() const noexcept { return links_; }
    /// No connection with this incarnation is left, or another one answers at its address (§5.6 rule 3).
    bool is_over(const UniqueAddress& node) const noexcept;
    bool is_proven(const UniqueAddress& node) const noexcept;
    /// Invariants (ENSURE).
    void check() const;

private:
    PeerLink& link_of(const UniqueAddress& peer);

    const CoreState& core_;
    std::map<UniqueAddress, PeerLink> links_;
    std::size_t trim_at_ = 0; ///< with so many the old ones of strangers are dropped
};

} // namespace muster
