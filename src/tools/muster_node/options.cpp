// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include "base/setting_limits.hpp"
#include "base/utf8.hpp"
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <fmt/format.h>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <muster/cluster/sbr/lease.hpp>
#include <muster/net/endpoint.hpp>
#include <muster/node/file_lease.hpp>
#include <muster/version.hpp>

namespace muster::tools {
namespace {

using std::chrono::milliseconds;

/// CLI11's own would print the whole range of a double.
const CLI::Validator not_negative(
    [](std::string& text) { return text.starts_with('-') ? text + " is negative" : std::string(); },
    "NONNEGATIVE");
const CLI::Validator one_or_more(
    [](std::string& text) {
        return text.starts_with('-') || text.find_first_not_of('0') == std::string::npos
                   ? text + " is not 1 or more"
                   : std::string();
    },
    "POSITIVE");

/// Each alone and sums of many of them fit the 64 bits of the clock.
constexpr milliseconds duration_max = setting_duration_max;
const std::string duration_range = fmt::format("use at most {}h", duration_max / std::chrono::hours{1});
const CLI::Validator at_most_duration_max(
    [](std::string& text) {
        std::int64_t ms = 0;
        const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), ms);
        return code != std::errc{} || ms > duration_max.count() ? text + " ms is too long; " + duration_range
                                                                : std::string();
    },
    "");

/// "250ms", "5s", "2m" or a plain number of milliseconds; what CLI11 prints on anything else names flag and
/// value.
CLI::Option* add_duration(CLI::App& app, const std::string& name, milliseconds& target,
                          const std::string& help) {
    return app
        .add_option_function<std::int64_t>(
            name, [&target](const std::int64_t& ms) { target = milliseconds(ms); }, help)
        ->transform(CLI::AsNumberWithUnit(
            std::map<std::string, std::int64_t>{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}},
            CLI::AsNumberWithUnit::CASE_SENSITIVE))
        ->check(not_negative)
        ->check(at_most_duration_max)
        ->type_name("DURATION")
        ->default_str(fmt::format("{}ms", target.count()));
}

struct HostPort {
    std::string host;
    std::uint16_t port = 0;
};

/// "host:port", "[v6]:port", or "host" when the port may be left out.
HostPort parse_host_port(const std::string& flag, const std::string& text, bool port_required) {
    std::string host = text;
    std::string port_text;
    if (!text.empty() && text.front() == '[') {
        const auto close = text.find(']');
        if (close == std::string::npos)
            throw CLI::ValidationError(flag,
                                       fmt::format("'{}' has no closing ]; write [v6-address]:port", text));
        host = text.substr(1, close - 1);
        if (close + 1 < text.size()) {
            if (text[close + 1] != ':')
                throw CLI::ValidationError(flag, fmt::format("'{}' is not [v6-address]:port", text));
            port_text = text.substr(close + 2);
        }
    } else if (const auto colon = text.rfind(':'); colon != std::string::npos) {
        host = text.substr(0, colon);
        port_text = text.substr(colon + 1);
        if (host.find(':') != std::string::npos)
            throw CLI::ValidationError(
                flag, fmt::format("'{}': an IPv6 address goes in brackets, [v6-address]:port", text));
    }
    HostPort result{host, 0};
    if (port_text.empty() && port_required)
        throw CLI::ValidationError(flag, fmt::format("'{}' has no port; write host:port", text));
    if (!port_text.empty()) {
        const char* const end = port_text.data() + port_text.size();
        const auto [rest, code] = std::from_chars(port_text.data(), end, result.port);
        if (code != std::errc{} || rest != end)
            throw CLI::ValidationError(flag, fmt::format("'{}': the port must be 0 to 65535", text));
    }
    if (host.empty())
        throw CLI::ValidationError(flag, fmt::format("'{}' has no host; write host:port", text));
    return result;
}

