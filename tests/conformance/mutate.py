#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks one rule of the protocol at a time and looks which test notices: tests/conformance/mutate.py [--filter TEXT] [--write] [--tree DIR]

Copies HEAD into a temporary directory (with --tree into DIR, which is kept), writes all the mutations below into the copy, each behind a
switch that is read from MUSTER_MUTATION, and builds that once. Then it runs, for each mutation, the conformance cases, the quick unit tests of
cluster/ and the slow ones, up to the first that goes red. `--write` puts the outcome into mutations.md. Exits 1 when a mutation turns
nothing red.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# Random schedules, enumerations and properties: seconds each, and most mutations go red before.
SLOW_TESTS = "Schedules.*:TwoWaySplit.*:ThreeWaySplit.*:Weights.*:*Property.*"

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]

# (section of the specification, the rule that breaks, file in src/cluster, before, after; MUTATED is true in the run of that mutation)
MUTATIONS = [
    ("1.5", "a merged copy keeps the lower up_number", "state/member.cpp", "std::min(a.up_number(), b.up_number());",
     "MUTATED ? (merge_priority(a.status()) >= merge_priority(b.status()) ? a : b).up_number() : std::min(a.up_number(), b.up_number());"),
    ("1.6", "a tombstoned member is dropped by a merge", "state/gossip.cpp", "return MUSTER_MUTANT(tombstones_ignored)", "return MUTATED"),
    ("2", "marking a member Down takes it out of seen", "state/gossip.cpp",
     "    for (const Member& m : downed) next.mark_unseen(", "    for (const Member& m : downed) if (!MUTATED) next.mark_unseen("),
    ("2", "a removal prunes the clock entry", "state/gossip.cpp", "    next.version_.prune(keys);\n    if (MUSTER_MUTANT",
     "    if (!MUTATED) next.version_.prune(keys);\n    if (MUSTER_MUTANT"),
    ("2", "tombstones are kept only while strictly younger than the limit", "state/gossip.cpp", "t.removed_at <= limit",
     "(MUTATED ? t.removed_at < limit : t.removed_at <= limit)"),
    ("2", "after a merge that passes for an input the local change rule applies", "core/gossip_exchange.cpp",
     "    return !is_newer && !has_same_content(merged, input);", "    return is_newer == MUTATED && !has_same_content(merged, input);"),
    ("2", "equal clocks with different content are merged", "state/changes.cpp",
     "relation == VectorRelation::Same && version_id != held.version_id()", "!MUTATED && relation == VectorRelation::Same && version_id != held.version_id()"),
    ("4.2", "Terminated is final", "state/reachability.cpp", "const bool is_final = !MUSTER_MUTANT(terminated_not_final)",
     "const bool is_final = !MUTATED"),
    ("4.2", "an observer that sees everybody again has no rows", "state/reachability.cpp",
     "if (status == ReachabilityStatus::Reachable && others_reachable) {",
     "if (!MUTATED && status == ReachabilityStatus::Reachable && others_reachable) {"),
    ("4.3", "the row set with the higher version wins as a whole", "state/reachability.cpp",
     "mine >= theirs ? own : others", "(MUTATED ? mine <= theirs : mine >= theirs) ? own : others"),
    ("4.3", "of equal versions pruned rows stay pruned", "state/reachability.cpp",
     "if (mine == theirs && own.empty() != others.empty()) return;", "if (!MUTATED && mine == theirs && own.empty() != others.empty()) return;"),
    ("5.4", "an Exiting or Down node answers InitJoin with a Nack", "core/admission.cpp",
     "    if (!core_.is_initialized() || status == MemberStatus::Exiting || status == MemberStatus::Down) {\n        send(out, m.from, InitJoinNack",
     "    if (!core_.is_initialized() || (!MUTATED && (status == MemberStatus::Exiting || status == MemberStatus::Down))) {\n        send(out, m.from, InitJoinNack"),
    ("5.6", "a Welcome counts only from whom the Join was sent to", "core/joining.cpp", "    return is_from_target(m.from, m.to) && m.gossip &&", "    return (MUTATED || is_from_target(m.from, m.to)) && m.gossip &&"),
    ("5.6", "a removed incarnation is refused", "core/admission.cpp",
     "    if (core_.gossip().is_tombstoned(m.node)) {", "    if (!MUTATED && core_.gossip().is_tombstoned(m.node)) {"),
    ("5.6", "a new incarnation terminates the old one", "core/admission.cpp",
     "        reachability = reachability.terminated(core_.self(), m.unique_address());\n",
     "        if (!MUTATED) reachability = reachability.terminated(core_.self(), m.unique_address());\n"),
    ("5.6", "a first seed that has sent a Join takes a new incarnation before it founds a cluster", "core/joining.cpp",
     "    if (has_sent_join_) {", "    if (!MUTATED && has_sent_join_) {"),
    ("6.2", "gossip for another incarnation of this address is ignored", "core/gossip_sender.cpp", "MUSTER_MUTANT(uid_not_compared)", "MUTATED"),
    ("6.2", "gossip that does not know this node is ignored", "core/wiring_exchange.cpp",
     "    if (!m.gossip->has_member(self)) {", "    if (!MUTATED && !m.gossip->has_member(self)) {"),
    ("6.2", "gossip from whom this node calls unreachable is ignored", "core/gossip_sender.cpp",
     "is_member(from) && core.gossip().reachability().is_reachable(self, from);",
     "is_member(from) && (MUTATED || core.gossip().reachability().is_reachable(self, from));"),
    ("6.3", "while exiting tasks run nothing is marked seen", "core/gossip_exchange.cpp",
     "} else if (!core_.are_exiting_tasks_running() && !decision.winning->seen_by(self)) {",
     "} else if ((MUTATED || !core_.are_exiting_tasks_running()) && !decision.winning->seen_by(self)) {"),
    ("6.5", "the speed-up counts seen against half of the members", "core/gossip_exchange.cpp", "return seen < members / 2;",
     "return MUTATED ? seen <= members / 2 : seen < members / 2;"),
    ("6.6", "only who has itself in its own seen acknowledges", "core/eager_gossip.cpp", "    if (!gossip().seen_by(core_.self())) return;\n",
     "    if (!MUTATED && !gossip().seen_by(core_.self())) return;\n"),
    ("6.6", "in bootstrap the leaders of all data centers get an ack", "core/eager_gossip.cpp", "    if (gossip().is_multi_dc()) {",
     "    if (!MUTATED && gossip().is_multi_dc()) {"),
    ("6.6", "an ack that overtook its state is kept for it", "core/core_state.cpp",
     "    if (known_seen_ != nullptr && is_new_version) g =", "    if (!MUTATED && known_seen_ != nullptr && is_new_version) g ="),
    ("6.6", "who changes sends the state to the leader", "core/eager_gossip.cpp", "    targets.push_back(*leader());\n",
     "    if (!MUTATED) targets.push_back(*leader());\n"),
    ("6.6", "the leader relays each version to all who have not seen it", "core/eager_gossip.cpp", "    if (is_leader()) return unseen;\n",
     "    if (is_leader()) return MUTATED ? sample(std::move(unseen), core_.settings().eager.fanout) : unseen;\n"),
    ("6.6", "whom somebody calls unreachable is left to the periodic round", "core/eager_gossip.cpp",
     "if (all_reachable || gossip().reachability().is_reachable(node)) unseen.push_back(node);",
     "if (MUTATED || all_reachable || gossip().reachability().is_reachable(node)) unseen.push_back(node);"),
    ("6.6", "what comes sooner than eager-interval-min is deferred, not dropped", "core/eager_gossip.cpp",
     "            set_timer(out, CoreTimer::EagerForward, 0, allowed - now.monotonic);",
     "            MUTATED ? void(forward_due_ = false) : set_timer(out, CoreTimer::EagerForward, 0, allowed - now.monotonic);"),
    ("6.6", "while the leader is silent the others pass the news on", "core/eager_gossip.cpp",
     "    return leader() && gossip().seen_by(core_.self()) &&", "    return !MUTATED && leader() && gossip().seen_by(core_.self()) &&"),
    ("6.6", "an ack of a version that is not held is answered by a status", "core/wiring_eager.cpp", "                sender.send_status(node, out);\n",
     "                MUTATED ? void() : sender.send_status(node, out);\n"),
    ("6.6", "talk-back is an ack once, then the full gossip", "core/eager_gossip.cpp", "books_.may_ack_again(to, remote.version_id(), acks_allowed)) {", "MUTATED || books_.may_ack_again(to, remote.version_id(), acks_allowed)) {"),
    ("6.6", "a settled version is told to all", "core/eager_gossip.cpp", "        if (sender_.is_valid_target(m.unique_address())) send_converged",
     "        if (!MUTATED && sender_.is_valid_target(m.unique_address())) send_converged"),
    ("6.6", "who knows a version settled says so instead of talking on", "core/eager_gossip.cpp",
     "    if (!core_.settings().eager.eager_gossip || known_converged_ !=", "    if (MUTATED || !core_.settings().eager.eager_gossip || known_converged_ !="),
    ("6.6", "a Converged that overtook its state is kept for it", "core/eager_gossip.cpp", "        converged_ = m; // it may have overtaken its state\n",
     "        if (!MUTATED) converged_ = m; // it may have overtaken its state\n"),
    ("6.6", "joins within join-batch are one change", "core/wiring_joining.cpp", "    admit_those_with_room(std::move(admitted), now, out);",
     "    if (!MUTATED) return admit_those_with_room(std::move(admitted), now, out);\n    for (const Join& m : admitted) admit_those_with_room({m}, now, out);"),
    ("6.6", "the leader acts as soon as it sees convergence", "core/wiring_eager.cpp",
     "while (eager.is_leader() && state->convergence(excused())", "while (!MUTATED && eager.is_leader() && state->convergence(excused())"),
    ("7", "the different-view probability shrinks with the cluster", "core/gossip_targets.cpp",
     "    if (cluster_size >= 3 * reduce_above) return least;\n", "    if (cluster_size >= 3 * reduce_above) return MUTATED ? probability : least;\n"),
    ("8", "Down observers do not block convergence", "state/membership.cpp",
     "return (all_own || lookup.own_dc(observer)) && !lookup.is_down(observer);",
     "return (all_own || lookup.own_dc(observer)) && (MUTATED || !lookup.is_down(observer));"),
    ("8", "unreachable Down and Exiting members do not block convergence", "state/membership.cpp",
     "               skip_unreachable.contains(lookup.status(node));", "               (!MUTATED && skip_unreachable.contains(lookup.status(node)));"),
    ("8", "in bootstrap the members of all data centers must have seen", "state/membership.cpp",
     "bootstrap ? bootstrap_seers.contains(all[i].status())", "bootstrap ? bootstrap_seers.contains(all[i].status()) && (!MUTATED || is_own_dc(all[i]))"),
    ("8", "a Leaving member with a number ends bootstrap, one without does not", "state/membership.cpp",
     "(m.status() == MemberStatus::Leaving && m.up_number() != Member::never_up)",
     "(m.status() == MemberStatus::Leaving && (MUTATED || m.up_number() != Member::never_up))"),
    ("9.2", "the leader acts only under convergence", "core/wiring_leader.cpp",
     "        if (state->convergence(excused())) {\n            leadership", "        if (MUTATED || state->convergence(excused())) {\n            leadership"),
    ("9.3", "a reachable Down member is not removed", "state/membership.cpp",
     "    collect(state.dc_reach_excl_downed().all_unreachable_or_terminated(), MemberStatus::Exiting);",
     "    if (MUTATED)\n        for (const Member& m : state.members()) if (m.status() == MemberStatus::Down && m.unique_address() != state.self) removed.push_back(m.unique_address());\n"
     "    collect(state.dc_reach_excl_downed().all_unreachable_or_terminated(), MemberStatus::Exiting);"),
    ("9.3", "up_numbers follow the highest of the own data center", "state/membership.cpp",
     "if (own_dc(m) && m.up_number() != Member::never_up)", "if ((MUTATED || own_dc(m)) && m.up_number() != Member::never_up)"),
    ("11.1", "ExitingConfirmed goes to two candidates", "core/leaving.cpp", "while (targets.size() < 2)", "while (targets.size() < (MUTATED ? 1U : 2U))"),
    ("11.2", "a Down node waits until the others that are Down know", "core/leaving.cpp",
     "    if (!all_know && self_down_checks_failed_ < self_down_checks_max) {", "    if (!MUTATED && !all_know && self_down_checks_failed_ < self_down_checks_max) {"),
    ("12.2", "unreachable nodes on the ring are monitored without counting", "failure/heartbeat_ring.cpp",
     "        } else if (collected.size() < monitored_by_) {", "        } else if (!MUTATED && collected.size() < monitored_by_) {"),
    ("12.3", "who was pushed out while unavailable is heartbeated on", "failure/heartbeat_receivers.cpp",
     "        if (detectors_.is_available(pushed_out, now))", "        if (MUTATED || detectors_.is_available(pushed_out, now))"),
    ("12.4", "the reaper heals only what this node accused", "core/reaper.cpp",
     "        if (m == nullptr || !heartbeats.is_available(*m, now.monotonic)) continue;",
     "        if (MUTATED || m == nullptr || !heartbeats.is_available(*m, now.monotonic)) continue;"),
    ("12.5", "the interval after an outage is not recorded", "failure/phi_accrual.cpp", "MUSTER_MUTANT(outage_recorded)", "MUTATED"),
    ("12.7", "one refusal is no evidence, nor are two at once", "core/peer_links.cpp", "now - *link.first_refusal >= refusals_apart",
     "MUTATED || now - *link.first_refusal >= refusals_apart"),
    ("12.7", "an orderly close is no evidence", "core/evidence.cpp", "link.was_open && !link.said_goodbye && link.refused_twice",
     "link.was_open && (MUTATED || !link.said_goodbye) && link.refused_twice"),
    ("12.7", "evidence writes Unreachable, which heals", "core/evidence.cpp", "    table = table.unreachable(core_.self(), node);",
     "    table = MUTATED ? table.terminated(core_.self(), node) : table.unreachable(core_.self(), node);"),
    ("12.7", "the k-th monitor waits for those before it", "core/evidence.cpp", "monitor_rank(node) * Duration", "(MUTATED ? 0 : monitor_rank(node)) * Duration"),
    ("12.7", "where another monitor has written its row, the own one is left to the reaper", "core/evidence.cpp",
     "        !table.is_reachable(node))\n        return;\n    heartbeats_.mark_dead",
     "        !(MUTATED ? table.is_reachable(core_.self(), node) : table.is_reachable(node)))\n        return;\n    heartbeats_.mark_dead"),
    ("12.7", "the detector of who is dead says so, or the reaper would undo the row", "core/evidence.cpp", "    heartbeats_.mark_dead(node);\n",
     "    if (!MUTATED) heartbeats_.mark_dead(node);\n"),
    ("12.7", "a handshake with exactly this incarnation takes the accusation back", "core/evidence.cpp",
     "        heartbeats_.on_handshake(peer, now.monotonic);\n", "        if (!MUTATED) heartbeats_.on_handshake(peer, now.monotonic);\n"),
    ("12.7", "a Goodbye that came before the news of the exit counts once the news is there", "core/evidence.cpp",
     "    if (!core_.settings().eager.death_evidence || links_.all().empty()) return;", "    if (MUTATED || !core_.settings().eager.death_evidence || links_.all().empty()) return;"),
    ("13", "the detectors of dropped cross-DC receivers are cleared", "failure/cross_dc_heartbeats.cpp", "        if (!sorted_contains(next, node)) detectors_.remove(node);",
     "        if (sorted_contains(next, node) == MUTATED) detectors_.remove(node);"),
    ("14.1", "only who was Unreachable, not Terminated, becomes Reachable", "state/events.cpp", ": old_reach.all_unreachable()) {",
     ": MUTATED ? old_reach.all_unreachable_or_terminated() : old_reach.all_unreachable()) {"),
    ("15.1", "a reachability change restarts the stable timer", "sbr/runtime.cpp", "MUSTER_MUTANT(stable_timer_not_restarted)", "MUTATED"),
    ("15.3", "keep-majority looks a second time, pessimistically", "sbr/strategy.cpp",
     "sides_of(model, electorate, {.not_possibly_exiting = true}, {.possibly_up = true});",
     "sides_of(model, electorate, {.not_possibly_exiting = !MUTATED}, {.possibly_up = !MUTATED});"),
    ("15.3", "keep-majority's tie-break with a leader on the other side", "sbr/strategy.cpp",
     "    if (model.is_unreachable(leaders.front().unique_address())) {", "    if (!MUTATED && model.is_unreachable(leaders.front().unique_address())) {"),
    ("15.3", "static-quorum stays below twice the quorum", "sbr/strategy.cpp", "return total / 2 >= quorum_size;",
     "return MUTATED ? total / 2 > quorum_size : total / 2 >= quorum_size;"),
    ("15.3", "a lone oldest goes, except among two", "sbr/strategy.cpp",
     "down_if_alone && here == 1 && there >= 2 ?", "down_if_alone && here == 1 && (MUTATED || there >= 2) ?"),
    ("15.4", "who is marked unreachable and yet has seen is indirectly connected", "sbr/model.cpp",
     "        if (!sorted_contains(seen_by_, row.subject)) continue;\n", "        if (MUTATED || !sorted_contains(seen_by_, row.subject)) continue;\n"),
    ("15.5", "instability ends everybody, on every node", "sbr/runtime.cpp", "    if (now.monotonic - changes_.first <= settings_.stable_after + *limit)",
     "    if ((MUTATED && !is_responsible()) || now.monotonic - changes_.first <= settings_.stable_after + *limit)"),
    ("16", "a removed Down member is quarantined at once", "core/quarantine.cpp", "    if (previous == MemberStatus::Down) {", "    if (!MUTATED && previous == MemberStatus::Down) {"),
]

