// SPDX-License-Identifier: Apache-2.0
// Operations on failure detection, heartbeats and the split-brain resolver.
#include "registry.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <muster/cluster/failure/cross_dc_heartbeats.hpp>
#include <muster/cluster/failure/heartbeat_receivers.hpp>
#include <muster/cluster/failure/heartbeat_ring.hpp>
#include <muster/cluster/sbr/runtime.hpp>
#include <set>

namespace muster::conformance {
namespace {

using std::chrono::milliseconds;

Instant at_ms(std::int64_t ms) { return Instant{milliseconds{ms}}; }

/// The first of several spellings that is there.
const json::value* any_field(const json::object& given, std::initializer_list<std::string_view> names) {
    for (const auto name : names)
        if (const auto* value = optional_field(given, name)) return value;
    return nullptr;
}

json::array sorted_ids(std::vector<UniqueAddress> nodes) {
    std::ranges::sort(nodes);
    return ids_of(std::span<const UniqueAddress>(nodes));
}

// --- detectors

const Operation phi_op{"phi", [](const json::object& given) -> Outcome {
                           return phi(real_field(given, "timeDiff"), real_field(given, "mean"),
                                      real_field(given, "stdDeviation"));
                       }};

const Operation history{"history", [](const json::object& given) -> Outcome {
                            HeartbeatHistory samples(
                                static_cast<std::size_t>(number_field(given, "maxSampleSize")));
                            for (const auto& sample : array_field(given, "samples"))
                                samples.add(milliseconds{number(sample)});
                            return json::object{{"mean", samples.mean()},
                                                {"variance", samples.variance()},
                                                {"stdDeviation", samples.std_deviation()},
                                                {"size", samples.size()}};
                        }};

FailureDetectorSettings detector_settings(const json::object& params) {
    FailureDetectorSettings settings;
    if (const auto* v = optional_field(params, "threshold")) settings.threshold = real(*v);
    settings.max_sample_size = static_cast<std::size_t>(
        number_field(params, "maxSampleSize", static_cast<std::int64_t>(settings.max_sample_size)));
    settings.min_std_deviation =
        milliseconds{number_field(params, "minStdDeviationMs", settings.min_std_deviation.count())};
    settings.acceptable_heartbeat_pause =
        milliseconds{number_field(params, "acceptablePauseMs", settings.acceptable_heartbeat_pause.count())};
    settings.heartbeat_interval =
        milliseconds{number_field(params, "firstHeartbeatEstimateMs", settings.heartbeat_interval.count())};
    return settings;
}

/// Heartbeats at a regular pace before the steps: {count, interval} with an optional start.
template <class Detector>
void run_repeat(Detector& detector, const json::value& value) {
    if (value.is_array() && !value.get_array().empty() && value.get_array().front().is_number()) {
        const auto& pair = value.get_array(); // [count, interval]
        return run_repeat(detector, json::object{{"count", pair.at(0)}, {"interval", pair.at(1)}});
    }
    if (value.is_array()) {
        for (const auto& part : value.get_array()) run_repeat(detector, part);
        return;
    }
    if (!value.is_object()) throw BadCase("\"repeat\" is no object");
    const auto& repeat = value.get_object();
    const auto* count = any_field(repeat, {"count", "times", "n", "heartbeats"});
    const auto* every = any_field(
        repeat, {"interval", "intervalMs", "every", "everyMs", "step", "stepMs", "period", "periodMs", "dt"});
    const auto* start = any_field(repeat, {"start", "startMs", "from", "fromMs", "t", "at"});
    const auto* end = any_field(repeat, {"until", "untilMs", "to", "toMs", "end"});
    if (every == nullptr || (count == nullptr && end == nullptr))
        throw BadCase("\"repeat\" needs a count and an interval: " + json::serialize(value));
    const std::int64_t first = start == nullptr ? 0 : number(*start);
    const std::int64_t step = number(*every);
    const std::int64_t heartbeats = count != nullptr ? number(*count) : (number(*end) - first) / step + 1;
    for (std::int64_t i = 0; i < heartbeats; ++i) detector.heartbeat(at_ms(first + i * step));
}

bool in_bounds(const json::object& step, double value) {
    if (const auto* v = optional_field(step, "gt"); v != nullptr && !(value > real(*v))) return false;
    if (const auto* v = optional_field(step, "ge"); v != nullptr && !(value >= real(*v))) return false;
    if (const auto* v = optional_field(step, "lt"); v != nullptr && !(value < real(*v))) return false;
    if (const auto* v = optional_field(step, "le"); v != nullptr && !(value <= real(*v))) return false;
    if (const auto* v = optional_field(step, "expect")) return matches(*v, json::value(value), {});
    if (const auto* v = optional_field(step, "approx"))
        return matches(
            json::object{{"approx", *v}, {"tol", step.contains("tol") ? step.at("tol") : json::value(1e-9)}},
            json::value(value), {});
    return true;
}

/// "ok", or the first step that came out otherwise.
template <class Detector, class Phi>
Outcome run_detector(const json::object& given, Detector detector, Phi phi_of) {
    if (const auto* repeat = optional_field(given, "repeat")) run_repeat(detector, *repeat);
    for (const auto& value : array_field(given, "steps")) {
        const auto& step = value.as_object();
        const auto what = text_field(step, "do");
        const Instant now = at_ms(number_field(step, "t"));
        bool ok = true;
        if (what == "heartbeat")
            detector.heartbeat(now);
        else if (what == "available")
            ok = detector.is_available(now) == bool_field(step, "expect", true);
        else if (what == "monitoring")
            ok = detector.is_monitoring() == bool_field(step, "expect", true);
        else if (what == "phi")
            ok = in_bounds(step, phi_of(detector, now));
        else
            throw BadCase("unknown step \"" + what + "\"");
        if (!ok)
            return "failed at " + json::serialize(value) + " with phi " +
                   std::to_string(phi_of(detector, now));
    }
    return "ok";
}

const Operation phi_script{
    "phi_script", [](const json::object& given) -> Outcome {
        return run_detector(given,
                            PhiAccrualFailureDetector(detector_settings(object_field(given, "params"))),
                            [](const PhiAccrualFailureDetector& d, Instant now) { return d.phi(now); });
    }};

const Operation deadline_script{"deadline_script", [](const json::object& given) -> Outcome {
                                    const auto& params = object_field(given, "params");
                                    return run_detector(
                                        given,
                                        DeadlineFailureDetector(millis_field(params, "heartbeatIntervalMs"),
                                                                millis_field(params, "acceptablePauseMs")),
                                        [](const DeadlineFailureDetector&, Instant) { return 0.0; });
                                }};

// --- heartbeats

const Operation ring_receivers{
    "ring_receivers",
    [](const json::object& given) -> Outcome {
        const auto sender = parse_node(text_field(given, "sender"));
        HeartbeatRing ring(sender, static_cast<std::size_t>(number_field(given, "monitoredByNrOfMembers")));
        for (const auto& node : parse_nodes(field(given, "nodes"))) ring.add(node);
        for (const auto& node : parse_nodes(field(given, "unreachable"))) ring.set_unreachable(node);
        return ids_of(std::span<const UniqueAddress>(ring.receivers(sender)));
    },
    {.list_is_set = true}};

/// A script's node: one incarnation, or every known one of an address.
std::vector<UniqueAddress> nodes_named(const std::set<UniqueAddress>& known, const json::value& name) {
    const auto id = text(name);
    if (id.find('#') != std::string::npos) return {parse_node(id)};
    std::vector<UniqueAddress> nodes;
    const Address address = parse_address(id);
    for (const auto& node : known)
        if (node.address() == address) nodes.push_back(node);
    return nodes;
}

class HeartbeatScript {
public:
    explicit HeartbeatScript(const json::object& given)
        : receivers_(parse_node(text_field(given, "self")), settings(given)) {}

