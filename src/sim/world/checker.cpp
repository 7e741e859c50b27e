#include <muster/sim/world/checker.hpp>

namespace muster::sim {

Violation::Violation(std::string name, std::string what, Instant at)
    : std::runtime_error(name + ": " + what), invariant(std::move(name)), detail(std::move(what)), when(at) {}

struct Checker::State {
    World& world;
    std::uint64_t checks = 0;
};

Checker::Checker(World& world) : state_(std::make_unique<State>(State{world})) {}
Checker::~Checker() = default;

void Checker::started(std::size_t) {}
void Checker::ended(std::size_t, End) {}
void Checker::disturbed(std::size_t) {}
void Checker::stepped(std::size_t) {
    ++state_->checks;
}
void Checker::second() {}

/// Everybody who runs agrees.
void Checker::at_rest() {
    if (auto why = state_->world.disagreement(); !why.empty()) throw Violation("agreement", why, state_->world.now());
}

void Checker::at_end() {
    if (const auto open = state_->world.network().connections(); open != 0)
        throw Violation("leak", std::to_string(open) + " connections are still open", state_->world.now());
}

std::uint64_t Checker::checks() const noexcept {
    return state_->checks;
}

} // namespace muster::sim