SWITCH = """
#include <cstdlib>
namespace {
[[maybe_unused]] bool is_mutated(int rule) {
    static const int active = [] {
        const char* chosen = std::getenv("MUSTER_MUTATION");
        return chosen == nullptr ? 0 : std::atoi(chosen);
    }();
    return active == rule;
}
} // namespace
"""


def run(*command, timeout=None, mutation=0):
    environment = {**os.environ, "MUSTER_MUTATION": str(mutation)}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, env=environment)


def must(done, what):
    if done.returncode != 0:
        sys.exit(f"{what} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def the_place(text, before, name, rule):
    """Where `before` stands in `text`, however the formatter breaks its lines: (start, end). Exits unless it is one place."""
    at = [i for i, c in enumerate(text) if not c.isspace()]
    packed, wanted = "".join(text[i] for i in at), "".join(before.split())
    if (places := packed.count(wanted)) != 1:
        sys.exit(f"{name}: {places} places instead of one for: {rule}")
    first = packed.index(wanted)
    return at[first], at[first + len(wanted) - 1] + 1


def check_places():
    """Every mutation finds its place in the tree as it is: one line for each that does not."""
    for _, rule, name, before, _ in MUTATIONS:
        the_place((TOP / "src/cluster" / name).read_text(), before, name, rule)
    print(f"ok: {len(MUTATIONS)} mutations have one place each")


class Tree:
    """A copy of HEAD with all mutations in it, built once."""

    def __init__(self, directory):
        self.source = directory / "source"
        self.build = directory / "build"
        if not self.source.exists():
            self.source.mkdir(parents=True)
        archive = subprocess.Popen(["git", "-C", str(TOP), "archive", "HEAD"], stdout=subprocess.PIPE)
        must(subprocess.run(["tar", "-x", "-C", str(self.source)], stdin=archive.stdout, capture_output=True, text=True, check=False), "tar")
        self.mutate()
        if not self.build.exists():
            linker = ["-Dcpp_link_args=-fuse-ld=mold"] if shutil.which("mold") else []
            must(run("meson", "setup", str(self.build), str(self.source), "-Dtests=true", "-Ddefault_library=static",
                     "-Doptimization=0", "-Ddebug=false", *linker), "meson")
        must(run("ninja", "-j1", "-C", str(self.build), "tests/conformance/muster-conformance", "tests/cluster/muster-cluster-tests"),
             "the build")

    def mutate(self):
        touched = {}
        for number, (_, rule, name, before, after) in enumerate(MUTATIONS, start=1):
            path = self.source / "src/cluster" / name
            text = touched.get(path) or path.read_text()
            start, end = the_place(text, before, name, rule)
            touched[path] = text[:start] + after.strip().replace("MUTATED", f"is_mutated({number})") + text[end:]
        for path, text in touched.items():
            end_of_includes = text.index("\n", text.rindex("\n#include", 0, text.index("\nnamespace muster {")) + 1)
            path.write_text(text[:end_of_includes] + SWITCH + text[end_of_includes:])

    def red(self, number):
        """What noticed: the ids of failing cases, else the names of failing tests, else nothing."""
        cases = run(str(self.build / "tests/conformance/muster-conformance"), str(self.source / "tests/conformance/cases.json"),
                    mutation=number)
        if cases.returncode != 0:
            failed = re.findall(r"^([A-Z]{2}-\d{3})\b", cases.stdout, re.MULTILINE)
            return sorted(set(failed)) or ["muster-conformance aborts: " + (cases.stderr.strip().splitlines() or ["?"])[-1]]
        for chosen in (f"-{SLOW_TESTS}", SLOW_TESTS):
            try:
                tests = run(str(self.build / "tests/cluster/muster-cluster-tests"), "--gtest_brief=1", "--gtest_fail_fast",
                            f"--gtest_filter={chosen}", timeout=600, mutation=number)
            except subprocess.TimeoutExpired:
                return ["muster-cluster-tests does not end"]
            if tests.returncode == 0:
                continue
            failed = re.findall(r"\[  FAILED  \] ([\w./]+)", tests.stdout)
            return sorted(set(failed)) or ["muster-cluster-tests aborts: " + (tests.stderr.strip().splitlines() or ["?"])[-1][:150]]
        return []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="only mutations whose rule or file contains this")
    parser.add_argument("--write", action="store_true", help="write mutations.md")
    parser.add_argument("--check", action="store_true", help="build nothing: does each mutation still have its place?")
    parser.add_argument("--tree", type=pathlib.Path, help="directory of the copy and its build, kept for the next run")
    options = parser.parse_args()
    if options.check:
        return check_places()
    rows, survivors = [], []
    with tempfile.TemporaryDirectory(prefix="muster-mutate-") as directory:
        tree = Tree(options.tree or pathlib.Path(directory))
        if red := tree.red(0):
            sys.exit(f"red without any mutation: {red}")
        for number, (section, rule, name, _, _) in enumerate(MUTATIONS, start=1):
            if options.filter not in rule + name:
                continue
            red = tree.red(number)
            shown = ", ".join(red[:4]) + (f" and {len(red) - 4} more" if len(red) > 4 else "")
            print(f"{'RED ' if red else 'GREEN'} {section:5} {rule}: {shown or 'NOTHING NOTICED'}", flush=True)
            rows.append(f"| {section} | {rule} | {name} | {shown or '**nothing**'} |")
            if not red:
                survivors.append(rule)
    if options.write:
        head = (HERE / "mutations.md").read_text().split("| §")[0] if (HERE / "mutations.md").exists() else "# Mutations\n\n"
        table = "| § | the rule that was broken | where | what went red |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
        (HERE / "mutations.md").write_text(head + table)
    print(f"{len(rows) - len(survivors)} caught, {len(survivors)} not")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
