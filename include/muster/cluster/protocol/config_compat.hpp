// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The check that two nodes agree on the settings that must be equal (protocol.md §5.5). Only digests of
/// values travel, never values.
#include <cstdint>
#include <functional>
#include <map>
#include <muster/cluster/protocol/messages.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// Keys the built-in checker compares.
inline constexpr std::string_view config_key_downing_provider = "cluster.downing-provider";
inline constexpr std::string_view config_key_sbr_strategy = "cluster.split-brain-resolver.active-strategy";
inline constexpr std::string_view config_key_sbr_weights = "cluster.split-brain-resolver.weights";

/// The digest of one setting: of key and canonical value together, so that equal values of two keys differ.
Hash128 config_digest(std::string_view key, std::string_view value);

/// When a key that only one side has is a conflict.
enum class KeyPresence : std::uint8_t {
    SenderHas, ///< compared when the sender has it; then absent here is a conflict
    BothHave,  ///< compared only when both have it
};

/// What a difference means.
enum class KeyDifference : std::uint8_t {
    Refuse, ///< the join: the setting decides who stays
    Warn,   ///< on both sides: the setting decides when, or for how long
};

/// An application's own check: takes the digests that the peer sent and this node's digests of the same keys
/// (an absent key is absent there); returns the keys in conflict.
struct ConfigChecker {
    std::vector<std::string> required_keys;
    std::function<std::vector<std::string>(const ConfigDigests& theirs, const ConfigDigests& own)> conflicts;
};

/// The own settings that take part in the join check, and the checkers over them. A value; not thread-safe.
class ConfigCompat {
public:
    /// Without settings and checker: every check is Unchecked.
    ConfigCompat() = default;
    /// The built-in checker: equal downing provider; equal active strategy and weights where both sides have
    /// them.
    static ConfigCompat cluster(std::string provider, std::optional<std::string> strategy = {},
                                std::optional<std::string> weights = {});

    /// Sets this node's value of a key in its canonical text form; replaces an earlier one.
    void set(std::string key, std::string_view value);
    /// Compares `key` in every join.
    void require(std::string key, KeyPresence presence, KeyDifference difference = KeyDifference::Refuse);
    void add(ConfigChecker checker);
    /// Keys that start with `prefix` are neither sent nor compared.
    void add_sensitive(std::string prefix);

    bool has_checkers() const noexcept { return !required_.empty() || !checkers_.empty(); }
    /// The digests that a joiner sends: of all required keys, without sensitive ones. Sorted by key.
    ConfigDigests required_digests() const;
    /// The digests that a member answers with: its own for the keys of `theirs`, without sensitive ones.
    /// Sorted by key.
    ConfigDigests own_digests_for(const ConfigDigests& theirs) const;

    struct Outcome {
        ConfigCheck check = ConfigCheck::Unchecked;
        std::vector<std::string> conflicts; ///< keys, sorted, unique
        std::vector<std::string> warnings;  ///< keys that differ without refusing the join, likewise
    };
    /// Compares a peer's digests with the own settings, by all checkers.
    Outcome check(const ConfigDigests& theirs) const;

private:
    bool is_sensitive(std::string_view key) const noexcept;

    std::map<std::string, Hash128, std::less<>> own_;
    struct Rule {
        KeyPresence presence{};
        KeyDifference difference{};
    };
    std::map<std::string, Rule, std::less<>> required_;
    std::vector<ConfigChecker> checkers_;
    std::vector<std::string> sensitive_;
};

} // namespace muster