    void run(const json::array& step) {
        const auto what = text(step.at(0));
        for (std::size_t i = 1; i < step.size(); ++i) {
            if (step[i].is_array()) {
                for (const auto& name : step[i].get_array()) apply(what, name);
                // The second list of an init: those of the members that are unreachable.
                if (what == "init" && i == 2)
                    for (const auto& name : step[i].get_array()) apply("unreachable", name);
            } else {
                apply(what, step[i]);
            }
        }
    }

    json::object result() const {
        std::vector<UniqueAddress> monitoring;
        for (const auto& node : receivers_.detectors().nodes())
            if (receivers_.detectors().is_monitoring(node)) monitoring.push_back(node);
        return {{"active", ids_of(std::span<const UniqueAddress>(receivers_.active()))},
                {"oldReceiversNowUnreachable",
                 ids_of(std::span<const UniqueAddress>(receivers_.old_receivers_now_unreachable()))},
                {"receivers", ids_of(std::span<const UniqueAddress>(receivers_.ring_receivers()))},
                {"monitoring", ids_of(std::span<const UniqueAddress>(monitoring))}};
    }

private:
    static FailureDetectorSettings settings(const json::object& given) {
        FailureDetectorSettings s;
        s.monitored_by_nr_of_members = static_cast<std::size_t>(number_field(
            given, "monitoredByNrOfMembers", static_cast<std::int64_t>(s.monitored_by_nr_of_members)));
        return s;
    }

