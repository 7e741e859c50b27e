// SPDX-License-Identifier: Apache-2.0
#include "claims.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace muster::transport {
namespace {

constexpr std::string_view taken_prefix = "address-taken: ";
constexpr std::string_view unanswered_prefix = "address-unanswered: ";

} // namespace

std::optional<UniqueAddress> answer_of(const Address& asked, std::string_view cluster_name,
                                       const wire::HelloReply& reply) {
    if (reply.cluster_name != cluster_name || reply.from.address() != asked) return std::nullopt;
    return reply.from;
}

std::string taken_detail(const UniqueAddress& claimant, const UniqueAddress& owner) {
    return fmt::format("{}{} answers there, not {}: advertise another address", taken_prefix,
                       owner.to_string(), claimant.to_string());
}

std::string unanswered_detail(const UniqueAddress& claimant) {
    return fmt::format("{}nobody answered as {}: peers must be able to dial the advertised address",
                       unanswered_prefix, claimant.to_string());
}

Denial denial_of(const UniqueAddress& claimant, Verdict verdict, const std::optional<UniqueAddress>& owner) {
    const bool taken = verdict == Verdict::AddressTaken;
    return {taken ? Counted::claims_taken : Counted::claims_unanswered,
            {LogLevel::Warning,
             taken ? "transport.claim.taken" : "transport.claim.unanswered",
             {{"claimant", claimant.to_string()}, {"owner", owner ? owner->to_string() : std::string{}}}},
            taken && owner ? taken_detail(claimant, *owner) : unanswered_detail(claimant)};
}

bool is_about_address(const wire::Goodbye& goodbye) noexcept {
    return goodbye.reason == wire::GoodbyeReason::Overloaded &&
           (goodbye.detail.starts_with(taken_prefix) || goodbye.detail.starts_with(unanswered_prefix));
}

std::optional<Claims::Id> Claims::add(const UniqueAddress& claimed, Whose whose) {
    if (waiting_.size() >= waiting_max) return std::nullopt;
    if (whose == Whose::Strangers) {
        const auto is_strangers = [](const auto& entry) { return entry.second.whose == Whose::Strangers; };
        const auto strangers =
            static_cast<std::size_t>(std::count_if(waiting_.begin(), waiting_.end(), is_strangers));
        if (strangers >= strangers_waiting_max) return std::nullopt;
    }
    waiting_.emplace(next_, Waiting{claimed, whose});
    return next_++;
}

/// The claim that has waited longest of those whose address is not being asked.
const Claims::Waiting* Claims::next_to_ask(Whose whose) const {
    const auto first = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& entry) {
        const Address& address = entry.second.claimed.address();
        return entry.second.whose == whose && !asked_.contains(address) && !paused_.contains(address);
    });
    return first == waiting_.end() ? nullptr : &first->second;
}

std::optional<Address> Claims::next_question(Instant now) {
    std::erase_if(paused_, [now](const auto& entry) { return entry.second <= now; });
    if (asked_.size() >= asked_max) return std::nullopt;
    const Waiting* first = next_to_ask(Whose::Members);
    if (!first) {
        const auto is_strangers = [](const auto& entry) { return entry.second == Whose::Strangers; };
        const auto strangers =
            static_cast<std::size_t>(std::count_if(asked_.begin(), asked_.end(), is_strangers));
        if (strangers < strangers_asked_max) first = next_to_ask(Whose::Strangers);
    }
    if (!first) return std::nullopt;
    Address address = first->claimed.address();
    asked_.emplace(address, first->whose);
    for (auto& [id, claim] : waiting_)
        if (claim.claimed.address() == address) claim.asked_for = true;
    return address;
}

std::optional<Instant> Claims::next_time() const {
    std::optional<Instant> earliest;
    for (const auto& [id, claim] : waiting_) {
        const auto paused = paused_.find(claim.claimed.address());
        if (paused != paused_.end() && (!earliest || paused->second < *earliest)) earliest = paused->second;
    }
    return earliest;
}

std::vector<Claims::Settled> Claims::answered(const Address& address,
                                              const std::optional<UniqueAddress>& answer, Instant now) {
    asked_.erase(address);
    std::vector<Settled> settled;
    bool stood = false;
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        const auto& [id, claim] = *at;
        const bool is_owner = answer == claim.claimed;
        if (claim.claimed.address() != address || !(is_owner || claim.asked_for)) {
            ++at;
            continue;
        }
        stood = stood || is_owner;
        settled.push_back({id, claim.claimed,
                           is_owner ? Verdict::Owner
                           : answer ? Verdict::AddressTaken
                                    : Verdict::Unanswered});
        at = waiting_.erase(at);
    }
    // Bounded by the questions that can be over within a pause.
    if (!stood) paused_.insert_or_assign(address, now + pause);
    return settled;
}

} // namespace muster::transport
