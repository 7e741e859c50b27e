// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The associations of one transport, by address.
#include <cstddef>
#include <memory>
#include <muster/address.hpp>
#include <muster/time.hpp>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace muster::transport {

class Association;
class Hub;

/// At most associations_max. The Runtime's thread unless marked "any thread".
class AssociationTable {
public:
    explicit AssociationTable(Hub& hub) noexcept : hub_(hub) {}
    ~AssociationTable();
    AssociationTable(const AssociationTable&) = delete;
    AssociationTable& operator=(const AssociationTable&) = delete;

    /// Any thread. Made when there is none. Null when `to` cannot be a peer, at the limit, and once closed.
    std::shared_ptr<Association> get(const Address& to);
    /// Null when there is none.
    std::shared_ptr<Association> find(const Address& to);
    /// In the order of addresses: what happens to all of them happens in the same order in every run.
    std::vector<std::shared_ptr<Association>> all();
    /// Nothing is made any more.
    void close();

    // --- those with a coroutine, which keeps them alive
    void runs(Association& association) { running_.push_back(&association); }
    void rests(Association& association) { std::erase(running_, &association); }
    const std::vector<Association*>& running() const noexcept { return running_; }

private:
    void forget_dormant();

    Hub& hub_;
    std::mutex mutex_;
    std::unordered_map<Address, std::shared_ptr<Association>> table_;
    bool closed_ = false;
    bool forgetting_ = false;
    std::optional<Instant> searched_;
    std::vector<Association*> running_;
};

} // namespace muster::transport