    void apply(const std::string& what, const json::value& name) {
        for (const auto& node : nodes_named(known_, name)) {
            known_.insert(node);
            if (what == "add" || what == "init")
                receivers_.add_member(node, now_);
            else if (what == "remove")
                receivers_.remove_member(node, now_);
            else if (what == "unreachable")
                receivers_.unreachable_member(node, now_);
            else if (what == "reachable")
                receivers_.reachable_member(node, now_);
            else if (what == "rsp" || what == "heartbeat")
                receivers_.on_reply(node, now_);
            else if (what == "fd_unavailable")
                receivers_.detectors().mark_dead(node);
            else if (what == "fd_available")
                receivers_.detectors().revive(node, now_);
            else
                throw BadCase("unknown step \"" + what + "\"");
        }
    }

    Instant now_ = at_ms(1000);
    HeartbeatReceivers receivers_;
    std::set<UniqueAddress> known_;
};

const Operation heartbeat_state_script{"heartbeat_state_script", [](const json::object& given) -> Outcome {
                                           HeartbeatScript script(given);
                                           for (const auto& step : array_field(given, "steps"))
                                               script.run(step.as_array());
                                           return script.result();
                                       }};

const Operation cross_dc_state{
    "cross_dc_state", [](const json::object& given) -> Outcome {
        MultiDcSettings settings;
        settings.self_data_center = text_field(given, "selfDc");
        settings.cross_dc_connections = static_cast<std::size_t>(number_field(given, "n"));
        CrossDcHeartbeats heartbeats(parse_node(text_field(given, "self")), settings);
        heartbeats.update(parse_members(field(given, "members")));
        return json::object{{"active", heartbeats.is_active()},
                            {"receivers", ids_of(std::span<const UniqueAddress>(heartbeats.receivers()))}};
    }};

// --- the resolver

RoleWeights parse_weights(const json::object& config) {
    RoleWeights weights;
    if (const auto* by_role = optional_field(config, "weights")) {
        for (const auto& entry : by_role->as_object()) {
            const auto weight = static_cast<std::uint32_t>(number(entry.value()));
            const std::string_view role = entry.key();
            if (role == "*" || role == "others" || role == "default")
                weights.others = weight;
            else
                weights.by_role.emplace(role, weight);
        }
    }
    if (const auto* others = any_field(config, {"others", "otherWeight", "weightOfOthers", "defaultWeight"}))
        weights.others = static_cast<std::uint32_t>(number(*others));
    return weights;
}

SbrSettings sbr_settings(const std::string& strategy, const json::object& config) {
    SbrSettings settings;
    settings.strategy = strategy;
    if (const auto* role = optional_field(config, "role")) settings.role = text(*role);
    settings.quorum_size = static_cast<std::uint64_t>(number_field(config, "quorumSize", 0));
    settings.down_if_alone = bool_field(config, "downIfAlone", true);
    if (const auto* referee = optional_field(config, "referee"))
        settings.referee = parse_address(text(*referee));
    if (const auto* limit = any_field(config, {"downAllIfLessThan", "downAllIfLessThanNodes"}))
        settings.down_all_if_less_than_nodes = static_cast<std::size_t>(number(*limit));
    const auto weights = parse_weights(config);
    settings.weights.insert(weights.by_role.begin(), weights.by_role.end());
    settings.weight_of_others = weights.others;
    settings.lease_implementation = "conformance";
    settings.acquire_lease_delay_for_minority = milliseconds{
        number_field(config, "acquireDelayMs", settings.acquire_lease_delay_for_minority.count())};
    settings.release_after =
        milliseconds{number_field(config, "releaseAfterMs", settings.release_after.count())};
    return settings;
}

std::shared_ptr<const DowningStrategy> make_strategy(const SbrSettings& settings) {
    auto strategy = settings.make_strategy();
    if (!strategy) throw BadCase(strategy.error().message());
    return *std::move(strategy);
}

std::string own_data_center(const json::object& given, std::span<const Member> members,
                            const UniqueAddress& self) {
    if (const auto* dc = any_field(given, {"selfDc", "selfDataCenter", "dc"})) return text(*dc);
    for (const auto& member : members)
        if (member.unique_address() == self) return std::string{member.data_center()};
    return "default";
}

/// The fields self, members, unreachable, reachability and seenBy of a case.
SbrModel parse_model(const json::object& given) {
    const auto members = parse_members(field(given, "members"));
    const auto* self_id = optional_field(given, "self");
    const UniqueAddress self = self_id == nullptr ? UniqueAddress{} : parse_node(text(*self_id));
    SbrModel model(self, own_data_center(given, members, self));
    for (const auto& member : members) model.add(member);
    if (const auto* unreachable = optional_field(given, "unreachable")) {
        for (const auto& node : parse_nodes(*unreachable)) {
            const Member* member = model.find(node);
            if (member == nullptr) throw BadCase("unreachable " + id_of(node) + " is no member");
            model.add_unreachable(Member{*member});
        }
    }
    if (const auto* reachability = optional_field(given, "reachability"))
        model.set_reachability(parse_reachability(*reachability));
    if (const auto* seen_by = optional_field(given, "seenBy")) model.set_seen_by(parse_nodes(*seen_by));
    return model;
}

json::object no_object() { return {}; }

SbrSettings settings_of(const json::object& given) {
    const auto* config = optional_field(given, "config");
    return sbr_settings(text_field(given, "strategy"), config == nullptr ? no_object() : config->as_object());
}

json::object decision_and_nodes(const DowningStrategy& strategy, const SbrModel& model,
                                DowningDecision decision) {
    return {{"decision", to_string(decision)},
            {"down", sorted_ids(nodes_to_down(strategy, model, decision).nodes)}};
}

const Operation sbr_decide{"sbr_decide", [](const json::object& given) -> Outcome {
                               const auto strategy = make_strategy(settings_of(given));
                               const auto model = parse_model(given);
                               const auto verdict = strategy->decide(model);
                               auto result = decision_and_nodes(*strategy, model, verdict.decision);
                               result["acquireDelayMs"] = verdict.acquire_delay.count();
                               result["reverse"] =
                                   decision_and_nodes(*strategy, model, reverse_of(verdict.decision));
                               return result;
                           }};

const Operation sbr_nodes_to_down{
    "sbr_nodes_to_down", [](const json::object& given) -> Outcome {
        const auto decision = parse_downing_decision(text_field(given, "decision"));
        if (!decision) throw BadCase("unknown decision");
        return decision_and_nodes(*make_strategy(settings_of(given)), parse_model(given), *decision);
    }};

const Operation sbr_counting{
    "sbr_counting", [](const json::object& given) -> Outcome {
        const auto model = parse_model(given);
        const SbrCounting up{.possibly_up = true};
        const SbrCounting not_exiting{.not_possibly_exiting = true};
        const SbrCounting both{.possibly_up = true, .not_possibly_exiting = true};
        const auto ids = [](const std::vector<Member>& members) {
            return ids_of(std::span<const Member>(members));
        };
        return json::object{
            {"members", ids(model.members())},
            {"membersPossiblyUp", ids(model.members(up))},
            {"membersWithoutPossiblyExiting", ids(model.members(not_exiting))},
            {"membersBoth", ids(model.members(both))},
            {"reachable", ids(model.reachable_members())},
            {"reachablePossiblyUp", ids(model.reachable_members(up))},
            {"reachableWithoutPossiblyExiting", ids(model.reachable_members(not_exiting))},
            {"reachableBoth", ids(model.reachable_members(both))},
            {"unreachable", ids(model.unreachable_members())},
            {"unreachablePossiblyUp", ids(model.unreachable_members(up))},
            {"unreachableWithoutPossiblyExiting", ids(model.unreachable_members(not_exiting))},
            {"unreachableBoth", ids(model.unreachable_members(both))},
            {"joining", ids(model.joining())},
            {"downable", ids_of(std::span<const UniqueAddress>(model.downable()))}};
    }};

/// What a script's lease answers.
struct ScriptedLease {
    LeaseOutcome check = LeaseOutcome::NotHeld;
    LeaseOutcome acquire = LeaseOutcome::NotHeld;

