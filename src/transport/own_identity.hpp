// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who this node is to its peers.
#include "link/handshake.hpp"
#include <mutex>
#include <string>
#include <utility>

namespace muster::transport {

/// Read by any thread, changed on the Runtime's only.
class OwnIdentity {
public:
    OwnIdentity(std::string cluster_name, UniqueAddress self)
        : cluster_name_(std::move(cluster_name)), self_(std::move(self)) {}

    /// Any thread.
    UniqueAddress self() const {
        const std::scoped_lock lock{mutex_};
        return self_;
    }
    /// Goes on under another uid.
    void renew(Uid uid) {
        UniqueAddress renewed{self_.address(), uid};
        const std::scoped_lock lock{mutex_};
        self_ = std::move(renewed);
    }
    // The Runtime's thread alone writes, so it reads without the lock.
    const Address& address() const noexcept { return self_.address(); }
    const wire::Offer& offer() const noexcept { return offer_; }
    void set_offer(const wire::Offer& offer) { offer_ = offer; }
    Identity get() const { return {cluster_name_, self_, offer_}; }

private:
    const std::string cluster_name_;
    wire::Offer offer_;
    mutable std::mutex mutex_;
    UniqueAddress self_;
};

} // namespace muster::transport
