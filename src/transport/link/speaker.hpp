// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Whether what a link brings was said by the node whose handshake opened it (protocol.md §16).
#include <muster/address.hpp>
#include <muster/cluster/protocol/messages.hpp>
#include <string>
#include <string_view>

namespace muster::transport {

/// Every membership message is made by the node that sends it; none is relayed. Where it names an incarnation
/// that has to be `peer` exactly; InitJoin, its answers and Heartbeat know their sender's address only.
bool is_made_by(const UniqueAddress& peer, const ClusterMessage& message);

/// The sender paths that tells of one peer may carry: they name its node or nobody.
class SenderPaths {
public:
    SenderPaths() = default;
    explicit SenderPaths(const Address& peer) : peer_(peer), prefix_(peer.to_string()) {}

    /// Paths without an address ("/user/a") and with one without host name nobody. The common spelling is a
    /// comparison of bytes.
    bool allow(std::string_view path) const {
        if (path.starts_with(prefix_) && (path.size() == prefix_.size() || path[prefix_.size()] == '/'))
            [[likely]]
            return true;
        return allow_other_spelling(path);
    }

private:
    bool allow_other_spelling(std::string_view path) const;

    Address peer_;
    std::string prefix_;
};

} // namespace muster::transport
