// SPDX-License-Identifier: Apache-2.0
// The rules of the lease file (protocol.md §15.3) between machines whose clocks have nothing in common, and
// the thread behind it.
#include "lease_support.hpp"

#include "node/lease_worker.hpp"

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <future>
#include <muster/ensure.hpp>
#include <muster/node/file_lease.hpp>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace muster;
using namespace muster::test;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds ttl = 120s;

std::string content(const std::string& path) {
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::trunc) << text; }

std::int64_t serial_in(const std::string& path) {
    std::istringstream lines(content(path));
    std::string magic, owner, serial;
    std::getline(lines, magic);
    std::getline(lines, owner);
    std::getline(lines, serial);
    return std::stoll(serial);
}

/// A process on a machine of its own: both clocks read what they like.
struct Machine {
    Machine(std::string path, std::string owner, Duration offset, WallTime wall_offset = {1'700'000'000'000})
        : now(Instant{1h} + offset), wall(wall_offset),
          lease(
              std::move(path), std::move(owner), [this] { return now; }, ttl, [this] { return wall; }) {}
    LeaseAnswer check() { return ask(lease, &Lease::check); }
    LeaseAnswer acquire() { return ask(lease, &Lease::acquire); }
    LeaseAnswer renew() { return ask(lease, &Lease::renew); }
    LeaseAnswer release() { return ask(lease, &Lease::release); }
    void pass(Duration time) { now += time; }

    Instant now;
    WallTime wall;
    FileLease lease;
};

TEST(LeaseFile, ClocksThatDifferByAnyAmountNeverLetTwoOwnersHaveIt) {
    for (const Duration skew :
         {Duration(0s), Duration(119s), Duration(-119s), Duration(24h * 365), Duration(-50min)}) {
        const TemporaryDirectory directory;
        const std::string path = directory.file("lease");
        Machine a(path, "a:1", 0s);
        Machine b(path, "b:1", skew, WallTime{1'700'000'000'000 + skew / 1ms});
        b.check();
        ASSERT_EQ(a.acquire().outcome, LeaseOutcome::Held);
        Duration last_renewal{0};
        std::optional<Duration> taken;
        for (Duration time = 0s; time < 600s && !taken; time += 5s) {
            if (time > 0s && time <= 300s && time % 40s == 0s) {
                ASSERT_EQ(a.renew().outcome, LeaseOutcome::Held);
                last_renewal = time;
            }
            if (b.acquire().outcome == LeaseOutcome::Held) {
                EXPECT_EQ(a.check().outcome, LeaseOutcome::NotHeld)
                    << "both have it, skew " << skew / 1s << " s";
                EXPECT_EQ(a.renew().outcome, LeaseOutcome::NotHeld);
                taken = time;
            }
            a.pass(5s);
            b.pass(5s);
        }
        ASSERT_TRUE(taken) << "a dead owner's grant ends";
        EXPECT_GE(*taken, last_renewal + ttl);
        EXPECT_LE(*taken, last_renewal + ttl + 5s);
    }
}

TEST(LeaseFile, WhoHasNotWatchedLongEnoughIsToldHowLongItTakes) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    Machine a(path, "a:1", 0s);
    a.acquire(); // and dies
    Machine b(path, "b:1", 0s);
    b.check();
    b.pass(50s);
    const LeaseAnswer watching = b.acquire();
    ASSERT_EQ(watching.outcome, LeaseOutcome::Watching);
    EXPECT_EQ(watching.watch->owner, "a:1");
    EXPECT_EQ(watching.watch->unchanged_for, Duration(50s));
    EXPECT_EQ(watching.watch->time_to_live, ttl);
    EXPECT_GT(watching.watch->retry_after, 0ms);
    EXPECT_LE(watching.watch->retry_after, 70s);
    EXPECT_NE(watching.reason().find("a:1 has it"), std::string::npos) << watching.reason();
    b.pass(69s);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Watching);
    b.pass(1s);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Held);
}

TEST(LeaseFile, AGrantThatChangesWhileItIsWatchedHasALivingOwner) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    Machine a(path, "a:1", 0s);
    a.acquire();
    Machine b(path, "b:1", 0s);
    b.check();
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Watching);
    a.pass(30s);
    b.pass(30s);
    a.renew();
    const LeaseAnswer denied = b.acquire();
    EXPECT_EQ(denied.outcome, LeaseOutcome::NotHeld) << "at once: who waited would live on beside the owner";
    EXPECT_EQ(denied.watch->owner, "a:1");
}