    static LeaseOutcome outcome_of(const json::value& value) {
        if (value.is_bool()) return value.get_bool() ? LeaseOutcome::Held : LeaseOutcome::NotHeld;
        const auto name = text(value);
        if (name == "acquired" || name == "granted" || name == "held") return LeaseOutcome::Held;
        if (name == "error" || name == "failed" || name == "failure" || name == "exception" ||
            name == "timeout")
            return LeaseOutcome::Failed;
        if (name == "denied" || name == "not_held") return LeaseOutcome::NotHeld;
        throw BadCase("unknown lease outcome \"" + name + "\"");
    }

    static ScriptedLease parse(const json::object& config) {
        ScriptedLease lease;
        if (const auto* value = any_field(config, {"lease", "leaseAcquire", "leaseAcquired"})) {
            if (value->is_object()) {
                if (const auto* v = any_field(value->get_object(), {"check", "held"}))
                    lease.check = outcome_of(*v);
                if (const auto* v = any_field(value->get_object(), {"acquire", "granted", "result"}))
                    lease.acquire = outcome_of(*v);
            } else {
                lease.acquire = outcome_of(*value);
            }
        }
        if (const auto* value = any_field(config, {"leaseHeld", "leaseCheck"}))
            lease.check = outcome_of(*value);
        return lease;
    }
};

/// Drives an SbrRuntime through a script in virtual time.
class ResolverScript {
public:
    explicit ResolverScript(const json::object& config)
        : lease_(ScriptedLease::parse(config)), runtime_(parse_node(text_field(config, "self")),
                                                         own_data_center(config, {}, {}), settings(config)) {}