/// A seed or referee: a whole address or host:port of this cluster.
Address parse_address(const std::string& flag, const std::string& text, const std::string& protocol,
                      const std::string& cluster) {
    if (text.find("://") == std::string::npos) {
        const auto at = parse_host_port(flag, text, true);
        return Address::remote(protocol, cluster, at.host, at.port);
    }
    auto parsed = Address::parse(text);
    if (!parsed) throw CLI::ValidationError(flag, parsed.error().message());
    if (!parsed->host || !parsed->port)
        throw CLI::ValidationError(flag, fmt::format("'{}' has no host and port", text));
    if (parsed->protocol != protocol)
        throw CLI::ValidationError(flag, fmt::format("'{}' is of protocol '{}', this node is of '{}'", text,
                                                     parsed->protocol, protocol));
    if (parsed->system != cluster)
        throw CLI::ValidationError(flag, fmt::format("'{}' is of cluster '{}', this node is of '{}'", text,
                                                     parsed->system, cluster));
    return *parsed;
}

/// Texts that become something else once all flags are known.
struct RawFlags {
    std::string listen = "127.0.0.1:0";
    std::string advertise;
    std::vector<std::string> seeds;
    std::vector<std::string> roles;
    std::vector<std::string> role_minimums;
    std::vector<std::string> weights;
    std::string app_version = "0.0.0";
    std::string strategy = "keep-majority";
    std::string referee;
    std::string lease_file;
    std::string unstable = "on";
    std::string weakly_up = "7s";
    std::string backend = "auto";
    std::string log_level = "warning";
    std::string indirect;
    bool classic = false;
    bool no_eager = false;
    bool no_evidence = false;
    bool no_join = false;
    bool keep_when_alone = false;
};

std::pair<std::string, std::uint64_t> parse_assignment(const std::string& flag, const std::string& text) {
    const auto eq = text.find('=');
    std::uint64_t number = 0;
    const char* const begin = text.data() + (eq == std::string::npos ? text.size() : eq + 1);
    const char* const end = text.data() + text.size();
    const auto [rest, code] = std::from_chars(begin, end, number);
    if (eq == std::string::npos || eq == 0 || begin == end || code != std::errc{} || rest != end)
        throw CLI::ValidationError(flag, fmt::format("'{}' is not ROLE=NUMBER", text));
    return {text.substr(0, eq), number};
}