TEST(LeaseFile, AGrantMadeLongAfterTheLastLookMayBeAsOldAsThatLook) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    Machine a(path, "a:1", 0s);
    Machine b(path, "b:1", 0s);
    b.check();
    a.acquire();
    a.pass(ttl);
    b.pass(ttl);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Watching)
        << "made any time since the last look, perhaps by who is dead now";
}

TEST(LeaseFile, TheOwnersGrantEndsByItsOwnClockCountedFromBeforeTheWrite) {
    const TemporaryDirectory directory;
    Machine a(directory.file("lease"), "a:1", 0s);
    a.acquire();
    a.pass(ttl - 1ms);
    EXPECT_EQ(a.check().outcome, LeaseOutcome::Held);
    a.pass(1ms);
    EXPECT_EQ(a.check().outcome, LeaseOutcome::NotHeld);
    EXPECT_EQ(a.renew().outcome, LeaseOutcome::NotHeld);
    EXPECT_EQ(a.acquire().outcome, LeaseOutcome::Held) << "nobody has taken it";
}

TEST(LeaseFile, AWriteThatTakesLongerThanTheTimeToLiveGivesNothing) {
    const TemporaryDirectory directory;
    int reads = 0; // before the write, and after it
    FileLease slow(
        directory.file("lease"), "a:1", [&reads] { return Instant{1h} + (reads++ == 0 ? 0s : ttl); }, ttl);
    const LeaseAnswer answer = ask(slow, &Lease::acquire);
    EXPECT_EQ(answer.outcome, LeaseOutcome::Failed);
    EXPECT_EQ(answer.error->code, Errc::timed_out);
    EXPECT_EQ(ask(slow, &Lease::check).outcome, LeaseOutcome::NotHeld);
}

TEST(LeaseFile, ARestartedProcessTakesItsOwnGrantBackAtOnce) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    Machine watcher(path, "b:1", 0s);
    {
        Machine a(path, "a:1", 0s);
        a.acquire();
        watcher.check();
    }
    watcher.pass(ttl - 1s);
    Machine again(path, "a:1", 9999s);
    EXPECT_EQ(again.check().outcome, LeaseOutcome::NotHeld)
        << "it does not know how old its predecessor's grant is";
    EXPECT_EQ(again.acquire().outcome, LeaseOutcome::Held);
    watcher.pass(1s);
    EXPECT_NE(watcher.acquire().outcome, LeaseOutcome::Held) << "the grant has changed";
}

TEST(LeaseFile, AProcessOfTheSameNameThatWasReplacedDoesNotThinkThatItHasTheGrant) {
    const TemporaryDirectory directory;
    Machine old(directory.file("lease"), "a:1", 0s);
    old.acquire();
    Machine successor(directory.file("lease"), "a:1", 0s);
    successor.acquire();
    EXPECT_EQ(old.check().outcome, LeaseOutcome::NotHeld);
    EXPECT_EQ(successor.check().outcome, LeaseOutcome::Held);
}

TEST(LeaseFile, TheSerialGrowsWithEachGrantRenewalAndRelease) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    Machine a(path, "a:1", 0s);
    a.acquire();
    std::int64_t serial = serial_in(path);
    EXPECT_EQ(serial, 1'700'000'000'000)
        << "a new file starts at the wall clock, so that it repeats no serial";
    for (const Operation operation : {&Lease::renew, &Lease::acquire, &Lease::release, &Lease::acquire}) {
        ask(a.lease, operation);
        EXPECT_EQ(serial_in(path), ++serial);
    }
}

TEST(LeaseFile, AFileMadeAnewIsNoUnchangedGrant) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    Machine b(path, "b:1", 0s);
    Machine a(path, "a:1", 0s);
    a.acquire();
    b.check();
    b.pass(ttl - 1s);
    ASSERT_EQ(::unlink(path.c_str()), 0);
    a.wall = {a.wall.ms + 119'000};
    a.acquire();
    b.pass(1s);
    EXPECT_NE(b.acquire().outcome, LeaseOutcome::Held);
}

