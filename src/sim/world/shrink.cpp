// SPDX-License-Identifier: Apache-2.0
// Smaller scenarios that still fail: fewer faults, then fewer nodes, then less time, then plainer
// settings.
#include <algorithm>
#include <muster/sim/world/scenario.hpp>
#include <utility>

namespace muster::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Shrinker {
public:
    Shrinker(Scenario failing, const std::function<bool(const Scenario&)>& fails, std::size_t attempts)
        : best_(std::move(failing)), fails_(fails), left_(attempts) {}

    Scenario shrink() {
        for (bool better = true; better && left_ > 0;) {
            better = drop_faults();
            better = drop_victims() || better;
            better = drop_nodes() || better;
            better = shorten() || better;
            better = simplify() || better;
        }
        return std::move(best_);
    }

private:
    bool try_out(Scenario candidate) {
        if (left_ == 0 || candidate == best_ || !candidate.validate()) return false;
        --left_;
        if (!fails_(candidate)) return false;
        best_ = std::move(candidate);
        return true;
    }

    /// Zeller's ddmin without complements: leaves out ever smaller runs of them.
    bool drop_faults() {
        bool any = false;
        for (std::size_t run = std::max<std::size_t>(best_.faults.size() / 2, 1);; run /= 2) {
            for (std::size_t at = 0; at < best_.faults.size();) {
                Scenario candidate = best_;
                const auto first = candidate.faults.begin() + static_cast<std::ptrdiff_t>(at);
                const std::size_t count = std::min(run, candidate.faults.size() - at);
                candidate.faults.erase(first, first + static_cast<std::ptrdiff_t>(count));
                if (try_out(std::move(candidate)))
                    any = true;
                else
                    at += run;
            }
            if (run <= 1) return any;
        }
    }

    bool drop_victims() {
        bool any = false;
        for (std::size_t i = 0; i < best_.faults.size(); ++i) {
            if (best_.faults[i].kind == Fault::Kind::Down || best_.faults[i].kind == Fault::Kind::Flood)
                continue;
            for (std::size_t at = 0; at < best_.faults[i].nodes.size() && best_.faults[i].nodes.size() > 1;) {
                Scenario candidate = best_;
                auto& nodes = candidate.faults[i].nodes;
                nodes.erase(nodes.begin() + static_cast<std::ptrdiff_t>(at));
                if (try_out(std::move(candidate)))
                    any = true;
                else
                    ++at;
            }
        }
        return any;
    }

    /// Without one machine; those behind it move up.
    static Scenario without(const Scenario& s, std::size_t node) {
        Scenario result = s;
        --result.nodes;
        result.seed_nodes = std::min(result.seed_nodes, result.nodes);
        for (Fault& m : result.faults)
            for (auto* list : {&m.nodes, &m.others}) {
                std::erase(*list, node);
                for (std::size_t& n : *list) n -= n > node ? 1 : 0;
            }
        std::erase_if(result.faults, [](const Fault& m) { return m.nodes.empty(); });
        return result;
    }

    bool drop_nodes() {
        bool any = false;
        for (std::size_t node = best_.nodes; node-- > 0;)
            if (best_.nodes > 1) any = try_out(without(best_, node)) || any;
        return any;
    }

    bool shorten() {
        bool any = false;
        for (std::size_t i = 0; i < best_.faults.size(); ++i) {
            Scenario candidate = best_;
            candidate.faults[i].length = milliseconds(candidate.faults[i].length / milliseconds(2));
            any = try_out(std::move(candidate)) || any;
        }
        Duration end = seconds(20);
        for (const Fault& m : best_.faults) end = std::max(end, m.at + m.length);
        Scenario candidate = best_;
        candidate.fault_time = std::min(candidate.fault_time, end);
        any = try_out(std::move(candidate)) || any;
        candidate = best_;
        candidate.quiet = milliseconds(candidate.quiet / milliseconds(2));
        if (candidate.quiet >= seconds(10)) any = try_out(std::move(candidate)) || any;
        return any;
    }

    bool simplify() {
        bool any = false;
        const auto with = [&](auto change) {
            Scenario candidate = best_;
            change(candidate);
            any = try_out(std::move(candidate)) || any;
        };
        with([](Scenario& s) { s.tells_per_second = 0; });
        with([](Scenario& s) { s.distance = Scenario::Distance::Lan; });
        with([](Scenario& s) { s.exiting_tasks = {}; });
        with([](Scenario& s) { s.data_centers = 1; });
        with([](Scenario& s) { s.role.clear(); });
        with([](Scenario& s) { s.classic = false; });
        with([](Scenario& s) { s.unstable_guard = false; });
        return any;
    }

    Scenario best_;
    const std::function<bool(const Scenario&)>& fails_;
    std::size_t left_;
};

} // namespace

Scenario shrink(const Scenario& failing, const std::function<bool(const Scenario&)>& fails,
                std::size_t attempts) {
    return Shrinker(failing, fails, attempts).shrink();
}

Scenario shrink(const Scenario& failing, std::string_view invariant, std::size_t attempts) {
    return shrink(
        failing, [invariant](const Scenario& s) { return run(s).broken == invariant; }, attempts);
}

} // namespace muster::sim
