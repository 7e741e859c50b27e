#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every name of the reference's surface is declared in the header where it is looked for, and used by a test.

    reference_names.py ROOT
    reference_names.py --self-test    show that a missing declaration and a missing test are noticed

The names are those that programs written for the reference use. A name counts as tested when it stands in the code of a test
file under tests/ (not in the conformance runner, which is no documentation).
"""
import pathlib
import re
import sys
import tempfile

NAMES = {
    'address.hpp': 'Address UniqueAddress local remote parse to_string',
    'cluster/state/member.hpp': 'Member MemberStatus unique_address up_number status roles app_version age_ordering sort_by_age oldest '
                          'copy_with_status DC_ROLE_PREFIX DEFAULT_DC',
    'cluster/state/vector_clock.hpp': 'VectorClock VectorRelation tick merge compare prune',
    'cluster/state/reachability.hpp': 'Reachability ReachabilityStatus',
    'cluster/state/membership.hpp': 'MembershipState up_members unreachable_addresses member_count',
    'cluster/compat/membership.hpp': 'add_or_update remove join leave down apply_leader_actions',
    'cluster/state/gossip.hpp': 'Gossip GossipOverview version_id',
    'cluster/compat/gossip_pdu.hpp': 'GossipDecision gossip_decide pick_gossip_target',
    'cluster/protocol/gossip_pdu.hpp': 'GossipPdu GossipStatus GossipEnvelope GossipMerge',
    'cluster/compat/leader.hpp': 'elect_leader is_converged next_status LeaderHandover LeaderHandoverEvent',
    'cluster/failure/heartbeat_state.hpp': 'HeartbeatState',
    'cluster/compat/heartbeat_sender.hpp': 'HeartbeatSender PeerHeartbeat add_peer remove_peer due_peers record_tick ticks_per_peer',
    'cluster/failure/phi_accrual.hpp': 'PhiAccrualFailureDetector',
    'cluster/compat/multi_dc.hpp': 'CrossDcSettings member_dc same_dc partition_by_dc heartbeat_interval_for',
    'cluster/sbr/strategy.hpp': 'DowningStrategy DowningDecision KeepMajorityStrategy StaticQuorumStrategy KeepOldestStrategy KeepReferee '
                                'DownAllStrategy LeaseMajorityStrategy RoleWeightedQuorum',
    'cluster/sbr/provider.hpp': 'SplitBrainResolver NoSbr QuorumObserver on_quorum_lost on_quorum_regained',
    'cluster/sbr/runtime.hpp': 'SbrRuntime SbrAction',
    'cluster/state/events.hpp': 'ClusterEvent MemberJoined MemberWeaklyUp MemberUp MemberLeft MemberExited MemberDowned MemberRemoved '
                          'UnreachableMember ReachableMember LeaderChanged RoleLeaderChanged ClusterShuttingDown Convergence '
                          'UnreachableDataCenter ReachableDataCenter',
    'node/event_bus.hpp': 'ClusterEventBus SubscriptionHandle',
    'wire/frame.hpp': 'ClusterFrame',
    'transport/transport.hpp': 'GossipTransport RemoteMessageSink deliver',
    'transport/inprocess.hpp': 'InProcessRegistry InProcessClusterTransport',
    'transport/tcp.hpp': 'TcpClusterTransport send_remote shutdown',
    'transport/recording_sink.hpp': 'RecordingSink RemoteTellRecord',
    'node/daemon.hpp': 'DaemonConfig DaemonCmd DaemonSnapshot ClusterDaemonHandle spawn_daemon spawn_daemon_with_sbr apply_gossip '
                       'gossip_inbox snapshot events',
    'node/remote_adapter.hpp': 'ClusterRemoteAdapter',
}
TEST = re.compile(r'^TEST(?:_F|_P)?\(', re.MULTILINE)
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/', re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def code(text):
    return STRING.sub('""', COMMENT.sub('', text))


def words(text):
    return set(re.findall(r'[A-Za-z_][A-Za-z_0-9]*', text))


def tested_words(root):
    found = set()
    for file in sorted((root / 'tests').rglob('*.cpp')):
        if 'conformance' in file.parts or 'consumer' in file.parts:
            continue
        text = code(file.read_text('utf-8'))
        if TEST.search(text):  # fixtures and helpers of a test file are part of its tests
            found |= words(text)
    return found


def problems(root, names):
    tested = tested_words(root)
    for header, listed in names.items():
        path = root / 'include' / 'muster' / header
        declared = words(code(path.read_text('utf-8'))) if path.is_file() else set()
        for name in listed.split():
            if name not in declared:
                yield f'{header} does not declare {name}'
            if name not in tested:
                yield f'no test uses {name} ({header})'


def self_test():
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        (root / 'include/muster').mkdir(parents=True)
        (root / 'tests').mkdir()
        (root / 'include/muster/a.hpp').write_text('struct Here {}; // Commented\n')
        (root / 'tests/a_test.cpp').write_text('TEST(A, B) {\n    Here here; // Commented\n    f("Quoted");\n}\n')
        expected = {
            'Here': [],
            'Commented': ['a.hpp does not declare Commented', 'no test uses Commented (a.hpp)'],
            'Quoted': ['a.hpp does not declare Quoted', 'no test uses Quoted (a.hpp)'],
        }
        failed = [name for name, wanted in expected.items() if list(problems(root, {'a.hpp': name})) != wanted]
    for name in failed:
        print(f'FAILED: {name}')
    print(f'{len(expected) - len(failed)} passed, {len(failed)} failed')
    return 1 if failed else 0


def main(root):
    found = list(problems(pathlib.Path(root), NAMES))
    for problem in found:
        print(f'FAILED: {problem}')
    count = 2 * sum(len(listed.split()) for listed in NAMES.values())
    print(f'{count - len(found)} passed, {len(found)} failed')
    return 1 if found else 0


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(self_test() if sys.argv[1] == '--self-test' else main(sys.argv[1]))
