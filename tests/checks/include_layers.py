#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom (architecture.md, Layers).

    include_layers.py ROOT        scan the tree; one case per rule
    include_layers.py --self-test show that each rule is noticed when it is broken

A file belongs to a layer by its path. Includes are resolved beside the file, under src/ and under include/; what is not found
there is somebody else's header.
"""
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = {'.hpp', '.cpp', '.h', '.ipp'}

# The rooms of cluster, each with those it may include; core and sbr do not know each other, node drives both.
ROOMS = {
    'cluster/state': set(),
    'cluster/protocol': {'cluster/state'},
    'cluster/failure': {'cluster/state', 'cluster/protocol'},
    'cluster/sbr': {'cluster/state', 'cluster/protocol'},
    'cluster/core': {'cluster/state', 'cluster/protocol', 'cluster/failure'},
    'cluster/compat': {'cluster/state', 'cluster/protocol', 'cluster/failure', 'cluster/sbr', 'cluster/core'},
}
CLUSTER = set(ROOMS)
BELOW_TRANSPORT = CLUSTER | {'base', 'wire', 'net'}
# What each layer may include of muster, itself aside.
ALLOWED = {
    'base': set(),
    **{room: below | {'base'} for room, below in ROOMS.items()},
    'wire': CLUSTER | {'base'},
    'net': {'base'},
    'uring': {'base', 'net'},
    'net/asio': {'base', 'net'},
    'sim/runtime': {'base', 'net'},
    # The protocol of a connection as values: no Runtime, no socket, no clock.
    'transport/link': CLUSTER | {'base', 'wire'},
    'transport': BELOW_TRANSPORT | {'transport/link'},
    'node': BELOW_TRANSPORT | {'transport'},
    'sim/world': BELOW_TRANSPORT | {'transport', 'node', 'sim/runtime'},
    'runtime': {'base', 'net', 'uring', 'net/asio'},
    'umbrella': BELOW_TRANSPORT | {'transport', 'node', 'runtime'},
    # Headers at their old paths, kept until 1.0 for programs outside.
    'moved': CLUSTER | {'node'},
}
# Tools, examples, benchmarks and tests are users: they may include everything.
USERS = {'user'}
WITHOUT_ASIO = CLUSTER | {'base', 'wire', 'transport/link'}
# Same seed, same run: no clock of its own, and nothing whose results differ between standard libraries.
PURE = CLUSTER | {'transport/link', 'sim/runtime', 'sim/world'}
IMPURE = re.compile(r'\b(?:steady_clock|system_clock|high_resolution_clock)::now\b|'
                    r'\bstd::(?:\w+_distribution|shuffle|sample|random_device|default_random_engine)\b')

RULES = {
    'layers': 'a layer includes only what is below it',
    'liburing': 'liburing.h appears only under src/uring',
    'asio': 'base, cluster, wire and transport/link include no Asio',
    'private': 'an installed header includes no private header of src/',
    'pure': 'cluster, transport/link and sim read no clock and use no distribution of the standard library',
    'once': 'every header says #pragma once',
    'moved': 'nothing here includes a header by its old path',
    'room': 'every file of cluster is in a room',
}


def layer_of(path):
    """`path` is relative to the root. None: not a file of muster's own layers."""
    parts = path.parts
    if parts[0] in ('tests', 'bench'):
        return 'user'
    if parts[:2] == ('include', 'muster'):
        rest = parts[2:]
        if len(rest) == 1:
            return {'runtime.hpp': 'runtime', 'muster.hpp': 'umbrella', 'wire.hpp': 'umbrella'}.get(rest[0], 'base')
    elif parts[0] == 'src':
        rest = parts[1:]
        if rest[0] in ('tools', 'examples'):
            return 'user'
    else:
        return None
    if rest[0] == 'net' and 'asio' in rest[1]:
        return 'net/asio'
    if rest[0] == 'sim':
        # Files named world* (or in a folder of that name) drive whole nodes; the rest is the simulated Runtime.
        return 'sim/world' if rest[1].startswith('world') else 'sim/runtime'
    if rest[0] == 'cluster':
        if len(rest) == 2:
            return 'moved' if parts[0] == 'include' else None
        return f'cluster/{rest[1]}' if rest[1] in {room.split('/')[1] for room in ROOMS} else None
    if rest[:2] == ('transport', 'link'):
        return 'transport/link'
    return rest[0] if rest[0] in ALLOWED else None


