// SPDX-License-Identifier: Apache-2.0
#include "speaker.hpp"

#include <concepts>
#include <variant>

namespace muster::transport {
namespace {

struct IsMadeBy {
    const UniqueAddress& peer;

    bool operator()(const Join& m) const { return m.node == peer; }
    template <class Message>
        requires requires(const Message& m) {
            { m.from } -> std::convertible_to<const UniqueAddress&>;
        }
    bool operator()(const Message& m) const {
        return m.from == peer;
    }
    template <class Message>
        requires requires(const Message& m) {
            { m.from } -> std::convertible_to<const Address&>;
        }
    bool operator()(const Message& m) const {
        return m.from == peer.address();
    }
};

} // namespace

bool is_made_by(const UniqueAddress& peer, const ClusterMessage& message) {
    return std::visit(IsMadeBy{peer}, message);
}

bool SenderPaths::allow_other_spelling(std::string_view path) const {
    const auto scheme_end = path.find("://");
    if (scheme_end == std::string_view::npos) return true;
    const auto address = Address::parse(path.substr(0, path.find('/', scheme_end + 3)));
    // An address that nobody can have is no way to name nobody.
    return address && (address->is_local() || *address == peer_);
}

} // namespace muster::transport
