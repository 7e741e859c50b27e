// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What must always hold in a World, and at its quiet end (protocol.md §19).
#include <memory>
#include <muster/sim/world.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace muster::sim {

/// Thrown where an invariant is broken. The names, and what they stand for (in brackets the item of
/// protocol.md §19):
/// - status-went-back: a node's view of a member lost priority, or its up_number grew [12]
/// - vanished: a member left a view without a tombstone [5]
/// - removed-reappears: a tombstoned incarnation is a member again [5]
/// - removed-acts: a tell of an incarnation came through to who had downed and removed it (§16)
/// - version-content: two contents of one version_id [2]
/// - clock-content: two versions with one vector clock: what descends from one would replace the other (§2)
/// - seen-unheld: somebody counts as having seen a version that it never held as seen [11]
/// - clock-too-large: more clock entries than members [10]
/// - number-twice: two members of one data center with one up_number, although no leader was lost over it
///   [4]
/// - terminated-undone: an observer's Terminated row says something else again (§4.2)
/// - death-unnoticed: a member whose process is gone is still held for reachable, beyond the detectors'
///   time: 12 s if heartbeats are regular, else 20 s and 5 s for every nine nodes (§12.2, §12.5)
/// - decided-too-early: a resolver acted although what it decides by had changed within stable-after
///   (§15.1)
/// - stranger-admitted: somebody is a member who never ran at the address it advertises (§5.6)
/// - blamed-for-own-fault: a node whose proxy restarts called others dead for it, or a proxy that stalls
///   was a proof of death (§12.7)
/// - joined-without-asking: a node became a member through one it had not asked (§5.6)
/// - downed-lives: a node that knows itself Down did not begin to stop within its leader ticks [8]
/// - exiting-cut-short: an Exiting node was removed before its exiting tasks ended, though reachable [14]
/// - healthy-downed: a protected node was downed, removed, or stopped
/// - both-sides-live: after a clean partition the resolvers acted, and both sides run [7]
/// - tell-order, tell-twice: tells of one incarnation to one recipient out of order, or again
/// - tell-wrong-node: a tell reached another address than it was for
/// - tell-wrong-incarnation: a tell accepted for one incarnation reached another [6]
/// - tell-changed: a tell's bytes are not what was sent
/// - limit-exceeded: more waits or is open than the setting of that limit allows
/// - no-agreement: at rest, those who run do not agree [3, 13]
/// - unwatched: at rest, a member is heartbeat by fewer of its data center than the ring promises [9]
/// - not-at-rest: agreed, and yet versions go on changing [13]
/// - tell-lost-at-rest: a tell between two members did not arrive although nothing is wrong
/// - no-stop: told to stop, a node did not end
/// - leak: something is left of a process after its end, or of the World after its own
///
/// Of a process that has ended nothing is left when its LeakCounter counts nothing (coroutines, timers,
/// streams, listeners, buffers) and its transport knows no association. A process that stopped in order must
/// have come so far before its Runtime is destroyed, which would take the rest along: what its application
/// has not cancelled shows there. At the World's end no process runs, no connection is open, and nothing is
/// still to happen.
struct Violation : std::runtime_error {
    Violation(std::string invariant, std::string detail, Instant when);
    std::string invariant; ///< stable name, e.g. "removed-reappears"
    std::string detail;
    Instant when;
};

/// Looks at every state a node publishes when it does, at every tell that arrives, at everybody each virtual
/// second, and at everything at the end. What it finds inside a node is thrown after that node's step.
class Checker {
public:
    explicit Checker(World& world);
    ~Checker();

    // --- called by the World
    /// Before each start of a node: has the checker told of every published state.
    void configure(std::size_t node, RemoteAdapterConfig& config);
    void started(std::size_t node);
    /// The process is still there.
    void ended(std::size_t node, End how);
    /// What the leak counter of its process still counts after the teardown has leaked. `settled`: it came to
    /// rest.
    void left_behind(std::size_t node, const LeakCounter& counter, bool settled = true);
    void disturbed(std::size_t node); ///< paused, cut off, slow: it may be removed without anybody's mistake
    void stepped(std::size_t node);
    void second();
    /// What the resolver of this node has just decided.
    void decided(std::size_t node, const SbrDecisionRecord& decision);

    // --- what may be expected, said by whoever makes the World
    /// These nodes will be well and on the winning side all the time: from now on they must not be downed, be
    /// removed or stop. Until this is called everybody is protected as long as nobody was disturbed, crashed
    /// or left.
    void protect(const std::vector<std::size_t>& nodes);
    /// `left` was just cut off from all others. If all agree now, nobody is paused, and nothing else happens
    /// meanwhile, only one of the sides may run after `limit` (both may be gone).
    void split(std::vector<std::size_t> left, Duration limit);
    void united();
    /// Bytes are being changed on their way. There is no checksum above TCP's, so a changed message is
    /// believed: only agreement at rest, limits and leaks are still looked at. False, when all that could
    /// believe it is gone: everything counts again.
    void corrupted(bool is_so);
    /// Heartbeats were and will be regular, or absent for more than ten seconds, and everybody monitors
    /// everybody: deaths must be noticed as fast as regular heartbeats allow, and not only some time.
    void regular_heartbeats(bool is_so);
    /// From now on the exiting tasks (protocol.md §11.1) of each started node take up to that long.
    void slow_exits(Duration longest);
    /// An operator downs this node: nobody's mistake.
    void condemned(std::size_t node);

    // --- an application's tells, with numbers by which the checker knows them again
    /// For WorldOptions::make_sink: looks at what reaches that node.
    std::shared_ptr<RemoteMessageSink> make_sink(std::size_t node);
    /// A tell of `bytes` bytes (at least 64) from a running node.
    TellResult tell(std::size_t from, std::size_t to, std::size_t bytes = 64);

    // --- at the end
    /// When everything has healed and had its time: all running nodes agree, nothing changes any more, tells
    /// arrive. Runs the World for some seconds.
    void at_rest();
    /// After everything was stopped: nothing is left of associations, timers, coroutines and buffers.
    void at_end();

    /// Something found elsewhere: thrown after the step under way, or by the next look.
    void report(std::string invariant, std::string detail);
    /// States and tells looked at.
    std::uint64_t checks() const noexcept;
    std::uint64_t tells_delivered() const noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace muster::sim