    void run(const json::object& step) {
        now_ms_ = number_field(step, "at");
        apply(text_field(step, "event"), step);
        carry_out();
        if (downed_.empty()) return;
        downs_.push_back(json::object{{"at", now_ms_}, {"down", sorted_ids(std::exchange(downed_, {}))}});
    }

    json::object result() const { return {{"downs", downs_}}; }

private:
    static SbrSettings settings(const json::object& config) {
        const auto* inner = optional_field(config, "config");
        SbrSettings s =
            sbr_settings(text_field(config, "strategy"), inner == nullptr ? no_object() : inner->as_object());
        s.stable_after = milliseconds{number_field(config, "stableAfterMs", s.stable_after.count())};
        s.indirect = SbrSettings::Indirect::All; // the cases are Pekko's
        if (const auto* unstable = optional_field(config, "downAllWhenUnstableMs"))
            s.down_all_when_unstable = number(*unstable) == 0
                                           ? SbrSettings::Unstable::off()
                                           : SbrSettings::Unstable::after(milliseconds{number(*unstable)});
        return s;
    }

    Now now() const { return {at_ms(now_ms_), WallTime{now_ms_}}; }
    void tell(ClusterEvent event) { runtime_.on_event(event, now(), effects_); }

    template <class Event>
    void tell_each(const json::object& step) {
        for (const auto& member : parse_members(field(step, "members"))) {
            members_.insert_or_assign(member.unique_address(), member);
            tell(Event{member});
        }
    }

    /// The event stream tells of a change only, so a node already unreachable is not told again.
    void unreachable(const Member& member) {
        members_.insert_or_assign(member.unique_address(), member);
        if (unreachable_.insert(member.unique_address()).second) tell(UnreachableMember{member});
    }

    void reachability(const json::object& step) {
        const auto& rows = array_field(step, "records");
        json::object versions;
        for (const auto& row : rows) {
            const auto observer = text(row.as_array().at(0));
            std::int64_t version = row.as_array().size() > 3 ? number(row.as_array()[3]) : 1;
            if (const auto* other = versions.if_contains(observer))
                version = std::max(version, number(*other));
            versions[observer] = version;
        }
        const auto table = parse_reachability(json::object{{"records", rows}, {"versions", versions}});
        for (const auto& node : table.all_unreachable_or_terminated())
            if (const auto found = members_.find(node); found != members_.end())
                unreachable(Member{found->second});
        tell(ReachabilityChanged{table});
    }

