// SPDX-License-Identifier: Apache-2.0
#include "peer_books.hpp"

#include "base/mutants.hpp"
#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {

bool PeerBooks::was_sent(const UniqueAddress& to, const Hash128& version) const noexcept {
    const auto book = books_.find(to);
    return book != books_.end() && book->second.sent == version;
}

// --- acks that came

void PeerBooks::note_ack(const UniqueAddress& from, const Hash128& version) {
    PeerBook& book = books_[from];
    if (!book.acked) ++acks_;
    book.acked = version;
}

bool PeerBooks::has_acked(const UniqueAddress& from) const noexcept {
    const auto book = books_.find(from);
    return book != books_.end() && book->second.acked.has_value();
}

std::optional<SeenSet> PeerBooks::acked_in(const Gossip& gossip) const {
    if (acks_ == 0) return std::nullopt;
    const Hash128 id = gossip.version_id();
    SeenSet acked(gossip.members().size());
    for (const auto& [node, book] : books_) {
        if (!book.acked || (*book.acked != id && !MUSTER_MUTANT(ack_of_any_version))) continue;
        if (const auto i = gossip.index_of(node)) acked.set(*i);
    }
    if (acked.count() == 0) return std::nullopt;
    return acked;
}

void PeerBooks::note_unknown_ack(const UniqueAddress& from, const Hash128& version) {
    PeerBook& book = books_[from];
    if (!book.unknown_ack) ++unknown_acks_;
    book.unknown_ack = version;
}

std::vector<std::pair<UniqueAddress, Hash128>> PeerBooks::take_unknown_acks() {
    std::vector<std::pair<UniqueAddress, Hash128>> taken;
    if (unknown_acks_ == 0) return taken;
    taken.reserve(unknown_acks_);
    for (auto& [node, book] : books_) {
        if (!book.unknown_ack) continue;
        taken.emplace_back(node, *book.unknown_ack);
        book.unknown_ack.reset();
    }
    unknown_acks_ = 0;
    return taken;
}

// --- acks that are awaited

void PeerBooks::await(std::span<const UniqueAddress> nodes) {
    if (awaited_ != 0)
        for (auto& [node, book] : books_) book.is_awaited = false;
    auto hint = books_.begin();
    for (const UniqueAddress& node : nodes) {
        hint = books_.try_emplace(hint, node);
        hint->second.is_awaited = true;
        ++hint;
    }
    awaited_ = nodes.size();
}

void PeerBooks::await_no_more(const UniqueAddress& node) {
    const auto book = books_.find(node);
    if (book != books_.end() && std::exchange(book->second.is_awaited, false)) --awaited_;
}

// --- acks that went

bool PeerBooks::note_acked_to(const UniqueAddress& to, const Hash128& version) {
    PeerBook& book = books_[to];
    const bool is_news = book.acked_to_pass + 1 != pass_ || book.acked_to != version;
    book.acked_to = version;
    book.acked_to_pass = pass_;
    return is_news;
}

bool PeerBooks::may_ack_again(const UniqueAddress& to, const Hash128& version, unsigned max) {
    PeerBook& book = books_[to];
    if (book.acked_again != version || book.acked_again_term != term_) {
        book.acked_again = version;
        book.acked_again_term = term_;
        book.acked_again_times = 0;
    }
    if (book.acked_again_times >= max) return false;
    ++book.acked_again_times;
    return true;
}

// --- what is owed

void PeerBooks::owe(const UniqueAddress& to) {
    const auto book = books_.try_emplace(to).first;
    if (!std::exchange(book->second.is_owed, true)) owed_.push_back(&*book);
}

std::vector<UniqueAddress> PeerBooks::take_owed() {
    std::vector<UniqueAddress> nodes;
    nodes.reserve(owed_.size());
    for (Books::value_type* book : owed_) {
        book->second.is_owed = false;
        nodes.push_back(book->first);
    }
    owed_.clear();
    return nodes;
}

void PeerBooks::forget(const UniqueAddress& node) {
    const auto book = books_.find(node);
    if (book == books_.end()) return;
    if (book->second.acked) --acks_;
    if (book->second.unknown_ack) --unknown_acks_;
    if (book->second.is_awaited) --awaited_;
    if (book->second.is_owed) std::erase(owed_, &*book);
    books_.erase(book);
}

void PeerBooks::check(const Gossip& gossip) const {
    std::size_t acks = 0;
    std::size_t unknown = 0;
    std::size_t awaited = 0;
    std::size_t owed = 0;
    for (const auto& [node, book] : books_) {
        acks += book.acked ? 1 : 0;
        unknown += book.unknown_ack ? 1 : 0;
        awaited += book.is_awaited ? 1 : 0;
        owed += book.is_owed ? 1 : 0;
        MUSTER_ENSURE(gossip.has_member(node) || book.unknown_ack || book.is_owed,
                      "only members have books, and strangers whose membership may be on its way");
        MUSTER_ENSURE(book.acked_to_pass <= pass_ && book.acked_again_term <= term_, "books are of the past");
    }
    MUSTER_ENSURE(acks == acks_ && unknown == unknown_acks_ && awaited == awaited_ && owed == owed_.size(),
                  "the sums are those of the books");
}

} // namespace muster
