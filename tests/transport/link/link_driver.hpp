// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A Link, or a Dialling, told what happens to it, in virtual time.
#include "link/dialling.hpp"
#include "link/link.hpp"
#include <chrono>
#include <gtest/gtest.h>
#include <muster/wire/envelope.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster::transport::test {

using namespace std::chrono_literals;

inline Address address_of(int port) {
    return Address::remote("akka.tcp", "test", "10.0.0.1", static_cast<std::uint16_t>(port));
}
inline UniqueAddress node_of(int port, std::int64_t uid) { return {address_of(port), Uid{uid}}; }

/// A node as its links see it: everything is what the test says.
struct TestNode final : NodeView {
    explicit TestNode(UniqueAddress self) : me{"test", std::move(self), {}} {}
    Identity identity() const override { return me; }
    bool stops() const override { return stopping; }
    bool acquainted(const Address& address) const override { return members.contains(address); }
    bool has_place_for_stranger() const override { return place; }
    Quarantined quarantine_of(const UniqueAddress& node) override {
        return harmless.contains(node)      ? Quarantined::Harmless
               : quarantined.contains(node) ? Quarantined::Yes
                                            : Quarantined::No;
    }
    bool is_claimed(const UniqueAddress& peer) override { return claimed.contains(peer); }
    wire::Interner& interner() override { return interner_; }

    Identity me;
    bool stopping = false;
    bool place = true;
    std::set<Address> members;
    std::set<UniqueAddress> quarantined;
    std::set<UniqueAddress> harmless;
    std::set<UniqueAddress> claimed;

private:
    wire::Interner interner_;
};

inline constexpr LinkLimits test_limits{
    .handshake_timeout = 5s, .idle_timeout = 30s, .half_open_timeout = 20s, .frame_timeout = 10s};

/// What one input was answered with.
template <class Action>
struct Actions {
    std::vector<Action> all;

    template <class T>
    std::vector<T> every() const {
        std::vector<T> found;
        for (const Action& a : all)
            if (const T* t = std::get_if<T>(&a)) found.push_back(*t);
        return found;
    }
    template <class T>
    bool has() const {
        return !every<T>().empty();
    }
    bool counted(Counted what) const {
        for (const auto& c : every<action::Count>())
            if (c.what == what) return true;
        return false;
    }
    bool logged(std::string_view code) const {
        for (const auto& record : every<action::Log>())
            if (record.code == code) return true;
        return false;
    }
    std::vector<LinkEvent> reported() const {
        std::vector<LinkEvent> events;
        for (const auto& report : every<action::Report>()) events.push_back(report.event);
        return events;
    }
    bool closed(action::CloseStream::How how) const
        requires std::is_same_v<Action, LinkAction>
    {
        for (const auto& close : every<action::CloseStream>())
            if (close.how == how) return true;
        return false;
    }
    /// The frame that is written, or left with.
    std::optional<wire::ClusterFrame> said() const
        requires std::is_same_v<Action, LinkAction>
    {
        Slice bytes;
        for (const auto& write : every<action::Write>()) bytes = write.bytes;
        for (const auto& leave : every<action::Leave>()) bytes = leave.goodbye;
        if (bytes.empty()) return std::nullopt;
        auto frame = wire::decode_frame(bytes.sub(4, bytes.size() - 4), {.peer_is_newer = true});
        EXPECT_TRUE(frame.has_value());
        return frame ? std::optional{std::move(*frame)} : std::nullopt;
    }
    template <class T>
    std::optional<T> said_a() const {
        const auto frame = said();
        const T* t = frame ? std::get_if<T>(&*frame) : nullptr;
        return t ? std::optional{*t} : std::nullopt;
    }
    std::optional<action::Shaken::Outcome> outcome() const
        requires std::is_same_v<Action, LinkAction>
    {
        const auto shaken = every<action::Shaken>();
        return shaken.empty() ? std::nullopt : std::optional{shaken.back().outcome};
    }
};

/// One link whose inputs come from the test.
class LinkDriver {
public:
    using Phase = Link::Phase;
    using Made = Actions<LinkAction>;

    LinkDriver(Link::Role role, TestNode& node) : link(role, test_limits, node) {}

    template <class Call>
    Made input(Call&& call) {
        LinkActions out;
        call(out);
        return {std::move(out)};
    }
    Made frame(const wire::ClusterFrame& frame) {
        const auto bytes = wire::encode_frame(frame);
        EXPECT_TRUE(bytes.has_value());
        return body(bytes->sub(4, bytes->size() - 4));
    }
    Made body(const Slice& body) {
        link.received(now);
        Made made = input([&](LinkActions& out) {
            goes_on = link.frame({body.bytes(), body.owner(), false}, now, out);
        });
        link.frames_taken(true, false);
        return made;
    }
    Made written(const result<void>& result = {}) {
        return input([&](LinkActions& out) { link.written(result, now, out); });
    }
    Made ended(std::optional<Errc> code) {
        const auto error = code ? std::optional{Error{*code, "peer", {}, {}}} : std::nullopt;
        return input([&](LinkActions& out) { link.stream_ended(error, out); });
    }
    Made over() {
        return input([&](LinkActions& out) { link.over(out); });
    }
    Made close(wire::GoodbyeReason reason) {
        return input([&](LinkActions& out) { link.close(reason, "because", now, out); });
    }
    Made flushed() {
        return input([&](LinkActions& out) { link.flushed(now, out); });
    }
    /// Time passes, and the link is told at the end of it.
    Made passes(Duration time) {
        now += time;
        return input([&](LinkActions& out) { link.time(now, out); });
    }

    Link link;
    Instant now{1h};
    bool goes_on = true; ///< what the last frame answered
};

/// A link of a node at port 1, whose peer is at port 2.
class LinkTest : public testing::Test {
protected:
    using Phase = Link::Phase;
    explicit LinkTest(Link::Role role) : link(role, node) {}

    const UniqueAddress self = node_of(1, 1);
    const UniqueAddress peer = node_of(2, 7);
    const UniqueAddress stranger = node_of(3, 9);
    TestNode node{self};
    LinkDriver link;
};

/// One that the node accepted. The peer is a member.
class Accepting : public LinkTest {
protected:
    Accepting() : LinkTest(Link::Role::Acceptor) {
        node.members.insert(peer.address());
        link.link.accepted("10.0.0.9:5555", link.now);
    }
    wire::Hello hello() const { return make_hello({"test", peer, {}}, self.address()); }
    /// What the link answers to `hello`.
    std::optional<wire::RefusalReason> refusal_of(const wire::ClusterFrame& hello) {
        const auto reply = link.frame(hello).said_a<wire::HelloReply>();
        const auto* refused = reply ? std::get_if<wire::HelloRefused>(&reply->answer) : nullptr;
        return refused ? std::optional{refused->reason} : std::nullopt;
    }
    LinkDriver::Made open() {
        link.frame(hello());
        return link.written();
    }
    Heartbeat heartbeat(const UniqueAddress& from) const { return {from.address(), 1, 0}; }
};

} // namespace muster::transport::test
