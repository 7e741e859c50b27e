// SPDX-License-Identifier: Apache-2.0
/// muster-sim: worlds from seeds. `muster-sim --help` and src/doc/muster-sim.md describe it.
#include "child.hpp"
#include "options.hpp"
#include "report.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <list>
#include <poll.h>
#include <sstream>
#include <system_error>
#include <vector>
#ifdef MUSTER_MUTANTS
#include "base/mutants.hpp"
#endif

namespace muster::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t default_nodes = 7;

/// Reports an external error in one line; exit code CannotRun (or Usage).
struct Trouble {
    std::string what;
    ExitCode code = ExitCode::CannotRun;
};

void print(const std::string& line) {
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout); // people watch
}

class App {
public:
    explicit App(SimOptions options) : options_(std::move(options)) {}

    ExitCode run() {
        if (options_.list) {
            for (const auto name : sim::Scenario::names()) print(std::string(name));
            return ExitCode::Held;
        }
        read_scenario();
        run_all();
        sum_.real_seconds = seconds_since_start();
        print(options_.json ? to_json(sum_) : to_text(sum_));
        return sum_.broken == 0 ? ExitCode::Held : ExitCode::Broken;
    }

private:
    struct Run {
        sim::Scenario scenario;
        Child child;
        Run(sim::Scenario s, const Child::Options& options)
            : scenario(std::move(s)), child(scenario, options) {}
    };

    double seconds_since_start() const {
        return std::chrono::duration<double>(Clock::now() - started_).count();
    }

    bool is_file() const {
        return options_.scenario.find('.') != std::string::npos ||
               options_.scenario.find('/') != std::string::npos;
    }

    void read_scenario() {
        if (options_.scenario.empty()) return;
        if (!is_file()) {
            scenario_of(options_.first_seed);
            return;
        }
        std::ifstream file(options_.scenario);
        std::ostringstream text;
        text << file.rdbuf();
        if (!file) throw Trouble{fmt::format("cannot read {}", options_.scenario)};
        auto parsed = sim::Scenario::from_json(text.str());
        if (!parsed)
            throw Trouble{fmt::format("{}: {}", options_.scenario, parsed.error().message()),
                          ExitCode::Usage};
        if (options_.nodes) throw Trouble{"--nodes: the file says how many", ExitCode::Usage};
        file_ = *std::move(parsed);
        // Its own seed, unless others were asked for.
        if (options_.first_seed == 1 && options_.last_seed == 1)
            options_.first_seed = options_.last_seed = file_->seed;
    }

    sim::Scenario scenario_of(std::uint64_t seed) const {
        if (options_.scenario.empty()) return sim::Scenario::draw(seed);
        if (file_) {
            sim::Scenario s = *file_;
            s.seed = seed;
            return s;
        }
        auto named = sim::Scenario::named(options_.scenario, options_.nodes.value_or(default_nodes), seed);
        if (!named) throw Trouble{fmt::format("--scenario: {}", named.error().message()), ExitCode::Usage};
        return *std::move(named);
    }

    // --- the runs, several at a time

    bool may_begin() const {
        if (is_last_ || sum_.broken >= options_.failures_max) return false;
        return !options_.minutes || seconds_since_start() < *options_.minutes * 60;
    }

    void begin_one() {
        const Child::Options child{.seconds_max = options_.seconds_per_run, .timeline = options_.timeline};
        running_.emplace_back(scenario_of(next_seed_), child);
        is_last_ = next_seed_ == options_.last_seed;
        ++next_seed_;
    }

    void run_all() {
        next_seed_ = options_.first_seed;
        while (may_begin() || !running_.empty()) {
            while (running_.size() < options_.jobs && may_begin()) begin_one();
            std::vector<pollfd> waits;
            for (const Run& run : running_) waits.push_back({run.child.descriptor(), POLLIN, 0});
            if (::poll(waits.data(), waits.size(), -1) < 0) continue;
            std::size_t i = 0;
            for (auto run = running_.begin(); run != running_.end(); ++i) {
                if (waits[i].revents == 0) {
                    ++run;
                    continue;
                }
                if (auto outcome = run->child.take()) {
                    ended(run->scenario, *outcome);
                    run = running_.erase(run);
                } else {
                    ++run;
                }
            }
        }
    }

