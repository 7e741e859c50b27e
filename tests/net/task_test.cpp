// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>

namespace muster::net::test {

namespace asio = boost::asio;
using namespace boost::asio::experimental::awaitable_operators;

namespace {

using Tasks = RuntimeSuite;
using Notifiers = RuntimeSuite;
using Cancellation = RuntimeSuite;

INSTANTIATE_TEST_SUITE_P(Net, Tasks, ::testing::ValuesIn(backends()), backend_name);
INSTANTIATE_TEST_SUITE_P(Net, Notifiers, ::testing::ValuesIn(backends()), backend_name);
INSTANTIATE_TEST_SUITE_P(Net, Cancellation, ::testing::ValuesIn(backends()), backend_name);

} // namespace

TEST_P(Tasks, SpawnNeverStartsInside) {
    auto body = [&]() -> Task<void> {
        TaskGroup group(runtime());
        bool started = false;
        auto task = [&]() -> Task<void> {
            started = true;
            co_return;
        };
        group.spawn(task());
        EXPECT_FALSE(started);
        EXPECT_FALSE(group.empty());
        co_await group.join();
        EXPECT_TRUE(started);
        EXPECT_TRUE(group.empty());
    };
    run(body());
}

TEST_P(Tasks, JoinWaitsForAllAndDoesNotCancel) {
    auto body = [&]() -> Task<void> {
        TaskGroup group(runtime());
        int ended = 0;
        auto task = [&](Duration d) -> Task<void> {
            auto slept = co_await runtime().sleep_for(d);
            EXPECT_TRUE(slept.has_value());
            ++ended;
        };
        for (int i = 1; i <= 5; ++i) group.spawn(task(i * 1ms));
        int joined = 0;
        TaskGroup others(runtime());
        auto join = [&]() -> Task<void> {
            co_await group.join();
            EXPECT_EQ(ended, 5);
            ++joined;
        };
        others.spawn(join());
        others.spawn(join());
        co_await group.join();
        EXPECT_EQ(ended, 5);
        co_await others.join();
        EXPECT_EQ(joined, 2);
        co_await group.join(); // an empty group is joined at once
    };
    run(body());
}

TEST_P(Tasks, JoinWaitsAlsoWhenTheJoinerIsCancelled) {
    // Whoever joins destroys next: a join that gave up would leave tasks without their owner.
    auto body = [&]() -> Task<void> {
        TaskGroup inner(runtime());
        TaskGroup outer(runtime());
        bool inner_ended = false, joined = false;
        auto work = [&]() -> Task<void> {
            co_await runtime().sleep_for(5ms);
            inner_ended = true;
        };
        auto owner = [&]() -> Task<void> {
            co_await inner.join();
            EXPECT_TRUE(inner_ended);
            joined = true;
        };
        inner.spawn(work());
        outer.spawn(owner());
        co_await runtime().sleep_for(1ms);
        outer.cancel();
        co_await outer.join();
        EXPECT_TRUE(joined);
    };
    run(body());
}

TEST_P(Tasks, CancelReachesEveryTaskAndItsNextOperations) {
    auto body = [&]() -> Task<void> {
        TaskGroup group(runtime());
        int cancelled = 0;
        auto task = [&]() -> Task<void> {
            for (int i = 0; i < 3; ++i) { // no exception: operations answer
                auto slept = co_await runtime().sleep_for(1h);
                CO_ASSERT(!slept);
                EXPECT_EQ(slept.error().code, Errc::cancelled);
                ++cancelled;
            }
            EXPECT_TRUE(group.stopping());
        };
        for (int i = 0; i < 4; ++i) group.spawn(task());
        co_await runtime().sleep_for(1ms);
        EXPECT_FALSE(group.stopping());
        group.cancel();
        group.cancel();
        EXPECT_TRUE(group.stopping());
        EXPECT_EQ(cancelled, 0); // nothing resumes inside cancel()
        co_await group.join();
        EXPECT_EQ(cancelled, 12);
    };
    run(body());
}

TEST_P(Tasks, AStoppingGroupDestroysWhatIsSpawned) {
    auto body = [&]() -> Task<void> {
        TaskGroup group(runtime());
        group.cancel();
        auto token = std::make_shared<int>(0);
        auto task = [](std::shared_ptr<int> held) -> Task<void> {
            ++*held;
            co_return;
        };
        group.spawn(task(token));
        EXPECT_TRUE(group.empty());
        EXPECT_EQ(token.use_count(), 1);
        co_await group.join();
        EXPECT_EQ(*token, 0);
    };
    run(body());
}

TEST_P(Tasks, ATaskCancelledBeforeItsStartStillEndsInOrder) {
    // Spawned by somebody who is not on the Runtime's thread: nothing of the task has run yet.
    TaskGroup group(runtime());
    Errc code{};
    auto task = [&]() -> Task<void> {
        auto slept = co_await runtime().sleep_for(1h);
        CO_ASSERT(!slept);
        code = slept.error().code;
    };
    group.spawn(task());
    group.cancel();
    auto body = [&]() -> Task<void> { co_await group.join(); };
    run(body());
    EXPECT_EQ(code, Errc::cancelled);
}

TEST_P(Tasks, ATaskMayCancelItsOwnGroup) {
    auto body = [&]() -> Task<void> {
        TaskGroup group(runtime());
        int ended = 0;
        auto other = [&]() -> Task<void> {
            auto slept = co_await runtime().sleep_for(1h);
            EXPECT_FALSE(slept.has_value());
            ++ended;
        };
        auto culprit = [&]() -> Task<void> {
            co_await runtime().sleep_for(1ms);
            group.cancel();
            auto slept = co_await runtime().sleep_for(1h);
            EXPECT_FALSE(slept.has_value());
            ++ended;
        };
        group.spawn(other());
        group.spawn(culprit());
        co_await group.join();
        EXPECT_EQ(ended, 2);
    };
    run(body());
}

TEST_P(Tasks, ACancelledTaskMayResetItsStateToCleanUp) {
    auto body = [&]() -> Task<void> {
        TaskGroup group(runtime());
        bool cleaned = false;
        auto task = [&]() -> Task<void> {
            auto slept = co_await runtime().sleep_for(1h);
            EXPECT_FALSE(slept.has_value());
            co_await asio::this_coro::reset_cancellation_state();
            slept = co_await runtime().sleep_for(1ms);
            cleaned = slept.has_value();
        };
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        group.cancel();
        co_await group.join();
        EXPECT_TRUE(cleaned);
    };
    run(body());
}

// The dying process is forked here, where no thread runs, and has a Runtime of its own.

TEST_P(Tasks, AnExceptionLeavingATaskIsOurOwnBug) {
    EXPECT_DEATH(
        {
            const auto fresh = GetParam().make(RuntimeOptions{});
            auto body = [&]() -> Task<void> {
                throw std::runtime_error("gone wrong");
                co_return;
            };
            TaskGroup group(fresh->runtime());
            group.spawn(body());
            fresh->run();
        },
        "gone wrong");
}

TEST_P(Tasks, AGroupDestroyedUnjoinedIsOurOwnBug) {
    EXPECT_DEATH(
        {
            const auto fresh = GetParam().make(RuntimeOptions{});
            auto body = [&]() -> Task<void> { co_await fresh->runtime().sleep_for(1h); };
            TaskGroup group(fresh->runtime());
            group.spawn(body());
        },
        "joined before it is destroyed");
}

TEST_P(Notifiers, NotifyWakesTheWaiter) {
    auto body = [&]() -> Task<void> {
        Notifier notifier(runtime());
        TaskGroup group(runtime());
        bool woken = false;
        auto task = [&]() -> Task<void> {
            auto waited = co_await notifier.wait();
            EXPECT_TRUE(waited.has_value());
            woken = true;
        };
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        EXPECT_FALSE(woken);
        notifier.notify();
        EXPECT_FALSE(woken); // through the executor
        co_await group.join();
        EXPECT_TRUE(woken);
    };
    run(body());
}

TEST_P(Notifiers, ANotifyBeforeTheWaitIsRememberedOnce) {
    auto body = [&]() -> Task<void> {
        Notifier notifier(runtime());
        notifier.notify();
        notifier.notify();
        auto first = co_await notifier.wait();
        EXPECT_TRUE(first.has_value());
        auto second = co_await notifier.wait_until(runtime().monotonic_now() + 2ms);
        CO_ASSERT(!second);
        EXPECT_EQ(second.error().code, Errc::timed_out);
    };
    run(body());
}

TEST_P(Notifiers, ABurstCostsOneResumption) {
    auto body = [&]() -> Task<void> {
        Notifier notifier(runtime());
        TaskGroup group(runtime());
        int woken = 0;
        auto task = [&]() -> Task<void> {
            for (;;) {
                auto waited = co_await notifier.wait();
                if (!waited) co_return;
                ++woken;
            }
        };
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        for (int i = 0; i < 10; ++i) notifier.notify();
        co_await runtime().sleep_for(1ms);
        EXPECT_EQ(woken, 1);
        notifier.notify();
        co_await runtime().sleep_for(1ms);
        EXPECT_EQ(woken, 2);
        group.cancel();
        co_await group.join();
    };
    run(body());
}

TEST_P(Notifiers, ANotifyWhileATimeoutIsOnItsWayIsKept) {
    auto body = [&]() -> Task<void> {
        Notifier notifier(runtime());
        const Instant deadline = runtime().monotonic_now() + 2ms;
        // Fires right after the wait's own timer, which was set first.
        TaskGroup group(runtime());
        auto task = [&]() -> Task<void> {
            auto waited = co_await notifier.wait_until(deadline);
            if (!waited) waited = co_await notifier.wait_until(runtime().monotonic_now() + 1s);
            EXPECT_TRUE(waited.has_value());
        };
        group.spawn(task());
        auto late = [&]() -> Task<void> {
            runtime().schedule(deadline, [&] { notifier.notify(); });
            co_return;
        };
        group.spawn(late());
        co_await group.join();
    };
    run(body());
}

TEST_P(Notifiers, WaitUntilTimesOutAtItsDeadline) {
    auto body = [&]() -> Task<void> {
        Notifier notifier(runtime());
        const Instant deadline = runtime().monotonic_now() + 3ms;
        auto waited = co_await notifier.wait_until(deadline);
        CO_ASSERT(!waited);
        EXPECT_EQ(waited.error().code, Errc::timed_out);
        EXPECT_GE(runtime().monotonic_now(), deadline);
        waited = co_await notifier.wait_until(deadline); // in the past
        CO_ASSERT(!waited);
        EXPECT_EQ(waited.error().code, Errc::timed_out);
        notifier.notify();
        waited = co_await notifier.wait_until(deadline); // what was notified counts more
        EXPECT_TRUE(waited.has_value());
    };
    run(body());
}

TEST_P(Notifiers, DestroyingItEndsTheWait) {
    auto body = [&]() -> Task<void> {
        auto notifier = std::make_unique<Notifier>(runtime());
        TaskGroup group(runtime());
        Errc code{};
        auto task = [&]() -> Task<void> {
            auto waited = co_await notifier->wait();
            CO_ASSERT(!waited);
            code = waited.error().code;
        };
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        notifier.reset();
        co_await group.join();
        EXPECT_EQ(code, Errc::closed);
    };
    run(body());
}

TEST_P(Cancellation, EndsEveryOperation) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        ListenOptions small;
        small.backlog = 1;
        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        auto full = runtime().listen(Endpoint::loopback_v4(0), small);
        CO_ASSERT_OK(listener);
        CO_ASSERT_OK(full);
        const Endpoint nowhere = (*full)->local();
        std::vector<std::unique_ptr<Connection>> fill;
        for (int i = 0; i < 8; ++i) {
            ConnectOptions options;
            options.deadline = runtime().monotonic_now() + 50ms;
            auto connection = co_await runtime().connect(nowhere, options);
            if (!connection) break;
            fill.push_back(std::move(*connection));
        }
        const std::string text(32U << 20, 'x');
        Notifier notifier(runtime());
        std::map<std::string, Errc> codes;
        auto accept = [&]() -> Task<void> {
            auto r = co_await (*listener)->accept();
            if (!r) codes["accept"] = r.error().code;
        };
        auto connect = [&]() -> Task<void> {
            const ConnectOptions options;
            auto r = co_await runtime().connect(nowhere, options);
            if (!r) codes["connect"] = r.error().code;
        };
        auto receive = [&]() -> Task<void> {
            auto r = co_await pair.client->receive();
            if (!r) codes["receive"] = r.error().code;
        };
        auto send = [&]() -> Task<void> {
            const Slice part{std::as_bytes(std::span{text})};
            auto r = co_await pair.client->send(std::span{&part, 1});
            if (!r) codes["send"] = r.error().code;
        };
        auto sleep = [&]() -> Task<void> {
            auto r = co_await runtime().sleep_until(Instant::max());
            if (!r) codes["sleep"] = r.error().code;
        };
        auto wait = [&]() -> Task<void> {
            auto r = co_await notifier.wait();
            if (!r) codes["wait"] = r.error().code;
        };
        TaskGroup group(runtime());
        group.spawn(accept());
        group.spawn(connect());
        group.spawn(receive());
        group.spawn(send());
        group.spawn(sleep());
        group.spawn(wait());
        co_await runtime().sleep_for(20ms);
        EXPECT_TRUE(codes.empty());
        group.cancel();
        co_await group.join();
        for (const char* name : {"accept", "connect", "receive", "send", "sleep", "wait"}) {
            EXPECT_EQ(codes[name], Errc::cancelled) << name;
        }
    };
    run(body());
}

