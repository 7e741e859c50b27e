// SPDX-License-Identifier: Apache-2.0
#include "downing.hpp"

#include "base/setting_limits.hpp"
#include "base/utf8.hpp"
#include <algorithm>
#include <map>
#include <string>

namespace muster {

using std::chrono::milliseconds;

namespace {

Error bad_setting(std::string name, std::string advice) {
    return Error{Errc::invalid_argument, "setting " + std::move(name), std::move(advice), {}};
}

bool is_settable(milliseconds duration) noexcept {
    return duration >= milliseconds{0} && duration <= setting_duration_max;
}

result<void> validate_provider(const DaemonConfig& config) {
    const DowningProvider& provider = *config.downing_provider;
    const std::string subject = "downing-provider \"" + to_utf8(provider.name()) + '"';
    if (!is_label(provider.name()))
        return bad_setting(subject, "give the provider a name of UTF-8 text without control characters");
    // With a built-in strategy's name the node could join nodes that decide by other rules.
    if (provider.name() == "split-brain-resolver")
        return bad_setting(subject, "set DaemonConfig::sbr for the built-in resolver, with "
                                    "DaemonConfig::downing_strategy for rules of your own");
    if (provider.name() == NoSbr().name())
        return bad_setting(subject, "leave DaemonConfig::downing_provider out when nobody is to be downed");
    if (config.sbr || config.downing_strategy)
        return bad_setting(subject, "leave DaemonConfig::sbr and downing_strategy out, or the provider: one "
                                    "of them decides");
    if (config.lease)
        return bad_setting(subject, "leave DaemonConfig::lease out: a provider is asked without one; a "
                                    "DaemonConfig::downing_strategy may ask a lease");
    if (!is_settable(provider.stable_after()))
        return bad_setting(subject, "answer 0 ms to 8760 hours as stable_after()");
    if (!is_settable(provider.down_removal_margin(config.cluster.down_removal_margin)))
        return bad_setting(subject, "answer 0 ms to 8760 hours as down_removal_margin()");
    return {};
}

result<void> validate_sbr(const DaemonConfig& config) {
    const DowningStrategy* own = config.downing_strategy.get();
    if (auto ok = own != nullptr ? config.sbr->validate_with(*own) : config.sbr->validate(); !ok) return ok;
    if (asks_lease(config) && !config.lease)
        return bad_setting("split-brain-resolver.lease-majority.lease-implementation",
                           "give DaemonConfig::lease an implementation, e.g. a FileLease");
    if (own != nullptr && config.lease && !asks_lease(config))
        return bad_setting("split-brain-resolver.lease-majority.lease-implementation",
                           "name the backend of DaemonConfig::lease: the members compare it");
    return {};
}

/// The configured downing as a provider (protocol.md §15.8).
std::shared_ptr<const DowningProvider> provider_of(const DaemonConfig& config) {
    if (config.downing_provider) return config.downing_provider;
    if (!config.sbr) return std::make_shared<const NoSbr>();
    return std::make_shared<const SplitBrainResolver>(resolver_strategy(config), *config.sbr);
}

} // namespace

DowningVerdict ProviderStrategy::decide(const SbrModel& model) const {
    DowningVerdict verdict;
    verdict.rule = "the downing provider decided";
    verdict.decision = state_ ? provider_->decide(*state_) : DowningDecision::Stay;
    // The second decision of §15.4 uses a model that the provider cannot see: it is asked again once the
    // indirectly connected are gone.
    if (is_indirect(verdict.decision) && !model.has_indirectly_connected())
        verdict.decision = DowningDecision::Stay;
    return verdict;
}

result<void> validate_downing(const DaemonConfig& config) {
    const auto& observers = config.quorum_observers;
    if (std::find(observers.begin(), observers.end(), nullptr) != observers.end())
        return bad_setting("quorum-observers", "leave null pointers out");
    if (config.downing_provider) return validate_provider(config);
    if (config.sbr) return validate_sbr(config);
    if (config.downing_strategy)
        return bad_setting("downing-strategy", "set DaemonConfig::sbr, too: it gives the strategy its times");
    if (!observers.empty())
        return bad_setting("quorum-observers",
                           "set DaemonConfig::sbr or downing_provider: without them no side is ever lost");
    return {};
}

std::optional<SbrSettings> resolver_settings(const DaemonConfig& config) {
    if (!config.downing_provider) return config.sbr;
    // Every decision is the provider's own: instability causes none, and none is softened.
    SbrSettings settings;
    settings.stable_after = config.downing_provider->stable_after();
    settings.down_all_when_unstable = SbrSettings::Unstable::off();
    settings.indirect = SbrSettings::Indirect::All;
    return settings;
}

std::shared_ptr<const DowningStrategy> resolver_strategy(const DaemonConfig& config) {
    return config.downing_strategy ? config.downing_strategy : config.sbr->make_strategy().value();
}

bool asks_lease(const DaemonConfig& config) {
    if (!config.sbr) return false;
    return config.downing_strategy ? !config.sbr->lease_implementation.empty()
                                   : config.sbr->strategy == "lease-majority";
}

milliseconds removal_margin(const DaemonConfig& config) {
    return provider_of(config)->down_removal_margin(config.cluster.down_removal_margin);
}

ConfigCompat config_compat(const DaemonConfig& config, std::string_view cluster_name) {
    const DowningStrategy* own = config.downing_strategy.get();
    const std::string provider(provider_of(config)->name());
    auto compat = !config.sbr      ? ConfigCompat::cluster(provider)
                  : own != nullptr ? ConfigCompat::cluster(provider, std::string(own->name()))
                                   : ConfigCompat::cluster(provider, config.sbr->config_strategy(),
                                                           config.sbr->config_weights());
    // A peer does not compare a key it does not know, so members of two versions can form one cluster.
    const auto compare = [&](const std::map<std::string, std::string>& values, KeyDifference difference) {
        for (const auto& [key, value] : values) {
            compat.set(key, value);
            compat.require(key, KeyPresence::BothHave, difference);
        }
    };
    if (config.sbr) {
        // Each data center decides for itself: its quorum size, for example, depends on its number of
        // members.
        const std::string& center = config.cluster.multi_dc.self_data_center;
        std::map<std::string, std::string> deciding;
        for (auto& [key, value] : own != nullptr ? config.sbr->config_deciding_with(*own, cluster_name)
                                                 : config.sbr->config_deciding(cluster_name))
            deciding.emplace(center == "default" ? key : key + '@' + center, value);
        compare(deciding, KeyDifference::Refuse);
        compare(config.sbr->config_timing(), KeyDifference::Warn);
    }
    compare(config.join_settings, KeyDifference::Refuse);
    for (const ConfigChecker& checker : config.join_checkers) compat.add(checker);
    for (const auto& prefix : config.cluster.sensitive_config_paths) compat.add_sensitive(prefix);
    return compat;
}

} // namespace muster
