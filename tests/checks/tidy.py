#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing in the tree is dead, nameless or out of form.

    tidy.py ROOT                scan the tree; one case per rule
    tidy.py --fix ROOT          first let the formatter write what it wants
    tidy.py --self-test         show that each rule is noticed when it is broken

It needs clang-format-16, and no other version: two versions format differently.
"""
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FORMATTER = 'clang-format-16'
INSTALLS = f'{FORMATTER} is missing: src/tools/setup installs it (Debian 12: apt-get install clang-format-16)'
COLUMNS = 110
CPP = {'.cpp', '.hpp', '.ipp'}
TESTS_AND_BENCHES = ('tests', 'bench')
FORWARDING = 'Moved: stays here until 1.0'
SPDX = 'SPDX-License-Identifier: Apache-2.0'

# Names that are called, specialised or required by somebody else's code, each with who that is.
USED_ELSEWHERE = {
    'is_steady': 'a Clock of std::chrono has it',
    'save_binary': "Boost's Archive concept has it",
    'load_binary': "Boost's Archive concept has it",
    'base_register': 'specialises a template of Boost.Serialization',
    'invoke': 'a member of that specialisation',
    'result_type': 'boost::apply_visitor asks for it',
    'throw_exception_from_error': 'boost::system::result calls it',
}

RULES = {
    'format': f'{FORMATTER} would change no C++ file',
    'columns': f'no line of a C++ file has more than {COLUMNS} columns',
    'unbuilt': 'every source file is named by a build list',
    'missing': 'every file that a build list names is there',
    'unincluded': 'every header is included by somebody else, or forwards from an old path',
    'unnamed': 'every other file is named by some file',
    'licence': 'every source file, script and build file says its licence',
    'unused': 'what a header declares is used or defined somewhere',
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
LITERAL = re.compile(r"'((?:\\.|[^'\\\n])*)'")
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/', re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
WORD = re.compile(r'[A-Za-z_]\w*')
# A type stands before the name of a function that is declared.
FUNCTION = re.compile(r'(?<=[\w>&*\]]) +[&*]*([A-Za-z_]\w*)\(')
NO_TYPE = {'return', 'co_return', 'co_await', 'co_yield', 'else', 'throw', 'new', 'delete', 'case', 'goto', 'requires', 'and', 'or', 'not',
           'noexcept', 'operator', 'explicit'}
TYPE = re.compile(r'^ *(?:struct|class|enum class|using) +([A-Za-z_]\w*)', re.MULTILINE)
CONSTANT = re.compile(r'\bconstexpr +[\w:<>, ]+? (\w+)(?: =|\{)')


def files_of(root):
    """The files of the tree: what git knows, or all of a tree without git."""
    listed = subprocess.run(['git', '-C', str(root), 'ls-files', '-co', '--exclude-standard'], capture_output=True, text=True)
    if listed.returncode == 0 and (root / '.git').exists():
        paths = [pathlib.Path(line) for line in listed.stdout.splitlines()]
    else:
        paths = [f.relative_to(root) for f in root.rglob('*') if f.is_file() and not f.relative_to(root).parts[0].startswith('build')]
    return sorted(p for p in paths if (root / p).is_file())


class Tree:
    def __init__(self, root):
        self.root = root.resolve()
        self.paths = [p for p in files_of(self.root) if p.parts[0] != 'subprojects']
        self.known = set(self.paths)
        self.cpp = [p for p in self.paths if p.suffix in CPP]
        self.texts = {}
        for path in self.paths:
            try:
                self.texts[path] = (self.root / path).read_text('utf-8')
            except UnicodeDecodeError:
                pass

    def within(self, path):
        """A path with its .. taken out, or None outside of the tree."""
        path = pathlib.Path(os.path.normpath(path))
        return None if path.is_absolute() or path.parts[:1] == ('..',) else path


def out_of_format(tree, formatter):
    """Files that the formatter would change."""
    chunks = [tree.cpp[i::16] for i in range(16) if tree.cpp[i::16]]

    def look(chunk):
        done = subprocess.run([formatter, '--dry-run', '--Werror', '--ferror-limit=1', *map(str, chunk)], cwd=tree.root,
                              capture_output=True, text=True)
        changed = re.findall(r'^(?:\./)?([^:\n]+):(\d+):\d+: error: code should be clang-formatted', done.stderr, re.MULTILINE)
        if done.returncode and not changed:
            yield f'{formatter} failed: {done.stderr.strip()[:300]}'
        for path, line in dict(reversed(changed)).items():
            yield f'{path}:{line}: {formatter} -i {path}'

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines in pool.map(lambda chunk: list(look(chunk)), chunks):
            yield from lines


def long_lines(tree):
    for path in tree.cpp:
        for number, line in enumerate(tree.texts[path].splitlines(), 1):
            if len(line) > COLUMNS:
                yield f'{path}:{number}: {len(line)} columns'


def build_lists(tree):
    """Yields (rule, text). A literal of a meson.build names a file of its folder, of another folder that a literal of the same file
    names, or with .cpp added, where the file adds it; an object of a Makefile names its source."""
    named = set()
    for path in tree.paths:
        folder, text = path.parent, tree.texts.get(path, '')
        if path.name == 'Makefile':
            named |= {folder / (m + '.cpp') for m in re.findall(r'(\w+)\.o\b', text)}
        if path.name != 'meson.build':
            continue
        text = re.sub(r'(?m)#.*$', '', text)
        made = set(re.findall(r"output: *'([^']+)'", text))
        literals = [m for m in LITERAL.findall(text) if m and m not in made]
        folders = [folder] + [f for f in (tree.within(folder / m) for m in literals) if f and (tree.root / f).is_dir()]
        for literal in literals:
            places = [tree.within(f / literal) for f in folders]
            found = [p for p in places if p in tree.known]
            if not found and "'.cpp'" in text:
                found = [p for p in (tree.within(folder / (literal + '.cpp')),) if p in tree.known]
            named.update(found)
            if not found and literal.endswith(('.cpp', '.hpp', '.json')) and literal != '.cpp':
                yield 'missing', f'{path}: {literal}'
    for path in tree.cpp:
        if path.suffix == '.cpp' and path not in named:
            yield 'unbuilt', str(path)


def unincluded(tree):
    places = [pathlib.Path('src'), pathlib.Path('include')]
    for path in tree.paths:
        if path.name == 'meson.build':
            for name in re.findall(r"include_directories\('([^']+)'\)", tree.texts[path]):
                places.append(tree.within(path.parent / name))
    users = collections.defaultdict(set)
    for path in tree.cpp + [p for p in tree.paths if p.suffix == '.py']:
        for kind, name in INCLUDE.findall(tree.texts[path]):
            for place in ([path.parent] if kind == '"' else []) + places:
                target = tree.within(place / name)
                if target in tree.known:
                    users[target].add(path)
                    break

    def counts(user, header):
        """A header that only its own source includes is no use to anybody, unless it is the source's private part."""
        own = user.stem == header.stem and user.suffix == '.cpp'
        return not (own and header.parts[0] == 'include')

    for path in tree.cpp:
        if path.suffix == '.cpp' or FORWARDING in tree.texts[path]:
            continue
        if not any(counts(user, path) for user in users[path]):
            yield f'{path}: {"only its own source includes it" if users[path] else "nobody includes it"}'


