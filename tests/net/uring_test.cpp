// SPDX-License-Identifier: Apache-2.0
// What only the io_uring Runtime has: its buffers, its ring that belongs to one thread, its probe.
#include "suite.hpp"

#include <atomic>
#include <fstream>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <muster/runtime.hpp>
#include <muster/uring/runtime.hpp>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace muster::net::test {
namespace {

bool usable(const char* name) {
    const auto found = uring::probe();
    if (!found) std::printf("not run: %s (%s)\n", name, found.error().message().c_str());
    return found.has_value();
}

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761U) >> 16);
    return text;
}

class Uring : public ::testing::Test {
protected:
    void SetUp() override {
        const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
        usable_ = usable((std::string(test->test_suite_name()) + "." + test->name()).c_str());
    }
    bool make(uring::Options options = {}) {
        if (!usable_) return false;
        runtime_ = std::move(uring::make_runtime(std::move(options)).value());
        return true;
    }
    Runtime& runtime() { return *runtime_; }
    std::int64_t metric(std::string_view name) { return runtime_->metrics().value(name); }

    /// Runs `body` to its end on this thread.
    void run(Task<void> body) {
        TaskGroup group(*runtime_);
        spawn_until_end(group, std::move(body));
        runtime_->run();
        while (!group.empty()) runtime_->run_until(runtime_->monotonic_now() + 1ms);
    }
    void spawn_until_end(TaskGroup& group, Task<void> body) {
        auto wrapped = [](Runtime& r, Task<void> inner) -> Task<void> {
            co_await std::move(inner);
            r.stop();
        };
        group.spawn(wrapped(*runtime_, std::move(body)));
    }
    struct Pair {
        std::unique_ptr<Connection> client, server;
    };
    Task<Pair> connect_pair() {
        Pair pair;
        auto listener = runtime_->listen(Endpoint::loopback_v4(0), ListenOptions{});
        const ConnectOptions options;
        auto client = co_await runtime_->connect((*listener)->local(), options);
        auto server = co_await (*listener)->accept();
        pair.client = std::move(client).value();
        pair.server = std::move(server).value();
        co_return pair;
    }

    bool usable_ = false;
    std::unique_ptr<Runtime> runtime_;
};

Task<void> send_all(Connection& connection, const std::string& text) {
    const Slice part{std::as_bytes(std::span{text})};
    auto sent = co_await connection.send(std::span{&part, 1});
    EXPECT_TRUE(sent.has_value());
}

uring::Options small_buffers(bool incremental) {
    uring::Options options;
    options.receive_buffer_bytes = 4096;
    options.receive_buffer_count = 4;
    options.incremental_buffers = incremental;
    return options;
}

} // namespace

TEST_F(Uring, TheProbeNamesTheKernelAndWhatItLacks) {
    if (!usable_) return;
    const auto found = uring::probe();
    EXPECT_FALSE(found->kernel.empty());
    const uring::Capabilities everything{"9.9", uring::TaskRun::Deferred, true, true};
    EXPECT_TRUE(everything.missing().empty());
    const uring::Capabilities oldest{"5.19", uring::TaskRun::Interrupting, false, false};
    EXPECT_EQ(oldest.missing().size(), 3U);
}

TEST_F(Uring, RetainedSlicesStallNobodyAndLoseNothing) {
    for (const bool incremental : {true, false}) {
        if (!make(small_buffers(incremental))) return;
        const std::string text = pattern(4U << 20);
        std::vector<Slice> kept;
        auto body = [&]() -> Task<void> {
            auto pair = co_await connect_pair();
            TaskGroup group(runtime());
            group.spawn(send_all(*pair.client, text));
            std::size_t left = text.size();
            while (left > 0) {
                auto slice = co_await pair.server->receive();
                CO_ASSERT_OK(slice);
                left -= slice->size();
                kept.push_back(std::move(*slice));
            }
            co_await group.join();
        };
        run(body());
        std::string got;
        for (const Slice& slice : kept) got += slice.text();
        EXPECT_TRUE(got == text);
        EXPECT_GT(metric("runtime.uring.receive.enobufs"), 0) << "the test is about exhausted buffers";
        EXPECT_GT(metric("runtime.uring.receive.copied_bytes"), 0);
        // Given back, they are used again without a copy.
        kept.clear();
        const std::int64_t copied = metric("runtime.uring.receive.copied_bytes");
        auto again = [&]() -> Task<void> {
            auto pair = co_await connect_pair();
            const std::string some = pattern(2048);
            auto sent = co_await send_text(*pair.client, some);
            CO_ASSERT_OK(sent);
            const auto back = co_await receive_text(*pair.server, some.size());
            EXPECT_EQ(back, some);
        };
        run(again());
        EXPECT_EQ(metric("runtime.uring.receive.copied_bytes"), copied);
    }
}

