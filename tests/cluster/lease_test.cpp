#include <muster/cluster/lease.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace {

using namespace muster;
using std::chrono::milliseconds;

constexpr milliseconds ttl{1000};

/// Both kinds of lease behind one face: two owners of one lease and a clock.
struct Owners {
    std::unique_ptr<Lease> a;
    std::unique_ptr<Lease> b;
};

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "muster-lease-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
    std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

class LeaseTest : public testing::TestWithParam<std::string> {
protected:
    LeaseTest() {
        const auto clock = [this] { return now; };
        if (GetParam() == "file") {
            owners.a = std::make_unique<FileLease>(directory.file("lease"), "host-a:1", clock, ttl);
            owners.b = std::make_unique<FileLease>(directory.file("lease"), "b:1", clock, ttl);
            return;
        }
        const auto store = std::make_shared<InMemoryLeaseStore>(clock);
        owners.a = std::make_unique<InMemoryLease>(store, "lease", "host-a:1", ttl);
        owners.b = std::make_unique<InMemoryLease>(store, "lease", "b:1", ttl);
    }
    using Operation = void (Lease::*)(Lease::Done);
    static LeaseOutcome run(Lease& lease, Operation operation) {
        std::vector<LeaseOutcome> outcomes;
        (lease.*operation)([&](LeaseOutcome outcome) { outcomes.push_back(outcome); });
        EXPECT_EQ(outcomes.size(), 1U);
        return outcomes.empty() ? LeaseOutcome::Failed : outcomes[0];
    }

    TemporaryDirectory directory;
    WallTime now{1'700'000'000'000};
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
    const auto clock = [] { return WallTime{1000}; };
    for (int round = 0; round < 20; ++round) {
        const std::string path = directory.file(std::to_string(round));
        std::atomic<int> held{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 6; ++i)
            threads.emplace_back([&, i] {
                FileLease lease(path, "owner-" + std::to_string(i), clock);
                lease.acquire([&](LeaseOutcome outcome) { held += outcome == LeaseOutcome::Held ? 1 : 0; });
            });
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(held, 1);
    }
}

TEST(FileLease, AFileThatIsNoLeaseIsAFailureThatSaysSo) {
    const TemporaryDirectory directory;
    for (const std::string content :
         {"hello", "muster-lease 1\n", "muster-lease 1\nowner\n12x\n", "muster-lease 1\nowner\n\n"}) {
        const std::string path = directory.file("lease");
        std::ofstream(path, std::ios::trunc) << content;
        FileLease lease(path, "me", [] { return WallTime{0}; });
        LeaseOutcome got = LeaseOutcome::Held;
        lease.acquire([&](LeaseOutcome outcome) { got = outcome; });
        EXPECT_EQ(got, LeaseOutcome::Failed) << content;
        ASSERT_TRUE(lease.last_error().has_value());
        EXPECT_EQ(lease.last_error()->code, Errc::malformed);
        EXPECT_NE(lease.last_error()->message().find(path), std::string::npos);
    }
}

TEST(FileLease, AMissingDirectoryIsAFailureThatNamesTheFile) {
    FileLease lease("/nonexistent-directory/lease", "me", [] { return WallTime{0}; });
    LeaseOutcome got = LeaseOutcome::Held;
    lease.check([&](LeaseOutcome outcome) { got = outcome; });
    EXPECT_EQ(got, LeaseOutcome::Failed);
    EXPECT_NE(lease.last_error()->message().find("/nonexistent-directory/lease"), std::string::npos);
}

TEST(FileLease, AShorterOwnerAfterALongerOneIsReadRight) {
    const TemporaryDirectory directory;
    WallTime now{0};
    const auto clock = [&] { return now; };
    const std::string path = directory.file("lease");
    FileLease long_owner(path, std::string(500, 'x'), clock, ttl);
    FileLease short_owner(path, "y", clock, ttl);
    long_owner.acquire([](LeaseOutcome outcome) { EXPECT_EQ(outcome, LeaseOutcome::Held); });
    now = now + ttl;
    short_owner.acquire([](LeaseOutcome outcome) { EXPECT_EQ(outcome, LeaseOutcome::Held); });
    short_owner.check([](LeaseOutcome outcome) { EXPECT_EQ(outcome, LeaseOutcome::Held); });
    long_owner.check([](LeaseOutcome outcome) { EXPECT_EQ(outcome, LeaseOutcome::NotHeld); });
}

} // namespace