def unnamed(tree):
    text = '\n'.join(t for p, t in tree.texts.items() if p.suffix != '.json')
    for path in tree.paths:
        if path.suffix in CPP or path.name in ('meson.build', 'LICENSE', 'README.md') or path.name.startswith('.'):
            continue
        # Many scripts are called run.
        name = f'{path.parent.name}/{path.name}' if path.name in ('run', 'Makefile') and path.parent.name != 'refused' else path.name
        shown = name if path.name != 'Makefile' else path.parent.name
        if path.suffix == '.py' and re.search(rf'^ *(?:from|import) {path.stem}\b', text, re.MULTILINE):
            continue
        own = tree.texts.get(path, '')
        if len(re.findall(rf'(?<![\w-]){re.escape(shown)}\b', text)) <= len(re.findall(rf'(?<![\w-]){re.escape(shown)}\b', own)):
            yield str(path)


def without_licence(tree):
    for path in tree.paths:
        text = tree.texts.get(path, '')
        script = text.startswith('#!')
        if not (path.suffix in CPP | {'.py', '.sh'} or path.name in ('meson.build', 'meson_options.txt') or script):
            continue
        if SPDX not in '\n'.join(text.splitlines()[:2]):
            yield f'{path}: begin it with "{"//" if path.suffix in CPP else "#"} {SPDX}"'


