#!/usr/bin/env python3
"""Every symbol that a shared library of muster defines for others belongs to namespace muster (design.md §9).

    exported_symbols.py LIBRARY...

Prints what else is exported, and fails; also when a library exports nothing, which would mean the table was not read.
"""
import re
import subprocess
import sys

# What the compiler makes for a class or function comes with a prefix. A function template's instance is spelled with its return
# type in front, so it is not accepted: the consumer instantiates its own.
OURS = re.compile(r'(?:(?:construction )?vtable for |VTT for |typeinfo (?:name )?for |guard variable for |'
                  r'(?:non-virtual |virtual |covariant return )?thunk to )?muster::')


def foreign_symbols(library):
    listed = subprocess.run(['nm', '--dynamic', '--defined-only', '--demangle', library], capture_output=True, text=True,
                            check=True)
    names = [line.split(' ', 2)[2] for line in listed.stdout.splitlines() if line.count(' ') >= 2]
    return len(names), [name for name in names if not OURS.match(name)]


def main(libraries):
    passed = failed = 0
    for library in libraries:
        try:
            count, foreign = foreign_symbols(library)
        except (OSError, subprocess.CalledProcessError) as error:
            count, foreign = 0, [f'nm failed: {error}']
        # libmuster-sim may still be small, but a library that exports nothing is of no use to anybody.
        if count == 0 or foreign:
            failed += 1
            print(f'{library}: {count} symbols, of which these are not of namespace muster:')
            for name in foreign[:20]:
                print(f'  {name[:200]}')
        else:
            passed += 1
            print(f'{library}: all {count} exported symbols are of namespace muster')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not libraries else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
