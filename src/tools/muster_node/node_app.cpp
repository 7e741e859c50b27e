// SPDX-License-Identifier: Apache-2.0
#include "node_app.hpp"

#include "base/utf8.hpp"
#include "json_lines.hpp"
#include <algorithm>
#include <array>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace muster::tools {
namespace json = boost::json;
namespace {

constexpr int listen_retries = 4;
constexpr auto listen_retry_pause = std::chrono::milliseconds(250);
/// The most bytes of a peer's text in one field of a line.
constexpr std::size_t shown_bytes_max = 1024;
constexpr std::string_view flood_path = "/system/flood";
constexpr std::string_view tell_manifest = "text";
constexpr std::string_view flood_manifest = "flood";

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    while (true) {
        const auto begin = text.find_first_not_of(' ');
        if (begin == std::string_view::npos) return words;
        text.remove_prefix(begin);
        const auto end = std::min(text.find(' '), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number number{};
    const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
    return number;
}

ExitCode exit_code_of(ShutdownReason reason) {
    switch (reason) {
    case ShutdownReason::Leaving:
    case ShutdownReason::Requested: return ExitCode::Stopped;
    case ShutdownReason::Downed: return ExitCode::Downed;
    case ShutdownReason::JoinUnsuccessful: return ExitCode::JoinUnsuccessful;
    case ShutdownReason::IncompatibleConfiguration: return ExitCode::Incompatible;
    case ShutdownReason::LeaveUnfinished: return ExitCode::LeaveUnfinished;
    case ShutdownReason::CannotStart: return ExitCode::CannotStart;
    case ShutdownReason::IncarnationSpent: return ExitCode::IncarnationSpent;
    }
    return ExitCode::Internal;
}

bool port_is_taken(const net::Endpoint& at) {
    const bool v4 = at.family == net::Endpoint::Family::V4;
    const int socket = ::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return false;
    const int one = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); // as the listener does
    sockaddr_in in4{};
    in4.sin_family = AF_INET;
    in4.sin_port = htons(at.port);
    std::memcpy(&in4.sin_addr, at.bytes.data(), sizeof in4.sin_addr);
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(at.port);
    in6.sin6_scope_id = at.scope;
    std::memcpy(&in6.sin6_addr, at.bytes.data(), sizeof in6.sin6_addr);
    const auto* const address =
        v4 ? reinterpret_cast<const sockaddr*>(&in4) : reinterpret_cast<const sockaddr*>(&in6);
    const bool taken = ::bind(socket, address, v4 ? sizeof in4 : sizeof in6) != 0 && errno == EADDRINUSE;
    ::close(socket);
    return taken;
}

/// "host:port" of the node in "akka.tcp://sys@host:port/user/x".
std::string_view node_of_path(std::string_view path) {
    const auto at = path.find('@');
    if (at == std::string_view::npos) return path;
    path.remove_prefix(at + 1);
    return path.substr(0, std::min(path.find('/'), path.size()));
}

} // namespace

void CountingSink::deliver(std::string_view target_path, std::string_view manifest, const Slice& payload,
                           std::optional<std::string_view> sender_path) {
    const auto sender = node_of_path(sender_path.value_or("unknown"));
    auto found = received_.find(sender);
    if (found == received_.end()) {
        const bool room = received_.size() < senders_max && sender.size() <= sender_bytes_max;
        found = received_.try_emplace(room ? std::string(sender) : "others").first;
    }
    ++found->second.tells;
    found->second.bytes += payload.size();
    if (manifest == flood_manifest) return;
    auto line = json_line(runtime_.wall_now(), "received");
    line["path"] = utf8_front(target_path, shown_bytes_max);
    line["manifest"] = utf8_front(manifest, shown_bytes_max);
    line["bytes"] = payload.size();
    line["text"] = utf8_front(payload.text(), shown_bytes_max);
    line["from"] = utf8_front(sender, shown_bytes_max);
    console_.print_from_peer(to_text(line));
}

NodeApp::NodeApp(NodeOptions options) : options_(std::move(options)) {}

