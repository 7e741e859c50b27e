// SPDX-License-Identifier: Apache-2.0
/// Nodes of different wire versions in one cluster: an earlier one as its recorded bytes, a later one with a
/// message and a field of its own.
#include "../wire/newer_version.hpp"
#include "replay.hpp"
#include "transport/association.hpp"
#include "transport/hub.hpp"
#include "world.hpp"

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

namespace muster::test {
namespace {

namespace newer = wire::newer;

/// A hub as a whole transport, which may offer more than this build does.
class HubTransport final : public ClusterTransport {
public:
    explicit HubTransport(std::shared_ptr<transport::Hub> hub) : hub_(std::move(hub)) {}
    ~HubTransport() override { hub_->abandon(); }

    UniqueAddress self() const override { return hub_->self(); }
    void start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink) override {
        hub_->start(handler, std::move(sink));
    }
    void send(const Destination& to, const ClusterMessage& message) noexcept override {
        hub_->send(to, message);
    }
    TellResult tell(const Address& to, const Tell& tell) override {
        const auto association = hub_->association(to);
        return association ? association->tell(tell) : TellResult::NoRoute;
    }
    TellRoute route(const Address& to) override { return TellRoute{hub_->association(to)}; }
    void tell_when_room(const Address& to, const Tell& tell, UniqueFunction<void(TellResult)> done) override {
        if (const auto association = hub_->association(to))
            association->tell_when_room(tell, std::move(done));
    }
    void quarantine(const UniqueAddress& node, bool harmless) override { hub_->quarantine(node, harmless); }
    void expect(const UniqueAddress& node) override { hub_->expect(node); }
    bool proves_addresses() const noexcept override { return true; }
    void prove(const UniqueAddress& node) override { hub_->prove(node); }
    void renew_incarnation(Uid uid) override { hub_->renew_incarnation(uid); }
    void shutdown(Instant deadline, UniqueFunction<void()> done) override {
        hub_->shutdown(deadline, std::move(done));
    }

private:
    const std::shared_ptr<transport::Hub> hub_;
};

/// Machine 0 has a node of this build, machine 1 the recorded one.
class AcrossVersions : public testing::Test {
protected:
    AcrossVersions() {
        std::ifstream file(MUSTER_GOLDEN_DIR "/transcript_v1.json");
        std::stringstream text;
        text << file.rdbuf();
        transcript_ = boost::json::parse(text.str());
        world_.add_host();
        world_.add_host();
        earlier_ = UniqueAddress{world_.address_of(1), Uid{uid_of("uid")}};
    }
    ~AcrossVersions() override {
        replay_.reset();
        daemon_.reset();
        hub_.reset();
        runtime_.reset();
    }

    std::int64_t uid_of(const char* key) const { return transcript_.at(key).to_number<std::int64_t>(); }

    /// `offer`: what the node of this build says that it has.
    void start(const wire::Offer& offer) {
        RemoteAdapterConfig config = world_.config(0);
        config.daemon.cluster.seed_nodes = {world_.address_of(0)};
        config.daemon.cluster.gossip_bytes_max = config.transport.frame_bytes_max / 4;
        config.daemon.join_settings["transport.frame-bytes-max"] =
            std::to_string(config.transport.frame_bytes_max);
        config.daemon.random_seed = 1001;
        net::RuntimeOptions options;
        options.log_sink = std::make_shared<MemoryLogSink>();
        runtime_ = world_.network.make_runtime(world_.hosts[0], std::move(options));
        const net::ListenOptions listening{};
        auto listener = runtime_->listen(world_.network.address(world_.hosts[0], World::port), listening);
        const UniqueAddress self{world_.address_of(0), Uid{uid_of("peer_uid")}};
        hub_ =
            std::make_shared<transport::Hub>(*runtime_, config.transport, std::move(listener.value()), self);
        hub_->set_offer(offer);
        auto daemon = spawn_daemon(*runtime_, std::make_shared<HubTransport>(hub_), config.daemon, sink_);
        MUSTER_ENSURE(daemon.has_value(), daemon.has_error() ? daemon.error().message() : std::string{});
        daemon_.emplace(std::move(*daemon));
        world_.network.run_for(1s);
    }
    void replay(Replay::Options options = {}) {
        replay_.emplace(world_.network, world_.hosts[1], world_.network.address(world_.hosts[1], World::port),
                        world_.network.address(world_.hosts[0], World::port), transcript_, options);
    }

