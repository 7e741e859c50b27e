// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The inside of a LinkWorld.
#include "link_world.hpp"

namespace muster::transport::test {

inline constexpr Duration travel = 1ms;
inline constexpr Duration tick_interval = 250ms;
inline constexpr LinkLimits link_limits{
    .handshake_timeout = 1s, .idle_timeout = 3s, .half_open_timeout = 2s, .frame_timeout = 1s};
inline constexpr DiallingLimits dialling_limits{
    .backoff_min = 20ms, .backoff_max = 500ms, .unreachable_after = 3s, .waiting_for_answer = 1s};
inline constexpr Duration connect_timeout = 1s;

struct LinkWorld::Pipe {
    bool swallows = false;
    std::array<std::weak_ptr<End>, 2> ends;
};

struct LinkWorld::End {
    End(Host& h, Link::Role role, NodeView& view)
        : host(h), dials(role == Link::Role::Dialler), link(role, link_limits, view) {}
    bool over() const { return receiving_over && !sending; }

    Host& host;
    const bool dials;
    Link link;
    std::shared_ptr<Pipe> pipe;
    std::deque<Slice> waiting; ///< arrived, and not looked at yet
    bool receiving_over = false;
    bool finished = false; ///< sends no more
    bool aborted = false;
    bool sending = false; ///< a send is in flight, on a pipe that swallows
    std::optional<Instant> armed;
};

/// A process at an address. Another one takes its place after a crash.
struct LinkWorld::Host final : NodeView {
    Host(LinkWorld& w, UniqueAddress node) : world(w), view(std::move(node)) {}
    Identity identity() const override { return view.identity(); }
    bool stops() const override { return false; }
    bool acquainted(const Address&) const override { return true; }
    bool has_place_for_stranger() const override { return true; }
    Quarantined quarantine_of(const UniqueAddress& node) override { return view.quarantine_of(node); }
    bool is_claimed(const UniqueAddress& peer) override {
        if (is_claim(peer, dialling->known())) return true;
        for (const auto& end : world.ends_)
            if (&end->host == this && !end->dials && end->link.is_open() &&
                is_claim(peer, end->link.about().peer))
                return true;
        return false;
    }
    wire::Interner& interner() override { return view.interner(); }
    const UniqueAddress& self() const { return view.me.self; }

    LinkWorld& world;
    TestNode view;
    bool up = true;
    bool route = true;
    bool connecting = false;
    std::uint64_t life = 0; ///< what was scheduled in a former one is void
    SplitMix64 random{11};
    std::unique_ptr<Dialling> dialling;
    std::shared_ptr<End> link; ///< the one that is dialled, shakes hands or is written to
    std::deque<Message> queued;
    std::uint64_t stale_before = 0;
    std::optional<Uid> former;
    std::uint64_t last_delivered = 0; ///< of the other's messages
};

} // namespace muster::transport::test
