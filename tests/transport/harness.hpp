// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Nodes with a transport each, on one Runtime, and a loop that runs until something is true.
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <muster/log.hpp>
#include <muster/metrics.hpp>
#include <muster/net/runtime.hpp>
#include <muster/sim/runtime.hpp>
#include <muster/transport/recording_sink.hpp>
#include <muster/transport/tcp.hpp>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

inline std::ostream& operator<<(std::ostream& out, TellResult r) { return out << to_string(r); }
std::ostream& operator<<(std::ostream& out, LinkEvent event);

namespace test {

/// What a node was told, in order.
struct RecordingHandler final : TransportHandler {
    struct Received {
        UniqueAddress peer;
        ClusterMessage message;
    };
    struct Linked {
        UniqueAddress peer;
        LinkEvent event;
        Instant when;
    };
    void on_message(const UniqueAddress& peer, ClusterMessage message, Instant) override {
        messages.push_back({peer, std::move(message)});
        if (also) also();
    }
    void on_link(const UniqueAddress& peer, LinkEvent event) override {
        links.push_back({peer, event, clock ? clock->monotonic_now() : Instant{}});
    }
    void on_connect_refused(const Address& peer) override {
        refused.push_back(peer);
        refused_at.push_back(clock ? clock->monotonic_now() : Instant{});
    }
    void on_quarantined_by(const UniqueAddress& peer) override { quarantined_by.push_back(peer); }
    bool is_acquainted(const Address& address) const override { return acquainted.contains(address); }

    std::size_t count(LinkEvent event) const;
    bool saw(const UniqueAddress& peer, LinkEvent event) const;

    std::vector<Received> messages;
    std::vector<Linked> links;
    std::vector<Address> refused;
    std::vector<Instant> refused_at;
    std::vector<UniqueAddress> quarantined_by;
    std::function<void()> also;   ///< called with every message
    std::set<Address> acquainted; ///< members and seeds
    net::Runtime* clock = nullptr;
};

/// A back end to test on: a Runtime, and the world it lives in when it is simulated.
struct Backend {
    std::unique_ptr<sim::Network> network;
    std::unique_ptr<net::Runtime> runtime;
};
struct BackendParam {
    const char* name;
    Backend (*make)(std::shared_ptr<LogSink> log);
    bool simulated;
};
/// All that run here. Where io_uring does not, its tests are not there, and a line says why.
std::vector<BackendParam> backends();
/// Those with sockets and threads.
std::vector<BackendParam> real_backends();
/// The simulated one: for what needs faults or hours.
std::vector<BackendParam> simulated_backend();
inline std::ostream& operator<<(std::ostream& out, const BackendParam& param) { return out << param.name; }
inline std::string backend_name(const testing::TestParamInfo<BackendParam>& info) { return info.param.name; }

struct Node {
    RecordingHandler handler;
    std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
    std::unique_ptr<TcpClusterTransport> transport;

    UniqueAddress self() const { return transport->self(); }
    const Address& address() const { return self().address(); }
};

class TransportTest : public testing::TestWithParam<BackendParam> {
protected:
    TransportTest();
    ~TransportTest() override;

    static TcpTransportOptions options();
    /// Listens and starts.
    std::unique_ptr<Node> node(TcpTransportOptions options);
    std::unique_ptr<Node> node() { return node(options()); }
    /// Runs the Runtime until `condition` or until 20 s passed (virtual or not). Says which.
    bool run_until(const std::function<bool()>& condition,
                   std::chrono::milliseconds limit = std::chrono::seconds{20});
    void run_for(std::chrono::milliseconds duration);
    /// Shuts `node` down in order and destroys its transport.
    void stop(Node& node, std::chrono::milliseconds deadline = std::chrono::seconds{5});
    /// Destroys the transport without a word, as a crash does.
    void crash(Node& node);

    std::int64_t metric(std::string_view name) { return runtime_->metrics().value(name); }
    std::size_t logged(std::string_view code) { return log_->count(code); }
    /// The last record of that code names `text` in one of its fields.
    bool logged_about(std::string_view code, std::string_view text);

    std::shared_ptr<MemoryLogSink> log_ = std::make_shared<MemoryLogSink>();
    Backend backend_;
    net::Runtime* const runtime_;
};

/// "tell to PATH" with a text.
struct Told {
    std::string path = "akka.tcp://test@host:1/user/a";
    std::string text = "hello";
    Tell tell() const { return {path, "text", std::as_bytes(std::span{text}), std::nullopt}; }
};

/// A free port nobody listens on.
std::uint16_t unused_port(net::Runtime& runtime);

} // namespace test
} // namespace muster
