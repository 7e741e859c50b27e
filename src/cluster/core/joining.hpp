// SPDX-License-Identifier: Apache-2.0
#pragma once
/// How this node gets into a cluster (protocol.md §5.1 to §5.5): seeds, the Join and its retries.
#include "core_state.hpp"
#include <cstdint>
#include <muster/cluster/core/join_process.hpp>
#include <muster/cluster/protocol/config_compat.hpp>
#include <muster/cluster/protocol/effects.hpp>
#include <optional>
#include <vector>

namespace muster {

/// The Join of this incarnation (§5.6).
Join own_join(const CoreState& core);

/// Where it answers bool, true means: this node founds the cluster now, by admitting its own_join().
class Joining {
public:
    /// `config` must live as long as this.
    Joining(CoreState& core, const ConfigCompat& config) noexcept : core_(core), config_(config) {}

    // --- commands
    bool join(const Address& to, const Now& now, Effects& out);
    bool join_seed_nodes(std::vector<Address> seeds, const Now& now, Effects& out);
    /// §1.7: until app_version() joins wait.
    void expect_app_version() noexcept { version_pending_ = true; }
    bool is_version_pending() const noexcept { return version_pending_; }
    bool app_version(AppVersion version, const Now& now, Effects& out);
    /// The fresh uid is installed: the self-join that waited for it happens now.
    bool on_new_incarnation(Effects& out);
    void stop() noexcept { process_.reset(); }

    // --- what comes
    bool tick(const Now& now, Effects& out);
    bool on_connect_refused(const Address& peer, const Now& now, Effects& out);
    void on_connected(const Address& peer);
    bool on_ack(const InitJoinAck& m, const Now& now, Effects& out);
    bool on_nack(const InitJoinNack& m, const Now& now, Effects& out);
    void on_deferred(const JoinDeferred& m, const Now& now, Effects& out);
    void on_refused(const JoinRefused& m, Effects& out);
    /// Whether this node asked for it: from whom the Join was sent to, with self in it.
    bool is_expected(const Welcome& m) const noexcept;
    /// The Welcome is taken: this node is in.
    void welcomed() noexcept;
    /// Invariants (ENSURE).
    void check() const;

private:
    bool self_join(Effects& out);
    bool start_seed_process(std::vector<Address> seeds, const Now& now, Effects& out);
    bool carry_out(const SeedProcess::Step& step, const Now& now, Effects& out);
    bool retry(const Now& now, Effects& out);
    void give_up(ShutdownReason reason, Effects& out);
    bool is_from_target(const UniqueAddress& from, const UniqueAddress& to) const noexcept;

    CoreState& core_;
    const ConfigCompat& config_;
    std::vector<Address> seeds_; ///< remembered for retries
    std::optional<SeedProcess> process_;
    std::optional<Instant> overall_deadline_; ///< shutdown-after-unsuccessful-join-seed-nodes
    Address target_;                          ///< TryingToJoin: whom we asked
    std::optional<Instant> retry_at_;         ///< TryingToJoin: when we ask again
    std::optional<Instant> ask_again_at_;     ///< TryingToJoin: deferred; when we send the same Join again
    bool has_sent_join_ = false; ///< this uid may be known somewhere: it must not found a cluster
    bool given_up_ = false;      ///< incompatible, refused or too late: coordinated shutdown runs
    bool version_pending_ = false;
    std::optional<Address> waiting_target_; ///< join() and join_seed_nodes() while version_pending_
    std::vector<Address> waiting_seeds_;
};

/// Settings that differ without refusing a join (§5.5).
void warn_of_settings(const std::vector<std::string>& keys, const Address& peer, Effects& out);

} // namespace muster
