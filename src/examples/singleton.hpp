// SPDX-License-Identifier: Apache-2.0
#pragma once
/// An application on muster: work that one node of the cluster must do, and never two at a time. The oldest
/// member does it.
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
    void decide() {
        const muster::DaemonSnapshot cluster = node_.snapshot();
        // A member that cannot be reached may still be at work, so it keeps its turn until it has been
        // removed: by then the split-brain resolver has stopped it wherever it is.
        const muster::Member* oldest = muster::oldest(cluster.members());
        works_ = oldest != nullptr && oldest->unique_address() == cluster.self() &&
                 oldest->status() == muster::MemberStatus::Up;
    }

    muster::ClusterRemoteAdapter& node_;
    bool works_ = false;
    muster::SubscriptionHandle subscription_;
};

} // namespace example
