// SPDX-License-Identifier: Apache-2.0
#pragma once
/// muster-node behind its command line: the node, its commands and what it prints.
#include "console.hpp"
#include "options.hpp"
#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <muster/net/task_group.hpp>
#include <muster/node/event_bus.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::tools {

/// Counts the arriving tells per sender, and prints those to paths other than the flood's. Runtime's thread.
class CountingSink final : public RemoteMessageSink {
public:
    struct Received {
        std::uint64_t tells = 0;
        std::uint64_t bytes = 0;
    };
    CountingSink(Console& console, net::Runtime& runtime) : console_(console), runtime_(runtime) {}
    void deliver(std::string_view target_path, std::string_view manifest, const Slice& payload,
                 std::optional<std::string_view> sender_path) override;
    const std::map<std::string, Received, std::less<>>& received() const noexcept { return received_; }

private:
    static constexpr std::size_t senders_max = 10'000;
    static constexpr std::size_t sender_bytes_max =
        300; ///< a host's name and a port; longer ones count as "others"
    Console& console_;
    net::Runtime& runtime_;
    std::map<std::string, Received, std::less<>> received_;
};

class NodeApp {
public:
    explicit NodeApp(NodeOptions options);
    ~NodeApp();
    /// Runs until the node has stopped; returns the exit status.
    ExitCode run();

private:
    bool start();
    bool start_console();
    void wait_for_port();
    static void say(const std::string& text);
    void subscribe();
    /// The node begins to join now, or cannot.
    void on_started(const result<void>& started);
    void print(const boost::json::object& line);
    void print_error(std::string message);
    void print_status();
    void print_members();
    void schedule_status();
    void on_signal(int signal);
    void stop_gracefully();
    void on_stopped(ShutdownReason reason);

    void on_line(const std::string& line); ///< Runtime's thread
    void command_tell(const std::string& rest);
    void command_flood(const std::vector<std::string_view>& words);
    net::Task<void> flood(Address to, std::uint64_t count, std::size_t bytes);
    std::optional<Address> address_of(std::string_view text);

    NodeOptions options_;
    Console console_;
    std::unique_ptr<net::Runtime> runtime_;
    std::shared_ptr<CountingSink> sink_;
    std::optional<ClusterRemoteAdapter> node_;
    std::unique_ptr<net::TaskGroup> tasks_;
    SubscriptionHandle events_;
    ExitCode exit_code_ = ExitCode::Stopped;
    bool stopping_ = false;
};

} // namespace muster::tools