def resolve(root, file, kind, name):
    places = [root / 'src', root / 'include']
    if kind == '"':
        places.insert(0, file.parent)
    for place in places:
        found = place / name
        if found.is_file():
            return found.resolve().relative_to(root)
    return None


def without_comments(text):
    text = re.sub(r'/\*.*?\*/', lambda m: re.sub(r'[^\n]', ' ', m[0]), text, flags=re.DOTALL)
    return re.sub(r'//[^\n]*', '', text)


def breaches_of(root, path):
    """Yields (rule, text) for one file."""
    raw = (root / path).read_text(encoding='utf-8', errors='replace')
    text = without_comments(raw)
    layer = layer_of(path)

    def at(match):
        return f'{path}:{text.count(chr(10), 0, match.start()) + 1}'

    if layer is None and path.parts[:2] == ('src', 'cluster') or layer is None and path.parts[:3] == ('include', 'muster', 'cluster'):
        yield 'room', f'{path}: in none of {", ".join(sorted(ROOMS))}'
    if path.suffix == '.hpp' and '#pragma once' not in raw:
        yield 'once', f'{path}: no #pragma once'
    if layer in PURE:
        for match in IMPURE.finditer(text):
            yield 'pure', f'{at(match)}: {match[0]}'
    for match in INCLUDE.finditer(text):
        kind, name = match.groups()
        if name.startswith('liburing') and path.parts[:2] != ('src', 'uring'):
            yield 'liburing', f'{at(match)}: includes {name}'
        if layer in WITHOUT_ASIO and name.startswith('boost/asio'):
            yield 'asio', f'{at(match)}: {layer} includes {name}'
        target = resolve(root, root / path, kind, name)
        if target is None:
            continue
        if path.parts[0] == 'include' and target.parts[0] != 'include':
            yield 'private', f'{at(match)}: includes {target}'
        other = layer_of(target)
        if other == 'moved' and layer != 'moved':
            yield 'moved', f'{at(match)}: includes {target}'
            continue
        if layer is None or layer in USERS or other is None or other == layer:
            continue
        if other not in ALLOWED[layer]:
            yield 'layers', f'{at(match)}: {layer} includes {target} of {other}'


def scan(root):
    root = root.resolve()
    found = {rule: [] for rule in RULES}
    files = 0
    for top in ('include', 'src', 'tests', 'bench'):
        for file in sorted((root / top).rglob('*')):
            if file.suffix in SOURCES and file.is_file():
                files += 1
                for rule, text in breaches_of(root, file.relative_to(root)):
                    found[rule].append(text)
    return files, found


def report(root):
    files, found = scan(root)
    failed = 0
    for rule, sentence in RULES.items():
        failed += bool(found[rule])
        print(f'{"FAILED" if found[rule] else "ok"}: {sentence}')
        for text in found[rule]:
            print(f'  {text}')
    if files == 0:
        print('FAILED: no source file found')
        failed += 1
    print(f'{len(RULES) - min(failed, len(RULES))} passed, {failed} failed')
    return 1 if failed else 0


