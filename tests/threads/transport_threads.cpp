// SPDX-License-Identifier: Apache-2.0
/// Tells from many threads while associations connect, close, lose their peer and die.
#include <array>
#include <atomic>
#include <cstring>
#include <future>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <muster/net/asio_runtime.hpp>
#include <muster/transport/recording_sink.hpp>
#include <muster/transport/tcp.hpp>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace muster {
namespace {

using namespace std::chrono_literals;

struct NoHandler final : TransportHandler {
    void on_message(const UniqueAddress&, ClusterMessage, Instant) override {}
    void on_link(const UniqueAddress&, LinkEvent event) override {
        if (event == LinkEvent::Established) ++established;
        if (event == LinkEvent::Accepted) ++accepted;
    }
    void on_connect_refused(const Address&) override {}
    void on_quarantined_by(const UniqueAddress&) override {}
    std::atomic<int> established{0};
    std::atomic<int> accepted{0};
};

/// Which of a teller's numbers arrived, and whether they ascend.
struct OrderSink final : RemoteMessageSink {
    void deliver(std::string_view, std::string_view, const Slice& payload,
                 std::optional<std::string_view>) override {
        std::array<int, 2> text{};
        ASSERT_EQ(payload.size(), sizeof text);
        std::memcpy(&text, payload.data(), sizeof text);
        int& last = last_of[text[0]];
        if (text[1] <= last) disordered = true;
        last = text[1];
        ++delivered;
    }
    std::map<int, int> last_of; // Runtime's thread
    std::atomic<bool> disordered{false};
    std::atomic<int> delivered{0};
};

/// Nothing here takes seconds; what takes longer than this does not happen.
constexpr auto patience = 60s;

template <class Condition>
bool eventually(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

class TransportThreads : public testing::Test {
protected:
    TransportThreads() {
        net::RuntimeOptions options;
        options.log_sink = std::make_shared<MemoryLogSink>(1000);
        runtime_ = std::move(net::make_asio_runtime(std::move(options)).value());
        runtime_->start_thread();
    }
    /// On the Runtime's thread, waited for.
    template <class F>
    auto on_loop(F f) {
        std::promise<decltype(f())> promise;
        auto future = promise.get_future();
        runtime_->post([&] {
            if constexpr (std::is_void_v<decltype(f())>) {
                f();
                promise.set_value();
            } else {
                promise.set_value(f());
            }
        });
        return future.get();
    }
    std::unique_ptr<TcpClusterTransport> node(std::shared_ptr<RemoteMessageSink> sink, std::uint16_t port = 0,
                                              std::chrono::milliseconds idle = 30s) {
        return on_loop([&] {
            TcpTransportOptions options;
            options.cluster_name = "threads";
            options.listen_port = port;
            options.association_idle_timeout = idle;
            auto made = std::move(TcpClusterTransport::listen(*runtime_, options).value());
            made->start(handler_, std::move(sink));
            return made;
        });
    }
    void shut_down(std::unique_ptr<TcpClusterTransport> transport) {
        std::binary_semaphore done{0};
        on_loop([&] { transport->shutdown(runtime_->monotonic_now() + 5s, [&done] { done.release(); }); });
        done.acquire();
        on_loop([&] { transport.reset(); });
    }
    static Tell tell_of(const std::array<int, 2>& text) {
        return {"akka.tcp://threads@host:1/user/a", "order", std::as_bytes(std::span{text}), std::nullopt};
    }

    NoHandler handler_;
    std::unique_ptr<net::Runtime> runtime_;
};

TEST_F(TransportThreads, AHundredFirstTellsOpenOneConnection) {
    auto sink = std::make_shared<OrderSink>();
    auto a = node(nullptr);
    auto b = node(sink);
    const Address to = b->self().address();
    constexpr int threads = 100;
    std::atomic<bool> go{false};
    std::vector<std::thread> tellers;
    for (int t = 0; t < threads; ++t)
        tellers.emplace_back([&, t] {
            while (!go) std::this_thread::yield();
            const std::array<int, 2> text{t, 1};
            EXPECT_EQ(a->tell(to, tell_of(text)), TellResult::Queued);
        });
    go = true;
    for (auto& teller : tellers) teller.join();
    ASSERT_TRUE(eventually([&] { return sink->delivered >= threads; }));
    EXPECT_EQ(handler_.established, 1) << "by who dialled";
    EXPECT_EQ(handler_.accepted, 1) << "by who was dialled";
    shut_down(std::move(a));
    shut_down(std::move(b));
}

TEST_F(TransportThreads, EachThreadsTellsArriveInOrderWhileTheLinkClosesAndOpens) {
    auto sink = std::make_shared<OrderSink>();
    auto a = node(nullptr, 0, 2ms); // idle at once
    auto b = node(sink);
    const Address to = b->self().address();
    constexpr int threads = 4, each = 3000;
    std::vector<std::thread> tellers;
    for (int t = 0; t < threads; ++t)
        tellers.emplace_back([&, t] {
            const TellRoute route = a->route(to);
            std::binary_semaphore room{0};
            for (int i = 1; i <= each; ++i) {
                const std::array<int, 2> text{t, i};
                if (i % 500 == 0) std::this_thread::sleep_for(20ms); // long enough to be idle
                if (i % 3 == 0) {
                    a->tell_when_room(to, tell_of(text), [&room](TellResult r) {
                        EXPECT_EQ(r, TellResult::Queued);
                        room.release();
                    });
                    ASSERT_TRUE(room.try_acquire_for(patience)) << "nobody answered";
                } else {
                    ASSERT_EQ((i % 2 ? route.tell(tell_of(text)) : a->tell(to, tell_of(text))),
                              TellResult::Queued);
                }
            }
        });
    for (auto& teller : tellers) teller.join();
    ASSERT_TRUE(eventually([&] { return sink->delivered >= threads * each; }));
    EXPECT_FALSE(sink->disordered);
    EXPECT_GT(runtime_->metrics().value("transport.links.idle_closed"), 0);
    shut_down(std::move(a));
    shut_down(std::move(b));
}

TEST_F(TransportThreads, NoTellArrivesTwiceWhileThePeerDiesAndReturns) {
    auto sink = std::make_shared<OrderSink>();
    auto a = node(nullptr);
    auto b = node(sink);
    const Address to = b->self().address();
    std::atomic<bool> stop{false};
    std::vector<std::thread> tellers;
    for (int t = 0; t < 3; ++t)
        tellers.emplace_back([&, t] {
            for (int i = 1; !stop; ++i) {
                const std::array<int, 2> text{t, i};
                if (a->tell(to, tell_of(text)) == TellResult::Full) std::this_thread::sleep_for(1ms);
                if (i % 100 == 0) std::this_thread::sleep_for(1ms);
            }
        });
    for (int life = 0; life < 5; ++life) {
        std::this_thread::sleep_for(30ms);
        on_loop([&] { b.reset(); });
        std::this_thread::sleep_for(10ms);
        b = node(sink, *to.port);
    }
    const int before = sink->delivered;
    EXPECT_TRUE(eventually([&] { return sink->delivered > before; })) << "the last incarnation is reached";
    stop = true;
    for (auto& teller : tellers) teller.join();
    EXPECT_FALSE(sink->disordered);
    shut_down(std::move(a));
    shut_down(std::move(b));
}

TEST_F(TransportThreads, RoutesMayBeToldThroughWhileTransportAndRuntimeDie) {
    auto a = node(nullptr);
    auto b = node(nullptr);
    const TellRoute route = a->route(b->self().address());
    std::atomic<bool> stop{false};
    std::atomic<int> queued{0};
    std::atomic<int> ended{0};
    std::vector<std::thread> tellers;
    for (int t = 0; t < 3; ++t)
        tellers.emplace_back([&, t] {
            for (int i = 1; !stop; ++i) {
                const std::array<int, 2> text{t, i};
                const TellResult result = route.tell(tell_of(text));
                if (result == TellResult::Queued) ++queued;
                if (result == TellResult::NoRoute) ++ended;
                if (i % 100 == 0) std::this_thread::sleep_for(1ms);
            }
        });
    std::this_thread::sleep_for(20ms);
    on_loop([&] { a.reset(); });
    on_loop([&] { b.reset(); });
    runtime_.reset();
    EXPECT_TRUE(eventually([&] { return ended >= 100; })) << "tells know that their transport is gone";
    stop = true;
    for (auto& teller : tellers) teller.join();
    EXPECT_GT(queued, 0) << "while there was a transport they were taken";
    const std::array<int, 2> last{0, 1};
    EXPECT_EQ(route.tell(tell_of(last)), TellResult::NoRoute);
}

} // namespace
} // namespace muster
