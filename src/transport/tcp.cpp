// SPDX-License-Identifier: Apache-2.0
#include <muster/transport/tcp.hpp>

#include "association.hpp"
#include "base/setting_limits.hpp"
#include "base/utf8.hpp"
#include "hub.hpp"
#include <algorithm>
#include <fmt/format.h>
#include <muster/net/runtime.hpp>
#include <string_view>
#include <utility>

namespace muster {

struct TcpClusterTransport::Impl final : transport::Hub {
    using Hub::Hub;
};

namespace {

Error setting(std::string_view name, std::string advice) {
    return Error{Errc::invalid_argument, fmt::format("setting {}", name), std::move(advice), {}};
}

/// The system's limit (TCP_CA_NAME_MAX), behind which it would cut a name off.
constexpr std::size_t congestion_name_bytes_max = 15;
constexpr bool is_congestion_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/// In whatever way it is written.
bool is_any_address(std::string_view host) {
    const auto literal = net::Endpoint::parse(host, 0);
    return literal && std::ranges::all_of(literal->bytes, [](std::uint8_t byte) { return byte == 0; });
}

/// A peer that cannot read this node's address in a frame answers nothing, and this node would wait for it
/// for ever.
bool peers_can_read(const Address& address) {
    const std::string text = address.to_string();
    if (!is_label(text)) return false;
    const auto read = Address::parse(text);
    return read && *read == address;
}

result<void> validate_names(const TcpTransportOptions& o) {
    constexpr std::string_view advice =
        "use UTF-8 text without blanks, control characters and any of / @ : # ? [ ] % \" \\ < >";
    if (!peers_can_read(Address::local("akka.tcp", o.cluster_name)))
        return setting(fmt::format("cluster_name \"{}\"", to_utf8(o.cluster_name)), std::string{advice});
    if (!peers_can_read(Address::local(o.protocol, "sys")))
        return setting(fmt::format("protocol \"{}\"", to_utf8(o.protocol)), std::string{advice});
    const bool listened = o.advertised_host.empty();
    const std::string& host = listened ? o.listen_host : o.advertised_host;
    if (!peers_can_read(Address::remote("akka.tcp", "sys", host, 1)))
        return setting(fmt::format("{} \"{}\"", listened ? "listen_host" : "advertised_host", to_utf8(host)),
                       "use a host name or a literal address");
    return {};
}

} // namespace

result<void> TcpTransportOptions::validate() const {
    if (cluster_name.empty()) return setting("cluster_name", "name the cluster");
    if (cluster_name.size() > wire::name_bytes_max)
        return setting("cluster_name", fmt::format("use at most {} bytes", wire::name_bytes_max));
    if (protocol.empty()) return setting("protocol", "use \"akka.tcp\"");
    if (protocol.size() > wire::name_bytes_max)
        return setting("protocol", fmt::format("use at most {} bytes", wire::name_bytes_max));
    if (advertised_host.size() > wire::name_bytes_max)
        return setting("advertised_host", fmt::format("use at most {} bytes", wire::name_bytes_max));
    if (listen_host.empty()) return setting("listen_host", "use a literal address, \"0.0.0.0\" for all");
    if (is_any_address(advertised_host.empty() ? listen_host : advertised_host))
        return setting("advertised_host", "name an address that peers can dial");
    if (auto ok = validate_names(*this); !ok) return ok;
    if (frame_bytes_max < 4096) return setting("frame_bytes_max", "use at least 4096");
    if (frame_bytes_max > 0xffff'ffffU) return setting("frame_bytes_max", "use at most 4294967295");
    if (assembly_bytes_max != 0 && assembly_bytes_max / 2 < frame_bytes_max)
        return setting("assembly_bytes_max",
                       fmt::format("use at least twice frame_bytes_max, which is {}, or 0", frame_bytes_max));
    if (association_bytes_max == 0) return setting("association_bytes_max", "use at least 1");
    if (membership_queue_max == 0) return setting("membership_queue_max", "use at least 1");
    if (inbound_connections_max == 0) return setting("inbound_connections_max", "use at least 1");
    if (associations_max == 0) return setting("associations_max", "use at least 1");
    if (unauthenticated_bytes_max < 4096) return setting("unauthenticated_bytes_max", "use at least 4096");
    if (congestion_control.empty() || congestion_control.size() > congestion_name_bytes_max ||
        !std::ranges::all_of(congestion_control, is_congestion_letter))
        return setting("congestion_control", "use auto, system, or the name of a TCP congestion control");
    if (lanes != 1) return setting("lanes", "use 1");
    const auto positive = [](std::string_view name, std::chrono::milliseconds value) -> result<void> {
        if (value <= std::chrono::milliseconds{0}) return setting(name, "use more than 0 ms");
        if (value > setting_duration_max) return setting(name, "use at most 8760 hours");
        return {};
    };
    for (const auto& [name, value] : {std::pair{"handshake_timeout", handshake_timeout},
                                      {"frame_timeout", frame_timeout},
                                      {"connect_timeout", connect_timeout},
                                      {"association_idle_timeout", association_idle_timeout},
                                      {"half_open_timeout", half_open_timeout},
                                      {"backoff_min", backoff_min},
                                      {"backoff_max", backoff_max},
                                      {"quarantine_for", quarantine_for}})
        if (auto ok = positive(name, value); !ok) return ok;
    if (backoff_max < backoff_min) return setting("backoff_max", "use at least backoff_min");
    return {};
}

TcpClusterTransport::TcpClusterTransport(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

TcpClusterTransport::~TcpClusterTransport() { impl_->abandon(); }

result<std::unique_ptr<TcpClusterTransport>> TcpClusterTransport::listen(net::Runtime& runtime,
                                                                         TcpTransportOptions options) {
    if (auto valid = options.validate(); !valid) return valid.error();
    auto endpoint = net::Endpoint::parse(options.listen_host, options.listen_port);
    if (!endpoint) return setting("listen_host", "use a literal address, \"0.0.0.0\" for all");
    const net::ListenOptions listening{.silence_max = options.half_open_timeout,
                                       .congestion_control = options.congestion_control};
    auto listener = runtime.listen(*endpoint, listening);
    if (!listener) {
        runtime.metrics().counter("transport.listens.failed").add();
        runtime.log().error("transport.listen.failed", endpoint->to_string(),
                            {{"error", listener.error().message()}});
        return listener.error();
    }
    const std::string& host = options.advertised_host.empty() ? options.listen_host : options.advertised_host;
    const std::uint16_t port = options.advertised_port ? options.advertised_port : (*listener)->local().port;
    Uid uid;
    if (options.uid)
        uid = *options.uid;
    else
        runtime.fill_entropy(std::as_writable_bytes(std::span{&uid.value, 1}));
    UniqueAddress self{Address::remote(options.protocol, options.cluster_name, host, port), uid};
    auto impl = std::make_shared<Impl>(runtime, std::move(options), std::move(*listener), std::move(self));
    return std::unique_ptr<TcpClusterTransport>{new TcpClusterTransport{std::move(impl)}};
}

UniqueAddress TcpClusterTransport::self() const { return impl_->self(); }

void TcpClusterTransport::start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink) {
    impl_->start(handler, std::move(sink));
}

void TcpClusterTransport::send(const Destination& to, const ClusterMessage& message) noexcept {
    impl_->send(to, message);
}

TellResult TcpClusterTransport::tell(const Address& to, const Tell& tell) {
    const auto association = impl_->association(to);
    if (association) return association->tell(tell);
    impl_->counters.tells_refused_no_route.add();
    return TellResult::NoRoute;
}

TellRoute TcpClusterTransport::route(const Address& to) { return TellRoute{impl_->association(to)}; }

void TcpClusterTransport::tell_when_room(const Address& to, const Tell& tell,
                                         UniqueFunction<void(TellResult)> done) {
    if (const auto association = impl_->association(to)) {
        association->tell_when_room(tell, std::move(done));
        return;
    }
    impl_->counters.tells_refused_no_route.add();
    impl_->runtime.post([done = std::move(done)]() mutable { done(TellResult::NoRoute); });
}

void TcpClusterTransport::quarantine(const UniqueAddress& node, bool harmless) {
    impl_->quarantine(node, harmless);
}
void TcpClusterTransport::prove(const UniqueAddress& node) { impl_->prove(node); }
void TcpClusterTransport::expect(const UniqueAddress& node) { impl_->expect(node); }

void TcpClusterTransport::renew_incarnation(Uid uid) { impl_->renew_incarnation(uid); }

void TcpClusterTransport::shutdown(Instant deadline, UniqueFunction<void()> done) {
    impl_->shutdown(deadline, std::move(done));
}

} // namespace muster