TEST_F(Uring, SlicesMayBeDroppedByAnyThreadAndAfterTheRuntime) {
    if (!make(small_buffers(true))) return;
    std::vector<Slice> kept;
    const std::string text = pattern(100'000);
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        TaskGroup group(runtime());
        group.spawn(send_all(*pair.client, text));
        std::size_t left = text.size();
        while (left > 0) {
            auto slice = co_await pair.server->receive();
            CO_ASSERT_OK(slice);
            left -= slice->size();
            kept.push_back(std::move(*slice));
        }
        co_await group.join();
    };
    run(body());
    std::vector<Slice> mine(kept.begin(), kept.end());
    std::thread dropping([kept = std::move(kept)]() mutable { kept.clear(); });
    runtime_.reset();
    dropping.join();
    std::string got;
    for (const Slice& slice : mine) got += slice.text();
    EXPECT_TRUE(got == text);
}

TEST_F(Uring, AnUnreadConnectionIsPausedAndThenReadOn) {
    uring::Options options;
    options.receive_queue_bytes_max = 64 * 1024;
    if (!make(std::move(options))) return;
    const std::string text = pattern(16U << 20);
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        auto other = co_await connect_pair();
        TaskGroup group(runtime());
        group.spawn(send_all(*pair.client, text));
        // What is on its way when receiving pauses still arrives; a machine that is busy takes long to bring
        // it.
        std::int64_t before = -1;
        for (int alike = 0; alike < 3; ++alike) {
            co_await runtime().sleep_for(20ms);
            const std::int64_t received = metric("net.receive.bytes");
            if (std::exchange(before, received) != received || metric("runtime.uring.receive.paused") == 0)
                alike = -1;
            if (received >= static_cast<std::int64_t>(text.size())) break;
        }
        EXPECT_LT(before, static_cast<std::int64_t>(text.size()))
            << "nobody reads, so receiving comes to a halt";
        EXPECT_GE(metric("runtime.uring.receive.paused"), 1);
        // The others are served all the same.
        auto sent = co_await send_text(*other.client, "hello");
        CO_ASSERT_OK(sent);
        const auto hello = co_await receive_text(*other.server, 5);
        EXPECT_EQ(hello, "hello");
        const std::string got = co_await receive_text(*pair.server, text.size());
        EXPECT_TRUE(got == text);
        co_await group.join();
    };
    run(body());
}

TEST_F(Uring, ARunOnAnotherThreadGoesOnWithEverything) {
    if (!make()) return;
    const std::string text = pattern(64U << 20);
    Pair pair;
    std::unique_ptr<Listener> listener;
    bool slept = false, accepted = false;
    std::string got;
    TaskGroup group(runtime());
    auto setup = [&]() -> Task<void> {
        pair = co_await connect_pair();
        auto listening = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        listener = std::move(listening).value();
    };
    auto accept = [&]() -> Task<void> {
        auto connection = co_await listener->accept();
        accepted = connection.has_value();
    };
    auto sleep = [&]() -> Task<void> {
        auto outcome = co_await runtime().sleep_for(30ms);
        slept = outcome.has_value();
    };
    auto finish = [&]() -> Task<void> {
        got = co_await receive_text(*pair.server, text.size());
        const ConnectOptions options;
        auto connection = co_await runtime().connect(listener->local(), options);
        EXPECT_TRUE(connection.has_value());
    };
    run(setup());
    // A send that waits for its reader, an accept that waits for a peer, a timer: all in flight here.
    group.spawn(send_all(*pair.client, text));
    group.spawn(accept());
    group.spawn(sleep());
    runtime().run_until(runtime().monotonic_now() + 10ms);
    EXPECT_FALSE(accepted);
    std::thread([&] { runtime().run_until(runtime().monotonic_now() + 10ms); }).join();
    std::thread([&] { run(finish()); }).join();
    while (!group.empty()) runtime().run_until(runtime().monotonic_now() + 10ms);
    EXPECT_TRUE(got == text) << "what one ring had begun to send the next one must finish";
    EXPECT_TRUE(accepted);
    EXPECT_TRUE(slept);
    EXPECT_EQ(metric("runtime.uring.rings"), 4);
}

