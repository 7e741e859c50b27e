// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How a node finds a cluster through its seeds (protocol.md §5.2, §5.3): a value that is told answers and
/// the time.
#include <cstdint>
#include <muster/address.hpp>
#include <muster/time.hpp>
#include <optional>
#include <span>
#include <vector>

namespace muster {

/// What a seed list asks for.
enum class SeedChoice : std::uint8_t {
    Nothing,   ///< empty list: a manual join or an external bootstrap must come
    JoinSelf,  ///< only self is listed
    FirstSeed, ///< self is first of several: may found the cluster
    OtherSeed, ///< may never found a cluster: what prevents two clusters at first boot
};
/// Entries are compared by Address; duplicates count once.
SeedChoice choose_seed_process(const Address& self, std::span<const Address> seeds);

/// The first-seed or other-seed process. Every call answers with what to do now. Deterministic; one thread.
class SeedProcess {
public:
    struct Options {
        Duration seed_node_timeout = std::chrono::seconds{5};
        Duration retry_interval = std::chrono::seconds{1}; ///< first seed: between two InitJoins
        /// A refused connection counts as a Nack when it was refused again at least this much later; nullopt:
        /// never.
        std::optional<Duration> refusals_apart = std::chrono::milliseconds{100};
        /// Other seed: a seed that answered Nack, or where nobody listens yet, is asked again after this;
        /// nullopt: only with the next attempt, after seed_node_timeout.
        std::optional<Duration> ask_again_after = std::chrono::milliseconds{250};
    };
    struct Step {
        std::vector<Address> init_join_to; ///< send InitJoin to these, in list order
        std::optional<Address> join; ///< join this node (self: found the cluster); the process has ended
        bool retried = false;        ///< other seed: the timeout passed without an Ack, worth a warning
    };

    /// `kind` must be FirstSeed or OtherSeed (ENSURE). Nothing happens before start().
    SeedProcess(SeedChoice kind, Address self, std::span<const Address> seeds, Options options);

    Step start(Instant now);
    /// The first Ack wins, whoever sends it (a seed may be listed by another of its names); later ones are
    /// ignored.
    Step on_ack(const Address& from, Instant now);
    Step on_nack(const Address& from, Instant now);
    /// All resolved addresses of this seed refused the connection.
    Step on_refused(const Address& from, Instant now);
    /// Somebody answers at this address after all: earlier refusals are void.
    void on_connected(const Address& from);
    /// Any time; deadlines are exact to the interval of the calls.
    Step tick(Instant now);

    SeedChoice kind() const noexcept { return kind_; }
    bool has_ended() const noexcept { return ended_; }
    /// How often the other-seed process has asked all seeds, or 1.
    unsigned attempts() const noexcept { return attempts_; }

private:
    struct Seed {
        Address address;
        std::optional<Instant> refused_at; ///< the first refusal of a pair
        std::optional<Instant> ask_again_at;
    };
    Step ask_all(Instant now);
    Step end_with(const Address& join);
    Step drop(const Address& seed);
    void ask_again(const Address& seed, Instant now);

    SeedChoice kind_;
    Address self_;
    std::vector<Seed> remaining_; ///< first seed: without those that answered Nack
    Options options_;
    Instant deadline_{};
    Instant next_ask_{};
    unsigned attempts_ = 0;
    bool ended_ = false;
};

} // namespace muster