# Put together, so that a search of the tree for who includes it finds those who do.
RING_HEADER = '<' + 'liburing'
# File, content, the rule that must notice it (None: allowed).
SELF_TEST = [
    ('include/muster/cluster/core/core.hpp', '#include <muster/time.hpp>', None),
    ('include/muster/cluster/core/core.hpp', '#include <muster/wire/frame.hpp>', 'layers'),
    ('include/muster/cluster/core/core.hpp', '#include <boost/asio/awaitable.hpp>', 'asio'),
    ('src/wire/frame.cpp', '#include <muster/net/runtime.hpp>', 'layers'),
    ('src/transport/tcp.cpp', '#include <muster/wire/frame.hpp>\n#include <muster/net/runtime.hpp>', None),
    ('src/transport/tcp.cpp', '#include "uring/ring.hpp"', 'layers'),
    ('src/transport/link/link.cpp', '#include <muster/wire/frame.hpp>', None),
    ('src/transport/link/link.cpp', '#include <muster/net/runtime.hpp>', 'layers'),
    ('src/transport/link/link.cpp', '#include <boost/asio/post.hpp>', 'asio'),
    ('src/transport/link/link.cpp', 'auto t = std::chrono::steady_clock::now();', 'pure'),
    ('src/node/daemon.cpp', '#include <muster/runtime.hpp>', 'layers'),
    ('src/sim/world.cpp', '#include <muster/runtime.hpp>', 'layers'),
    ('src/sim/runtime.cpp', '#include <muster/wire/frame.hpp>', 'layers'),
    ('src/sim/network.cpp', '#include <muster/wire/frame.hpp>', 'layers'),
    ('src/sim/world.cpp', '#include <muster/wire/frame.hpp>', None),
    ('src/sim/world_checker.cpp', '#include <muster/cluster/core/core.hpp>', None),
    ('src/net/asio_runtime.cpp', '#include "../uring/ring.hpp"', 'layers'),
    ('src/runtime/make.cpp', '#include "../uring/ring.hpp"', None),
    ('src/net/loop.cpp', f'#  include {RING_HEADER}.h>', 'liburing'),
    ('src/uring/ring.cpp', f'#include {RING_HEADER}.h>', None),
    ('tests/uring/ring_test.cpp', f'#include {RING_HEADER}/io_uring.h>', 'liburing'),
    ('src/tools/node.cpp', '#include <muster/runtime.hpp>', None),
    ('include/muster/net/runtime2.hpp', '#include "../../../src/net/secret.hpp"', 'private'),
    ('src/cluster/core/core.cpp', 'auto t = std::chrono::steady_clock::now();', 'pure'),
    ('src/cluster/core/core.cpp', '// never steady_clock::now()', None),
    ('src/sim/world.cpp', 'std::normal_distribution<double> d;', 'pure'),
    ('include/muster/base2.hpp', 'int x();', 'once'),
    ('src/cluster/state/gossip.cpp', '#include <muster/cluster/core/core.hpp>', 'layers'),
    ('src/cluster/sbr/model.cpp', '#include <muster/cluster/core/core.hpp>', 'layers'),
    ('src/cluster/compat/leader.cpp', '#include <muster/cluster/core/core.hpp>', None),
    ('src/cluster/new.cpp', 'int x();', 'room'),
    ('include/muster/cluster/member.hpp', '#include <muster/cluster/core/core.hpp>', None),
    ('src/cluster/core/join.cpp', '#include <muster/cluster/old.hpp>', 'moved'),
]
SELF_TEST_TREE = ['include/muster/time.hpp', 'include/muster/cluster/core/core.hpp', 'include/muster/cluster/old.hpp', 'include/muster/runtime.hpp', 'include/muster/wire/frame.hpp',
                  'include/muster/net/runtime.hpp', 'src/uring/ring.hpp', 'src/net/secret.hpp']


def self_test():
    passed = failed = 0
    for name, content, expected in SELF_TEST:
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for file in SELF_TEST_TREE + [name]:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text('#pragma once\n')
            (root / name).write_text(content if expected == 'once' else '#pragma once\n' + content)
            noticed = {rule for rule, texts in scan(root)[1].items() if texts}
            if noticed == ({expected} if expected else set()):
                passed += 1
            else:
                failed += 1
                print(f'FAILED: {name} with "{content}": expected {expected}, noticed {noticed or None}')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(self_test() if sys.argv[1] == '--self-test' else report(pathlib.Path(sys.argv[1])))
