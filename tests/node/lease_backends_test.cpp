// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/sbr/lease.hpp>
#include <muster/node/file_lease.hpp>
#include <muster/node/in_memory_lease.hpp>

#include "lease_support.hpp"

#include <atomic>
#include <thread>
#include <vector>

namespace {

using namespace muster;
using namespace muster::test;
using std::chrono::milliseconds;

constexpr milliseconds ttl{1000};

/// Both kinds of lease behind one face: two owners of one lease and a clock.
struct Owners {
    std::unique_ptr<Lease> a;
    std::unique_ptr<Lease> b;
};

class LeaseTest : public testing::TestWithParam<std::string> {
protected:
    LeaseTest() {
        const auto clock = [this] { return now; };
        if (GetParam() == "file") {
            owners.a = std::make_unique<FileLease>(directory.file("lease"), "host-a:1", clock, ttl);
            owners.b = std::make_unique<FileLease>(directory.file("lease"), "b:1", clock, ttl);
            run(*owners.b, &Lease::check); // both watch from the start, as nodes do
            run(*owners.a, &Lease::check);
            return;
        }
        const auto store = std::make_shared<InMemoryLeaseStore>(clock);
        owners.a = std::make_unique<InMemoryLease>(store, "lease", "host-a:1", ttl);
        owners.b = std::make_unique<InMemoryLease>(store, "lease", "b:1", ttl);
    }
    static LeaseOutcome run(Lease& lease, Operation operation) { return ask(lease, operation); }

    TemporaryDirectory directory;
    Instant now{std::chrono::hours{1}};
    Owners owners;
};

TEST_P(LeaseTest, OneOwnerAtATime) {
    EXPECT_EQ(run(*owners.a, &Lease::check), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.a, &Lease::acquire), LeaseOutcome::Held);
    EXPECT_EQ(run(*owners.a, &Lease::check), LeaseOutcome::Held);
    EXPECT_EQ(run(*owners.b, &Lease::check), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.b, &Lease::acquire), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.a, &Lease::check), LeaseOutcome::Held);
}

TEST_P(LeaseTest, IsFreeAfterRelease) {
    run(*owners.a, &Lease::acquire);
    EXPECT_EQ(run(*owners.a, &Lease::release), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.a, &Lease::check), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.b, &Lease::acquire), LeaseOutcome::Held);
}

TEST_P(LeaseTest, AnotherOwnersReleaseChangesNothing) {
    run(*owners.a, &Lease::acquire);
    EXPECT_EQ(run(*owners.b, &Lease::release), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.a, &Lease::check), LeaseOutcome::Held);
}

TEST_P(LeaseTest, EndsByItselfWhenItIsNotRenewed) {
    run(*owners.a, &Lease::acquire);
    run(*owners.b, &Lease::check);
    now = now + ttl;
    EXPECT_EQ(run(*owners.a, &Lease::check), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.a, &Lease::renew), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.b, &Lease::acquire), LeaseOutcome::Held);
    EXPECT_EQ(run(*owners.a, &Lease::acquire), LeaseOutcome::NotHeld);
}

TEST_P(LeaseTest, RenewingAndAcquiringAgainStartTheTimeToLiveAnew) {
    run(*owners.a, &Lease::acquire);
    for (const Operation operation : {&Lease::renew, &Lease::acquire, &Lease::renew}) {
        now = now + milliseconds{900};
        EXPECT_EQ(run(*owners.a, operation), LeaseOutcome::Held);
        EXPECT_EQ(run(*owners.b, &Lease::acquire), LeaseOutcome::NotHeld);
    }
}

TEST_P(LeaseTest, RenewingDoesNotTakeWhatIsNotHeld) {
    EXPECT_EQ(run(*owners.a, &Lease::renew), LeaseOutcome::NotHeld);
    EXPECT_EQ(run(*owners.b, &Lease::acquire), LeaseOutcome::Held);
}

INSTANTIATE_TEST_SUITE_P(Backends, LeaseTest, testing::Values("memory", "file"),
                         [](const auto& param) { return param.param; });

TEST(FileLease, OfManyThreadsExactlyOneGetsIt) {
    const TemporaryDirectory directory;
    for (int round = 0; round < 20; ++round) {
        const std::string path = directory.file(std::to_string(round));
        std::atomic<int> held{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 6; ++i)
            threads.emplace_back([&, i] {
                FileLease lease(path, "owner-" + std::to_string(i));
                held += ask(lease, &Lease::acquire).outcome == LeaseOutcome::Held ? 1 : 0;
            });
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(held, 1);
    }
}

TEST(FileLease, AShorterOwnerAfterALongerOneIsReadRight) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    FileLease long_owner(path, std::string(500, 'x'));
    FileLease short_owner(path, "y");
    EXPECT_EQ(ask(long_owner, &Lease::acquire).outcome, LeaseOutcome::Held);
    EXPECT_EQ(ask(long_owner, &Lease::release).outcome, LeaseOutcome::NotHeld);
    EXPECT_EQ(ask(short_owner, &Lease::acquire).outcome, LeaseOutcome::Held);
    EXPECT_EQ(ask(short_owner, &Lease::check).outcome, LeaseOutcome::Held);
    EXPECT_EQ(ask(long_owner, &Lease::check).outcome, LeaseOutcome::NotHeld);
}

} // namespace