TEST(LeaseFile, AFileOfVersionOneIsAGrantAndIsWrittenBackAsTwo) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    write(path, "muster-lease 1\na:1\n1700000120000\n");
    Machine b(path, "b:1", 0s);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Watching);
    b.pass(ttl);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Held);
    EXPECT_EQ(content(path), "muster-lease 2\nb:1\n1700000120001\n120000\n");
    write(path, "muster-lease 1\na:1\n1700000120000\n");
    Machine a(path, "a:1", 0s);
    EXPECT_EQ(a.acquire().outcome, LeaseOutcome::Held) << "its own";
    write(path, "muster-lease 1\n\n0\n");
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Held) << "released";
}

TEST(LeaseFile, ANeighbourWithALongerTimeToLiveIsNotWaitedForBeyondOnesOwn) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    write(path, "muster-lease 2\na:1\n7\n36000000\n");
    Machine b(path, "b:1", 0s);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::NotHeld);
    b.pass(10h - ttl);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Watching);
    b.pass(ttl);
    EXPECT_EQ(b.acquire().outcome, LeaseOutcome::Held);
}

TEST(LeaseFile, AFileThatIsNoLeaseIsNeverWrittenAndForGood) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    for (const std::string text :
         {"hello", "muster-lease 3\na\n1\n1\n", "muster-lease 1\n", "muster-lease 1\nowner\n12x\n",
          "muster-lease 1\nowner\n\n", "muster-lease 2\nowner\n12\n", "muster-lease 2\nowner\n12\n0\n",
          "muster-lease 2\nowner\n-1\n5\n", "muster-lease 2\nowner\n9223372036854775807\n5\n",
          "muster-lease 2\nowner\n12\n99999999999999\n", "muster-lease 2\nowner\n12\n5"}) {
        write(path, text);
        Machine a(path, "me", 0s);
        const LeaseAnswer answer = a.acquire();
        EXPECT_EQ(answer.outcome, LeaseOutcome::Failed) << text;
        EXPECT_TRUE(answer.permanent) << text;
        ASSERT_TRUE(answer.error) << text;
        EXPECT_EQ(answer.error->code, Errc::malformed);
        EXPECT_NE(answer.reason().find(path), std::string::npos) << answer.reason();
        EXPECT_EQ(content(path), text);
        EXPECT_EQ(a.lease.last_error()->message(), answer.error->message());
    }
}

TEST(LeaseFile, WhatWillNotMendItselfIsSaidWithFileAndErrno) {
    const TemporaryDirectory directory;
    const std::string file = directory.file("file");
    write(file, "");
    const std::string loop = directory.file("loop");
    ASSERT_EQ(::symlink(loop.c_str(), loop.c_str()), 0);
    const struct {
        std::string path;
        int error;
    } cases[] = {{directory.file("missing/lease"), ENOENT},
                 {"", ENOENT},
                 {file + "/lease", ENOTDIR},
                 {directory.file("."), EISDIR},
                 {loop, ELOOP},
                 {directory.file(std::string(300, 'x')), ENAMETOOLONG}};
    for (const auto& [path, error] : cases) {
        FileLease lease(path, "me");
        const LeaseAnswer answer = ask(lease, &Lease::probe);
        EXPECT_EQ(answer.outcome, LeaseOutcome::Failed) << path;
        EXPECT_TRUE(answer.permanent) << path;
        ASSERT_TRUE(answer.error) << path;
        EXPECT_EQ(answer.error->cause.value(), error) << path << ": " << answer.reason();
        EXPECT_NE(answer.reason().find("lease file " + path), std::string::npos) << answer.reason();
    }
}

TEST(LeaseFile, APipeIsNoLeaseAndHangsNobody) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("fifo");
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    FileLease lease(path, "me");
    const LeaseAnswer answer = ask(lease, &Lease::probe);
    EXPECT_EQ(answer.outcome, LeaseOutcome::Failed);
    EXPECT_TRUE(answer.permanent);
}

