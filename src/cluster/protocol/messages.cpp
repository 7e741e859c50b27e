// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/protocol/messages.hpp>

#include <array>

namespace muster {
namespace {

/// The compiler's own name of the type, so that a new message needs no entry here.
template <class Message>
consteval std::string_view type_name() {
    std::string_view name =
        __PRETTY_FUNCTION__; // "... [Message = muster::Join]", of g++ "... [with Message = muster::Join; ..."
    name.remove_prefix(name.rfind("Message = muster::") + std::string_view{"Message = muster::"}.size());
    return name.substr(0, name.find_first_of(";]"));
}

template <class>
inline constexpr int names_of = 0;
template <class... Messages>
inline constexpr std::array names_of<std::variant<Messages...>>{type_name<Messages>()...};

} // namespace

std::string_view name_of(const ClusterMessage& message) noexcept {
    return message.valueless_by_exception() ? std::string_view{"?"}
                                            : names_of<ClusterMessage>[message.index()];
}

} // namespace muster