milliseconds parse_duration(const std::string& flag, const std::string& text) {
    std::int64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, code] = std::from_chars(text.data(), end, number);
    const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
    const std::map<std::string_view, std::int64_t> units{
        {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
    if (code != std::errc{} || number < 0 || !units.contains(unit))
        throw CLI::ValidationError(
            flag, fmt::format("'{}' is neither on, off nor a duration like 500ms or 7s", text));
    if (number > duration_max.count() / units.at(unit))
        throw CLI::ValidationError(flag, fmt::format("'{}' is too long; {}", text, duration_range));
    return milliseconds(number * units.at(unit));
}

void add_cluster_flags(CLI::App& app, RawFlags& raw, NodeOptions& options) {
    auto& transport = options.node.transport;
    auto& cluster = options.node.daemon.cluster;
    app.add_option("--cluster", transport.cluster_name,
                   "name of the cluster; peers of another one are refused")
        ->capture_default_str();
    app.add_option("--listen", raw.listen,
                   "literal address and port to bind; port 0: the system chooses; [::] takes IPv6 only, "
                   "0.0.0.0 IPv4 only")
        ->type_name("HOST:PORT")
        ->capture_default_str();
    app.add_option("--advertise", raw.advertise,
                   "host[:port] by which other nodes reach this one; default: --listen")
        ->type_name("HOST[:PORT]");
    app.add_option("--congestion-control", transport.congestion_control,
                   "of TCP: auto (cubic between nodes of one host, else the system's), system, or a name")
        ->capture_default_str();
    app.add_option(
           "--seed", raw.seeds,
           "seed node, repeatable, the same list on every node; none: this node begins a cluster of its own")
        ->type_name("HOST:PORT");
    app.add_option("--role", raw.roles, "role of this node, repeatable");
    app.add_option("--dc", cluster.multi_dc.self_data_center, "data center of this node")
        ->capture_default_str();
    app.add_option("--app-version", raw.app_version, "version of the application")->capture_default_str();
    app.add_option("--min-members", cluster.min_nr_of_members, "members needed before anybody becomes Up")
        ->check(one_or_more)
        ->capture_default_str();
    app.add_option("--role-min-members", raw.role_minimums, "the same per role, repeatable")
        ->type_name("ROLE=N");
    app.add_option("--weakly-up-after", raw.weakly_up, "on (7s), off or a duration")->capture_default_str();
    app.add_flag("--no-join", raw.no_join,
                 "without seeds: wait for the command join instead of beginning a cluster");
}

void add_timing_flags(CLI::App& app, RawFlags& raw, NodeOptions& options) {
    auto& cluster = options.node.daemon.cluster;
    add_duration(app, "--gossip-interval", cluster.gossip_interval, "between gossip rounds");
    add_duration(app, "--leader-interval", cluster.leader_actions_interval, "between leader actions");
    add_duration(app, "--reaper-interval", cluster.unreachable_nodes_reaper_interval,
                 "between looks at the failure detectors");
    add_duration(app, "--heartbeat-interval", cluster.failure_detector.heartbeat_interval,
                 "between heartbeats");
    add_duration(app, "--acceptable-pause", cluster.failure_detector.acceptable_heartbeat_pause,
                 "silence that is still normal");
    app.add_option("--phi-threshold", cluster.failure_detector.threshold,
                   "suspicion at which a node is unreachable")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    add_duration(app, "--seed-timeout", cluster.seed_node_timeout,
                 "first seed: before it begins a cluster of its own");
    add_duration(app, "--initial-delay", cluster.periodic_tasks_initial_delay,
                 "before the first periodic work");
    add_duration(app, "--quarantine-removed-after", cluster.quarantine_removed_node_after,
                 "before a node that left is quarantined");
    add_duration(
        app, "--down-removal-margin", cluster.down_removal_margin,
        "before a downed member's work may begin elsewhere (MemberRemoved says it); 0: as --stable-after");
    app.add_flag("--classic", raw.classic, "plain periodic gossip: no eager gossip, no evidence of death");
    app.add_flag("--no-eager-gossip", raw.no_eager, "agree in rounds only");
    app.add_flag("--no-death-evidence", raw.no_evidence, "judge by heartbeats only");
}

void add_sbr_flags(CLI::App& app, RawFlags& raw, SbrSettings& sbr) {
    std::string strategies;
    for (const std::string_view name : sbr_strategy_names()) strategies += std::string(name) + ", ";
    app.add_option("--strategy", raw.strategy, "split-brain resolution: " + strategies + "off")
        ->capture_default_str();
    add_duration(app, "--stable-after", sbr.stable_after, "no change for that long before the resolver acts");
    app.add_option("--down-all-when-unstable", raw.unstable, "on, off or a duration")->capture_default_str();
    app.add_option("--indirectly-connected", raw.indirect,
                   "who goes when nodes call each other unreachable while gossip still flows: the blamed "
                   "few, or all of them "
                   "(default blamed; all with --classic)")
        ->check(CLI::IsMember({"blamed", "all"}));
    app.add_option("--sbr-role", sbr.role, "only members with this role count");
    app.add_option("--quorum-size", sbr.quorum_size, "static-quorum: members that must stay")
        ->check(one_or_more);
    app.add_option("--referee", raw.referee, "keep-referee: the node that decides")->type_name("HOST:PORT");
    app.add_option("--lease-file", raw.lease_file,
                   "lease-majority: the file that all nodes can reach and lock");
    app.add_flag("--keep-oldest-when-alone", raw.keep_when_alone,
                 "keep-oldest: the oldest survives even alone");
    app.add_option("--weight", raw.weights, "weight of members with a role, repeatable")->type_name("ROLE=N");
    app.add_flag("--dry-run", sbr.dry_run, "record the resolver's decisions without acting on them");
}

void add_process_flags(CLI::App& app, RawFlags& raw, NodeOptions& options) {
    app.add_option("--backend", raw.backend, "event loop")
        ->check(CLI::IsMember({"auto", "uring", "epoll"}))
        ->capture_default_str();
    app.add_option("--log-level", raw.log_level, "of the log on stderr")
        ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
        ->capture_default_str();
    add_duration(app, "--status-interval", options.status_interval, "between status lines; 0: none");
    add_duration(
        app, "--exit-deadline", options.exit_deadline,
        "SIGTERM or leave: exit with 7 when it takes longer (0: follows --stable-after and the detector)");
}

/// The owner is the address that others know, so that a restarted node still has its lease.
void apply_lease(const RawFlags& raw, NodeOptions& options, SbrSettings& sbr) {
    const bool needs_lease = raw.strategy == "lease-majority";
    if (raw.lease_file.empty() && needs_lease)
        throw CLI::ValidationError("--strategy", "lease-majority needs --lease-file");
    if (raw.lease_file.empty()) return;
    if (!needs_lease) throw CLI::ValidationError("--lease-file", "goes with --strategy lease-majority");
    const auto& transport = options.node.transport;
    const std::uint16_t port =
        transport.advertised_port != 0 ? transport.advertised_port : transport.listen_port;
    if (port == 0)
        throw CLI::ValidationError("--lease-file",
                                   "needs a fixed port in --listen: it names the lease's owner");
    const auto self = Address::remote(
        transport.protocol, transport.cluster_name,
        transport.advertised_host.empty() ? transport.listen_host : transport.advertised_host, port);
    sbr.lease_implementation = "file";
    options.node.daemon.lease = std::make_shared<FileLease>(raw.lease_file, lease_owner(self.host_port()));
}

void apply_sbr(const RawFlags& raw, NodeOptions& options, SbrSettings sbr) {
    if (raw.strategy == "off") return;
    if (raw.strategy == "keep-referee" && raw.referee.empty())
        throw CLI::ValidationError("--strategy",
                                   "keep-referee needs --referee HOST:PORT, the node that decides");
    if (raw.strategy == "static-quorum" && sbr.quorum_size == 0)
        throw CLI::ValidationError(
            "--strategy",
            "static-quorum needs --quorum-size, more than half of the members there are meant to be");
    sbr.strategy = raw.strategy;
    sbr.down_if_alone = !raw.keep_when_alone;
    if (raw.indirect == "all" || (raw.indirect.empty() && raw.classic))
        sbr.indirect = SbrSettings::Indirect::All;
    if (raw.unstable == "off")
        sbr.down_all_when_unstable = SbrSettings::Unstable::off();
    else if (raw.unstable == "on")
        sbr.down_all_when_unstable = SbrSettings::Unstable::on();
    else
        sbr.down_all_when_unstable =
            SbrSettings::Unstable::after(parse_duration("--down-all-when-unstable", raw.unstable));
    if (!raw.referee.empty())
        sbr.referee = parse_address("--referee", raw.referee, options.node.transport.protocol,
                                    options.node.transport.cluster_name);
    for (const auto& text : raw.weights) {
        const auto [role, weight] = parse_assignment("--weight", text);
        if (weight > std::numeric_limits<std::uint32_t>::max())
            throw CLI::ValidationError("--weight", fmt::format("'{}': use at most {}", text,
                                                               std::numeric_limits<std::uint32_t>::max()));
        sbr.weights[role] = static_cast<std::uint32_t>(weight);
    }
    apply_lease(raw, options, sbr);
    options.node.daemon.sbr = std::move(sbr);
}

void apply_exit_deadline(NodeOptions& options) {
    const auto needed = options.node.daemon.shutdown_time_max() + std::chrono::seconds(1);
    if (options.exit_deadline.count() == 0) {
        options.exit_deadline = needed;
    } else if (options.exit_deadline < needed) {
        throw CLI::ValidationError(
            "--exit-deadline",
            fmt::format("a leave may take {} ms with this --stable-after, --heartbeat-interval and "
                        "--acceptable-pause: allow as much, or lower --stable-after",
                        needed.count()));
    }
}

void apply(const RawFlags& raw, NodeOptions& options, SbrSettings sbr) {
    auto& transport = options.node.transport;
    auto& cluster = options.node.daemon.cluster;
    const auto listen = parse_host_port("--listen", raw.listen, true);
    if (auto literal = net::Endpoint::parse(listen.host, listen.port); !literal)
        throw CLI::ValidationError("--listen", literal.error().message());
    transport.listen_host = listen.host;
    transport.listen_port = listen.port;
    if (!raw.advertise.empty()) {
        const auto advertised = parse_host_port("--advertise", raw.advertise, false);
        transport.advertised_host = advertised.host;
        transport.advertised_port = advertised.port;
    }
    for (const auto& seed : raw.seeds)
        cluster.seed_nodes.push_back(
            parse_address("--seed", seed, transport.protocol, transport.cluster_name));
    cluster.roles = raw.roles;
    auto version = AppVersion::parse(raw.app_version);
    if (!version) throw CLI::ValidationError("--app-version", version.error().message());
    cluster.app_version = *version;
    for (const auto& text : raw.role_minimums) {
        const auto [role, count] = parse_assignment("--role-min-members", text);
        cluster.role_min_nr_of_members[role] = count;
    }
    if (raw.weakly_up == "off")
        cluster.allow_weakly_up_members.reset();
    else if (raw.weakly_up != "on")
        cluster.allow_weakly_up_members = parse_duration("--weakly-up-after", raw.weakly_up);
    if (raw.classic) {
        const auto classic = ClusterSettings::classic();
        cluster.eager = classic.eager;
        cluster.seed_refused_is_nack = classic.seed_refused_is_nack;
        cluster.seed_ask_again_after = classic.seed_ask_again_after;
        cluster.patient_leave = classic.patient_leave;
    }
    if (raw.no_eager) cluster.eager.eager_gossip = false;
    if (raw.no_evidence) cluster.eager.death_evidence = false;
    if (raw.no_join && !raw.seeds.empty()) throw CLI::ValidationError("--no-join", "does not go with --seed");
    options.found_cluster = raw.seeds.empty() && !raw.no_join;
    options.backend = *parse_backend(raw.backend);
    options.log_level = *parse_log_level(raw.log_level);
    apply_sbr(raw, options, std::move(sbr));
    apply_exit_deadline(options);
}

using CommandHelp = std::pair<std::string_view, std::string_view>;
constexpr std::array<CommandHelp, 12> commands{{
    {"leave [ADDRESS]", "leave gracefully: this node, or another"},
    {"down ADDRESS", "declare a node dead"},
    {"join ADDRESS", "join the cluster of that node"},
    {"tell ADDRESS PATH TEXT", "send TEXT to the actor PATH there"},
    {"flood ADDRESS COUNT BYTES", "send COUNT tells of BYTES bytes"},
    {"status", "print the status line"},
    {"members", "print a line per member"},
    {"metrics", "print every counter"},
    {"why", "print why the cluster has not converged"},
    {"decisions", "print the resolver's latest decisions, with what they were made from"},
    {"forget-data-center NAME",
     "nobody of that lost data center lives on: tombstones age again on this node"},
    {"help", "print these commands"},
}};

std::string footer() {
    std::string text = "Commands, one per line on stdin (ADDRESS is host:port or a whole address):\n";
    for (const auto& [usage, meaning] : commands) text += fmt::format("  {:<26} {}\n", usage, meaning);
    return text + R"(Output: one JSON object per line on stdout, "at" in UTC; the log on stderr.
Exit codes: 0 stopped, 1 internal error, 2 bad flag, 3 cannot start, 4 downed, 5 join unsuccessful,
  6 incompatible configuration, 7 not stopped within --exit-deadline, 8 could not leave in time,
  9 its counters were pushed to their limit by a forged gossip: start it again.)";
}

