// SPDX-License-Identifier: Apache-2.0
#include <muster/wire/handshake.hpp>

#include <fmt/format.h>

namespace muster::wire {
namespace {

/// A row's number is its place, and every substitute is older than what it stands for.
template <class Rows>
consteval bool in_order(const Rows& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (static_cast<std::size_t>(rows[i].reason) != i) return false;
        const bool of_all = agreed_by_all.meets(rows[i].needs);
        if (of_all != (rows[i].instead == rows[i].reason) || rows[i].instead > rows[i].reason) return false;
    }
    return true;
}
static_assert(in_order(refusal_reasons) && in_order(goodbye_reasons));

template <class Reason>
std::string text_of(std::span<const ReasonRow<Reason>> rows, Reason reason) {
    if (const auto* row = row_of(rows, reason)) return std::string{row->name};
    return fmt::format("unknown-{}", static_cast<std::uint32_t>(reason));
}

constexpr std::span<const ReasonRow<RefusalReason>> refusals{refusal_reasons};
constexpr std::span<const ReasonRow<GoodbyeReason>> goodbyes{goodbye_reasons};

} // namespace

RefusalReason said_to_peer(RefusalReason reason, const Agreement& agreement) noexcept {
    return said_to_peer(refusals, reason, agreement);
}
GoodbyeReason said_to_peer(GoodbyeReason reason, const Agreement& agreement) noexcept {
    return said_to_peer(goodbyes, reason, agreement);
}

RefusalReason meaning_of(RefusalReason reason) noexcept {
    return row_of(refusals, reason) ? reason : RefusalReason::Overloaded;
}
GoodbyeReason meaning_of(GoodbyeReason reason) noexcept {
    return row_of(goodbyes, reason) ? reason : GoodbyeReason::Link;
}

std::string to_string(RefusalReason reason) { return text_of(refusals, reason); }
std::string to_string(GoodbyeReason reason) { return text_of(goodbyes, reason); }

} // namespace muster::wire
