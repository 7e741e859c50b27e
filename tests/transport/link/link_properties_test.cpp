// SPDX-License-Identifier: Apache-2.0
/// Two nodes that speak with each other through pipes that break and swallow, in any interleaving. rapidcheck
/// prints the shrunk counterexample and, as RC_PARAMS="reproduce=...", how to run exactly that again.
#include "link_world.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace muster::transport::test {
namespace {

enum class What : std::uint8_t {
    Tell,
    Send,
    SendToFormer,
    Wait,
    WaitLong,
    Break,
    Swallow,
    Partition,
    Heal,
    Crash,
    Restart,
    Renew,
    Quarantine,
    QuarantineHarmless,
    CloseInbound,
};

struct Step {
    What what{};
    std::size_t host = 0;
    int milliseconds = 0;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
    static constexpr const char* names[] = {
        "tell", "send",  "send to former", "wait",  "wait long",  "break",    "swallow",      "partition",
        "heal", "crash", "restart",        "renew", "quarantine", "harmless", "close inbound"};
    return out << names[static_cast<std::size_t>(step.what)] << " at " << step.host << ", then "
               << step.milliseconds << " ms";
}

rc::Gen<Step> any_step(bool quarantines) {
    using rc::gen::just;
    auto what = rc::gen::weightedElement<What>({{8, What::Tell},
                                                {4, What::Send},
                                                {2, What::SendToFormer},
                                                {6, What::Wait},
                                                {2, What::WaitLong},
                                                {2, What::Break},
                                                {2, What::Swallow},
                                                {1, What::Partition},
                                                {2, What::Heal},
                                                {1, What::Crash},
                                                {2, What::Restart},
                                                {1, What::Renew},
                                                {quarantines ? 1U : 0U, What::Quarantine},
                                                {quarantines ? 1U : 0U, What::QuarantineHarmless},
                                                {1, What::CloseInbound}});
    return rc::gen::build<Step>(
        rc::gen::set(&Step::what, what), rc::gen::set(&Step::host, rc::gen::element<std::size_t>(0, 1)),
        rc::gen::set(&Step::milliseconds, rc::gen::element(0, 0, 0, 1, 1, 2, 3, 5, 30)));
}

void take(LinkWorld& world, const Step& step) {
    switch (step.what) {
    case What::Tell: world.tell(step.host); break;
    case What::Send: world.send(step.host, false); break;
    case What::SendToFormer: world.send(step.host, true); break;
    case What::Wait: world.run(20ms); break;
    case What::WaitLong: world.run(4s); break;
    case What::Break: world.break_pipes(); break;
    case What::Swallow: world.swallow(); break;
    case What::Partition: world.partition(true); break;
    case What::Heal: world.partition(false); break;
    case What::Crash: world.crash(step.host); break;
    case What::Restart: world.restart(step.host); break;
    case What::Renew: world.renew(step.host); break;
    case What::Quarantine: world.quarantine(step.host, false); break;
    case What::QuarantineHarmless: world.quarantine(step.host, true); break;
    case What::CloseInbound: world.close_inbound(step.host); break;
    }
    world.run(step.milliseconds * 1ms);
}

void holds(const char* name, bool quarantines) {
    EXPECT_TRUE(rc::check(name, [quarantines] {
        const auto steps = *rc::gen::container<std::vector<Step>>(any_step(quarantines));
        LinkWorld world;
        for (const Step& step : steps) take(world, step);
        const auto wrong = world.settle();
        if (!wrong.empty()) RC_FAIL(wrong.front());
    }));
}

TEST(TwoPeers, HaveOneLinkPerDirectionDeliverToWhoIsMeantAndComeToRest) {
    holds("whatever happens between two peers", false);
}

TEST(TwoPeers, ComeToRestWhenOneQuarantinesTheOther) { holds("with quarantines as well", true); }

} // namespace
} // namespace muster::transport::test