TEST_P(Cancellation, AnswersOperationsThatStartAfterIt) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listener);
        auto given = co_await send_text(*pair.server, "here already");
        CO_ASSERT_OK(given);
        co_await runtime().sleep_for(5ms);
        std::vector<Errc> codes;
        TaskGroup group(runtime());
        auto task = [&]() -> Task<void> {
            co_await runtime().sleep_for(1h);
            auto slept = co_await runtime().sleep_for(1ms);
            codes.push_back(slept ? Errc{} : slept.error().code);
            auto accepted = co_await (*listener)->accept();
            codes.push_back(accepted ? Errc{} : accepted.error().code);
            const ConnectOptions options;
            const Endpoint to = (*listener)->local();
            auto connected = co_await runtime().connect(to, options);
            codes.push_back(connected ? Errc{} : connected.error().code);
            auto received = co_await pair.client->receive();
            codes.push_back(received ? Errc{} : received.error().code);
            auto sent = co_await send_text(*pair.client, "x");
            codes.push_back(sent ? Errc{} : sent.error().code);
            Notifier notifier(runtime());
            notifier.notify();
            auto waited = co_await notifier.wait();
            codes.push_back(waited ? Errc{} : waited.error().code);
        };
        group.spawn(task());
        co_await runtime().sleep_for(1ms);
        group.cancel();
        co_await group.join();
        EXPECT_EQ(codes, std::vector<Errc>(6, Errc::cancelled));
        // Nothing was lost by it.
        const auto got = co_await receive_text(*pair.client, 12);
        EXPECT_EQ(got, "here already");
    };
    run(body());
}