    void apply(const std::string& event, const json::object& step) {
        if (event == "tick") {
            runtime_.tick(now(), effects_);
        } else if (event == "timers") {
            fire_timers();
        } else if (event == "leader") {
            const auto* id = optional_field(step, "id");
            tell(LeaderChanged{{}, id == nullptr ? std::nullopt : std::optional(parse_node(text(*id)))});
        } else if (event == "unreachable") {
            for (const auto& member : parse_members(field(step, "members"))) unreachable(member);
        } else if (event == "reachability") {
            reachability(step);
        } else if (event == "seen" || event == "seen_by" || event == "seen_changed") {
            const auto* ids = any_field(step, {"seenBy", "seen", "ids", "nodes"});
            if (ids == nullptr) throw BadCase("\"" + event + "\" lacks \"seenBy\"");
            tell(SeenChanged{false, parse_nodes(*ids)});
        } else if (event == "dc_unreachable") {
            tell(UnreachableDataCenter{text_field(step, "dc")});
        } else if (event == "dc_reachable") {
            tell(ReachableDataCenter{text_field(step, "dc")});
        } else if (event.starts_with("quarantined") || event.ends_with("quarantined")) {
            const auto* id = any_field(step, {"id", "by", "remote", "node"});
            if (id == nullptr) throw BadCase("\"" + event + "\" lacks \"id\"");
            runtime_.quarantined_by_remote(parse_node(text(*id)), now(), effects_);
        } else if (event == "lease") {
            lease_ = ScriptedLease::parse(step);
        } else {
            member_event(event, step);
        }
    }

    void member_event(std::string event, const json::object& step) {
        if (event.starts_with("member_")) event.erase(0, 7);
        if (event == "joined" || event == "joining") return tell_each<MemberJoined>(step);
        if (event == "weakly_up") return tell_each<MemberWeaklyUp>(step);
        if (event == "up") return tell_each<MemberUp>(step);
        if (event == "left" || event == "leaving") return tell_each<MemberLeft>(step);
        if (event == "exited" || event == "exiting") return tell_each<MemberExited>(step);
        if (event == "preparing" || event == "preparing_for_shutdown")
            return tell_each<MemberPreparingForShutdown>(step);
        if (event == "ready" || event == "ready_for_shutdown") return tell_each<MemberReadyForShutdown>(step);
        if (event != "downed" && event != "down" && event != "removed" && event != "reachable")
            throw BadCase("unknown event \"" + event + "\"");
        for (const auto& member : parse_members(field(step, "members"))) {
            const auto& node = member.unique_address();
            if (event == "removed") {
                members_.erase(node);
                unreachable_.erase(node);
                tell(MemberRemoved{member, MemberStatus::Down});
            } else if (event == "reachable") {
                members_.insert_or_assign(node, member);
                unreachable_.erase(node);
                tell(ReachableMember{member});
            } else {
                members_.insert_or_assign(node, member);
                tell(MemberDowned{member});
            }
        }
    }

    void fire_timers() {
        std::vector<TimerKey> due;
        for (const auto& [key, when] : timers_)
            if (when <= now_ms_) due.push_back(key);
        for (const auto& key : due) {
            timers_.erase(key);
            runtime_.on_timer(key, now(), effects_);
        }
    }

    /// Carries out what the runtime asked for; the lease answers at once, which may ask for more.
    void carry_out() {
        for (std::size_t i = 0; i < effects_.size(); ++i) {
            const Effect effect = effects_[i];
            if (const auto* down = std::get_if<effect::Down>(&effect))
                downed_.insert(downed_.end(), down->nodes.begin(), down->nodes.end());
            if (const auto* timer = std::get_if<effect::SetTimer>(&effect))
                timers_[timer->key] =
                    now_ms_ + std::chrono::duration_cast<milliseconds>(timer->delay).count();
            if (const auto* timer = std::get_if<effect::CancelTimer>(&effect)) timers_.erase(timer->key);
            if (const auto* check = std::get_if<effect::LeaseCheck>(&effect))
                runtime_.on_lease(check->generation, lease_.check, now(), effects_);
            if (const auto* acquire = std::get_if<effect::LeaseAcquire>(&effect))
                runtime_.on_lease(acquire->generation, lease_.acquire, now(), effects_);
            if (const auto* release = std::get_if<effect::LeaseRelease>(&effect))
                runtime_.on_lease(release->generation, LeaseOutcome::NotHeld, now(), effects_);
        }
        effects_.clear();
    }

    ScriptedLease lease_;
    SbrRuntime runtime_;
    std::int64_t now_ms_ = 0;
    std::map<UniqueAddress, Member> members_;
    std::set<UniqueAddress> unreachable_;
    std::map<TimerKey, std::int64_t> timers_;
    Effects effects_;
    std::vector<UniqueAddress> downed_;
    json::array downs_;
};

const Operation sbr_script{"sbr_script", [](const json::object& given) -> Outcome {
                               ResolverScript script(object_field(given, "config"));
                               for (const auto& step : array_field(given, "steps"))
                                   script.run(step.as_object());
                               return script.result();
                           }};

} // namespace
} // namespace muster::conformance
