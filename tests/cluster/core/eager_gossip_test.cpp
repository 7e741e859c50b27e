// SPDX-License-Identifier: Apache-2.0
// Eager gossip apart from the core (protocol.md §6.6); with it: eager_test.cpp.
#include "cluster/core/eager_gossip.hpp"

#include "subject_support.hpp"
#include <gtest/gtest.h>
#include <muster/cluster/state/changes.hpp>

namespace {

using namespace muster;
using namespace muster::testing;

/// `self` of a..d, of which `a` leads.
struct EagerOf {
    explicit EagerOf(const UniqueAddress& self, Gossip gossip = all_up({a, b, c, d}))
        : core(core_of(self, std::move(gossip))) {
        core.ask_what_is_seen(&eager);
        finish();
        out.clear();
    }
    void finish(Duration when = {}) {
        if (eager.begin_look()) eager.look({}, out);
        eager.send_acks(out);
        eager.forward_when_allowed(at(when), out);
        eager.check();
    }
    void change(const Gossip& g) {
        core.local_change(g);
        core.publish();
    }
    SeenAck ack(const UniqueAddress& from, const Hash128& version) const {
        return {from, core.self(), version};
    }

    CoreState core;
    PeerBooks books;
    GossipSender sender{core, books};
    EagerGossip eager{core, books, sender};
    Effects out;
};

TEST(EagerGossipSubject, TheLeaderForwardsItsChangeToAllAndWaitsForTheirAcks) {
    EagerOf node(a);
    node.change(node.core.gossip().mark_down(d));
    node.finish(seconds{1});
    EXPECT_EQ(targets<GossipEnvelope>(node.out), (std::vector{b.address(), c.address(), d.address()}));
    const Hash128 version = node.core.gossip().version_id();
    EXPECT_FALSE(node.eager.on_ack(node.ack(b, version), node.out)); // a timer installs it
    EXPECT_TRUE(node.eager.on_ack(node.ack(c, version), node.out));  // d is Down: the last one that counts
    const auto acknowledged = node.eager.acknowledged();
    ASSERT_TRUE(acknowledged.has_value());
    EXPECT_TRUE(acknowledged->seen_by(b));
    EXPECT_TRUE(acknowledged->seen_by(c));
}

TEST(EagerGossipSubject, AFollowerAcknowledgesToTheLeaderOnce) {
    EagerOf node(b);
    node.core.install(node.core.gossip().mark_down(d).increment(a).seen(b), Origin::Elsewhere);
    node.core.publish();
    node.finish(seconds{1});
    EXPECT_EQ(targets<SeenAck>(node.out), std::vector{a.address()});
    EXPECT_TRUE(targets<GossipEnvelope>(node.out).empty()); // it made nothing
    node.out.clear();
    node.finish(seconds{2});
    EXPECT_TRUE(node.out.empty());
}

TEST(EagerGossipSubject, AnAckThatOvertookItsStateCountsWhenTheStateComes) {
    EagerOf node(a);
    const Gossip next = changed_by(a, node.core.gossip().mark_down(d));
    EXPECT_FALSE(node.eager.on_ack(node.ack(b, next.version_id()), node.out));
    node.core.install(next, Origin::Here);
    EXPECT_TRUE(node.core.gossip().seen_by(b));
    node.core.publish();
    node.finish(seconds{1});
}

TEST(EagerGossipSubject, AnAckOfWhatNeverCameIsHandedOutAndStrangersForgotten) {
    EagerOf node(a);
    const UniqueAddress stranger = muster::testing::node("x");
    node.eager.on_ack(node.ack(stranger, Hash128{1, 1}), node.out);
    node.eager.on_ack(node.ack(b, Hash128{1, 1}), node.out);
    EXPECT_EQ(of_type<effect::SetTimer>(node.out).size(), 1U); // for both
    EXPECT_EQ(node.eager.on_repair_timer(1), EagerGossip::Due::UnknownAcks);
    EXPECT_EQ(node.eager.take_unknown_acks().size(), 2U);
    EXPECT_FALSE(node.books.has_acked(stranger));
    EXPECT_TRUE(node.books.has_acked(b));
    node.finish();
}

TEST(EagerGossipSubject, WhatComesTooSoonIsSentTogetherWhenTheTimerFires) {
    EagerOf node(a);
    node.change(node.core.gossip().mark_down(d));
    node.finish(seconds{1});
    node.out.clear();
    node.eager.reply(b, GossipOutcome::Older, node.core.gossip(), node.out);
    node.eager.reply(c, GossipOutcome::Merge, node.core.gossip(), node.out);
    node.finish(seconds{1});
    EXPECT_TRUE(targets<GossipEnvelope>(node.out).empty());
    ASSERT_EQ(of_type<effect::SetTimer>(node.out).size(), 1U);
    node.eager.on_forward_timer();
    node.finish(seconds{2});
    EXPECT_EQ(targets<GossipEnvelope>(node.out), (std::vector{b.address(), c.address()}));
}

TEST(EagerGossipSubject, ASettledVersionIsToldToAllOnceAndToWhoeverSeesLess) {
    EagerOf node(a);
    node.change(node.core.gossip().mark_down(d));
    node.core.install(node.core.gossip().seen(b).seen(c).seen(d));
    node.finish(seconds{1});
    EXPECT_EQ(sent<Converged>(node.out).size(), 3U);
    node.out.clear();
    EXPECT_TRUE(node.eager.answer_settled(b, node.core.gossip().seen_digest(), node.out));
    EXPECT_TRUE(node.out.empty());
    EXPECT_TRUE(node.eager.answer_settled(b, Hash128{1, 1}, node.out));
    EXPECT_EQ(targets<Converged>(node.out), std::vector{b.address()});
}

} // namespace