    std::int64_t metric(std::string_view name) { return runtime_->metrics().value(name); }
    bool earlier_is_up() const {
        const auto snapshot = daemon_->snapshot();
        const Member* member = snapshot.state->latest().find(earlier_);
        return member != nullptr && member->status() == MemberStatus::Up && snapshot.converged;
    }
    bool alone() const { return daemon_->snapshot().members().size() == 1 && daemon_->snapshot().converged; }

    /// A message and a field of the newer version, as its code would send them.
    void say_what_is_new() {
        const UniqueAddress self = hub_->self();
        const auto late = [](const wire::Needs& needs, auto frame) {
            return transport::LateMessage{needs, [frame](const wire::Agreement& agreement) {
                                              return std::optional{wire::EncodedMessage{
                                                  newer::Codec::encode(frame, agreement).value(), {}, false}};
                                          }};
        };
        hub_->send(earlier_, transport::MessageLane::Membership, "Probe",
                   late(newer::probe_needs, newer::Probe{self, "how are you"}));
        hub_->send(earlier_, transport::MessageLane::Heartbeat, "Heartbeat",
                   late({}, newer::LoadedHeartbeat{self.address(), marked, 0, 99}));
    }
    static constexpr std::int64_t marked = 777'777;

    /// The whole life of the recorded node, during which `meanwhile` is called once while it is Up.
    void live_through(const std::function<void()>& meanwhile) {
        ASSERT_TRUE(world_.run_until([&] { return earlier_is_up(); }));
        meanwhile();
        ASSERT_TRUE(world_.run_until([&] { return sink_->count() == 1; }));
        EXPECT_EQ(sink_->records().front().payload.text(), "hello from wire version 1");
        ASSERT_TRUE(world_.run_until([&] { return alone(); })) << "it leaves in order";
        world_.network.run_for(1s);
    }
    void expect_nothing_went_wrong() {
        EXPECT_EQ(metric("transport.frames.malformed"), 0);
        EXPECT_EQ(metric("transport.handshakes.refused"), 0);
        EXPECT_EQ(metric("transport.links.broken"), 0);
        EXPECT_EQ(metric("transport.messages.dropped.encoding"), 0);
        EXPECT_EQ(replay_->broken(), 0U);
    }
    /// Read as a node of wire version 1 reads: strictly, and nothing of a feature.
    std::vector<wire::ClusterFrame> told_in_version_1() {
        std::vector<wire::ClusterFrame> frames;
        for (const Slice& body : replay_->told()) {
            auto frame = wire::decode_frame(body, {.agreement = {1, 0}});
            EXPECT_TRUE(frame) << frame.error().message();
            if (frame) frames.push_back(std::move(*frame));
        }
        return frames;
    }
    template <class Frame>
    static std::vector<Frame> of_kind(const std::vector<wire::ClusterFrame>& frames) {
        std::vector<Frame> found;
        for (const auto& frame : frames) {
            if constexpr (std::is_constructible_v<ClusterMessage, Frame>) {
                if (const auto* message = std::get_if<ClusterMessage>(&frame))
                    if (const auto* m = std::get_if<Frame>(message)) found.push_back(*m);
            } else if (const auto* f = std::get_if<Frame>(&frame)) {
                found.push_back(*f);
            }
        }
        return found;
    }

