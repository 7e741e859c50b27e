// SPDX-License-Identifier: Apache-2.0
// The lease file's thread beside whoever asks it and whoever takes it away. Under ThreadSanitizer a missing
// lock is a failure here.
#include "../node/lease_support.hpp"

#include <atomic>
#include <memory>
#include <muster/node/file_lease.hpp>
#include <thread>
#include <vector>

namespace {

using namespace muster;
using namespace muster::test;

TEST(LeaseThreads, ManyThreadsAskOneLeaseAndEachIsAnsweredOnce) {
    const TemporaryDirectory directory;
    FileLease lease(directory.file("lease"), "me");
    std::atomic<int> asked{0};
    std::atomic<int> answered{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            const Operation operations[] = {&Lease::check, &Lease::acquire, &Lease::renew, &Lease::release};
            for (int i = 0; i < 50; ++i) {
                ++asked;
                (lease.*operations[i % 4])([&](const LeaseAnswer&) { ++answered; });
                static_cast<void>(lease.last_error());
            }
        });
    for (auto& thread : threads) thread.join();
    ask(lease, &Lease::check); // what was accepted before it has been answered; the rest was refused at once
    while (answered < asked) std::this_thread::yield();
    EXPECT_EQ(answered, asked);
}

TEST(LeaseThreads, ALeaseMayGoWhileItsFileIsWorkedOn) {
    const TemporaryDirectory directory;
    for (int round = 0; round < 200; ++round) {
        auto now = std::make_unique<Instant>(Instant{std::chrono::seconds{round}});
        Answers first, second;
        {
            FileLease lease(directory.file("lease"), "me", [&now] { return *now; });
            lease.acquire(first.done());
            lease.renew(second.done());
            if (round % 2 == 0) first.wait();
        }
        now.reset(); // the clock is not read any more
        EXPECT_EQ(first.count(), 1);
        EXPECT_EQ(second.count(), 1);
    }
}

} // namespace
