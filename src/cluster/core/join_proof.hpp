// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Joins that wait for a proof (protocol.md §5.6): a Join claims an address, and only who answers there has
/// it.
#include <cstddef>
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <muster/time.hpp>
#include <optional>
#include <utility>
#include <vector>

namespace muster {

/// What waits, and what an answer means for it. A value; deterministic.
class UnprovenJoins {
public:
    /// Addresses whose Join waits; of more the newest are refused. A Join that is proven when it arrives does
    /// not wait, so a storm of any size passes: a joiner that asked a seed first has been connected to by the
    /// answer.
    static constexpr std::size_t waiting_max = 1024;
    /// How long a Join waits: longer than a question to its address takes. The joiner asks again.
    static constexpr Duration patience = std::chrono::seconds{5};

    /// One per address: a later one replaces the earlier. False at waiting_max.
    bool hold(const Join& join, Instant now);

    struct Answer {
        std::optional<Join> proven;           ///< of exactly who answered
        std::optional<UniqueAddress> refuted; ///< another one claimed the address
    };
    /// `node` answers at its address.
    Answer answered(const UniqueAddress& node);

    /// Those that waited too long, in the order of addresses; they wait no more.
    std::vector<UniqueAddress> expire(Instant now);
    void clear() noexcept { waiting_.clear(); }
    std::size_t size() const noexcept { return waiting_.size(); }

private:
    struct Waiting {
        Join join;
        Instant until;
    };
    std::map<Address, Waiting> waiting_;
};

} // namespace muster
