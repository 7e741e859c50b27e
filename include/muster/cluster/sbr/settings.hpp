// SPDX-License-Identifier: Apache-2.0
#pragma once
/// Settings of the resolver (protocol.md §18).
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <muster/cluster/sbr/strategy.hpp>
#include <muster/error.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace muster {

/// Names as in split-brain-resolver.active-strategy.
std::span<const std::string_view> sbr_strategy_names() noexcept;

/// Settings of the resolver (protocol.md §18, split-brain-resolver.*).
struct SbrSettings {
    /// split-brain-resolver.down-all-when-unstable.
    class Unstable {
    public:
        /// After max(4 s, 3/4 of stable-after) beyond stable-after.
        static Unstable on() noexcept { return Unstable(Mode::Derived, {}); }
        static Unstable off() noexcept { return Unstable(Mode::Off, {}); }
        /// A time beyond stable-after; > 0, and at most stable-after recommended.
        static Unstable after(std::chrono::milliseconds limit) noexcept {
            return Unstable(Mode::After, limit);
        }
        /// With this stable-after; nullopt: off.
        std::optional<std::chrono::milliseconds> limit(std::chrono::milliseconds stable) const noexcept;

    private:
        enum class Mode : std::uint8_t { Derived, Off, After };
        Unstable(Mode mode, std::chrono::milliseconds limit) noexcept : mode_(mode), limit_(limit) {}
        Mode mode_;
        std::chrono::milliseconds limit_;
    };

    /// Which members are downed when nodes call each other unreachable while information still flows
    /// (protocol.md §15.4), or when reachability keeps changing (§15.5).
    enum class Indirect : std::uint8_t {
        /// As in Pekko and in the classic preset: everybody at either end of such a row; on instability,
        /// everybody.
        All,
        /// The few members that explain all of it (sbr/blame.hpp), if there are such and the others are
        /// certainly a majority; otherwise as All.
        Blamed,
    };

    std::string strategy = "keep-majority";         ///< one of sbr_strategy_names()
    std::chrono::milliseconds stable_after{20'000}; ///< >= 0; see recommended_stable_after
    Unstable down_all_when_unstable = Unstable::on();
    /// split-brain-resolver.indirectly-connected: "all" or "blamed". Must be equal on all nodes.
    Indirect indirect = Indirect::Blamed;
    /// Only members with this role count (keep-majority, static-quorum, keep-oldest, lease-majority); "":
    /// all.
    std::string role;
    /// Weights by role (keep-majority, static-quorum, role-weighted-quorum).
    std::map<std::string, std::uint32_t> weights;
    std::uint32_t weight_of_others = 1; ///< of members none of whose roles has a weight
    /// static-quorum: >= 1, required. role-weighted-quorum: 0 means keep the majority by weight.
    std::uint64_t quorum_size = 0;
    bool down_if_alone = true;                   ///< keep-oldest
    std::optional<Address> referee;              ///< keep-referee: required
    std::size_t down_all_if_less_than_nodes = 1; ///< keep-referee
    /// lease-majority: which backend, e.g. "file" or "memory" or an application's own name; required. Of a
    /// strategy of the application's own: required if it asks a lease.
    std::string lease_implementation;
    std::string lease_name;                                           ///< "": default_lease_name(cluster)
    std::chrono::milliseconds acquire_lease_delay_for_minority{2000}; ///< >= 0
    std::chrono::milliseconds release_after{40'000};                  ///< >= 0
    /// A lease operation that is not answered within this time has failed; > 0.
    std::chrono::milliseconds lease_operation_timeout{5000};
    /// Decide and record, but down nobody and ask for no lease.
    bool dry_run = false;

    /// The first setting that cannot work: Errc::invalid_argument, with "setting split-brain-resolver.<name>"
    /// (or the strategy's own sub-setting) as subject and a right value as advice.
    result<void> validate() const;
    /// The strategy these settings name; the error of validate() otherwise.
    result<std::shared_ptr<const DowningStrategy>> make_strategy() const;
    /// validate() for a strategy of the application's own (DaemonConfig::downing_strategy), which these
    /// settings give times, lease and dry-run. Its name must not be one of sbr_strategy_names(). `strategy`
    /// and the settings that only built-in strategies read must keep their defaults: nothing would read them.
    result<void> validate_with(const DowningStrategy& own) const;
    RoleWeights role_weights() const;
    /// Canonical values for the join check (protocol.md §5.5): strategy, and weights.
    std::string config_strategy() const { return strategy; }
    std::string config_weights() const { return role_weights().canonical(); }
    /// Every other setting that decides who stays, by full key, in canonical text: two nodes that differ in
    /// one may both stay, or both go. `cluster_name` makes the default lease's name.
    std::map<std::string, std::string> config_deciding(std::string_view cluster_name) const;
    /// The same with a strategy of the application's own: its describe() stands for its settings, under
    /// split-brain-resolver.own-strategy.
    std::map<std::string, std::string> config_deciding_with(const DowningStrategy& own,
                                                            std::string_view cluster_name) const;
    /// The settings that decide when to act, and dry-run: a difference is worth a warning.
    std::map<std::string, std::string> config_timing() const;

    static constexpr std::chrono::milliseconds tick_interval{1000};
    /// By cluster size: 5: 7 s, 10: 10 s, 20: 13 s, 50: 17 s, 100: 20 s, more: 30 s (protocol.md §15.7).
    static std::chrono::milliseconds recommended_stable_after(std::size_t members) noexcept;
    static std::string default_lease_name(std::string_view cluster_name);
};

} // namespace muster
