// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A node of an earlier version, as its recorded bytes: what it sent is sent again at the times at which it
/// did, to a node that stands where its peer stood. tests/wire/golden/README.md says how transcripts are
/// made.
#include <boost/json/value.hpp>
#include <memory>
#include <muster/net/task_group.hpp>
#include <muster/sim/runtime.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string>
#include <vector>

namespace muster::test {

class Replay {
public:
    struct Options {
        /// What it says of itself instead of what was recorded; `in_force` stands in its HelloReply then.
        std::optional<wire::Offer> offer;
        wire::Agreement in_force = wire::agreed_by_all;
    };
    /// Begins at once. The first event of the transcript happens `lead` from now.
    Replay(sim::Network& network, sim::HostId host, net::Endpoint own, net::Endpoint peer,
           boost::json::value transcript, Options options);
    ~Replay();

    /// Sent on the first connection that it dialled, after what was sent there before.
    void say(const Slice& frame) { send(0, std::string{frame.text()}); }
    /// Bodies of all complete frames that it was told, in order per connection.
    std::vector<Slice> told() const;
    /// Of the connections that it was told something on, those that ended in another way than a Finish.
    std::size_t broken() const noexcept { return broken_; }

private:
    struct Link {
        bool dialled = false;
        std::shared_ptr<net::Connection> connection;
        std::string unsent;
        std::string received;
        bool finish = false;
        bool sending = false;
        bool greeted = false; ///< its handshake frame was sent
    };
    void happens(const boost::json::object& event);
    void send(std::size_t link, std::string bytes);
    std::string as_offered(std::string handshake) const;
    void take(std::size_t link, std::unique_ptr<net::Connection> connection);
    void flush(std::size_t link);
    net::Task<void> dial(std::size_t link);
    net::Task<void> accept_all();
    net::Task<void> read(std::size_t link, std::shared_ptr<net::Connection> connection);
    net::Task<void> write(std::size_t link, std::shared_ptr<net::Connection> connection);

    sim::Network& network_;
    const net::Endpoint peer_;
    const boost::json::value transcript_;
    const Options options_;
    std::unique_ptr<sim::Runtime> runtime_;
    std::unique_ptr<net::TaskGroup> tasks_;
    std::unique_ptr<net::Listener> listener_;
    std::vector<Link> links_;
    std::size_t broken_ = 0;
};

} // namespace muster::test
