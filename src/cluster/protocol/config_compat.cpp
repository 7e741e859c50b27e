// SPDX-License-Identifier: Apache-2.0
#include <muster/cluster/protocol/config_compat.hpp>

#include <algorithm>
#include <set>

namespace muster {

Hash128 config_digest(std::string_view key, std::string_view value) {
    return Hasher("muster.config").add(key).add(value).finish();
}

ConfigCompat ConfigCompat::cluster(std::string provider, std::optional<std::string> strategy,
                                   std::optional<std::string> weights) {
    ConfigCompat compat;
    compat.require(std::string(config_key_downing_provider), KeyPresence::SenderHas);
    compat.require(std::string(config_key_sbr_strategy), KeyPresence::BothHave);
    compat.require(std::string(config_key_sbr_weights), KeyPresence::BothHave);
    compat.set(std::string(config_key_downing_provider), provider);
    if (strategy) compat.set(std::string(config_key_sbr_strategy), *strategy);
    if (weights) compat.set(std::string(config_key_sbr_weights), *weights);
    return compat;
}

void ConfigCompat::set(std::string key, std::string_view value) {
    const Hash128 digest = config_digest(key, value);
    own_.insert_or_assign(std::move(key), digest);
}

void ConfigCompat::require(std::string key, KeyPresence presence, KeyDifference difference) {
    required_.insert_or_assign(std::move(key), Rule{presence, difference});
}

void ConfigCompat::add(ConfigChecker checker) { checkers_.push_back(std::move(checker)); }

void ConfigCompat::add_sensitive(std::string prefix) {
    if (!prefix.empty()) sensitive_.push_back(std::move(prefix));
}

bool ConfigCompat::is_sensitive(std::string_view key) const noexcept {
    return std::ranges::any_of(sensitive_, [&](const std::string& p) { return key.starts_with(p); });
}

ConfigDigests ConfigCompat::required_digests() const {
    std::set<std::string, std::less<>> keys;
    for (const auto& [key, rule] : required_) keys.insert(key);
    for (const ConfigChecker& c : checkers_) keys.insert(c.required_keys.begin(), c.required_keys.end());
    ConfigDigests digests;
    for (const std::string& key : keys) {
        const auto own = own_.find(key);
        if (own != own_.end() && !is_sensitive(key)) digests.push_back({key, own->second});
    }
    return digests;
}

ConfigDigests ConfigCompat::own_digests_for(const ConfigDigests& theirs) const {
    ConfigDigests digests;
    for (const ConfigDigest& d : theirs) {
        const auto own = own_.find(d.key);
        if (own != own_.end() && !is_sensitive(d.key)) digests.push_back({d.key, own->second});
    }
    std::ranges::sort(digests, {}, &ConfigDigest::key);
    return digests;
}

ConfigCompat::Outcome ConfigCompat::check(const ConfigDigests& theirs) const {
    if (!has_checkers()) return {};
    std::set<std::string, std::less<>> conflicts;
    std::set<std::string, std::less<>> warnings;
    for (const ConfigDigest& d : theirs) {
        const auto rule = required_.find(d.key);
        if (rule == required_.end() || is_sensitive(d.key)) continue;
        const auto own = own_.find(d.key);
        const bool absent = own == own_.end();
        const bool differs = absent ? rule->second.presence == KeyPresence::SenderHas : own->second != d.hash;
        if (differs) (rule->second.difference == KeyDifference::Warn ? warnings : conflicts).insert(d.key);
    }
    for (const ConfigChecker& c : checkers_) {
        ConfigDigests sent;
        for (const ConfigDigest& d : theirs)
            if (std::ranges::find(c.required_keys, d.key) != c.required_keys.end() && !is_sensitive(d.key))
                sent.push_back(d);
        for (std::string& key : c.conflicts(sent, own_digests_for(sent))) conflicts.insert(std::move(key));
    }
    return {conflicts.empty() ? ConfigCheck::Compatible : ConfigCheck::Incompatible,
            {conflicts.begin(), conflicts.end()},
            {warnings.begin(), warnings.end()}};
}

} // namespace muster
