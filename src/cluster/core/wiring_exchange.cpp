// SPDX-License-Identifier: Apache-2.0
// What the exchange of gossip needs of the others (protocol.md §6).
#include "core_impl.hpp"

namespace muster {

bool ClusterCore::Impl::is_sender_valid(const UniqueAddress& from, const UniqueAddress& to,
                                        std::string_view counter, const Now& now, Effects& out) {
    if (may_tell(core, from, to)) return true;
    count(out, counter);
    if (to == self && !is_member(from)) admission.answer_not_member(from, now, out);
    return false;
}

void ClusterCore::Impl::on_envelope(const GossipEnvelope& m, Instant received, const Now& now, Effects& out) {
    if (!is_initialized()) return;
    constexpr std::string_view ignored = "cluster.gossip.ignored";
    const bool expired = now.monotonic - received > settings.gossip_time_to_live;
    if (expired || !m.gossip || m.gossip->members().empty()) {
        count(out, ignored);
        return;
    }
    if (!is_sender_valid(m.from, m.to, ignored, now, out)) return;
    if (!m.gossip->has_member(self)) {
        // Its removal answers the farewell of a node that waits for one.
        if (leaving.is_saying_farewell() && m.gossip->is_tombstoned(self)) {
            leaving.end_farewell("removed", out);
            return stop(std::nullopt, out);
        }
        count(out, ignored);
        return;
    }
    if (exchange.is_possible(m.from, *m.gossip, out)) take(m.from, m.gossip, now, out);
}

void ClusterCore::Impl::take(const UniqueAddress& from, const GossipPtr& remote, const Now& now,
                             Effects& out) {
    const GossipPtr local = state->gossip;
    const MemberStatus status_before = self_status();
    GossipExchange::Verdict verdict = exchange.judge(from, remote, out);
    if (verdict.is_local_change) {
        core.local_change(*verdict.gossip);
    } else if (verdict.gossip) {
        core.install(*std::move(verdict.gossip), verdict.origin);
    }
    if (state->gossip != local) forget_newcomers(*local);
    publish(now, out);
    react_to_own_status(status_before, out);

    // Its sender may be waiting for just this before it stops.
    if (const Member* teller = remote->find(from);
        !verdict.is_forged && teller != nullptr && teller->status() == MemberStatus::Down)
        leaving.answer_farewell(from, out);

    const bool always = verdict.outcome == GossipOutcome::Older || verdict.outcome == GossipOutcome::Merge;
    if (always || verdict.wants_answer) {
        eager.reply(from, verdict.outcome, *remote, out);
    } else if (verdict.outcome == GossipOutcome::Same) {
        eager.answer_settled(from, remote->seen_digest(), out);
    }
}

void ClusterCore::Impl::forget_newcomers(const Gossip& before) {
    if (before.members().data() == gossip().members().data()) return;
    // Both are sorted; where they agree, which is almost everywhere, no names are compared.
    auto known = before.members().begin();
    const auto end = before.members().end();
    for (const Member& m : gossip().members()) {
        while (known != end && *known != m && *known < m) ++known;
        if (known != end && *known == m) {
            ++known;
        } else {
            heartbeats.forget(m.address());
        }
    }
}

void ClusterCore::Impl::on(const GossipStatus& m, const Now& now, Effects& out) {
    if (!is_initialized() || !is_sender_valid(m.from, m.to, "cluster.gossip_status.ignored", now, out))
        return;
    switch (exchange.judge(m)) {
    case GossipExchange::Answer::None: return;
    case GossipExchange::Answer::Status: return sender.send_status(m.from, out);
    case GossipExchange::Answer::Settled:
        if (eager.answer_settled(m.from, *m.seen_digest, out)) return;
        break;
    case GossipExchange::Answer::Gossip: break;
    }
    sender.send_gossip(m.from, out);
}

} // namespace muster