    boost::json::value transcript_;
    World world_{7};
    UniqueAddress earlier_;
    std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
    std::unique_ptr<sim::Runtime> runtime_;
    std::shared_ptr<transport::Hub> hub_;
    std::optional<ClusterDaemonHandle> daemon_;
    std::optional<Replay> replay_;
};

TEST_F(AcrossVersions, ANodeOfWireVersion1JoinsTellsIsToldAndLeaves) {
    start({});
    replay();
    live_through([&] {
        const std::string path = earlier_.address().to_string() + "/user/b";
        const std::string text = "hello to wire version 1";
        const auto queued =
            daemon_->tell(earlier_.address(), Tell{path, "text", std::as_bytes(std::span{text}), {}});
        EXPECT_EQ(queued, TellResult::Queued);
    });
    expect_nothing_went_wrong();
    const auto told = told_in_version_1();
    ASSERT_EQ(of_kind<wire::HelloReply>(told).size(), 1U);
    EXPECT_EQ(std::get<wire::HelloAccepted>(of_kind<wire::HelloReply>(told)[0].answer),
              (wire::HelloAccepted{1, 0}));
    EXPECT_EQ(of_kind<Welcome>(told).size(), 1U);
    EXPECT_GT(of_kind<Heartbeat>(told).size(), 0U);
    ASSERT_EQ(of_kind<wire::RemoteTell>(told).size(), 1U);
    EXPECT_EQ(of_kind<wire::RemoteTell>(told)[0].payload.text(), "hello to wire version 1");
}

TEST_F(AcrossVersions, ANewerNodeSendsANodeOfWireVersion1NothingItDoesNotKnow) {
    start(newer::offer);
    replay();
    live_through([&] { say_what_is_new(); });
    expect_nothing_went_wrong();
    EXPECT_EQ(metric("transport.messages.dropped.unknown_to_peer"), 1) << "the message";
    const auto told = told_in_version_1();
    const auto heartbeats = of_kind<Heartbeat>(told);
    EXPECT_EQ(std::ranges::count(heartbeats, marked, &Heartbeat::sequence_nr), 1) << "without the field";
    EXPECT_EQ(std::get<wire::HelloAccepted>(of_kind<wire::HelloReply>(told).at(0).answer),
              (wire::HelloAccepted{1, 0}));
}

TEST_F(AcrossVersions, TwoNewerNodesUseWhatBothHave) {
    start(newer::offer);
    replay({newer::offer, newer::both_newer});
    live_through([&] { say_what_is_new(); });
    expect_nothing_went_wrong();
    EXPECT_EQ(metric("transport.messages.dropped.unknown_to_peer"), 0);
    std::vector<newer::Probe> probes;
    std::vector<newer::LoadedHeartbeat> heartbeats;
    for (const Slice& body : replay_->told()) {
        if (!newer::Table::has(wire::frame_variant(body.bytes()).value())) continue;
        const auto frame = newer::Codec::decode(body, {.agreement = newer::both_newer});
        if (!frame) continue; // the daemon's own, which are this build's
        if (const auto* probe = std::get_if<newer::Probe>(&*frame)) probes.push_back(*probe);
        if (const auto* beat = std::get_if<newer::LoadedHeartbeat>(&*frame)) heartbeats.push_back(*beat);
    }
    ASSERT_EQ(probes.size(), 1U);
    EXPECT_EQ(probes[0], (newer::Probe{hub_->self(), "how are you"}));
    ASSERT_EQ(heartbeats.size(), 1U);
    EXPECT_EQ(heartbeats[0].load, 99U);
}

TEST_F(AcrossVersions, WhatANewerPeerSaysBeyondThisVersionDisturbsNothing) {
    start({});
    replay({newer::offer, wire::agreed_by_all});
    live_through([&] {
        replay_->say(*newer::Codec::encode(newer::Probe{earlier_, "how are you"}, newer::both_newer));
        replay_->say(*newer::Codec::encode(newer::LoadedHeartbeat{earlier_.address(), marked, 0, 99},
                                           newer::both_newer));
    });
    expect_nothing_went_wrong();
    EXPECT_EQ(metric("transport.frames.skipped.unknown"), 1);
    EXPECT_EQ(metric("transport.frames.rest_skipped"), 1);
}

} // namespace
} // namespace muster::test
