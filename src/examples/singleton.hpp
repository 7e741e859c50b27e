// SPDX-License-Identifier: Apache-2.0
#pragma once
/// An application on muster: work that one node of the cluster must do, and never two at a time. The oldest
/// member does it.
#include <memory>
#include <muster/muster.hpp>
#include <utility>

namespace example {

/// One of these runs on each node. It belongs to the Runtime's thread, as the node does, and is destroyed
/// before it.
class Singleton {
public:
    explicit Singleton(muster::ClusterRemoteAdapter& node)
        : node_(node),
          subscription_(node.daemon().events().subscribe(muster::EventCategory::Member,
                                                         [this](const muster::ClusterEvent&) { decide(); })) {
    }

    /// Whether the work is this node's at present.
    bool works() const noexcept { return works_; }

private:
    bool is_our_turn() const {
        const muster::DaemonSnapshot cluster = node_.snapshot();
        // An unreachable member may still be at work, so it keeps its turn until it is removed.
        const muster::Member* oldest = muster::oldest(cluster.members());
        return oldest != nullptr && oldest->unique_address() == cluster.self() &&
               oldest->status() == muster::MemberStatus::Up;
    }

    void decide() {
        if (!is_our_turn()) {
            works_ = false;
            return;
        }
        if (works_ || waits_) return;
        // A removed worker may not have stopped yet: when it is cut off, its own resolver has to notice
        // first. down-removal-margin is the time for that.
        waits_ = true;
        node_.daemon().on_removals_settled([this, alive = std::weak_ptr<void>(alive_)] {
            if (alive.expired()) return;
            waits_ = false;
            works_ = is_our_turn();
        });
    }

    muster::ClusterRemoteAdapter& node_;
    bool works_ = false;
    bool waits_ = false;
    std::shared_ptr<void> alive_ = std::make_shared<int>(); ///< a callback may come after this object
    muster::SubscriptionHandle subscription_;
};

} // namespace example