TEST_P(Cancellation, TheFirstOfTwoEndsTheOther) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        for (int round = 0; round < 20; ++round) {
            auto timed = pair.client->receive() || runtime().sleep_for(1ms);
            const auto first = co_await std::move(timed);
            CO_ASSERT(first.index() == 1);
        }
        // The stream is still whole.
        auto sent = co_await send_text(*pair.server, "after all");
        CO_ASSERT_OK(sent);
        auto raced = pair.client->receive() || runtime().sleep_for(30s);
        const auto second = co_await std::move(raced);
        CO_ASSERT(second.index() == 0);
        EXPECT_EQ(std::get<0>(second)->text(), "after all");

        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listener);
        auto accepting = (*listener)->accept() || runtime().sleep_for(1ms);
        const auto third = co_await std::move(accepting);
        EXPECT_EQ(third.index(), 1U);
        Notifier notifier(runtime());
        auto waiting = notifier.wait() || runtime().sleep_for(1ms);
        const auto fourth = co_await std::move(waiting);
        EXPECT_EQ(fourth.index(), 1U);
    };
    run(body());
}

TEST_P(Cancellation, BothOfTwoAreWaitedFor) {
    auto body = [&]() -> Task<void> {
        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listener);
        const Endpoint to = (*listener)->local();
        const ConnectOptions options;
        auto both = (*listener)->accept() && runtime().connect(to, options);
        auto ends = co_await std::move(both);
        auto& [server, client] = ends;
        CO_ASSERT_OK(server);
        CO_ASSERT_OK(client);
        EXPECT_EQ((*server)->remote(), (*client)->local());
        auto slept = runtime().sleep_for(1ms) && runtime().sleep_for(2ms);
        const auto done = co_await std::move(slept);
        EXPECT_TRUE(std::get<0>(done).has_value());
        EXPECT_TRUE(std::get<1>(done).has_value());
    };
    run(body());
}

