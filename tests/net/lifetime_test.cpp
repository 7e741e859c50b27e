// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <cstdio>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::net::test {

namespace {

using Lifetime = RuntimeSuite;
class Exhaustion : public ::testing::TestWithParam<Backend> {};

INSTANTIATE_TEST_SUITE_P(Net, Lifetime, ::testing::ValuesIn(backends()), backend_name);
INSTANTIATE_TEST_SUITE_P(Net, Exhaustion, ::testing::ValuesIn(real_backends()), backend_name);

/// What a coroutine owns in practice: an object that owns the very things the coroutine waits for.
struct Owner {
    explicit Owner(Runtime& runtime) : group(runtime), notifier(runtime) {}
    TaskGroup group;
    Notifier notifier;
    std::unique_ptr<Connection> connection;
    std::unique_ptr<Listener> listener;
};

} // namespace

TEST_P(Lifetime, TheRuntimeDiesWithEveryOperationInFlight) {
    // Leaks and uses after free are the sanitizers' to find; here every coroutine must be destroyed.
    auto token = std::make_shared<int>(0);
    struct Ends {
        std::unique_ptr<Connection> client, server;
        std::unique_ptr<Listener> listener;
        std::string text = std::string(32U << 20, 'x');
    };
    auto ends = std::make_shared<Ends>();
    auto owner = std::make_shared<Owner>(runtime());
    auto setup = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        CO_ASSERT(pair.server);
        ends->client = std::move(pair.client);
        ends->server = std::move(pair.server);
        auto listener = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listener);
        ends->listener = std::move(*listener);
    };
    run(setup());

    Runtime& r = runtime();
    auto accept = [](std::shared_ptr<Ends> e, std::shared_ptr<int>) -> Task<void> {
        co_await e->listener->accept();
        ADD_FAILURE();
    };
    auto receive = [](std::shared_ptr<Ends> e, std::shared_ptr<int>) -> Task<void> {
        co_await e->client->receive();
        ADD_FAILURE();
    };
    auto send = [](std::shared_ptr<Ends> e, std::shared_ptr<int>) -> Task<void> {
        const Slice part{std::as_bytes(std::span{e->text})};
        co_await e->client->send(std::span{&part, 1});
        ADD_FAILURE();
    };
    auto sleep = [](Runtime& runtime, std::shared_ptr<Owner>, std::shared_ptr<int>) -> Task<void> {
        co_await runtime.sleep_for(1h);
        ADD_FAILURE();
    };
    // It owns the notifier it waits for, and the group it belongs to.
    auto wait = [](std::shared_ptr<Owner> o, std::shared_ptr<int>) -> Task<void> {
        co_await o->notifier.wait();
        ADD_FAILURE();
    };
    auto join = [](std::shared_ptr<Owner> o, std::shared_ptr<int>) -> Task<void> {
        co_await o->group.join();
        ADD_FAILURE();
    };
    owner->group.spawn(accept(ends, token));
    owner->group.spawn(receive(ends, token));
    owner->group.spawn(send(ends, token));
    owner->group.spawn(sleep(r, owner, token));
    owner->group.spawn(wait(owner, token));
    auto joiners = std::make_unique<TaskGroup>(r);
    joiners->spawn(join(owner, token));
    r.schedule(r.monotonic_now() + 20ms, [this] { stage().stop(); });
    stage().run();
    // Queued, not suspended: never started.
    owner->group.spawn(sleep(r, owner, token));
    owner.reset();
    ends.reset();
    EXPECT_GT(token.use_count(), 6);
    stage().destroy();
    EXPECT_EQ(token.use_count(), 1);
    joiners.reset();
}

TEST_P(Lifetime, HandlesMayOutliveTheRuntime) {
    Pair pair;
    std::unique_ptr<Listener> listener;
    auto group = std::make_unique<TaskGroup>(runtime());
    auto notifier = std::make_unique<Notifier>(runtime());
    auto body = [&]() -> Task<void> {
        pair = co_await connect_pair();
        auto listening = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        CO_ASSERT_OK(listening);
        listener = std::move(*listening);
    };
    run(body());
    auto wait = [&]() -> Task<void> { co_await notifier->wait(); };
    group->spawn(wait());
    runtime().post([this] { stage().stop(); });
    stage().run();
    stage().destroy();
    // Destroyed without a Runtime: nothing to do but to give memory back.
    group.reset();
    notifier.reset();
}

