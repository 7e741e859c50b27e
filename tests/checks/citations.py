#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What sources and documents cite is in the tree (src/doc/CONTRIBUTING.md, Comments).

    citations.py ROOT          scan the tree; one case per rule
    citations.py --self-test   show that each rule is noticed when it is broken

A bare "§n.m" means src/doc/protocol.md. Right behind the name of a source that is not muster's ("RFC 8259 §8.1", "ATC'18, §7") it
means that source, and is not looked up. A document is cited by its name ("wire.md") or a path; a heading of it behind a comma
("architecture.md, Threads"). A source file by its name or the end of its path. A citation may go on in the next line of a comment.
"""
import bisect
import pathlib
import re
import subprocess
import sys
import tempfile

PROTOCOL = 'src/doc/protocol.md'
SUFFIXES = {'.hpp', '.cpp', '.h', '.ipp', '.py', '.sh', '.md', '.build', '.js', '.css', '.html', '.txt', ''}
# Its self-test holds citations that are broken on purpose.
NOT_SCANNED = {'LICENSE', 'tests/checks/citations.py'}
# Tells of what was.
HISTORY = 'src/doc/CHANGELOG.md'
FORWARDING = 'Moved: stays here until 1.0'

DOCUMENT = re.compile(r'(?<![\w/.-])([\w./-]*\w\.md)\b')
SOURCE = re.compile(r'(?<![\w/.<-])((?:[\w-]+/)*\w+\.(?:hpp|cpp|ipp|py))\b')
COMMENT = re.compile(r'//[^\n]*')
TEST = re.compile(r'`([A-Z]\w+)\.([A-Z]\w+|\*)`')
TEST_MADE = re.compile(r'\b(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(\s*(\w+),\s*(\w+)')
INDENTED = re.compile(r'^    .*$', re.MULTILINE)
LINK = re.compile(r'\]\(([^)#\s]*)(?:#([^)\s]*))?\)')
SECTION = re.compile(r'§ ?(\d+(?:\.\d+)*)')
ELSEWHERE = re.compile(r"(?:RFC \d+|[A-Z]{2,}'\d\d)[,)]{0,2} ?§ ?\d+(?:\.\d+)*(?:(?: to | and |, )§ ?\d+(?:\.\d+)*)*")
PROPERTY = re.compile(r'§ ?19,? (?:items? )?(\d+(?:, \d+)*)')
NAMED = re.compile(r'(?<![\w/.-])([\w./-]*\w\.md), ((?:[A-Z]|back ends)[^.;:()]*)')
HEADING = re.compile(r'^(#+) +(.*?) *$', re.MULTILINE)
NUMBER = re.compile(r'(\d+(?:\.\d+)*)\.? ')
URL = re.compile(r'https?://\S+')
FENCE = re.compile(r'^```.*?^```', re.MULTILINE | re.DOTALL)
# The next line of a comment belongs to the same sentence.
CONTINUED = re.compile(r'\n[ \t]*(?://+<?|#+|\*)?[ \t]*')

RULES = {
    'document': 'a document that is cited is in the tree',
    'file': 'a source file that is cited is in the tree, by the path where it is now',
    'test': 'a test that a document names is there',
    'link': 'a link in a document leads to a file and a heading',
    'section': 'a section that is cited is a heading of protocol.md',
    'property': 'a property that is cited is in the list of protocol.md §19',
    'heading': 'a heading that is cited by name is in its document',
    'number': 'no two headings of a document have one number',
    'name': 'no two headings of a document have one text',
}


def blank(text, pattern):
    """The text of the same length without what matches, so that positions stay."""
    return pattern.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)


def files_of(root):
    """The files of the tree: what git tracks, or all of a tree without git."""
    listed = subprocess.run(['git', '-C', str(root), 'ls-files', '-co', '--exclude-standard'], capture_output=True, text=True)
    if listed.returncode == 0 and (root / '.git').exists():
        paths = [pathlib.Path(line) for line in listed.stdout.splitlines()]
    else:
        paths = [f.relative_to(root) for f in root.rglob('*') if f.is_file() and not f.relative_to(root).parts[0].startswith('build')]
    return sorted(p for p in paths if (root / p).is_file() and not (root / p).is_symlink())


def anchor_of(heading):
    """As web pages of a repository make it."""
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


class Document:
    def __init__(self, text):
        self.text = text
        self.headings = [m[2] for m in HEADING.finditer(blank(text, FENCE))]
        self.anchors = {anchor_of(h) for h in self.headings}
        self.numbers = [m[1] for m in map(NUMBER.match, self.headings) if m]


def properties_of(protocol):
    """Numbers of the items of the list under heading 19."""
    body = re.search(r'^## 19\..*?\n(.*?)(?=^## |\Z)', protocol.text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r'^(\d+)\. ', body[1], re.MULTILINE)) if body else set()


def scan(root):
    root = root.resolve()
    found = {rule: [] for rule in RULES}
    files = [p for p in files_of(root) if p.suffix in SUFFIXES and str(p) not in NOT_SCANNED]
    documents = {str(p): Document((root / p).read_text('utf-8')) for p in files_of(root) if p.suffix == '.md'}
    sources = [str(p) for p in files if p.suffix in ('.hpp', '.cpp', '.ipp', '.py')
               and not (p.suffix == '.hpp' and FORWARDING in (root / p).read_text('utf-8'))]
    sources.append('tests/checks/citations.py')
    tests = {m for p in files if p.suffix == '.cpp' for m in TEST_MADE.findall((root / p).read_text('utf-8'))}
    tests |= {(suite, '*') for suite, _ in tests}
    protocol = documents.get(PROTOCOL, Document(''))
    sections, properties = set(protocol.numbers), properties_of(protocol)

    def resolve(citing, name):
        """The documents that `name` in the file `citing` may mean."""
        beside = (root / citing.parent / name).resolve()
        if beside.is_relative_to(root) and str(beside.relative_to(root)) in documents:
            return [str(beside.relative_to(root))]
        return [path for path in documents if path == name or path.endswith('/' + name)]

    for path, document in documents.items():
        for number in sorted({n for n in document.numbers if document.numbers.count(n) > 1}):
            found['number'].append(f'{path}: heading {number} stands there {document.numbers.count(number)} times')
        for text in sorted({h for h in document.headings if document.headings.count(h) > 1}):
            found['name'].append(f'{path}: heading "{text}" stands there {document.headings.count(text)} times')

    for path in files:
        try:
            raw = (root / path).read_text(encoding='utf-8')
        except UnicodeDecodeError:
            continue
        starts = [0] + [m.end() for m in re.finditer('\n', raw)]
        text = blank(raw, URL)
        joined = text if path.suffix == '.md' else CONTINUED.sub(lambda m: ' ' * len(m[0]), text)
        # Citations are at most this far apart in a line that goes on.
        joined = joined.replace('\n', ' ')

        def at(match):
            return f'{path}:{bisect.bisect_right(starts, match.start())}'

        for match in DOCUMENT.finditer(joined):
            if not resolve(path, match[1]):
                found['document'].append(f'{at(match)}: cites {match[1]}')
        prose = ''
        if path.suffix == '.md' and str(path) != HISTORY:
            prose = blank(blank(text, FENCE), INDENTED)
        elif path.suffix in ('.hpp', '.cpp', '.ipp'):
            # What is no comment made blank.
            prose = re.sub(r'[^\n]', ' ', text)
            for comment in COMMENT.finditer(text):
                prose = prose[:comment.start()] + comment[0] + prose[comment.end():]
        for match in SOURCE.finditer(prose):
            if not any(source == match[1] or source.endswith('/' + match[1]) for source in sources):
                found['file'].append(f'{at(match)}: cites {match[1]}')
        if path.suffix == '.md':
            for match in TEST.finditer(text):
                if (match[1], match[2]) not in tests:
                    found['test'].append(f'{at(match)}: names {match[0]}')
            for match in LINK.finditer(blank(text, FENCE)):
                name, anchor = match[1], match[2]
                target = (root / path.parent / name).resolve() if name else root / path
                if not target.exists():
                    found['link'].append(f'{at(match)}: links to {name}')
                elif anchor and anchor not in documents.get(str(target.relative_to(root)), Document('')).anchors:
                    found['link'].append(f'{at(match)}: no heading #{anchor} in {name or path}')
        squeezed = blank(joined, ELSEWHERE)
        for match in SECTION.finditer(squeezed):
            if match[1] not in sections:
                found['section'].append(f'{at(match)}: cites §{match[1]}')
        for match in PROPERTY.finditer(re.sub(r'\s', ' ', squeezed)):
            for number in match[1].split(', '):
                if number not in properties:
                    found['property'].append(f'{at(match)}: cites §19, {number}')
        for match in NAMED.finditer(joined):
            after = ' '.join(match[2].split())
            for target in resolve(path, match[1]):
                if not any(after == h or re.match(re.escape(h) + r'\b', after) for h in documents[target].headings):
                    found['heading'].append(f'{at(match)}: no heading of {target} begins "{after[:40]}"')
    return len(files), found


def report(root):
    files, found = scan(root)
    failed = 0
    for rule, sentence in RULES.items():
        failed += bool(found[rule])
        print(f'{"FAILED" if found[rule] else "ok"}: {sentence}')
        for text in found[rule]:
            print(f'  {text}')
    if files == 0:
        print('FAILED: no file found')
        failed += 1
    print(f'{len(RULES) - min(failed, len(RULES))} passed, {failed} failed')
    return 1 if failed else 0


# A document that is in no tree, written so that this file does not cite it; and one that the self-test makes.
ABSENT = 'plan' + '.md'
SOME = 'src/doc/some' + '.md'
# File, content, the rule that must notice it (None: allowed).
SELF_TEST = [
    ('src/a.cpp', '// protocol.md §2.1', None),
    ('src/a.cpp', '// (protocol.md\n    /// §2.1) and §2', None),
    ('src/a.cpp', '// protocol.md §2.2', 'section'),
    ('src/a.cpp', '// §3', 'section'),
    ('src/a.cpp', '// see (protocol.md\n/// §7.7)', 'section'),
    ('src/a.cpp', "// RFC 8259 §8.1, RFC 5952 §4 to §5, (ATC'18, §7)", None),
    ('src/a.cpp', '// RFC 8259 §8.1 and protocol.md §8.1', 'section'),
    ('src/a.cpp', '// protocol.md §19, 1', None),
    ('src/a.cpp', '// protocol.md §19 items 1, 2', None),
    ('src/a.cpp', '// protocol.md §19, 3', 'property'),
    ('src/a.cpp', f'// {ABSENT}', 'document'),
    ('src/a.cpp', '// src/doc/wire.md, wire.md and README.md', None),
    ('src/a.cpp', f'// https://example.org/{ABSENT}', None),
    ('src/a.cpp', '// doc/wire.md and docs/wire.md', 'document'),
    ('src/meson.build', f'# ({ABSENT})', 'document'),
    ('tests/run', f'#!/bin/sh\n# {ABSENT}', 'document'),
    ('tests/a.py', '# wire.md, Frames.', None),
    ('tests/a.py', '# wire.md, Frames and more', None),
    ('tests/a.py', '# wire.md,\n# Frames', None),
    ('tests/a.py', '# wire.md, Framework', 'heading'),
    ('src/a.cpp', '#include <gone.hpp>\n// b/b.hpp, src/b/b.hpp, b.hpp', None),
    ('src/a.cpp', '// gone.hpp', 'file'),
    ('src/a.cpp', '// a/b.hpp', 'file'),
    ('src/a.cpp', '// moved.hpp', 'file'),
    (SOME, '`Suite.DoesWhatItSays`, `Suite.*`', None),
    (SOME, '`Suite.DoesNot`', 'test'),
    (SOME, '`Suites.*`', 'test'),
    (SOME, '`b/b.hpp`\n\n    c++ program.cpp\n', None),
    (SOME, '`b/c.hpp`', 'file'),
    ('src/doc/CHANGELOG.md', '`b/c.hpp`', None),
    (SOME, '[w](wire.md#frames) [r](../../README.md)', None),
    (SOME, '[w](wire.md#parcels)', 'link'),
    (SOME, '[w](../wire)', 'link'),
    (SOME, '§2.9', 'section'),
    (SOME, '## 1. One\n## 1. Two', 'number'),
    (SOME, '## One\n## One', 'name'),
    (SOME, '## One\n```\n## One\n```', None),
    ('src/doc/protocol.md', '## 2. Two\n### 2.1 Sub\n## 2. Again\n## 19. P\n1. x\n', 'number'),
    ('src/doc/protocol.md', '## 2. Two\n### 2.1 Sub\nas §2.3 says\n', 'section'),
]
SELF_TEST_TREE = {
    'src/doc/protocol.md': '# P\n## 2. Two\n### 2.1 Sub\n## 19. Properties\n1. One\n2. Two\n',
    'src/doc/wire.md': '# Wire\n## Frames\n',
    'README.md': '# R\n',
    'tests/b_test.cpp': 'TEST(Suite, DoesWhatItSays) {}\n',
    'src/b/b.hpp': '#pragma once\n',
    'include/moved.hpp': '/// Moved: stays here until 1.0.\n',
}


def self_test():
    passed = failed = 0
    for name, content, expected in SELF_TEST:
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for file, text in {**SELF_TEST_TREE, name: content}.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(text, 'utf-8')
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