def code_of(text):
    return STRING.sub('""', COMMENT.sub('', INCLUDE.sub('', text)))


def unused(tree):
    """Names that a header of include/ or src/ declares and that stand in no other place; functions that are declared and defined,
    and no more."""
    code = {path: code_of(tree.texts[path]) for path in tree.cpp}
    count = collections.Counter(word for text in code.values() for word in WORD.findall(text))
    sources = '\n'.join(text for path, text in code.items() if path.suffix == '.cpp')
    for path, text in code.items():
        if path.suffix == '.cpp' or path.parts[0] in TESTS_AND_BENCHES:
            continue
        functions = set()
        for match in FUNCTION.finditer(text):
            before = WORD.findall(text[max(0, match.start() - 40):match.start()])
            if not before or before[-1] not in NO_TYPE:
                functions.add(match[1])
        for name in sorted(functions | set(TYPE.findall(text)) | set(CONSTANT.findall(text))):
            if name in USED_ELSEWHERE:
                continue
            if count[name] == 1:
                yield f'{path}: {name} stands nowhere else'
            elif count[name] == 2 and name in functions and re.search(rf'^\w[^\n;]*\b{name}\(', sources, re.MULTILINE):
                yield f'{path}: {name} is defined, and nobody uses it'


def scan(root, formatter):
    tree = Tree(root)
    found = {rule: [] for rule in RULES}
    found['format'] += out_of_format(tree, formatter) if shutil.which(formatter) else [INSTALLS]
    found['columns'] += long_lines(tree)
    for rule, text in build_lists(tree):
        found[rule].append(text)
    found['unincluded'] += unincluded(tree)
    found['unnamed'] += unnamed(tree)
    found['licence'] += without_licence(tree)
    found['unused'] += unused(tree)
    return len(tree.cpp), found


def report(root):
    files, found = scan(root, FORMATTER)
    failed = 0
    for rule, sentence in RULES.items():
        failed += bool(found[rule])
        print(f'{"FAILED" if found[rule] else "ok"}: {sentence}')
        for text in found[rule]:
            print(f'  {text}')
    if files == 0:
        print('FAILED: no C++ file found')
        failed += 1
    print(f'{len(RULES) - min(failed, len(RULES))} passed, {failed} failed')
    return 1 if failed else 0


def fix(root):
    tree = Tree(root)
    if not shutil.which(FORMATTER):
        sys.exit(INSTALLS)
    subprocess.run([FORMATTER, '-i', *map(str, tree.cpp)], cwd=tree.root, check=True)


