// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/core/join_process.hpp>

#include <algorithm>
#include <muster/ensure.hpp>

namespace muster {

SeedChoice choose_seed_process(const Address& self, std::span<const Address> seeds) {
    if (seeds.empty()) return SeedChoice::Nothing;
    if (std::ranges::all_of(seeds, [&](const Address& a) { return a == self; })) return SeedChoice::JoinSelf;
    return seeds.front() == self ? SeedChoice::FirstSeed : SeedChoice::OtherSeed;
}

SeedProcess::SeedProcess(SeedChoice kind, Address self, std::span<const Address> seeds, Options options)
    : kind_(kind), self_(std::move(self)), options_(options) {
    MUSTER_ENSURE(kind == SeedChoice::FirstSeed || kind == SeedChoice::OtherSeed,
                  "only these two lists need a process");
    for (const Address& seed : seeds) {
        if (seed == self_) continue;
        if (std::ranges::none_of(remaining_, [&](const Seed& s) { return s.address == seed; }))
            remaining_.push_back({seed, {}, {}});
    }
}

SeedProcess::Step SeedProcess::start(Instant now) {
    deadline_ = now + options_.seed_node_timeout;
    return ask_all(now);
}

SeedProcess::Step SeedProcess::ask_all(Instant now) {
    next_ask_ = now + options_.retry_interval;
    ++attempts_;
    Step step;
    for (Seed& seed : remaining_) {
        seed.ask_again_at.reset();
        step.init_join_to.push_back(seed.address);
    }
    return step;
}

SeedProcess::Step SeedProcess::end_with(const Address& join) {
    ended_ = true;
    Step step;
    step.join = join;
    return step;
}

SeedProcess::Step SeedProcess::on_ack(const Address& from, Instant) {
    // An Ack of ourselves cannot be: answering takes a member, and we are none while this process runs.
    if (ended_ || from == self_) return {};
    return end_with(from);
}

SeedProcess::Step SeedProcess::drop(const Address& seed) {
    const auto gone = std::erase_if(remaining_, [&](const Seed& s) { return s.address == seed; });
    return gone != 0 && remaining_.empty() ? end_with(self_) : Step{};
}

void SeedProcess::ask_again(const Address& seed, Instant now) {
    if (!options_.ask_again_after) return;
    const auto found = std::ranges::find(remaining_, seed, &Seed::address);
    if (found != remaining_.end()) found->ask_again_at = now + *options_.ask_again_after;
}

SeedProcess::Step SeedProcess::on_nack(const Address& from, Instant now) {
    if (ended_) return {};
    if (kind_ == SeedChoice::FirstSeed) return drop(from);
    // It runs but is no member yet: at a first boot it will be in a moment.
    ask_again(from, now);
    return {};
}

SeedProcess::Step SeedProcess::on_refused(const Address& from, Instant now) {
    if (ended_) return {};
    if (kind_ == SeedChoice::OtherSeed) {
        ask_again(from, now);
        return {};
    }
    if (!options_.refusals_apart) return {};
    const auto seed = std::ranges::find(remaining_, from, &Seed::address);
    if (seed == remaining_.end()) return {};
    // One refusal may be a process that is just about to listen; two with a pause between them are nobody.
    if (!seed->refused_at) {
        seed->refused_at = now;
        seed->ask_again_at = now + *options_.refusals_apart;
        return {};
    }
    if (now - *seed->refused_at < *options_.refusals_apart) return {};
    return drop(from);
}

void SeedProcess::on_connected(const Address& from) {
    const auto seed = std::ranges::find(remaining_, from, &Seed::address);
    if (seed == remaining_.end()) return;
    seed->refused_at.reset();
    seed->ask_again_at.reset();
}

SeedProcess::Step SeedProcess::tick(Instant now) {
    if (ended_) return {};
    if (now >= deadline_) {
        if (kind_ == SeedChoice::FirstSeed) return end_with(self_);
        Step step = start(now);
        step.retried = true;
        return step;
    }
    if (kind_ == SeedChoice::FirstSeed && now >= next_ask_) {
        --attempts_; // the same attempt, repeated
        return ask_all(now);
    }
    Step step;
    for (Seed& seed : remaining_) {
        if (!seed.ask_again_at || now < *seed.ask_again_at) continue;
        seed.ask_again_at.reset();
        step.init_join_to.push_back(seed.address);
    }
    return step;
}

} // namespace muster
