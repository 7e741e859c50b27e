// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The invariants of a World, at all times and at its quiet end (protocol.md §19).
#include <memory>
#include <muster/sim/world.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace muster::sim {

/// Thrown where an invariant is broken. The names and their meanings (in brackets the item of protocol.md
/// §19):
/// - status-went-back: a node's view of a member lost priority, or its up_number grew [12]
/// - vanished: a member left a view without a tombstone [5]
/// - removed-reappears: a tombstoned incarnation is a member again [5]
/// - removed-acts: a node that had downed and removed an incarnation received a tell from it (§16)
/// - version-content: two contents of one version_id [2]
/// - clock-content: two versions with one vector clock: a descendant of one would replace the other (§2)
/// - seen-unheld: a node counts as having seen a version that it never held as seen [11]
/// - clock-too-large: more clock entries than members [10]
/// - number-twice: two members of one data center with one up_number, although no leader was lost meanwhile
///   [4]
/// - terminated-undone: an observer's Terminated row says something else again (§4.2)
/// - death-unnoticed: a member whose process is gone still counts as reachable, beyond the detectors'
///   time: 12 s if heartbeats are regular, else 20 s and 5 s for every nine nodes (§12.2, §12.5)
/// - decided-too-early: a resolver acted although its input had changed within stable-after
///   (§15.1)
/// - stranger-admitted: a member never ran at the address it advertises (§5.6)
/// - blamed-for-own-fault: a node called others dead because its own proxy restarted, or a stalled proxy
/// counted as proof of death (§12.7)
/// - joined-without-asking: a node became a member through a node it had not asked (§5.6)
/// - downed-lives: a node that knows itself Down did not begin to stop within its leader ticks [8]
/// - exiting-cut-short: an Exiting node was removed before its exiting tasks ended, though reachable [14]
/// - healthy-downed: a protected node was downed, removed, or stopped
/// - both-sides-live: after a clean partition the resolvers acted, and both sides run [7]
/// - tell-order, tell-twice: tells of one incarnation to one recipient out of order, or again
/// - tell-wrong-node: a tell reached another address than it was for
/// - tell-wrong-incarnation: a tell accepted for one incarnation reached another [6]
/// - tell-changed: a tell's bytes are not what was sent
/// - limit-exceeded: a queue or the number of connections is above its limit
/// - no-agreement: at rest, the running nodes do not agree [3, 13]
/// - unwatched: at rest, fewer nodes of its data center heartbeat a member than the ring promises [9]
/// - not-at-rest: the nodes agree, and yet versions keep changing [13]
/// - tell-lost-at-rest: a tell between two members did not arrive although nothing is wrong
/// - no-stop: told to stop, a node did not end
/// - leak: a process leaves something behind at its end, or the World does
///
/// A process leaves nothing behind when its LeakCounter is at zero (coroutines, timers, streams, listeners,
/// buffers) and its transport has no association. A process that stopped in order must reach that state
/// before its Runtime is destroyed, which would hide what its application has not cancelled. At the World's
/// end no process runs, no connection is open, and no event is pending.
struct Violation : std::runtime_error {
    Violation(std::string invariant, std::string detail, Instant when);
    std::string invariant; ///< stable name, e.g. "removed-reappears"
    std::string detail;
    Instant when;
};

/// Checks every state as a node publishes it, every tell that arrives, all nodes each virtual second, and
/// everything at the end. A violation found inside a node is thrown after that node's step.
class Checker {
public:
    explicit Checker(World& world);
    ~Checker();

    // --- called by the World
    /// Prepares each start of a node: the checker will see every published state.
    void configure(std::size_t node, RemoteAdapterConfig& config);
    void started(std::size_t node);
    /// To be called while the process still exists.
    void ended(std::size_t node, End how);
    /// Whatever the leak counter of its process still counts after the teardown has leaked. `settled`: the
    /// process came to rest.
    void left_behind(std::size_t node, const LeakCounter& counter, bool settled = true);
    void disturbed(std::size_t node); ///< paused, cut off, slow: removing it is no violation
    void stepped(std::size_t node);
    void second();
    /// Takes what the resolver of this node has just decided.
    void decided(std::size_t node, const SbrDecisionRecord& decision);

    // --- what may be expected, said by whoever makes the World
    /// These nodes stay healthy and on the winning side all the time: from now on they must not be downed, be
    /// removed or stop. Before this call all nodes are protected as long as none was disturbed, crashed or
    /// left.
    void protect(const std::vector<std::size_t>& nodes);
    /// `left` was just cut off from all others. If all agree now, no node is paused, and nothing else happens
    /// meanwhile, at most one side may run after `limit`.
    void split(std::vector<std::size_t> left, Duration limit);
    void united();
    /// Bytes are corrupted in flight. There is no checksum above TCP's, so nodes believe a corrupted message:
    /// only agreement at rest, limits and leaks are still checked. False once all nodes that may have
    /// believed one are gone: then everything is checked again.
    void corrupted(bool is_so);
    /// Heartbeats were and will be regular, or absent for more than ten seconds, and all nodes monitor each
    /// other: deaths must be noticed as fast as regular heartbeats allow, not merely some time.
    void regular_heartbeats(bool is_so);
    /// From now on the exiting tasks (protocol.md §11.1) of each started node take up to that long.
    void slow_exits(Duration longest);
    /// An operator downs this node, which is no violation.
    void condemned(std::size_t node);

    // --- an application's tells, with numbers by which the checker knows them again
    /// For WorldOptions::make_sink: checks the tells that reach that node.
    std::shared_ptr<RemoteMessageSink> make_sink(std::size_t node);
    /// A tell of `bytes` bytes (at least 64) from a running node.
    TellResult tell(std::size_t from, std::size_t to, std::size_t bytes = 64);

    // --- at the end
    /// To be called when everything has healed and settled: all running nodes agree, nothing changes any
    /// more, tells arrive. Runs the World for some seconds.
    void at_rest();
    /// To be called when everything was stopped: no association, timer, coroutine or buffer is left.
    void at_end();

    /// Reports a violation found elsewhere: thrown after the current step, or by the next check.
    void report(std::string invariant, std::string detail);
    /// States and tells checked.
    std::uint64_t checks() const noexcept;
    std::uint64_t tells_delivered() const noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace muster::sim
