// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Asks addresses who lives there, over connections of its own, and settles claims by the answers (claims.hpp
/// decides).
#include "link/claims.hpp"
#include <map>
#include <memory>
#include <muster/net/runtime.hpp>
#include <muster/net/task_group.hpp>
#include <muster/unique_function.hpp>
#include <optional>
#include <set>
#include <string>

namespace muster::transport {

class Hub;

/// One of a Hub, which its coroutines keep alive. Runtime's thread.
class ClaimCheck {
public:
    /// Resolving, connecting and shaking hands, together.
    static constexpr std::chrono::milliseconds question_timeout{2000};
    /// `owner`: who answered, if anybody did.
    using Done = UniqueFunction<void(Verdict verdict, const std::optional<UniqueAddress>& owner)>;

    explicit ClaimCheck(Hub& hub);

    /// Calls `done` once, unless the Hub ends before; at once (Unanswered) when too many claims wait.
    void settle(const UniqueAddress& claimed, Done done);
    /// Asks at `node`'s address who lives there: the reporter says Answered. Whoever connected as `node`
    /// without living there is told so.
    void prove(const UniqueAddress& node);
    /// Whether `peer`, which has connected, names an address that is another incarnation's as far as this
    /// node knows.
    bool is_claimed(const UniqueAddress& peer);
    /// Nothing is asked any more, and no answer awaited.
    void stop();
    net::Task<void> join();

private:
    void ask_next();
    net::Task<void> ask(std::shared_ptr<Hub> keep, Address address);
    net::Task<std::optional<UniqueAddress>> answer_from(Address address);
    net::Task<std::shared_ptr<net::Connection>> connect(Address address, Instant deadline);
    net::Task<std::optional<wire::HelloReply>> shake_hands(std::shared_ptr<net::Connection> connection,
                                                           Address address);
    void answered(const Address& address, const std::optional<UniqueAddress>& answer);

    Hub& hub_;
    Claims claims_;
    std::map<Claims::Id, Done> waiting_;
    std::set<UniqueAddress> proving_;
    net::TaskGroup questions_;
    net::TimerId timer_ = net::TimerId::None;
    bool stopped_ = false;
};

} // namespace muster::transport