# File, content, the rule that must notice it (None: allowed).
S = '// ' + SPDX + '\n'
P = '# ' + SPDX + '\n'
A = S + '#include <muster/b.hpp>\nint used() { return 1; }\nint made() { return used() + twice() + 1; }\n'
SELF_TEST = [
    ('src/a/a.cpp', A + 'int  x();\n', 'format'),
    ('src/a/a.cpp', A + '// ' + 'x' * 107 + '\n', None),
    ('src/a/a.cpp', A + '// ' + 'ü' * 107 + '\n', None),
    ('src/a/a.cpp', A + '// clang-format off\n// ' + 'x' * 108 + '\n', 'columns'),
    ('src/a/b.cpp', S, 'unbuilt'),
    ('src/a/meson.build', P + "x = files('a.cpp', 'gone.cpp')\n", 'missing'),
    ('src/a/meson.build', P + "# 'gone.cpp'\nx = files('a.cpp')\n", None),
    ('src/a/meson.build', P + "foreach n : ['a']\n  x = files(n + '.cpp')\nendforeach\n", None),
    ('src/a/meson.build', P + "foreach n : ['a.cpp']\n  x = files('../a' / n)\nendforeach\n", None),
    ('src/a/dead.hpp', S, 'unincluded'),
    ('src/a/own.hpp', S, 'unincluded'),
    ('include/muster/a.hpp', S, 'unincluded'),
    ('include/muster/c.hpp', S + '/// Moved: stays here until 1.0.\n', None),
    ('src/a/notes.txt', 'x\n', 'unnamed'),
    ('tests/run', '#!/bin/sh\n' + P + '# tests/run: notes.txt\n', None),
    ('tests/run', '#!/bin/sh\n# tests/run\n', 'licence'),
    ('tests/run', '#!/bin/sh\n# tests/run again\n', 'licence'),
    ('tests/other.py', P, 'unnamed'),
    ('tests/run', '#!/usr/bin/env python3\n' + P + 'import tool\n', None),
    ('src/a/meson.build', "x = files('a.cpp')\n", 'licence'),
    ('src/a/a.cpp', A.removeprefix(S), 'licence'),
    ('include/muster/b.hpp', S + 'int used();\nint lost();\n', 'unused'),
    ('include/muster/b.hpp', S + 'struct Lost {};\nint used();\n', 'unused'),
    ('include/muster/b.hpp', S + 'inline constexpr int lost = 1;\nint used();\n', 'unused'),
    ('include/muster/b.hpp', S + 'int used();\nint made();\n', 'unused'),
    ('include/muster/b.hpp', S + 'int used();\ninline int twice() { return used(); }\n// lost(), struct Lost\n', None),
]
SELF_TEST_TREE = {
    'README.md': 'tests/run\n',
    '.clang-format': 'BasedOnStyle: LLVM\nColumnLimit: 110\n',
    'src/a/meson.build': P + "x = files('a.cpp')\n",
    'src/a/a.cpp': A,
    'include/muster/b.hpp': S + 'int used();\n',
    'tests/run': '#!/bin/sh\n' + P,
    'tests/meson.build': P + "y = files('b_test.cpp')\n",
    'tests/b_test.cpp': S + '#include <muster/b.hpp>\nint twice() { return 2; }\n',
}


def self_test():
    passed = failed = 0

    def expect(text, good):
        nonlocal passed, failed
        passed, failed = passed + good, failed + (not good)
        if not good:
            print(f'FAILED: {text}')

    for name, content, expected in SELF_TEST:
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            files = {**SELF_TEST_TREE, name: content}
            if name == 'tests/run' and 'notes.txt' in content:
                files['src/a/notes.txt'] = 'x\n'
            if 'import tool' in content:
                files['tests/tool.py'] = P
            if name.endswith('own.hpp'):  # a public header of which only its own source knows
                del files[name]
                files['include/muster/own.hpp'] = S
                files['src/a/own.cpp'] = S + '#include <muster/own.hpp>\n'
                files['src/a/meson.build'] = P + "x = files('a.cpp', 'own.cpp')\n"
            for file, text in files.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(text, 'utf-8')
            found = scan(root, FORMATTER)[1]
            noticed = {rule for rule, texts in found.items() if texts}
            if not shutil.which(FORMATTER):
                noticed.discard('format')
                expected = None if expected == 'format' else expected
            expect(f'{name} with "{content}": expected {expected}, noticed {found}',
                   noticed == ({expected} if expected else set()))
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / 'a.cpp').write_text(S)
        expect('a missing formatter is a failure that says what installs it',
               scan(pathlib.Path(directory), 'clang-format-of-nobody')[1]['format'] == [INSTALLS])
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    if len(sys.argv) == 3 and sys.argv[1] == '--fix':
        fix(pathlib.Path(sys.argv[2]))
    elif len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(self_test() if sys.argv[1] == '--self-test' else report(pathlib.Path(sys.argv[-1])))
