// SPDX-License-Identifier: Apache-2.0
// What an application puts around every connection, as encryption will be.
#include "harness.hpp"
#include <algorithm>

namespace muster::test {
namespace {

using namespace std::chrono_literals;

/// Changes every byte on its way: nobody without it understands a word.
class Scrambled final : public net::Connection {
public:
    Scrambled(std::unique_ptr<net::Connection> inner, std::byte key) : inner_(std::move(inner)), key_(key) {}

    net::Task<result<Slice>> receive() override {
        auto received = co_await inner_->receive();
        if (!received) co_return received.error();
        co_return scrambled(*received);
    }
    bool try_receive(Slice& out) override {
        Slice received;
        if (!inner_->try_receive(received)) return false;
        out = scrambled(received);
        return true;
    }
    net::Task<result<void>> send(std::span<const Slice> parts) override {
        std::vector<Slice> sent;
        for (const Slice& part : parts) sent.push_back(scrambled(part));
        co_return co_await inner_->send(sent);
    }
    void close(net::Close how) override { inner_->close(how); }
    const net::Endpoint& local() const noexcept override { return inner_->local(); }
    const net::Endpoint& remote() const noexcept override { return inner_->remote(); }

private:
    Slice scrambled(const Slice& slice) const {
        std::vector<std::byte> bytes(slice.bytes().begin(), slice.bytes().end());
        std::ranges::for_each(bytes, [this](std::byte& b) { b ^= key_; });
        return Slice::copy_of(bytes);
    }

    std::unique_ptr<net::Connection> inner_;
    std::byte key_;
};

/// Takes what is sent and never says a word: a handshake that does not end.
class Mute final : public net::Connection {
public:
    explicit Mute(std::unique_ptr<net::Connection> inner) : inner_(std::move(inner)) {}
    net::Task<result<Slice>> receive() override {
        for (;;) {
            auto received = co_await inner_->receive();
            if (!received) co_return received.error();
        }
    }
    bool try_receive(Slice&) override { return false; }
    net::Task<result<void>> send(std::span<const Slice>) override { co_return result<void>{}; }
    void close(net::Close how) override { inner_->close(how); }
    const net::Endpoint& local() const noexcept override { return inner_->local(); }
    const net::Endpoint& remote() const noexcept override { return inner_->remote(); }

private:
    std::unique_ptr<net::Connection> inner_;
};

class Decorator : public TransportTest {
protected:
    static TcpTransportOptions scrambling(std::byte key) {
        TcpTransportOptions o = options();
        o.decorate_connection = [key](std::unique_ptr<net::Connection> inner, net::ConnectionRole) {
            return std::make_unique<Scrambled>(std::move(inner), key);
        };
        return o;
    }
};
INSTANTIATE_TEST_SUITE_P(On, Decorator, testing::ValuesIn(backends()), backend_name);

} // namespace

TEST_P(Decorator, StandsAroundEveryConnectionOfBothSides) {
    auto a = node(scrambling(std::byte{0x5a}));
    auto b = node(scrambling(std::byte{0x5a}));
    EXPECT_EQ(a->transport->tell(b->address(), Told{}.tell()), TellResult::Queued);
    b->transport->send(a->address(), Heartbeat{b->address(), 1, 0});
    EXPECT_TRUE(run_until([&] { return b->sink->records().size() == 1 && a->handler.messages.size() == 1; }));
    EXPECT_EQ(metric("transport.handshakes.failed"), 0);
    stop(*a);
    stop(*b);
}

TEST_P(Decorator, OfOneSideAloneIsNotUnderstoodByTheOther) {
    auto a = node(scrambling(std::byte{0x5a}));
    auto b = node();
    a->transport->tell(b->address(), Told{}.tell());
    EXPECT_TRUE(run_until([&] { return metric("transport.handshakes.failed") > 0; }));
    EXPECT_TRUE(b->sink->records().empty());
    stop(*a, 100ms);
    stop(*b);
}

TEST_P(Decorator, MayRefuseAConnectionOnEitherSide) {
    TcpTransportOptions refusing = options();
    std::vector<net::ConnectionRole> asked;
    refusing.decorate_connection = [&asked](std::unique_ptr<net::Connection>, net::ConnectionRole role) {
        asked.push_back(role);
        return std::unique_ptr<net::Connection>{};
    };
    auto a = node(refusing);
    auto b = node();
    a->transport->send(b->address(), Heartbeat{a->address(), 1, 0});
    EXPECT_TRUE(run_until([&] { return logged_about("transport.handshake.failed", "dialler"); }));
    b->transport->send(a->address(), Heartbeat{b->address(), 1, 0});
    EXPECT_TRUE(run_until([&] { return std::ranges::count(asked, net::ConnectionRole::Accepted) > 0; }));
    EXPECT_GT(std::ranges::count(asked, net::ConnectionRole::Dialled), 0);
    EXPECT_TRUE(b->handler.messages.empty());
    stop(*a, 100ms);
    stop(*b, 100ms);
}

TEST_P(Decorator, WhoseHandshakeDoesNotEndIsGivenUpAtTheHandshakeTimeout) {
    TcpTransportOptions mute = options();
    mute.handshake_timeout = 200ms;
    mute.decorate_connection = [](std::unique_ptr<net::Connection> inner, net::ConnectionRole) {
        return std::make_unique<Mute>(std::move(inner));
    };
    auto a = node(mute);
    auto b = node(mute);
    a->transport->send(b->address(), Heartbeat{a->address(), 1, 0});
    EXPECT_TRUE(run_until([&] { return metric("transport.handshakes.timed_out") > 0; }));
    EXPECT_TRUE(b->handler.messages.empty());
    stop(*a, 100ms);
    stop(*b, 100ms);
}

} // namespace muster::test