/// A setting's name in the library, and the flag that sets it here.
constexpr std::pair<std::string_view, std::string_view> flags_of_settings[] = {
    {"cluster_name", "--cluster"},
    {"listen_host", "--listen"},
    {"advertised_host", "--advertise"},
    {"congestion_control", "--congestion-control"},
    {"seed-nodes", "--seed"},
    {"seed-node-timeout", "--seed-timeout"},
    {"roles", "--role"},
    {"app-version", "--app-version"},
    {"multi-data-center.self-data-center", "--dc"},
    {"min-nr-of-members", "--min-members"},
    {"allow-weakly-up-members", "--weakly-up-after"},
    {"gossip-interval", "--gossip-interval"},
    {"leader-actions-interval", "--leader-interval"},
    {"unreachable-nodes-reaper-interval", "--reaper-interval"},
    {"periodic-tasks-initial-delay", "--initial-delay"},
    {"quarantine-removed-node-after", "--quarantine-removed-after"},
    {"down-removal-margin", "--down-removal-margin"},
    {"failure-detector.heartbeat-interval", "--heartbeat-interval"},
    {"failure-detector.acceptable-heartbeat-pause", "--acceptable-pause"},
    {"failure-detector.threshold", "--phi-threshold"},
    {"split-brain-resolver.active-strategy", "--strategy"},
    {"split-brain-resolver.stable-after", "--stable-after"},
    {"split-brain-resolver.down-all-when-unstable", "--down-all-when-unstable"},
    {"split-brain-resolver.role", "--sbr-role"},
    {"split-brain-resolver.weights", "--weight"},
    {"split-brain-resolver.static-quorum.quorum-size", "--quorum-size"},
    {"split-brain-resolver.keep-referee.referee", "--referee"},
    {"split-brain-resolver.lease-majority.lease-implementation", "--lease-file"},
};

