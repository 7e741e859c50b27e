// SPDX-License-Identifier: Apache-2.0
#include <muster/transport/inprocess.hpp>

#include <fmt/format.h>
#include <muster/net/runtime.hpp>
#include <muster/wire/frame.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster {

/// The registry's entry of a node. Outlives its transport: routes and posted deliveries hold it.
struct InProcessRegistry::Node : std::enable_shared_from_this<Node> {
    Node(net::Runtime& r, UniqueAddress s) : runtime(&r), self(std::move(s)) {}

    /// Runs `deliver(node)` on this node's thread once it has started. False when it is gone. Any thread.
    /// Counts `dropped`, if that is a name, when it has ended by then.
    template <class Deliver>
    bool post(const char* dropped, Deliver deliver) {
        const std::scoped_lock lock{mutex};
        if (!runtime) return false;
        auto action = [node = shared_from_this(), dropped, deliver = std::move(deliver)]() mutable {
            if (node->handler)
                deliver(*node);
            else if (dropped)
                node->count(dropped);
        };
        if (started)
            runtime->post(std::move(action));
        else
            waiting.push_back(std::move(action));
        return true;
    }
    /// Any thread.
    void count(const char* metric) {
        const std::scoped_lock lock{mutex};
        if (runtime) runtime->metrics().counter(metric).add();
    }
    UniqueAddress address() const {
        const std::scoped_lock lock{mutex};
        return self;
    }

    mutable std::mutex mutex;
    net::Runtime* runtime; // null: gone
    UniqueAddress self;
    bool started = false;
    std::vector<UniqueFunction<void()>> waiting; // before start()

    // This node's thread:
    TransportHandler* handler = nullptr;
    std::shared_ptr<RemoteMessageSink> sink;
    std::set<UniqueAddress> quarantined;
};

std::size_t InProcessRegistry::size() const {
    const std::scoped_lock lock{mutex_};
    return nodes_.size();
}

bool InProcessRegistry::contains(const Address& address) const { return find(address) != nullptr; }

std::shared_ptr<InProcessRegistry::Node> InProcessRegistry::find(const Address& address) const {
    const std::scoped_lock lock{mutex_};
    const auto found = nodes_.find(address);
    return found == nodes_.end() ? nullptr : found->second;
}

namespace {

/// A tell that crosses threads has to own its bytes.
struct OwnedTell {
    explicit OwnedTell(const Tell& t)
        : target_path(t.target_path), manifest(t.manifest), payload(Slice::copy_of(t.payload)),
          sender_path(t.sender_path) {}
    std::string target_path;
    std::string manifest;
    Slice payload;
    std::optional<std::string> sender_path;
};

bool too_large(const Tell& tell) {
    return wire::tell_frame_bytes({tell.target_path, tell.manifest, tell.payload, tell.sender_path}) >
           wire::frame_bytes_max_default + wire::frame_header_bytes;
}

} // namespace

class InProcessClusterTransport::Route final : public TellRoute::Target {
public:
    Route(std::shared_ptr<InProcessRegistry> registry, std::weak_ptr<InProcessRegistry::Node> from,
          Address to)
        : registry_(std::move(registry)), from_(std::move(from)), to_(std::move(to)) {}

    TellResult tell(const Tell& tell) override {
        const auto from = from_.lock();
        if (too_large(tell)) {
            if (from) from->count("transport.tells.refused.too_large");
            return TellResult::TooLarge;
        }
        const auto target = registry_->find(to_);
        if (!from) return TellResult::NoRoute;
        auto deliver = [tell = OwnedTell{tell}, sender = from->address()](InProcessRegistry::Node& node) {
            if (node.quarantined.contains(sender)) return node.count("transport.tells.dropped.quarantined");
            if (!node.sink) return node.count("transport.tells.dropped.no_sink");
            node.sink->deliver(tell.target_path, tell.manifest, tell.payload, tell.sender_path);
            node.count("transport.tells.delivered");
        };
        if (target && target->post("transport.tells.dropped.shutdown", std::move(deliver))) {
            from->count("transport.tells.sent");
            return TellResult::Queued;
        }
        from->count("transport.tells.refused.no_route");
        return TellResult::NoRoute;
    }

private:
    const std::shared_ptr<InProcessRegistry> registry_;
    const std::weak_ptr<InProcessRegistry::Node> from_;
    const Address to_;
};

