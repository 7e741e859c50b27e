// SPDX-License-Identifier: Apache-2.0
#pragma once
/// When the connections of a removed incarnation are closed for good (protocol.md §16).
#include <cstdint>
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <muster/cluster/state/member.hpp>
#include <muster/time.hpp>

namespace muster {

/// A downed incarnation is quarantined at once, one that left in peace after a while or when its address
/// joins again. Each is quarantined once.
class Quarantine {
public:
    /// `after`: quarantine-removed-node-after.
    explicit Quarantine(Duration after) noexcept : after_(after) {}

    /// `node` was removed; `previous` is the status it had.
    void on_removed(const UniqueAddress& node, MemberStatus previous, Effects& out);
    void on_timer(std::uint64_t number, Effects& out);
    /// Another incarnation joins from this address.
    void on_joining(const Address& address, Effects& out);
    std::size_t size() const noexcept { return numbers_.size(); }
    /// Invariants (ENSURE).
    void check() const;

private:
    Duration after_;
    std::map<UniqueAddress, std::uint64_t> numbers_; ///< whose timer runs, and which
    std::map<std::uint64_t, UniqueAddress> nodes_;   ///< the same, by timer
    std::uint64_t next_ = 1;
};

} // namespace muster
