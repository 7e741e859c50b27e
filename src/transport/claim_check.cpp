// SPDX-License-Identifier: Apache-2.0
#include "claim_check.hpp"

#include "association.hpp"
#include "hub.hpp"
#include "inbound.hpp"
#include "link/handshake.hpp"
#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

namespace muster::transport {

ClaimCheck::ClaimCheck(Hub& hub) : hub_(hub), questions_(hub.runtime) {}

void ClaimCheck::settle(const UniqueAddress& claimed, Done done) {
    const auto whose =
        hub_.reporter.acquainted(claimed.address()) ? Claims::Whose::Members : Claims::Whose::Strangers;
    const auto id = stopped_ ? std::nullopt : claims_.add(claimed, whose);
    if (!id) {
        hub_.counters.claims_too_many.add();
        done(Verdict::Unanswered, std::nullopt);
        return;
    }
    waiting_.emplace(*id, std::move(done));
    ask_next();
}

void ClaimCheck::prove(const UniqueAddress& node) {
    const Address& address = node.address();
    if (hub_.stopping || address == hub_.identity.address() || !address.host || !address.port ||
        *address.port == 0)
        return;
    if (!proving_.insert(node).second) return;
    auto done = [this, node](Verdict verdict, const std::optional<UniqueAddress>& owner) {
        proving_.erase(node);
        if (verdict == Verdict::Owner) return;
        Denial denial = denial_of(node, verdict, owner);
        hub_.counters.of(denial.counted).add();
        hub_.log().write(denial.record.level, denial.record.code, node.address().to_string(),
                         std::move(denial.record.fields));
        for (const auto& link : hub_.acceptor().links_of(node))
            if (link->established()) link->close(wire::GoodbyeReason::Overloaded, denial.detail);
    };
    settle(node, std::move(done));
}

bool ClaimCheck::is_claimed(const UniqueAddress& peer) {
    const auto association = hub_.table().find(peer.address());
    if (association && is_claim(peer, association->known())) return true;
    return hub_.acceptor().hears_from_another(peer);
}

void ClaimCheck::stop() {
    stopped_ = true;
    waiting_.clear();
    questions_.cancel();
    if (timer_ != net::TimerId::None) hub_.runtime.cancel(std::exchange(timer_, net::TimerId::None));
}

net::Task<void> ClaimCheck::join() { co_await questions_.join(); }

void ClaimCheck::ask_next() {
    if (stopped_) return;
    const Instant now = hub_.now();
    while (auto address = claims_.next_question(now)) {
        hub_.counters.claims_questions.add();
        questions_.spawn(ask(hub_.shared_from_this(), std::move(*address)));
    }
    const auto at = claims_.next_time();
    if (!at || timer_ != net::TimerId::None) return;
    auto action = [this, weak = hub_.weak_from_this()] {
        const auto hub = weak.lock();
        if (!hub) return;
        timer_ = net::TimerId::None;
        ask_next();
    };
    timer_ = hub_.runtime.schedule(*at, std::move(action));
}

net::Task<void> ClaimCheck::ask(std::shared_ptr<Hub> keep, Address address) {
    const auto answer = co_await answer_from(address);
    if (!stopped_ && !keep->cancelled()) answered(address, answer);
}

net::Task<std::optional<UniqueAddress>> ClaimCheck::answer_from(Address address) {
    const Instant deadline = hub_.now() + question_timeout;
    const std::shared_ptr<net::Connection> connection = co_await connect(address, deadline);
    if (!connection) co_return std::nullopt;
    const AbortAt enough{hub_.runtime, deadline, connection};
    const auto reply = co_await shake_hands(connection, address);
    if (!reply) co_return std::nullopt;
    if (!stopped_) hub_.leave(connection, goodbye_frame(wire::GoodbyeReason::Link, {}, wire::agreed_by_all));
    co_return answer_of(address, hub_.identity.get().cluster_name, *reply);
}

net::Task<std::shared_ptr<net::Connection>> ClaimCheck::connect(Address address, Instant deadline) {
    auto resolved = co_await hub_.runtime.resolve(*address.host, *address.port, deadline);
    if (!resolved) co_return nullptr;
    const std::vector<net::Endpoint> endpoints = std::move(*resolved);
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const Instant now = hub_.now();
        const Duration share = (deadline - now) / static_cast<std::int64_t>(endpoints.size() - i);
        const net::ConnectOptions options{.deadline = now + share};
        auto connection = co_await hub_.runtime.connect(endpoints[i], options);
        if (connection)
            co_return std::shared_ptr<net::Connection>{
                hub_.decorated(std::move(*connection), net::ConnectionRole::Dialled)};
        if (connection.error() == Errc::cancelled) break;
    }
    co_return nullptr;
}

net::Task<std::optional<wire::HelloReply>>
ClaimCheck::shake_hands(std::shared_ptr<net::Connection> connection, Address address) {
    wire::Hello hello = make_hello(hub_.identity.get(), address);
    hello.lane = question_lane;
    auto encoded = wire::encode_frame(std::move(hello), wire::frame_bytes_max_default);
    if (!encoded) co_return std::nullopt;
    const std::vector<Slice> parts{std::move(*encoded)};
    auto sent = co_await connection->send(parts);
    if (!sent) co_return std::nullopt;
    FrameReader reader{hub_.options.unauthenticated_bytes_max};
    FrameReader::Frame frame;
    FrameReader::Next next = FrameReader::Next::NeedMore;
    while ((next = reader.next(frame)) == FrameReader::Next::NeedMore) {
        auto received = co_await connection->receive();
        if (!received) co_return std::nullopt;
        reader.feed(std::move(*received));
    }
    if (next == FrameReader::Next::TooLarge) co_return std::nullopt;
    auto reply = read_reply(Slice{frame.body, frame.owner});
    if (!reply) co_return std::nullopt;
    co_return std::move(*reply);
}

void ClaimCheck::answered(const Address& address, const std::optional<UniqueAddress>& answer) {
    if (answer) hub_.answered_at_its_address(*answer);
    for (const Claims::Settled& settled : claims_.answered(address, answer, hub_.now())) {
        auto waiting = waiting_.extract(settled.id);
        if (waiting) waiting.mapped()(settled.verdict, answer);
        if (stopped_) return;
    }
    ask_next();
}

} // namespace muster::transport
