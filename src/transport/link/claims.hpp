// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Who lives at an address: claims to it, and what an answer from there makes of them (protocol.md §16). No
/// sockets here.
#include "action.hpp"
#include <cstddef>
#include <cstdint>
#include <map>
#include <muster/address.hpp>
#include <muster/time.hpp>
#include <muster/wire/frame.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::transport {

/// The lane of a connection that only asks who answers: nothing is said on it but Hello, its reply and
/// Goodbye, and it replaces no connection of its peer. (A peer of before this takes it for a lane that is
/// closed at once.)
inline constexpr std::uint16_t question_lane = 0xffff;

/// Whether a Hello of `from` claims an address that is known to be another incarnation's.
inline bool is_claim(const UniqueAddress& from, const std::optional<UniqueAddress>& known) noexcept {
    return known && known->address() == from.address() && *known != from;
}

/// The outcome of a claim.
enum class Verdict : std::uint8_t {
    Owner,        ///< exactly this incarnation answered at the address
    AddressTaken, ///< another one did
    Unanswered,   ///< nobody did: that proves nothing for anybody
};

/// The answer of an address that was asked: who says that it lives there. A refused Hello is an answer as
/// well; a node that calls itself by another address (a port that was given to somebody else) is none.
std::optional<UniqueAddress> answer_of(const Address& asked, std::string_view cluster_name,
                                       const wire::HelloReply& reply);

/// What a claimant is told in Goodbye{overloaded}, which every peer understands as "not now"; the detail says
/// why.
std::string taken_detail(const UniqueAddress& claimant, const UniqueAddress& owner);
std::string unanswered_detail(const UniqueAddress& claimant);
/// A claim that does not stand: how it is counted and logged, and what the claimant is told.
struct Denial {
    Counted counted{};
    action::Log record;
    std::string detail;
};
Denial denial_of(const UniqueAddress& claimant, Verdict verdict, const std::optional<UniqueAddress>& owner);
/// Whether a Goodbye says that this node's address is another one's, or that it did not answer there.
bool is_about_address(const wire::Goodbye& goodbye) noexcept;

/// Claims that wait, and the questions that settle them: a fresh connection to the address, one at a time per
/// address, so many at once. A claim is settled by a question that began after it was made, since what lives
/// at an address may have changed meanwhile; except that an answer in its favour counts whenever it comes.
class Claims {
public:
    using Id = std::uint64_t;
    /// Questions under way.
    static constexpr std::size_t asked_max = 64;
    /// Claims that wait; of more the newest are Unanswered at once.
    static constexpr std::size_t waiting_max = 1024;
    /// A quarter of both is kept for the addresses of members and seeds, which are asked first as well:
    /// strangers who name many addresses that do not answer must not keep a restarted member waiting.
    static constexpr std::size_t strangers_asked_max = asked_max - asked_max / 4;
    static constexpr std::size_t strangers_waiting_max = waiting_max - waiting_max / 4;
    enum class Whose : std::uint8_t { Strangers, Members };
    /// Between a question that nobody's claim stood and the next to that address: a claimant that insists
    /// must not make this node hammer the owner. A restarted process, whose claim stands, never waits for it.
    static constexpr std::chrono::milliseconds pause{250};

    /// `whose`: whether a member or seed has the claimed address. Nothing when as many wait as may.
    std::optional<Id> add(const UniqueAddress& claimed, Whose whose);
    void withdraw(Id id) { waiting_.erase(id); }

    /// The next address to ask now, counted as asked from then on. Call until it says nothing.
    std::optional<Address> next_question(Instant now);
    /// When next_question() may say something by time alone.
    std::optional<Instant> next_time() const;

    struct Settled {
        Id id;
        UniqueAddress claimed;
        Verdict verdict;
    };
    /// The question to `address` is over. In the order of claiming.
    std::vector<Settled> answered(const Address& address, const std::optional<UniqueAddress>& answer,
                                  Instant now);

    std::size_t waiting() const noexcept { return waiting_.size(); }
    std::size_t asked() const noexcept { return asked_.size(); }

private:
    using Asked = std::map<Address, Whose>;
    struct Waiting {
        UniqueAddress claimed;
        Whose whose;
        bool asked_for = false; ///< the question under way began after it
    };
    const Waiting* next_to_ask(Whose whose) const;

    std::map<Id, Waiting> waiting_;
    Asked asked_;                       ///< under way
    std::map<Address, Instant> paused_; ///< until when
    Id next_ = 1;
};

} // namespace muster::transport