InProcessClusterTransport::InProcessClusterTransport(std::shared_ptr<InProcessRegistry> registry,
                                                     net::Runtime& runtime,
                                                     std::shared_ptr<InProcessRegistry::Node> node)
    : registry_(std::move(registry)), runtime_(runtime), node_(std::move(node)) {}

result<std::unique_ptr<InProcessClusterTransport>>
InProcessClusterTransport::create(std::shared_ptr<InProcessRegistry> registry, net::Runtime& runtime,
                                  UniqueAddress self) {
    auto node = std::make_shared<InProcessRegistry::Node>(runtime, self);
    {
        const std::scoped_lock lock{registry->mutex_};
        if (!registry->nodes_.emplace(self.address(), node).second)
            return Error{
                Errc::address_in_use, self.address().to_string(), "another node of this process has it", {}};
    }
    return std::unique_ptr<InProcessClusterTransport>{
        new InProcessClusterTransport{std::move(registry), runtime, std::move(node)}};
}

InProcessClusterTransport::~InProcessClusterTransport() {
    {
        const std::scoped_lock lock{registry_->mutex_};
        const auto found = registry_->nodes_.find(node_->self.address());
        if (found != registry_->nodes_.end() && found->second == node_) registry_->nodes_.erase(found);
    }
    const std::scoped_lock lock{node_->mutex};
    node_->runtime = nullptr;
    node_->handler = nullptr;
    node_->sink.reset();
    node_->waiting.clear();
}

UniqueAddress InProcessClusterTransport::self() const { return node_->address(); }

void InProcessClusterTransport::start(TransportHandler& handler, std::shared_ptr<RemoteMessageSink> sink) {
    node_->handler = &handler;
    node_->sink = std::move(sink);
    const std::scoped_lock lock{node_->mutex};
    node_->started = true;
    for (auto& action : std::exchange(node_->waiting, {})) runtime_.post(std::move(action));
}

void InProcessClusterTransport::send(const Destination& to, const ClusterMessage& message) noexcept {
    const auto target = registry_->find(to.address);
    auto deliver = [message, from = node_->self, uid = to.uid](InProcessRegistry::Node& node) {
        Metrics& metrics = node.runtime->metrics();
        if (uid && *uid != node.self.uid())
            metrics.counter("transport.messages.dropped.other_incarnation").add();
        else if (node.quarantined.contains(from))
            metrics.counter("transport.messages.dropped.quarantined").add();
        else
            node.handler->on_message(from, message, node.runtime->monotonic_now());
    };
    if (target && target->post("transport.messages.dropped.shutdown", std::move(deliver))) return;
    runtime_.metrics().counter("transport.messages.dropped.no_route").add();
    node_->post(nullptr, [address = to.address](InProcessRegistry::Node& node) {
        node.handler->on_connect_refused(address);
    });
}

TellResult InProcessClusterTransport::tell(const Address& to, const Tell& tell) {
    return Route{registry_, node_, to}.tell(tell);
}

TellRoute InProcessClusterTransport::route(const Address& to) {
    return TellRoute{std::make_shared<Route>(registry_, node_, to)};
}

void InProcessClusterTransport::tell_when_room(const Address& to, const Tell& tell,
                                               UniqueFunction<void(TellResult)> done) {
    const TellResult result = this->tell(to, tell);
    runtime_.post([done = std::move(done), result]() mutable { done(result); });
}

void InProcessClusterTransport::quarantine(const UniqueAddress& node, bool harmless) {
    node_->quarantined.insert(node);
    const auto target = registry_->find(node.address());
    if (harmless || !target) return;
    target->post(nullptr, [by = node_->self, node](InProcessRegistry::Node& there) {
        if (there.self == node) there.handler->on_quarantined_by(by);
    });
}

void InProcessClusterTransport::renew_incarnation(Uid uid) {
    UniqueAddress renewed{node_->self.address(), uid};
    const std::scoped_lock lock{node_->mutex};
    node_->self = std::move(renewed);
}

void InProcessClusterTransport::shutdown(Instant /*deadline*/, UniqueFunction<void()> done) {
    {
        const std::scoped_lock lock{registry_->mutex_};
        const auto found = registry_->nodes_.find(node_->self.address());
        if (found != registry_->nodes_.end() && found->second == node_) registry_->nodes_.erase(found);
    }
    // Behind whatever was posted before: that is still delivered.
    runtime_.post([node = node_, done = std::move(done)]() mutable {
        node->handler = nullptr;
        node->sink.reset();
        done();
    });
}

} // namespace muster