TEST_P(Cancellation, ReachesInsideCombinedOperations) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        TaskGroup group(runtime());
        bool ended = false;
        auto task = [&]() -> Task<void> {
            auto both = pair.client->receive() && runtime().sleep_for(1h);
            const auto outcome = co_await std::move(both);
            EXPECT_EQ(std::get<0>(outcome).error().code, Errc::cancelled);
            EXPECT_EQ(std::get<1>(outcome).error().code, Errc::cancelled);
            ended = true;
        };
        group.spawn(task());
        co_await runtime().sleep_for(2ms);
        group.cancel();
        co_await group.join();
        EXPECT_TRUE(ended);
    };
    run(body());
}

TEST_P(Cancellation, AReceiveThatWasCancelledLosesNothing) {
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        std::string got, expected;
        TaskGroup group(runtime());
        auto sender = [&]() -> Task<void> {
            for (int i = 0; i < 200; ++i) {
                const std::string text = std::to_string(i) + ",";
                expected += text;
                auto sent = co_await send_text(*pair.server, text);
                CO_ASSERT_OK(sent);
                if (i % 3 == 0) co_await runtime().sleep_for(300us);
            }
            pair.server->close(Close::Graceful);
        };
        group.spawn(sender());
        for (bool open = true; open;) {
            TaskGroup once(runtime());
            auto receiver = [&]() -> Task<void> {
                auto slice = co_await pair.client->receive();
                if (slice)
                    got += slice->text();
                else if (slice.error().code != Errc::cancelled)
                    open = false;
            };
            once.spawn(receiver());
            co_await runtime().sleep_for(100us);
            once.cancel();
            co_await once.join();
        }
        EXPECT_EQ(got, expected);
        co_await group.join();
    };
    run(body());
}

} // namespace muster::net::test
