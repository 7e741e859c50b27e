// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Two nodes that dial each other over pipes in virtual time: what Association and InboundLink do, without
/// sockets and coroutines. Pipes keep the order, may break, and may swallow everything from some moment on.
#include "link_driver.hpp"
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace muster::transport::test {

class LinkWorld {
public:
    LinkWorld();
    ~LinkWorld();

    // --- what happens to the nodes (0 and 1)
    /// For whoever is at the other's address.
    void tell(std::size_t host);
    /// For the incarnation that the other is, or was before.
    void send(std::size_t host, bool to_former);
    void crash(std::size_t host);
    /// As another incarnation.
    void restart(std::size_t host);
    void renew(std::size_t host);
    void quarantine(std::size_t host, bool harmless);
    void close_inbound(std::size_t host);
    // --- and to what is between them
    void break_pipes();
    void swallow();          ///< what is on the pipes that there are, and all that follows on them
    void partition(bool on); ///< nothing can be connected
    void run(Duration time);

    /// Ends the faults and waits until everything has come to rest. Whatever was wrong, now or before.
    std::vector<std::string> settle();

private:
    struct Pipe;
    struct End;
    struct Host;
    struct Message {
        std::uint64_t id = 0;
        std::optional<Uid> to;              ///< for that incarnation only
        std::optional<UniqueAddress> meant; ///< a tell that was accepted on a link to that one
    };

    Host& other(const Host& host);
    void at(Duration delay, std::function<void()> what);
    void wrong(std::string what) { wrong_.push_back(std::move(what)); }
    bool reaches(const Host& host);
    void boot(Host& host);
    void queue(Host& host, std::optional<Uid> to);
    void pump(Host& host);
    void serve(Host& host);
    void dial(Host& host);
    void connected(Host& host);
    void seen_alive(Host& host, const UniqueAddress& peer);
    void opened(Host& host, End& end);
    void ask_verdict(const std::shared_ptr<End>& end);
    void shaken(Host& host, const action::Shaken& shaken);
    void carry_out(Host& host, const DiallingActions& actions);
    void carry_out(const std::shared_ptr<End>& end, const LinkActions& actions);
    void post(const std::shared_ptr<End>& from, const Slice& frame);
    void take(const std::shared_ptr<End>& end, const Slice& frame);
    void stream_ends(const std::shared_ptr<End>& end, Errc why);
    void abort(const std::shared_ptr<End>& end);
    void delivered(Host& host, const Tell& tell);
    void tick();
    void check();

    Instant now_{1h};
    std::uint64_t events_ = 0;
    std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> queue_;
    std::array<std::unique_ptr<Host>, 2> hosts_;
    std::vector<std::shared_ptr<End>> ends_;
    std::vector<Message> messages_; ///< all that were ever accepted, by id
    bool partitioned_ = false;
    std::vector<std::string> wrong_;
};

} // namespace muster::transport::test
