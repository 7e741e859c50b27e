#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every log code and metric of the code is in src/doc/logging.md or metrics.md, and the other way round.

    documented_names.py ROOT

A name is a string literal that begins with a layer's name and a dot; in the documents it stands in backticks. A literal that
ends in a dot is the front of names made at run time: it stands for every documented name that begins with it.
"""
import pathlib
import re
import sys

LAYERS = ('base', 'cluster', 'net', 'runtime', 'transport', 'node', 'wire', 'sim')
NAME = r'(?:' + '|'.join(LAYERS) + r')(?:\.[a-z0-9_]+)+'
IN_CODE = re.compile(r'"(' + NAME + r'\.?)"')
IN_DOCUMENT = re.compile(r'`(' + NAME + r')`')
FILE_ENDINGS = ('.hpp', '.cpp', '.h')


def names_in_code(root):
    names = {}
    for top in ('src', 'include'):
        for file in sorted((root / top).rglob('*')):
            if file.suffix not in ('.hpp', '.cpp') or 'tools' in file.parts or 'examples' in file.parts:
                continue
            for number, line in enumerate(file.read_text(encoding='utf-8').splitlines(), 1):
                if line.lstrip().startswith(('//', '#include')):
                    continue
                for name in IN_CODE.findall(line):
                    if not name.endswith(FILE_ENDINGS):
                        names.setdefault(name, f'{file.relative_to(root)}:{number}')
    return names


def main(root):
    root = pathlib.Path(root)
    code = names_in_code(root)
    documents = ['src/doc/logging.md', 'src/doc/metrics.md']
    documented = {name for document in documents for name in IN_DOCUMENT.findall((root / document).read_text('utf-8'))}
    fronts = tuple(name for name in code if name.endswith('.'))
    missing = [name for name in code if name not in documented and not name.endswith('.')]
    gone = [name for name in documented if name not in code and not (fronts and name.startswith(fronts))]
    for name in sorted(missing):
        print(f'{code[name]}: "{name}" is in neither {" nor ".join(documents)}: add its row')
    for name in sorted(gone):
        print(f'"{name}" is documented, but no code says it')
    failed = bool(missing) + bool(gone) + (not code)
    print(f'{len(code)} names')
    print(f'{2 - min(failed, 2)} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:2]) if len(sys.argv) == 2 else __doc__)
