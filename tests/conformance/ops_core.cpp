// SPDX-License-Identifier: Apache-2.0
// Operations on a core: gossip reception, leader actions, commands, the join process. Each case puts a
// ClusterCore into the given state, tells it one thing, and reads state and effects.
#include "registry.hpp"

#include "base/split_mix64.hpp"
#include <algorithm>
#include <muster/cluster/compat/multi_dc.hpp>
#include <muster/cluster/core/core.hpp>
#include <muster/cluster/core/join_process.hpp>
#include <set>

namespace muster::conformance {
namespace {

using std::chrono::milliseconds;

/// The cases' clocks: far enough from zero for heartbeats in the past, young enough for every tombstone.
Now at(milliseconds elapsed = {}) {
    return {Instant{} + std::chrono::hours{10} + elapsed, WallTime{1'000'000 + elapsed.count()}};
}

RandomSource random_of(std::uint64_t seed) { return SplitMix64(seed); }

void apply_config(const json::object& config, ClusterSettings& settings) {
    for (const auto& [key, value] : config) {
        if (key == "minNrOfMembers") {
            settings.min_nr_of_members = static_cast<std::size_t>(number(value));
        } else if (key == "minNrOfMembersOfRole") {
            for (const auto& role : value.as_object())
                settings.role_min_nr_of_members[role.key()] = static_cast<std::size_t>(number(role.value()));
        } else if (key == "allowWeaklyUpMembers" || key == "allowWeaklyUp" || key == "weaklyUpAfterMs") {
            if (value.is_number()) settings.allow_weakly_up_members = milliseconds{number(value)};
            const bool off = value.is_null() || (value.is_bool() && !value.get_bool()) ||
                             (value.is_string() && value.get_string() == "off");
            if (off) settings.allow_weakly_up_members.reset();
        } else {
            throw BadCase("unknown setting \"" + std::string{key} + "\"");
        }
    }
}

ClusterSettings settings_of(const json::object& given) {
    ClusterSettings settings = ClusterSettings::classic();
    if (const auto* dc = optional_field(given, "selfDc")) settings.multi_dc.self_data_center = text(*dc);
    settings.multi_dc.cross_dc_connections =
        static_cast<std::size_t>(number_field(given, "crossDcConnections", 5));
    if (const auto* config = optional_field(given, "config")) apply_config(config->as_object(), settings);
    return settings;
}

/// What a core remembers beside its gossip.
ClusterCore::Restored restored_of(const json::object& given) {
    ClusterCore::Restored restored;
    restored.preparing_for_shutdown = bool_field(given, "preparingForShutdown");
    restored.exiting_tasks_in_progress = bool_field(given, "exitingTasksInProgress");
    if (const auto* confirmed = optional_field(given, "exitingConfirmed"))
        restored.exiting_confirmed = parse_nodes(*confirmed);
    return restored;
}

/// A core in the state of one case, with what it did since.
struct Subject {
    ClusterCore core;
    GossipPtr before;
    Effects effects;