NodeApp::~NodeApp() {
    console_.stop(); // its thread posts to the Runtime
    node_.reset();
    events_ = {};
    runtime_.reset(); // destroys what still runs on it, the tasks included
}

void NodeApp::print(const json::object& line) { console_.print(to_text(line)); }

void NodeApp::print_error(std::string message) {
    auto line = json_line(runtime_->wall_now(), "error");
    line["message"] = std::move(message);
    print(line);
}

/// On stderr, in order with the log and without waiting for a reader.
void NodeApp::say(const std::string& text) { stderr_lines().write("muster-node: " + text); }

/// The kernel takes an io_uring process that was killed apart in the background, and its listening socket
/// with it: a node that restarts at once finds the port taken for a moment. Probed with a separate socket, so
/// that only the real attempt is logged.
void NodeApp::wait_for_port() {
    const auto& transport = options_.node.transport;
    const auto endpoint = net::Endpoint::parse(transport.listen_host, transport.listen_port);
    if (!endpoint || transport.listen_port == 0) return;
    for (int attempt = 0; attempt < listen_retries && port_is_taken(*endpoint); ++attempt)
        std::this_thread::sleep_for(listen_retry_pause);
}

bool NodeApp::start() {
    net::RuntimeOptions runtime_options;
    runtime_options.log.level = options_.log_level;
    auto runtime = make_runtime(options_.backend, std::move(runtime_options));
    if (!runtime) {
        say(runtime.error().message());
        return false;
    }
    runtime_ = std::move(*runtime);
    sink_ = std::make_shared<CountingSink>(console_, *runtime_);
    wait_for_port();
    auto node = ClusterRemoteAdapter::start(*runtime_, options_.node, sink_);
    if (!node) {
        // A listener that failed has been logged, which is one line as well.
        const bool logged = runtime_->metrics().value("transport.listens.failed") != 0 &&
                            runtime_->log().enabled(LogLevel::Error);
        if (!logged) say(node.error().message());
        return false;
    }
    node_.emplace(std::move(*node));
    tasks_ = std::make_unique<net::TaskGroup>(*runtime_);
    return true;
}

void NodeApp::subscribe() {
    events_ = node_->daemon().events().subscribe(EventCategory::Domain, [this](const ClusterEvent& event) {
        print(to_json(runtime_->wall_now(), event));
    });
    node_->daemon().on_stopped([this](ShutdownReason reason) { on_stopped(reason); });
}

bool NodeApp::start_console() {
    auto started = console_.start(
        {[this](std::string text) { runtime_->post([this, text = std::move(text)] { on_line(text); }); },
         [this](int signal) { runtime_->post([this, signal] { on_signal(signal); }); }});
    if (!started) say(started.error().message());
    return bool(started);
}

ExitCode NodeApp::run() {
    if (!start() || !start_console()) return ExitCode::CannotStart;
    subscribe();
    node_->daemon().on_started([this](const result<void>& started) { on_started(started); });
    if (options_.found_cluster) node_->daemon().join(node_->address());
    runtime_->run();
    return exit_code_;
}

void NodeApp::on_started(const result<void>& started) {
    if (!started) {
        // It has been logged, which is one line as well; or it was told to stop before.
        if (started.error() != Errc::closed && !runtime_->log().enabled(LogLevel::Error))
            say(started.error().message());
        return;
    }
    auto line = json_line(runtime_->wall_now(), "listening");
    line["address"] = node_->address().host_port();
    line["uid"] = uid_text(node_->daemon().unique_address().uid());
    line["cluster"] = node_->address().system;
    line["takes"] = options_.node.transport.listen_host.find(':') == std::string::npos ? "IPv4" : "IPv6 only";
    line["backend"] = runtime_->backend();
    line["pid"] = ::getpid();
    print(line);
    schedule_status();
}

void NodeApp::schedule_status() {
    if (options_.status_interval.count() == 0) return;
    runtime_->schedule(runtime_->monotonic_now() + options_.status_interval, [this] {
        print_status();
        schedule_status();
    });
}