TEST_F(Uring, ACancelledSendHasLetGoOfItsMemory) {
    if (!make()) return;
    std::string text = pattern(64U << 20);
    const std::string original = text;
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        TaskGroup group(runtime());
        Errc code{};
        auto sender = [&]() -> Task<void> {
            const Slice part{std::as_bytes(std::span{text})};
            auto sent = co_await pair.client->send(std::span{&part, 1});
            CO_ASSERT(!sent);
            code = sent.error().code;
            std::fill(text.begin(), text.end(), '!');
        };
        group.spawn(sender());
        co_await runtime().sleep_for(10ms);
        group.cancel();
        co_await group.join();
        EXPECT_EQ(code, Errc::cancelled);
        auto later = co_await send_text(*pair.client, "after the hole");
        CO_ASSERT(!later);
        EXPECT_EQ(later.error().code, Errc::cancelled);
        pair.client->close(Close::Graceful);
        std::size_t offset = 0;
        bool equal = true;
        for (;;) {
            auto slice = co_await pair.server->receive();
            if (!slice) break;
            equal = equal && std::string_view(original).substr(offset, slice->size()) == slice->text();
            offset += slice->size();
        }
        EXPECT_TRUE(equal) << "the kernel read memory after the send had completed";
        EXPECT_GT(offset, 0U);
        EXPECT_LT(offset, original.size());
    };
    run(body());
}

TEST_F(Uring, AStormOfPostsFromManyThreadsRunsCompletelyAndWakesRarely) {
    if (!make()) return;
    constexpr int threads = 4, posts = 10'000;
    std::vector<int> next(threads, 0);
    int total = 0;
    std::vector<std::jthread> posters;
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&, t] {
            for (int i = 0; i < posts; ++i) {
                if (i % 1000 == 0) std::this_thread::sleep_for(1ms); // the loop falls asleep
                runtime().post([&, t, i] {
                    EXPECT_EQ(next[static_cast<std::size_t>(t)]++, i);
                    if (++total == threads * posts) runtime().stop();
                });
            }
        });
    }
    runtime().run();
    EXPECT_EQ(total, threads * posts);
    EXPECT_GT(metric("runtime.uring.wakeups"), 0);
    EXPECT_LT(metric("runtime.uring.wakeups"), threads * posts);
}

TEST_F(Uring, ThousandsOfConnectionsAreServedAtOnce) {
    if (!make()) return;
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlimit before = limit;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 10'000);
    setrlimit(RLIMIT_NOFILE, &limit);
    const std::size_t count = std::min<std::size_t>(4000, (limit.rlim_cur - 200) / 2);
    auto body = [&]() -> Task<void> {
        auto listening = runtime().listen(Endpoint::loopback_v4(0), ListenOptions{});
        const auto listener = std::move(listening).value();
        std::vector<Pair> pairs;
        for (std::size_t i = 0; i < count; ++i) {
            const ConnectOptions options;
            auto client = co_await runtime().connect(listener->local(), options);
            CO_ASSERT_OK(client);
            auto server = co_await listener->accept();
            CO_ASSERT_OK(server);
            pairs.push_back({std::move(*client), std::move(*server)});
        }
        EXPECT_EQ(metric("net.connections.open"), static_cast<std::int64_t>(2 * count));
        TaskGroup group(runtime());
        std::size_t echoed = 0;
        auto echo = [](Connection& connection) -> Task<void> {
            auto slice = co_await connection.receive();
            CO_ASSERT_OK(slice);
            auto sent = co_await connection.send(std::span{&*slice, 1});
            CO_ASSERT_OK(sent);
        };
        auto ask = [&](Connection& connection, std::string text) -> Task<void> {
            auto sent = co_await send_text(connection, text);
            CO_ASSERT_OK(sent);
            const auto answer = co_await receive_text(connection, text.size());
            if (answer == text) ++echoed;
        };
        for (auto& pair : pairs) group.spawn(echo(*pair.server));
        for (std::size_t i = 0; i < count; ++i) {
            group.spawn(ask(*pairs[i].client, "connection " + std::to_string(i)));
        }
        co_await group.join();
        EXPECT_EQ(echoed, count);
    };
    run(body());
    setrlimit(RLIMIT_NOFILE, &before);
}

