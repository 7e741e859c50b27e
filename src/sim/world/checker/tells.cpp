// SPDX-License-Identifier: Apache-2.0
// An application's tells: numbered by their sender, checked where they arrive.
#include "state.hpp"
#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>

namespace muster::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view workload_path = "/user/workload";
constexpr std::string_view workload_manifest = "sim-numbered";

/// What a tell's payload begins with; the rest is filled with bytes that follow from `number`.
struct Head {
    std::uint64_t from;
    std::uint64_t to;
    std::int64_t uid;
    std::uint64_t number;
    std::int64_t sent_ns;
    std::uint64_t links_ended; ///< of the sender's, until then
};
static_assert(sizeof(Head) <= 64);

std::byte filling(std::uint64_t number, std::size_t at) {
    return static_cast<std::byte>((number * 0x9e3779b97f4a7c15ULL >> 32U) + at);
}

class Sink final : public RemoteMessageSink {
public:
    Sink(CheckerState& state, std::size_t node) : state_(state), node_(node) {}
    void deliver(std::string_view, std::string_view manifest, const Slice& payload,
                 std::optional<std::string_view>) override {
        if (manifest == workload_manifest) state_.delivered(node_, payload);
    }

private:
    CheckerState& state_;
    std::size_t node_;
};

} // namespace

std::shared_ptr<RemoteMessageSink> Checker::make_sink(std::size_t node) {
    return std::make_shared<Sink>(*state_, node);
}

std::uint64_t Checker::tells_delivered() const noexcept { return state_->tells; }

TellResult Checker::tell(std::size_t from, std::size_t to, std::size_t bytes) {
    State& s = *state_;
    auto& sender = s.world[from];
    Viewer& v = s.viewer(from);
    TellStream& stream = s.streams[{v.self, to}];
    const Head head{from,
                    to,
                    v.self.uid().value,
                    stream.sent + 1,
                    s.world.now().time_since_epoch().count(),
                    s.links_ended(from)};
    std::vector<std::byte> payload(std::max(bytes, sizeof(Head)));
    std::memcpy(payload.data(), &head, sizeof(head));
    for (std::size_t i = sizeof(head); i < payload.size(); ++i) payload[i] = filling(head.number, i);
    const Tell tell{workload_path, workload_manifest, payload, {}};
    const TellResult answer = sender.daemon().tell(s.world[to].address, tell);
    v.told.insert(to);
    if (answer != TellResult::Queued) return answer;
    ++stream.sent;
    ++v.tells_accepted;
    v.tell_bytes_min = std::min(v.tell_bytes_min, payload.size());
    return answer;
}

void CheckerState::delivered(std::size_t node, const Slice& payload) {
    ++tells;
    ++checks;
    if (is_corrupted) return;
    Head head{};
    if (payload.size() >= sizeof(head)) std::memcpy(&head, payload.data(), sizeof(head));
    const auto bytes = payload.bytes();
    for (std::size_t i = sizeof(head); i < bytes.size(); ++i)
        if (bytes[i] != filling(head.number, i))
            return note("tell-changed", fmt::format("byte {} of a tell to node {}", i, node));
    if (head.from >= viewers.size())
        return note("tell-changed", fmt::format("a tell to node {} has no sender", node));
    if (head.to != node)
        return note("tell-wrong-node",
                    fmt::format("a tell of node {} to node {} reached node {}", head.from, head.to, node));
    const UniqueAddress sender(world[head.from].address, Uid{head.uid});
    const auto at = streams.find({sender, node});
    if (at == streams.end() || head.number > at->second.sent)
        return note("tell-changed",
                    fmt::format("{} never sent number {} to node {}", sender.to_string(), head.number, node));
    TellStream& stream = at->second;
    if (head.number <= stream.delivered)
        return note(head.number == stream.delivered ? "tell-twice" : "tell-order",
                    fmt::format("number {} of {} reached node {} after number {}", head.number,
                                sender.to_string(), node, stream.delivered));
    const Incarnation* former = stream.receiver ? incarnation(*stream.receiver) : nullptr;
    const bool was_alive =
        former && former->ended && former->crashed && Instant(Duration(head.sent_ns)) < *former->ended;
    if (was_alive) check_incarnation(node, stream, sender, head.number, head.links_ended);
    check_quarantine(node, sender);
    stream.delivered = head.number;
    stream.receiver = viewer(node).self;
    stream.links_ended = head.links_ended;
}

/// How many connections of this node have ended: while that is unchanged, each association leads to the same
/// incarnation.
std::uint64_t CheckerState::links_ended(std::size_t node) {
    const Metrics& metrics = world[node].runtime->metrics();
    std::int64_t ended = 0;
    for (const std::string_view how : {"broken", "half_open", "idle_closed", "superseded"})
        ended += metrics.value(fmt::format("transport.links.{}", how));
    return static_cast<std::uint64_t>(ended);
}

/// A tell that was accepted while the link led to one incarnation is for that one (protocol.md §19, 6). The
/// link certainly did when an earlier tell arrived there, no link of the sender has ended between the two,
/// and the receiver was killed later.
void CheckerState::check_incarnation(std::size_t node, const TellStream& stream, const UniqueAddress& sender,
                                     std::uint64_t number, std::uint64_t ended) {
    const UniqueAddress& here = viewer(node).self;
    if (*stream.receiver == here || ended != stream.links_ended) return;
    note("tell-wrong-incarnation",
         fmt::format("number {} of {}, accepted for {}, reached {}", number, sender.to_string(),
                     stream.receiver->to_string(), here.to_string()));
}

void CheckerState::check_quarantine(std::size_t node, const UniqueAddress& sender) {
    const auto& removed = viewer(node).removed;
    const auto at = removed.find(sender);
    if (at == removed.end()) return;
    const Duration after =
        at->second.was_down ? 0s : settings[node].daemon.cluster.quarantine_removed_node_after + 2s;
    if (world.now() > at->second.when + after)
        note("removed-acts",
             fmt::format("a tell of {} reached node {}, which had removed it", sender.to_string(), node));
}

} // namespace muster::sim