TEST_P(Lifetime, ARuntimeThatNeverRanIsDestroyed) {
    auto token = std::make_shared<int>(0);
    auto group = std::make_unique<TaskGroup>(runtime());
    auto task = [](std::shared_ptr<int>) -> Task<void> {
        ADD_FAILURE();
        co_return;
    };
    group->spawn(task(token));
    stage().destroy();
    EXPECT_EQ(token.use_count(), 1);
    group.reset();
}

TEST_P(Lifetime, ClosedConnectionsGiveTheirDescriptorsBack) {
    auto body = [&]() -> Task<void> {
        for (int round = 0; round < 500; ++round) {
            auto pair = co_await connect_pair();
            CO_ASSERT(pair.server);
        }
    };
    run(body());
    EXPECT_EQ(runtime().metrics().value("net.connections.open"), 0);
}

namespace {

int lowest_free_descriptor() {
    const int free = ::dup(0);
    ::close(free);
    return free;
}

/// One connection, accepted, used and closed; then one that is refused.
Task<bool> passes_bytes(Runtime& runtime, Listener& listener) {
    const ConnectOptions options;
    auto client = co_await runtime.connect(listener.local(), options);
    auto server = co_await listener.accept();
    if (!client || !server) co_return false;
    const auto sent = co_await send_text(**client, "before");
    const auto got = co_await receive_text(**server, 6);
    auto closed = runtime.listen(Endpoint::loopback_v4(0), ListenOptions{});
    if (!closed) co_return false;
    const Endpoint nobody = (*closed)->local();
    closed->reset();
    const auto refused = co_await runtime.connect(nobody, options);
    co_await runtime.sleep_for(1ms);
    co_return sent.has_value() && got == "before" && !refused.has_value();
}

/// In a child of its own, since the limit is the process's. 0: as it should be.
int accept_without_descriptors(const Backend& backend) {
    auto stage = backend.make(RuntimeOptions{});
    Runtime& runtime = stage->runtime();
    int verdict = 100;
    auto body = [&]() -> Task<void> {
        auto listener = runtime.listen(Endpoint::loopback_v4(0), ListenOptions{});
        if (!listener) co_return;
        const Endpoint to = (*listener)->local();
        // Everything once before: the check of virtual calls (clang's -fsanitize=vptr) needs two descriptors
        // where it meets a class for the first time, and takes their lack for a fault. Closing goes on behind
        // the back of who closed.
        const int probe = lowest_free_descriptor();
        const bool warm = co_await passes_bytes(runtime, **listener);
        if (!warm) co_return;
        while (lowest_free_descriptor() != probe) co_await runtime.sleep_for(1ms);
        // Leave room for one descriptor: the client's.
        const rlimit tight{static_cast<rlim_t>(probe) + 1, static_cast<rlim_t>(probe) + 1};
        rlimit before{};
        getrlimit(RLIMIT_NOFILE, &before);
        const rlimit lowered{tight.rlim_cur, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &lowered);
        const ConnectOptions options;
        auto client = co_await runtime.connect(to, options);
        verdict = client ? 0 : 1;
        if (!client) co_return;
        auto second = co_await runtime.connect(to, options);
        if (second || second.error().code != Errc::no_descriptors) verdict = 2;
        for (int i = 0; i < 3 && verdict == 0; ++i) { // it says so each time, and stays usable
            auto refused = co_await (*listener)->accept();
            if (refused || refused.error().code != Errc::no_descriptors) verdict = 3;
            co_await runtime.sleep_for(1ms);
        }
        setrlimit(RLIMIT_NOFILE, &before);
        if (verdict != 0) co_return;
        // The peer waited in the backlog.
        auto server = co_await (*listener)->accept();
        if (!server) {
            verdict = 4;
            co_return;
        }
        auto sent = co_await send_text(**client, "patience");
        const auto got = co_await receive_text(**server, 8);
        if (!sent || got != "patience") verdict = 5;
    };
    auto finish = [&]() -> Task<void> {
        co_await body();
        stage->stop();
    };
    TaskGroup group(runtime);
    group.spawn(finish());
    stage->run();
    return group.empty() ? verdict : 6;
}

} // namespace

TEST_P(Exhaustion, AcceptSaysNoDescriptorsAndRecovers) {
    std::fflush(nullptr);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(accept_without_descriptors(GetParam()));
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0)
        << "1 connect, 2 connect's error, 3 accept's error, 4 recovery, 5 bytes, 6 end";
}

} // namespace muster::net::test