/// IORING_FEAT_NO_IOWAIT, asked of the kernel itself.
bool kernel_can_hide_iowait() {
    io_uring_params params{};
    const auto ring = static_cast<int>(::syscall(__NR_io_uring_setup, 1, &params));
    if (ring >= 0) ::close(ring);
    return ring >= 0 && (params.features & (1U << 17)) != 0;
}

/// How many tasks of the machine wait for a disk just now.
long tasks_in_iowait() {
    std::ifstream file("/proc/stat");
    std::string word;
    while (file >> word)
        if (long tasks = 0; word == "procs_blocked" && file >> tasks) return tasks;
    return -1;
}

TEST_F(Uring, AnIdleRingIsNotCountedAsWaitingForADisk) {
    if (!usable_) return;
    if (!kernel_can_hide_iowait()) {
        std::printf("not run: Uring.AnIdleRingIsNotCountedAsWaitingForADisk (io_uring of Linux 6.15 or later "
                    "is needed)\n");
        return;
    }
    // Other programs' rings may be among them: those that were there before are the floor.
    long before = tasks_in_iowait();
    ASSERT_GE(before, 0);
    for (int i = 0; i < 200; ++i) {
        std::this_thread::sleep_for(1ms);
        before = std::min(before, tasks_in_iowait());
    }
    if (!make()) return;
    runtime().start_thread();
    std::atomic<bool> ran = false;
    runtime().post([&] {
        ran = true;
        ran.notify_one();
    });
    ran.wait(false); // the loop runs, and has nothing to do from here on
    long during = before + 1;
    for (int i = 0; i < 5000 && during > before; ++i) {
        std::this_thread::sleep_for(1ms);
        during = std::min(during, tasks_in_iowait());
    }
    EXPECT_LE(during, before);
}

TEST_F(Uring, HasNoHiddenThreads) {
    if (!make()) return;
    const std::size_t threads = count_threads();
    auto body = [&]() -> Task<void> {
        auto pair = co_await connect_pair();
        TaskGroup group(runtime());
        const std::string text = pattern(8U << 20);
        group.spawn(send_all(*pair.client, text));
        const auto got = co_await receive_text(*pair.server, text.size());
        EXPECT_EQ(got.size(), text.size());
        co_await group.join();
        auto literal = co_await runtime().resolve("127.0.0.1", 1, Instant::max());
        EXPECT_TRUE(literal.has_value());
        co_await runtime().sleep_for(5ms);
        // The kernel's workers for operations that it cannot do without blocking count as well.
        EXPECT_EQ(count_threads(), threads);
    };
    run(body());
}

TEST_F(Uring, StartThreadRunsTheLoopUntilTheRuntimeIsDestroyed) {
    if (!make()) return;
    runtime().start_thread();
    std::atomic<bool> ran = false;
    runtime().post([&] {
        ran = runtime().in_runtime_thread();
        ran.notify_one();
    });
    ran.wait(false);
    EXPECT_EQ(count_threads("muster-loop"), 1U);
    EXPECT_FALSE(runtime().in_runtime_thread());
    auto token = std::make_shared<int>(0);
    auto group = std::make_unique<TaskGroup>(runtime());
    std::atomic<bool> spawned = false;
    runtime().post([&] {
        auto forever = [](Runtime& r, std::shared_ptr<int>) -> Task<void> { co_await r.sleep_for(1h); };
        group->spawn(forever(runtime(), token));
        spawned = true;
        spawned.notify_one();
    });
    spawned.wait(false);
    runtime_.reset();
    EXPECT_EQ(count_threads("muster-loop"), 0U);
    EXPECT_EQ(token.use_count(), 1);
}