    void ended(const sim::Scenario& scenario, const sim::Outcome& outcome) {
        sum_.add(scenario, outcome);
        if (options_.json) print(outcome_to_json(outcome));
        if (outcome.ok()) {
            const bool alone = options_.first_seed == options_.last_seed;
            if (alone && !options_.json)
                print(fmt::format("{}: trace {:016x}", title_of(scenario), outcome.trace_hash));
        } else {
            explain(scenario, outcome);
        }
    }

    // --- a failure

    std::string replay_command(const sim::Scenario& scenario) const {
        if (options_.scenario.empty()) return fmt::format("muster-sim --seed {}", scenario.seed);
        const auto nodes = options_.nodes ? fmt::format(" --nodes {}", *options_.nodes) : std::string();
        return fmt::format("muster-sim --scenario {}{} --seed {}", options_.scenario, nodes, scenario.seed);
    }

    void explain(const sim::Scenario& scenario, const sim::Outcome& outcome) {
        // With --json stdout is for the objects.
        std::FILE* const to = options_.json ? stderr : stdout;
        fmt::print(to, "FAILED {}\n  {}: {}\n  at {:.3f} virtual seconds\n{}  replay: {}\n",
                   title_of(scenario), *outcome.broken, outcome.detail,
                   std::chrono::duration<double>(outcome.virtual_time).count(), faults_of(scenario),
                   replay_command(scenario));
        if (options_.scene) fmt::print(to, "{}", outcome.scene);
        std::fflush(to);
        if (options_.shrink_attempts == 0) return;
        const sim::Scenario small = smaller(scenario, *outcome.broken);
        const auto path =
            (std::filesystem::path(options_.out) / fmt::format("muster-sim-{}.json", scenario.seed)).string();
        std::ofstream file(path);
        file << small.to_json() << '\n';
        file.close();
        if (!file) throw Trouble{fmt::format("cannot write {}", path)};
        fmt::print(to, "  shrunk to {} nodes and {} fault{}: muster-sim --scenario {}\n{}  {}\n", small.nodes,
                   small.faults.size(), small.faults.size() == 1 ? "" : "s", path, faults_of(small),
                   small.to_json());
        std::fflush(to);
    }

    sim::Scenario smaller(const sim::Scenario& failing, const std::string& invariant) const {
        const Child::Options child{.seconds_max = options_.seconds_per_run, .timeline = {}};
        return sim::shrink(
            failing,
            [&](const sim::Scenario& candidate) {
                return Child(candidate, child).wait().broken == invariant;
            },
            options_.shrink_attempts);
    }

    SimOptions options_;
    const Clock::time_point started_ = Clock::now();
    std::optional<sim::Scenario> file_;
    std::uint64_t next_seed_ = 0;
    bool is_last_ = false;
    std::list<Run> running_;
    Sum sum_;
};

} // namespace
} // namespace muster::tools

int main(int argc, char** argv) {
    using namespace muster::tools;
    auto parsed = parse_options(argc, argv);
    if (const auto* early = std::get_if<EarlyExit>(&parsed)) {
        if (!early->is_error) {
            std::fputs(early->output.c_str(), stdout);
            return 0;
        }
        std::fprintf(stderr, "muster-sim: %s\n", early->output.c_str());
        return static_cast<int>(ExitCode::Usage);
    }
    try {
#ifdef MUSTER_MUTANTS
        if (const auto& mutant = std::get<SimOptions>(parsed).mutant;
            !mutant.empty() && !muster::mutants::enable(mutant))
            throw Trouble{"--mutant: there is no '" + mutant + "'", ExitCode::Usage};
#endif
        return static_cast<int>(App(std::move(std::get<SimOptions>(parsed))).run());
    } catch (const Trouble& trouble) {
        std::fprintf(stderr, "muster-sim: %s\n", trouble.what.c_str());
        return static_cast<int>(trouble.code);
    } catch (const std::system_error& error) {
        std::fprintf(stderr, "muster-sim: %s\n", error.what());
        return static_cast<int>(ExitCode::CannotRun);
    }
}