/// The superuser may write everywhere. In the C library that is true of all threads of the process.
class NotTheSuperuser {
public:
    NotTheSuperuser() {
        if (was_ == 0) is_ = ::seteuid(nobody) == 0;
    }
    ~NotTheSuperuser() {
        if (is_) MUSTER_ENSURE(::seteuid(was_) == 0, "the way back is allowed");
    }
    NotTheSuperuser(const NotTheSuperuser&) = delete;
    NotTheSuperuser& operator=(const NotTheSuperuser&) = delete;

private:
    static constexpr uid_t nobody = 65'534;
    uid_t was_ = ::geteuid();
    bool is_ = false;
};

TEST(LeaseFile, WithoutPermissionItFailsForGood) {
    const NotTheSuperuser nobody;
    const TemporaryDirectory directory;
    ASSERT_EQ(::mkdir(directory.file("readonly").c_str(), 0500), 0);
    FileLease lease(directory.file("readonly/lease"), "me");
    const LeaseAnswer answer = ask(lease, &Lease::probe);
    EXPECT_TRUE(answer.permanent);
    EXPECT_EQ(answer.error->cause.value(), EACCES);
}

TEST(LeaseFile, AFileThatSomebodyKeepsLockedMayBeFreeLater) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("lease");
    const int other = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_EQ(::flock(other, LOCK_EX), 0);
    FileLease lease(path, "me");
    const LeaseAnswer locked = ask(lease, &Lease::acquire);
    EXPECT_EQ(locked.outcome, LeaseOutcome::Failed);
    EXPECT_FALSE(locked.permanent);
    ::close(other);
    EXPECT_EQ(ask(lease, &Lease::acquire).outcome, LeaseOutcome::Held);
}

// --- the thread behind it

/// An operation that hangs until it is let go.
class Hanging {
public:
    LeaseWorker::Operation operation() {
        return [state = state_]() -> LeaseAnswer {
            state->begun.set_value();
            state->gate.get_future().wait();
            return LeaseOutcome::Held;
        };
    }
    void wait_until_begun() { state_->begun.get_future().wait(); }
    void let_go() { state_->gate.set_value(); }

private:
    struct State {
        std::promise<void> begun, gate;
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

TEST(LeaseWorker, DestructionDoesNotWaitForABackendThatHangsAndAnswersEverythingOnce) {
    Hanging hanging;
    Answers under_way, waiting;
    {
        LeaseWorker worker("lease-test", 4);
        worker.run("first", hanging.operation(), under_way.done());
        hanging.wait_until_begun();
        worker.run(
            "second", [] { return LeaseAnswer(LeaseOutcome::Held); }, waiting.done());
    }
    for (Answers* answers : {&under_way, &waiting}) {
        const LeaseAnswer answer = answers->wait();
        EXPECT_EQ(answer.outcome, LeaseOutcome::Failed);
        EXPECT_EQ(answer.error->code, Errc::cancelled);
    }
    hanging.let_go(); // the thread ends; its late answer is nobody's
    EXPECT_EQ(under_way.count(), 1);
    EXPECT_EQ(waiting.count(), 1);
}

TEST(LeaseWorker, BeyondItsQueueAnOperationFailsAtOnce) {
    Hanging hanging;
    LeaseWorker worker("lease-test", 2);
    Answers first;
    worker.run("first", hanging.operation(), first.done());
    hanging.wait_until_begun();
    Answers waiting[2], refused;
    for (Answers& answers : waiting)
        worker.run(
            "waiting", [] { return LeaseAnswer(LeaseOutcome::NotHeld); }, answers.done());
    worker.run(
        "refused", [] { return LeaseAnswer(LeaseOutcome::NotHeld); }, refused.done());
    ASSERT_EQ(refused.count(), 1);
    EXPECT_EQ(refused.wait().error->code, Errc::limit_reached);
    hanging.let_go();
    EXPECT_EQ(first.wait().outcome, LeaseOutcome::Held);
    for (Answers& answers : waiting) EXPECT_EQ(answers.wait().outcome, LeaseOutcome::NotHeld);
}

TEST(LeaseWorker, ItMayBeDestroyedByOneOfItsOwnAnswers) {
    auto worker = std::make_shared<LeaseWorker>("lease-test", 2);
    std::promise<void> done;
    LeaseWorker& borrowed = *worker;
    borrowed.run(
        "last", [] { return LeaseAnswer(LeaseOutcome::Held); },
        [last = std::move(worker), &done](LeaseAnswer) mutable {
            last.reset();
            done.set_value();
        });
    done.get_future().wait();
}

} // namespace