void NodeApp::print_status() {
    auto line = status_json(runtime_->wall_now(), node_->snapshot());
    json::object received;
    for (const auto& [sender, counts] : sink_->received())
        received[sender] = json::object{{"tells", counts.tells}, {"bytes", counts.bytes}};
    line["received"] = std::move(received);
    print(line);
}

void NodeApp::print_members() {
    const auto snapshot = node_->snapshot();
    const auto& gossip = snapshot.state->latest();
    for (const auto& member : snapshot.members()) {
        auto line = json_line(runtime_->wall_now(), "member");
        for (auto& [key, value] : to_json(member, gossip.reachability().status(member.unique_address()),
                                          gossip.seen_by(member.unique_address())))
            line[key] = value;
        print(line);
    }
}

void NodeApp::on_signal(int signal) {
    if (signal != SIGHUP) return stop_gracefully();
    // A terminal that closes is no reason to leave the cluster.
    runtime_->log().warning("muster_node.signal.ignored", {}, {{"signal", "SIGHUP"}});
}

void NodeApp::stop_gracefully() {
    if (stopping_) return;
    stopping_ = true;
    runtime_->schedule(runtime_->monotonic_now() + options_.exit_deadline, [this] {
        say(fmt::format("not stopped within --exit-deadline ({} ms)", options_.exit_deadline.count()));
        exit_code_ = ExitCode::Deadline;
        runtime_->stop();
    });
    node_->daemon().shutdown();
}

void NodeApp::on_stopped(ShutdownReason reason) {
    if (exit_code_ == ExitCode::Stopped) exit_code_ = exit_code_of(reason);
    auto line = json_line(runtime_->wall_now(), "stopped");
    line["reason"] = to_string(reason);
    print(line);
    runtime_->stop();
}

std::optional<Address> NodeApp::address_of(std::string_view text) {
    const auto& self = node_->address();
    const std::string whole = text.find("://") != std::string_view::npos
                                  ? std::string(text)
                                  : fmt::format("{}://{}@{}", self.protocol, self.system, text);
    auto parsed = Address::parse(whole);
    if (parsed && parsed->host && parsed->port) return std::move(*parsed);
    print_error(fmt::format("'{}' is no address; write host:port", text));
    return std::nullopt;
}

void NodeApp::command_tell(const std::string& rest) {
    const auto words = split(rest);
    if (words.size() < 3) return print_error("write: tell ADDRESS PATH TEXT");
    const auto to = address_of(words[0]);
    if (!to) return;
    const auto text_begin = static_cast<std::size_t>(words[2].data() - rest.data());
    const auto text = std::string_view(rest).substr(text_begin);
    const auto target = to->to_string() + std::string(words[1]);
    const auto sender = node_->address().to_string() + "/user/console";
    const auto result = node_->tell(*to, Tell{target, tell_manifest, std::as_bytes(std::span{text}), sender});
    auto line = json_line(runtime_->wall_now(), "told");
    line["to"] = to->host_port();
    line["result"] = to_string(result);
    print(line);
}

void NodeApp::command_flood(const std::vector<std::string_view>& words) {
    const auto count = words.size() == 4 ? parse_number<std::uint64_t>(words[2]) : std::nullopt;
    const auto bytes = words.size() == 4 ? parse_number<std::size_t>(words[3]) : std::nullopt;
    if (!count || !bytes) return print_error("write: flood ADDRESS COUNT BYTES");
    if (*bytes > options_.node.transport.frame_bytes_max)
        return print_error(fmt::format("BYTES must be at most {}", options_.node.transport.frame_bytes_max));
    if (auto to = address_of(words[1])) tasks_->spawn(flood(std::move(*to), *count, *bytes));
}