namespace {

/// From here on io_uring_setup fails in this process with `error`, as a container's seccomp profile does it.
bool deny_io_uring(int error) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/// Runs `check` in a child of its own in which io_uring_setup fails; what it says when something is wrong.
std::string in_denied_child(int error, const std::function<std::string()>& check) {
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0) return "no pipe";
    const pid_t child = fork();
    if (child == 0) {
        const std::string said = deny_io_uring(error) ? check() : "this kernel has no seccomp filters";
        const auto written = write(pipe_ends[1], said.data(), said.size());
        _exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    close(pipe_ends[1]);
    std::string said;
    char text[512];
    for (ssize_t n = 0; (n = read(pipe_ends[0], text, sizeof(text))) > 0;)
        said.append(text, static_cast<std::size_t>(n));
    close(pipe_ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0 ? said : "the child failed: " + said;
}

std::string expect_probe(Errc code, std::string_view cure) {
    const auto found = uring::probe();
    if (found) return "io_uring works";
    if (found.error().code != code || found.error().advice.find(cure) == std::string::npos)
        return found.error().message();
    return {};
}

std::string auto_uses_epoll() {
    auto sink = std::make_shared<MemoryLogSink>();
    RuntimeOptions options;
    options.log_sink = sink;
    auto made = make_runtime(muster::Backend::Auto, options);
    if (!made) return made.error().message();
    if ((*made)->backend() != "epoll") return "auto took " + std::string((*made)->backend());
    if (sink->count("runtime.uring.unavailable") != 1) return "not logged once";
    if ((*made)->metrics().value("runtime.backend.epoll") != 1) return "the metric does not say epoll";
    const LogRecord record = sink->records().front();
    for (const LogField& field : record.fields) {
        if (field.name == "advice" && field.value.find("seccomp") != std::string::npos) return {};
    }
    return "the cure is not in the log: " + record.to_line();
}

} // namespace

TEST(UringDenied, BySeccompNamesTheProfile) {
    EXPECT_EQ(in_denied_child(EPERM, [] { return expect_probe(Errc::permission_denied, "seccomp"); }), "");
    EXPECT_EQ(in_denied_child(ENOSYS, [] { return expect_probe(Errc::not_supported, "seccomp"); }), "");
}

TEST(UringDenied, ByTheMemoryLimitNamesIt) {
    EXPECT_EQ(in_denied_child(ENOMEM,
                              [] {
                                  const rlimit limit{65536, 65536};
                                  setrlimit(RLIMIT_MEMLOCK, &limit);
                                  return expect_probe(Errc::no_memory, "ulimit -l");
                              }),
              "");
}

TEST(UringDenied, AutoFallsBackToEpollAndSaysWhy) { EXPECT_EQ(in_denied_child(EPERM, &auto_uses_epoll), ""); }

TEST(UringDenied, AskedForItIsAnError) {
    EXPECT_EQ(in_denied_child(EPERM,
                              [] {
                                  const auto made = make_runtime(muster::Backend::Uring);
                                  if (made) return std::string("made one");
                                  return made.error().code == Errc::permission_denied
                                             ? std::string{}
                                             : made.error().message();
                              }),
              "");
}

TEST(UringDenied, OtherwiseAutoTakesIt) {
    if (!usable("UringDenied.OtherwiseAutoTakesIt")) return;
    const auto made = make_runtime(muster::Backend::Auto);
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ((*made)->backend(), "uring");
    EXPECT_EQ((*made)->metrics().value("runtime.backend.uring"), 1);
    EXPECT_EQ(parse_backend("uring"), muster::Backend::Uring);
    EXPECT_EQ(parse_backend("iouring"), std::nullopt);
    EXPECT_EQ(to_string(muster::Backend::Auto), "auto");
}

} // namespace muster::net::test