/// The flag's value may have any bytes.
std::string on_one_line(std::string_view text) {
    std::string line;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)
            line += c;
        else
            line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return to_utf8(line);
}

/// The library's words for a bad setting, with the flag in place of the setting.
std::string in_terms_of_flags(Error error) {
    constexpr std::string_view front = "setting ";
    if (!error.subject.starts_with(front)) return error.message();
    const std::string rest = error.subject.substr(front.size());
    const std::string name = rest.substr(0, rest.find(' '));
    const auto* const known =
        std::ranges::find(flags_of_settings, name, &std::pair<std::string_view, std::string_view>::first);
    if (known != std::end(flags_of_settings))
        error.subject = std::string(known->second) + rest.substr(name.size());
    else if (name.starts_with("role.") && name.ends_with(".min-nr-of-members"))
        error.subject = "--role-min-members" + rest.substr(name.size());
    return error.message();
}

} // namespace

std::span<const std::pair<std::string_view, std::string_view>> command_help() noexcept { return commands; }

std::variant<NodeOptions, EarlyExit> parse_options(int argc, const char* const* argv) {
    NodeOptions options;
    options.node.transport.cluster_name = "muster";
    RawFlags raw;
    SbrSettings sbr;
    CLI::App app{"One node of a muster cluster", "muster-node"};
    app.footer(footer());
    app.set_version_flag("--version", fmt::format("muster-node {}", version()));
    add_cluster_flags(app, raw, options);
    add_timing_flags(app, raw, options);
    add_sbr_flags(app, raw, sbr);
    add_process_flags(app, raw, options);
    try {
        app.parse(argc, argv);
        apply(raw, options, std::move(sbr));
        if (auto ok = options.node.daemon.validate(); !ok)
            return EarlyExit{on_one_line(in_terms_of_flags(ok.error())), true};
        if (auto ok = options.node.transport.validate(); !ok)
            return EarlyExit{on_one_line(in_terms_of_flags(ok.error())), true};
    } catch (const CLI::CallForHelp&) {
        return EarlyExit{app.help(), false};
    } catch (const CLI::CallForVersion&) {
        return EarlyExit{app.version() + "\n", false};
    } catch (const CLI::ParseError& error) {
        return EarlyExit{on_one_line(error.what()), true};
    }
    return options;
}

} // namespace muster::tools