    UniqueAddress self() const { return core.self(); }
    const Gossip& gossip() const { return core.state()->latest(); }
    bool is_bumped() const { return !(gossip().version() == before->version()); }
    bool runs_coordinated_shutdown() const {
        return std::ranges::any_of(effects, [](const Effect& e) {
            const auto* shutdown = std::get_if<effect::Shutdown>(&e);
            return shutdown != nullptr && shutdown->reason == ShutdownReason::Leaving;
        });
    }
};

Subject subject_of(const json::object& given, ClusterCore::Restored restored, ClusterSettings settings,
                   std::string_view gossip_name = "gossip", std::uint64_t seed = 1) {
    restored.gossip = std::make_shared<const Gossip>(parse_gossip(field(given, gossip_name)));
    const GossipPtr before = restored.gossip;
    Subject subject{ClusterCore::with_state(parse_node(text_field(given, "self")), std::move(settings),
                                            random_of(seed), std::move(restored), at()),
                    before,
                    {}};
    // Cases are cut out of longer stories: their states need not be reachable ones.
    subject.core.check_invariants(false);
    return subject;
}
Subject subject_of(const json::object& given) {
    return subject_of(given, restored_of(given), settings_of(given));
}

/// What a node sent to `to`: the schema's name of the message, "none" when nothing counts.
std::string reply_to(const Effects& effects, std::size_t from_index, const Address& to) {
    std::string reply = "none";
    for (std::size_t i = from_index; i < effects.size(); ++i) {
        const auto* send = std::get_if<effect::Send>(&effects[i]);
        if (send == nullptr || send->to.address != to) continue;
        if (std::holds_alternative<GossipEnvelope>(send->message)) reply = "gossip";
        if (std::holds_alternative<GossipStatus>(send->message)) reply = "status";
        if (std::holds_alternative<Welcome>(send->message)) reply = "welcome";
        if (std::holds_alternative<JoinRefused>(send->message)) reply = "refused";
    }
    return reply;
}

/// Where the reply to a message starts: a node that stops itself first says so to many, and replies after
/// that.
std::size_t reply_start(const Subject& subject) {
    if (!subject.core.is_stopped()) return 0;
    std::size_t start = 0;
    for (std::size_t i = 0; i < subject.effects.size(); ++i)
        if (std::holds_alternative<effect::Publish>(subject.effects[i])) start = i;
    return start;
}

json::array seen_of(const Gossip& gossip) { return ids_of(gossip.seen_nodes()); }

/// What most operations are asked for.
json::object state_of(const Subject& subject, const json::object& given) {
    const Gossip& gossip = subject.gossip();
    json::object row_status;
    for (const Member& m : gossip.members()) {
        const auto status = gossip.reachability().status(subject.self(), m.unique_address());
        row_status[id_of(m.unique_address())] = to_string(status);
    }
    return {{"members", statuses_and_numbers_of(gossip.members())},
            {"seen", seen_of(gossip)},
            {"tombstones", tombstones_of(gossip)},
            {"records", records_of(gossip.reachability())},
            {"version", counters_of(gossip.version(), clock_names_of(given))},
            {"versionBumped", subject.is_bumped()},
            {"status", std::move(row_status)},
            {"coordinatedShutdown", subject.runs_coordinated_shutdown()},
            {"exitingTasksInProgress", subject.core.exiting_tasks_in_progress()},
            {"shutdown", subject.core.is_stopped()}};
}

// --- gossip exchange

std::string outcome_of(const Effects& effects) {
    for (const Effect& e : effects) {
        const auto* counted = std::get_if<effect::Count>(&e);
        if (counted == nullptr) continue;
        if (counted->id == "cluster.gossip.same") return "Same";
        if (counted->id == "cluster.gossip.older") return "Older";
        if (counted->id == "cluster.gossip.newer") return "Newer";
        if (counted->id == "cluster.gossip.merge") return "Merge";
        if (counted->id == "cluster.gossip.ignored") return "Ignored";
    }
    return "none";
}

const Operation receive_gossip{
    "receive_gossip", [](const json::object& given) -> Outcome {
        ClusterCore::Restored restored = restored_of(given);
        const auto remote = std::make_shared<const Gossip>(parse_gossip(field(given, "remote")));
        const Gossip local = parse_gossip(field(given, "local"));
        for (const Gossip* g : {remote.get(), &local})
            for (const Member& m : g->members())
                restored.last_heartbeats.emplace(m.unique_address(), at().monotonic);
        const auto heard = restored.last_heartbeats;
        Subject subject = subject_of(given, std::move(restored), settings_of(given), "local");

        const UniqueAddress from = parse_node(text_field(given, "from"));
        const GossipEnvelope envelope{from, parse_node(text_field(given, "to")), remote};
        subject.core.on_message(envelope, at().monotonic, at(), subject.effects);

        json::array reset;
        for (const auto& [node, last] : heard)
            if (subject.gossip().has_member(node) && !subject.core.is_monitored(node))
                reset.emplace_back(id_of(node));
        json::object result = state_of(subject, given);
        result["members"] = statuses_of(subject.gossip().members());
        result["type"] = outcome_of(subject.effects);
        result["reply"] = reply_to(subject.effects, reply_start(subject), from.address());
        result["fdReset"] = std::move(reset);
        return result;
    }};

const Operation receive_status{
    "receive_status", [](const json::object& given) -> Outcome {
        Subject subject = subject_of(given, restored_of(given), settings_of(given), "local");
        const UniqueAddress from = parse_node(text_field(given, "from"));
        const auto* to = optional_field(given, "to");
        GossipStatus status{from,
                            to == nullptr ? subject.self() : parse_node(text(*to)),
                            parse_clock(field(given, "version")),
                            {},
                            {}};
        const bool same = status.version == subject.gossip().version();
        status.version_id = same ? subject.gossip().version_id() : Hasher("another version").finish();
        const std::string digest = text_field(given, "seenDigest");
        if (digest != "absent") status.seen_digest = subject.gossip().seen_digest();
        if (digest == "different") *status.seen_digest += Hash128{0, 1};
        subject.core.on_message(status, at().monotonic, at(), subject.effects);
        json::object result = state_of(subject, given);
        result["type"] = outcome_of(subject.effects);
        result["reply"] = reply_to(subject.effects, 0, from.address());
        result["fdReset"] = json::array{}; // a status changes nothing
        return result;
    }};

const Operation gossip_tick_message{"gossip_tick_message", [](const json::object& given) -> Outcome {
                                        // The case fixes the peer, the round draws it: it is drawn until it
                                        // is that one. 1000 rounds find every peer that can be drawn at all.
                                        const Address peer = parse_address(text_field(given, "peer"));
                                        for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
                                            Subject subject = subject_of(given, restored_of(given),
                                                                         settings_of(given), "gossip", seed);
                                            subject.core.tick_gossip(at(), subject.effects);
                                            const std::string sent = reply_to(subject.effects, 0, peer);
                                            if (sent != "none") return sent;
                                        }
                                        return "none";
                                    }};

const Operation gossip_speedup_needed{"gossip_speedup_needed", [](const json::object& given) -> Outcome {
                                          return subject_of(given).core.is_gossip_speedup_needed();
                                      }};

// --- the leader

const Operation leader_actions{"leader_actions", [](const json::object& given) -> Outcome {
                                   Subject subject = subject_of(given);
                                   const std::int64_t ticks = number_field(given, "ticks", 1);
                                   for (std::int64_t tick = 1; tick <= ticks; ++tick)
                                       subject.core.tick_leader_actions(at(milliseconds{1000} * tick),
                                                                        subject.effects);
                                   return state_of(subject, given);
                               }};

// --- commands

Outcome after_command(const json::object& given, Subject& subject) { return state_of(subject, given); }

const Operation leave{"leave", [](const json::object& given) -> Outcome {
                          Subject subject = subject_of(given);
                          subject.core.leave(parse_address(text_field(given, "address")), at(),
                                             subject.effects);
                          return after_command(given, subject);
                      }};

const Operation down{"down", [](const json::object& given) -> Outcome {
                         Subject subject = subject_of(given);
                         subject.core.down(parse_address(text_field(given, "address")), at(),
                                           subject.effects);
                         return after_command(given, subject);
                     }};

const Operation quarantined{"quarantined", [](const json::object& given) -> Outcome {
                                Subject subject = subject_of(given);
                                subject.core.quarantined(parse_node(text_field(given, "node")), at(),
                                                         subject.effects);
                                return after_command(given, subject);
                            }};

const Operation exiting_completed{
    "exiting_completed", [](const json::object& given) -> Outcome {
        ClusterCore::Restored restored = restored_of(given);
        restored.exiting_tasks_in_progress = true;
        Subject subject = subject_of(given, std::move(restored), settings_of(given));
        subject.core.exiting_completed(at(), subject.effects);
        json::array confirmed;
        for (const Effect& e : subject.effects) {
            const auto* send = std::get_if<effect::Send>(&e);
            if (send != nullptr && std::holds_alternative<ExitingConfirmed>(send->message))
                confirmed.emplace_back(id_of(send->to.address));
        }
        json::object result = state_of(subject, given);
        result["confirmedTo"] = std::move(confirmed);
        return result;
    }};

const Operation shutdown_self_when_down{"shutdown_self_when_down", [](const json::object& given) -> Outcome {
                                            Subject subject = subject_of(given);
                                            const std::int64_t ticks = number_field(given, "ticks", 1);
                                            for (std::int64_t tick = 1; tick <= ticks; ++tick)
                                                subject.core.tick_leader_actions(
                                                    at(milliseconds{1000} * tick), subject.effects);
                                            return subject.core.is_stopped();
                                        }};

const Operation reap_unreachable{
    "reap_unreachable", [](const json::object& given) -> Outcome {
        ClusterCore::Restored restored = restored_of(given);
        std::set<Address> unavailable;
        for (const json::value& id : array_field(given, "unavailable"))
            unavailable.insert(parse_address(text(id)));
        const Gossip gossip = parse_gossip(field(given, "gossip"));
        for (const Member& m : gossip.members())
            if (unavailable.contains(m.address()))
                restored.last_heartbeats.emplace(m.unique_address(), at().monotonic - std::chrono::hours{1});
        Subject subject = subject_of(given, std::move(restored), settings_of(given));
        subject.core.tick_reaper(at(), subject.effects);
        json::object result = state_of(subject, given);
        json::object aggregate;
        for (const Member& m : subject.gossip().members())
            aggregate[id_of(m.unique_address())] =
                to_string(subject.gossip().reachability().status(m.unique_address()));
        result["status"] = std::move(aggregate);
        return result;
    }};

// --- joining, the members' side

/// A connection to `peer` has shaken hands with exactly this incarnation: what a Join's sender must have
/// proved, and a Welcome's has.
void report_proven(ClusterCore& core, const UniqueAddress& peer, Effects& effects) {
    core.on_link(peer, LinkEvent::Established, at(), effects);
}

const Operation join_request{
    "join_request", [](const json::object& given) -> Outcome {
        Subject subject = subject_of(given);
        Join join{parse_node(text_field(given, "joining")), {}, {}};
        if (const auto* roles = optional_field(given, "roles"))
            for (const json::value& role : roles->as_array()) join.roles.push_back(text(role));
        const auto* dc = optional_field(given, "joiningDc");
        join.roles.push_back(
            dc_role(dc != nullptr ? text(*dc) : subject.core.settings().multi_dc.self_data_center));
        report_proven(subject.core, join.node, subject.effects);
        subject.core.on_message(join, at().monotonic, at(), subject.effects);
        json::object result = state_of(subject, given);
        result["reply"] = reply_to(subject.effects, 0, join.node.address());
        return result;
    }};

const Operation init_join_reply{
    "init_join_reply", [](const json::object& given) -> Outcome {
        const UniqueAddress self = parse_node("a:1#1");
        const Address joiner = parse_address("c:1");
        const std::string state = text_field(given, "selfState");
        ClusterCore core(self, ClusterSettings::classic(), random_of(1));
        Effects effects;
        if (const auto status = parse_member_status(state)) {
            const std::vector<Member> members{Member(self, *status, {}, 1),
                                              Member(parse_node("b:1#2"), MemberStatus::Up, {}, 2)};
            const std::vector<UniqueAddress> seen{self};
            auto gossip = Gossip::from_parts(members, seen, {}, {}, {});
            if (!gossip) throw BadCase(gossip.error().message());
            ClusterCore::Restored restored;
            restored.gossip = std::make_shared<const Gossip>(*std::move(gossip));
            core = ClusterCore::with_state(self, ClusterSettings::classic(), random_of(1),
                                           std::move(restored), at());
        } else if (state != "uninitialized") {
            core.join(parse_address("b:1"), at(), effects); // trying to join
        }
        effects.clear();
        core.on_message(InitJoin{joiner, {}}, at().monotonic, at(), effects);
        for (const Effect& e : effects) {
            const auto* send = std::get_if<effect::Send>(&e);
            if (send == nullptr || send->to.address != joiner) continue;
            if (std::holds_alternative<InitJoinAck>(send->message)) return "ack";
            if (std::holds_alternative<InitJoinNack>(send->message)) return "nack";
        }
        return "none";
    }};

const Operation join_validation{
    "join_validation", [](const json::object& given) -> Outcome {
        const auto name = [&](std::string_view key, std::string_view absent) {
            const auto* value = optional_field(given, key);
            return value == nullptr ? std::string{absent} : text(*value);
        };
        const UniqueAddress self(
            Address::remote(name("selfProtocol", "akka.tcp"), name("selfSystem", case_system), "a", 1),
            Uid{1});
        const UniqueAddress other(
            Address::remote(name("otherProtocol", "akka.tcp"), name("otherSystem", case_system), "b", 1),
            Uid{2});
        ClusterCore core(self, ClusterSettings::classic(), random_of(1));
        Effects effects;
        core.join(self.address(), at(), effects);
        core.on_message(Join{other, {}, {}}, at().monotonic, at(), effects);
        return core.state()->latest().has_member(other) ? "accepted" : "ignored";
    }};

// --- joining, the joiner's side

const Operation welcome{
    "welcome", [](const json::object& given) -> Outcome {
        const UniqueAddress self = parse_node(text_field(given, "self"));
        const UniqueAddress from = parse_node(text_field(given, "from"));
        ClusterCore core(self, settings_of(given), random_of(1));
        core.check_invariants(false);
        Effects effects;
        if (optional_field(given, "local") != nullptr) {
            core = std::move(subject_of(given, {}, settings_of(given), "local").core);
        } else if (const auto* target = optional_field(given, "joinWith")) {
            core.join(parse_address(text(*target)), at(), effects);
        }
        report_proven(core, from, effects);
        effects.clear();
        const GossipPtr before = core.state()->gossip;
        const auto gossip = std::make_shared<const Gossip>(parse_gossip(field(given, "gossip")));
        core.on_message(Welcome{from, self, gossip}, at().monotonic, at(), effects);
        return json::object{{"accepted", core.is_joined() && core.state()->gossip != before},
                            {"seen", seen_of(core.state()->latest())},
                            {"members", statuses_of(core.state()->members())},
                            {"reply", reply_to(effects, 0, from.address())}};
    }};

const Operation seed_choice{"seed_choice", [](const json::object& given) -> Outcome {
                                const auto seeds = parse_addresses(field(given, "seeds"));
                                switch (
                                    choose_seed_process(parse_address(text_field(given, "self")), seeds)) {
                                case SeedChoice::Nothing: return "none";
                                case SeedChoice::JoinSelf: return "join_self";
                                case SeedChoice::FirstSeed: return "first_seed_process";
                                case SeedChoice::OtherSeed: return "join_seed_process";
                                }
                                throw BadCase("no such choice");
                            }};

/// Whether a core that asked these seeds ends its joining at an Ack that calls its configuration
/// incompatible.
bool ends_joining(const json::object& given, const Address& from) {
    ClusterSettings settings = ClusterSettings::classic();
    settings.enforce_config_on_join = bool_field(given, "enforce", settings.enforce_config_on_join);
    ClusterCore core({parse_address(text_field(given, "self")), Uid{1}}, settings, random_of(1));
    Effects effects;
    core.join_seed_nodes(parse_addresses(field(given, "seeds")), at(), effects);
    core.on_message(InitJoinAck{from, ConfigCheck::Incompatible, {}}, at().monotonic, at(), effects);
    return std::ranges::any_of(effects, [](const Effect& e) {
        const auto* shutdown = std::get_if<effect::Shutdown>(&e);
        return shutdown != nullptr && shutdown->reason == ShutdownReason::IncompatibleConfiguration;
    });
}

/// Plays the event list [time, kind, address] against the process in virtual time, ticking every 100 ms.
json::object play_seed_process(const json::object& given, SeedChoice kind) {
    const Address self = parse_address(text_field(given, "self"));
    SeedProcess::Options options;
    options.seed_node_timeout = millis_field(given, "seedNodeTimeoutMs");
    options.ask_again_after.reset(); // muster's own, off in the classic preset
    if (optional_field(given, "retryMs") != nullptr) options.retry_interval = millis_field(given, "retryMs");
    SeedProcess process(kind, self, parse_addresses(field(given, "seeds")), options);

    struct Event {
        milliseconds time;
        std::string kind;
        Address from;
    };
    std::vector<Event> events;
    for (const json::value& e : array_field(given, "events")) {
        const json::array& columns = e.as_array();
        events.push_back(
            {milliseconds{number(columns.at(0))}, text(columns.at(1)), parse_address(text(columns.at(2)))});
    }
    const milliseconds horizon = millis_field(given, "seedNodeTimeoutMs") * 2;
    for (milliseconds t{100}; t <= horizon; t += milliseconds{100}) events.push_back({t, "tick", self});
    std::ranges::stable_sort(events, {}, &Event::time);

    json::array asked;
    SeedProcess::Step step = process.start(at().monotonic);
    const auto note = [&](milliseconds time) -> std::optional<json::object> {
        if (!step.init_join_to.empty()) {
            asked.clear();
            for (const Address& a : step.init_join_to) asked.emplace_back(id_of(a));
        }
        std::string action;
        if (step.retried) action = "retry";
        if (step.join) action = *step.join == self ? "join_self" : "join " + id_of(*step.join);
        if (action.empty()) return {};
        return json::object{{"at", time.count()}, {"action", action}, {"sendsInitJoinTo", asked}};
    };
    if (auto done = note({})) return *std::move(done);
    for (const Event& e : events) {
        const Instant now = at(e.time).monotonic;
        if (e.kind == "ack") {
            step = process.on_ack(e.from, now);
        } else if (e.kind == "ack_incompatible") {
            if (ends_joining(given, e.from))
                return {{"at", e.time.count()}, {"action", "shutdown"}, {"sendsInitJoinTo", asked}};
            step = process.on_ack(e.from, now);
        } else if (e.kind == "nack") {
            step = process.on_nack(e.from, now);
        } else if (e.kind == "refused") {
            step = process.on_refused(e.from, now);
        } else if (e.kind == "tick") {
            step = process.tick(now);
        } else {
            throw BadCase("unknown event \"" + e.kind + "\"");
        }
        if (auto done = note(e.time)) return *std::move(done);
    }
    return {{"at", nullptr}, {"action", "none"}, {"sendsInitJoinTo", asked}};
}

const Operation first_seed{"first_seed", [](const json::object& given) -> Outcome {
                               return play_seed_process(given, SeedChoice::FirstSeed);
                           }};

const Operation other_seed{"other_seed", [](const json::object& given) -> Outcome {
                               return play_seed_process(given, SeedChoice::OtherSeed);
                           }};

const Operation join_retry{"join_retry", [](const json::object& given) -> Outcome {
                               const std::vector<Address> seeds = parse_addresses(field(given, "seeds"));
                               ClusterSettings settings = ClusterSettings::classic();
                               if (const auto* after = optional_field(given, "retryUnsuccessfulJoinAfterMs"))
                                   settings.retry_unsuccessful_join_after = milliseconds{number(*after)};
                               if (const auto* retry = optional_field(given, "retry")) {
                                   const bool off = retry->is_string() && retry->get_string() == "off";
                                   settings.retry_unsuccessful_join_after.reset();
                                   if (!off)
                                       settings.retry_unsuccessful_join_after = milliseconds{number(*retry)};
                               }
                               ClusterCore core(parse_node("z:1#1"), settings, random_of(1));
                               Effects effects;
                               if (seeds.empty()) {
                                   core.join(parse_address("a:1"), at(), effects);
                               } else {
                                   core.join_seed_nodes(seeds, at(), effects);
                                   core.on_message(InitJoinAck{seeds.front(), ConfigCheck::Unchecked, {}},
                                                   at().monotonic, at(), effects);
                               }
                               effects.clear();
                               core.tick_join(at(millis_field(given, "elapsedMs")), effects);
                               for (const Effect& e : effects) {
                                   const auto* send = std::get_if<effect::Send>(&e);
                                   if (send == nullptr) continue;
                                   if (std::holds_alternative<InitJoin>(send->message))
                                       return "restart_seed_process";
                                   if (std::holds_alternative<Join>(send->message)) return "resend_join";
                               }
                               return "none";
                           }};

ConfigCompat config_of(const json::object& side) {
    const auto optional_text = [&](std::string_view key) -> std::optional<std::string> {
        const auto* value = optional_field(side, key);
        if (value == nullptr) return {};
        return value->is_string() ? std::string{value->get_string()} : json::serialize(*value);
    };
    ConfigCompat config = ConfigCompat::cluster(optional_text("provider").value_or(""),
                                                optional_text("strategy"), optional_text("weights"));
    for (const auto& [key, value] : side) {
        if (key == "provider" || key == "strategy" || key == "weights" || value.is_null()) continue;
        config.require(std::string{key}, KeyPresence::SenderHas);
        config.set(std::string{key}, json::serialize(value));
    }
    return config;
}

const Operation config_check{"config_check", [](const json::object& given) -> Outcome {
                                 // A member with one configuration, a joiner with the other: the whole
                                 // conversation.
                                 const UniqueAddress member = parse_node("a:1#1");
                                 const UniqueAddress joiner = parse_node("b:1#2");
                                 ClusterCore here(member, ClusterSettings::classic(), random_of(1),
                                                  config_of(object_field(given, "a")));
                                 ClusterCore there(joiner, ClusterSettings::classic(), random_of(2),
                                                   config_of(object_field(given, "b")));
                                 Effects mine;
                                 Effects theirs;
                                 here.join(member.address(), at(), mine);
                                 there.join_seed_nodes({member.address()}, at(), theirs);
                                 const auto deliver = [](const Effects& from, const UniqueAddress& to,
                                                         ClusterCore& core, Effects& out) {
                                     for (const Effect& e : from) {
                                         const auto* send = std::get_if<effect::Send>(&e);
                                         if (send != nullptr && send->to.address == to.address())
                                             core.on_message(send->message, at().monotonic, at(), out);
                                     }
                                 };
                                 mine.clear();
                                 deliver(theirs, member, here, mine);
                                 theirs.clear();
                                 deliver(mine, joiner, there, theirs);
                                 for (const Effect& e : theirs) {
                                     const auto* shutdown = std::get_if<effect::Shutdown>(&e);
                                     if (shutdown != nullptr &&
                                         shutdown->reason == ShutdownReason::IncompatibleConfiguration)
                                         return "incompatible";
                                     const auto* send = std::get_if<effect::Send>(&e);
                                     if (send != nullptr && std::holds_alternative<Join>(send->message))
                                         return "compatible";
                                 }
                                 return "none";
                             }};

} // namespace
} // namespace muster::conformance