net::Task<void> NodeApp::flood(Address to, std::uint64_t count, std::size_t bytes) {
    const auto target = to.to_string() + std::string(flood_path);
    const auto sender = node_->address().to_string() + std::string(flood_path);
    const std::vector<std::byte> payload(bytes, std::byte{'x'});
    const auto route = node_->daemon().route(to);
    const Tell message{target, flood_manifest, payload, sender};
    std::uint64_t queued = 0;
    std::uint64_t refused = 0;
    for (std::uint64_t i = 0; i < count && !tasks_->stopping(); ++i) {
        const auto answer = route.tell(message);
        // Waiting for room, and a pause now and then, keep the loop free for everything else.
        if (answer == TellResult::Full || (answer == TellResult::Queued && i % 1024 == 1023)) {
            if (answer == TellResult::Queued) {
                ++queued;
                auto pause = co_await runtime_->sleep_for(std::chrono::microseconds(1));
                if (!pause) break;
                continue;
            }
            auto waited = co_await node_->daemon().async_tell(to, message, boost::asio::use_awaitable);
            waited ? ++queued : ++refused;
        } else {
            answer == TellResult::Queued ? ++queued : ++refused;
        }
    }
    auto line = json_line(runtime_->wall_now(), "flooded");
    line["to"] = to.host_port();
    line["queued"] = queued;
    line["refused"] = refused;
    print(line);
}

void NodeApp::on_line(const std::string& text) {
    const auto words = split(text);
    if (words.empty()) return;
    static constexpr std::array<std::string_view, 6> alone{"status",    "members", "why",
                                                           "decisions", "metrics", "help"};
    if (words.size() > 1 && std::ranges::find(alone, words[0]) != alone.end())
        return print_error(fmt::format("{} takes no argument, got '{}'", words[0], words[1]));
    auto& daemon = node_->daemon();
    const auto with_address = [&](auto action) {
        if (words.size() != 2) return print_error(fmt::format("write: {} ADDRESS", words[0]));
        if (auto address = address_of(words[1])) action(*address);
    };
    if (words[0] == "leave" && words.size() == 1) {
        stop_gracefully();
    } else if (words[0] == "leave") {
        with_address([&](const Address& a) { daemon.leave(a); });
    } else if (words[0] == "down") {
        with_address([&](const Address& a) { daemon.down(a); });
    } else if (words[0] == "join") {
        with_address([&](const Address& a) { daemon.join(a); });
    } else if (words[0] == "tell") {
        command_tell(text.substr(static_cast<std::size_t>(words[0].data() + words[0].size() - text.data())));
    } else if (words[0] == "flood") {
        command_flood(words);
    } else if (words[0] == "status") {
        print_status();
    } else if (words[0] == "members") {
        print_members();
    } else if (words[0] == "why") {
        daemon.not_converged_report([this](const ConvergenceReport& report) {
            auto line = json_line(runtime_->wall_now(), "why");
            line["converged"] = report.converged;
            line["report"] = report.to_string();
            print(line);
        });
    } else if (words[0] == "decisions") {
        for (const auto& decision : daemon.decisions()) {
            auto line = json_line(runtime_->wall_now(), "decision");
            boost::system::error_code failed;
            line["record"] = json::parse(to_utf8(decision->to_json()), failed);
            print(line);
        }
    } else if (words[0] == "metrics") {
        auto line = json_line(runtime_->wall_now(), "metrics");
        for (const auto& metric : runtime_->metrics().snapshot()) line[metric.name] = metric.value;
        print(line);
    } else if (words[0] == "forget-data-center") {
        if (words.size() != 2) return print_error("write: forget-data-center NAME");
        daemon.forget_data_center(std::string(words[1]),
                                  [this, name = std::string(words[1])](result<void> done) {
                                      if (!done) return print_error(done.error().message());
                                      auto line = json_line(runtime_->wall_now(), "forgot-data-center");
                                      line["name"] = name;
                                      print(line);
                                  });
    } else if (words[0] == "help") {
        auto line = json_line(runtime_->wall_now(), "help");
        json::array commands;
        for (const auto& [usage, meaning] : command_help())
            commands.push_back(json::object{{"command", usage}, {"meaning", meaning}});
        line["commands"] = std::move(commands);
        print(line);
    } else {
        print_error(fmt::format("unknown command '{}'; help lists them", words[0]));
    }
}

} // namespace muster::tools
