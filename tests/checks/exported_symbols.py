#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a shared library of muster defines for others is of namespace muster, or one of Asio's statics of which a process must have one.

    exported_symbols.py LIBRARY...
    exported_symbols.py --self-test

Prints what else is exported, and fails; also when a library exports nothing, which would mean the table was not read. A static of
Asio that the library keeps for itself exists twice in a process, for the program has its own: one that is not known to be harmless
is a failure, too (architecture.md, "The shared library and Asio").
"""
import re
import subprocess
import sys

# What the compiler makes for a class or function comes with a prefix. A function template's instance is spelled with its return
# type in front, so it is not accepted: the consumer instantiates its own.
OURS = re.compile(r'(?:(?:construction )?vtable for |VTT for |typeinfo (?:name )?for |guard variable for |'
                  r'(?:non-virtual |virtual |covariant return )?thunk to )?muster::')
# One per process: the scheduler looks for itself on the call stack, and error categories are compared by address.
SHARED = re.compile(r'(?:guard variable for )?boost::asio::(?:detail::call_stack<.*>::top_$|detail::keyword_tss_ptr<.*>::value_$|'
                    r'error::get_\w+_category\(\)::instance$)')
# Two of these do no harm: services are found by type_info, tables and constants hold the same in both.
HARMLESS = re.compile(r'(?:guard variable for )?boost::asio::(?:detail::execution_context_service_base<.*>::id$|'
                      r'(?:execution|deferred|detail::\w+_t<)|.*::(?:loc|fns|fns_with_execute|fns_with_blocking_execute)$)|'
                      r'(?:vtable|VTT|typeinfo|typeinfo name) for ')
DATA = 'bBdDuVvrRgGsS'


def listed(library, *options):
    """(type, name) of every symbol that the library defines."""
    out = subprocess.run(['nm', '--defined-only', '--demangle', *options, library], capture_output=True, text=True, check=True).stdout
    rows = [line.split(' ', 2) for line in out.splitlines() if line.count(' ') >= 2]
    return [(kind, name) for _, kind, name in rows]


def complaints(exported, everything):
    """What is wrong with a library that exports these of its symbols."""
    wrong = [f'is exported: {name}' for _, name in exported if not OURS.match(name) and not SHARED.match(name)]
    shown = {name for _, name in exported}
    for kind, name in everything:
        if kind not in DATA or 'boost::asio::' not in name or name in shown or OURS.match(name):
            continue
        if SHARED.match(name):
            wrong.append(f'exists in the program, too, and must not: {name}')
        elif not HARMLESS.match(name):
            wrong.append(f'exists in the program, too: is that harmless? {name}')
    return wrong


def self_test():
    stack = 'boost::asio::detail::call_stack<boost::asio::detail::thread_context, boost::asio::detail::thread_info_base>::top_'
    value = 'boost::asio::detail::keyword_tss_ptr<boost::asio::detail::call_stack<a, b>::context>::value_'
    ours = ('T', 'muster::version()')
    cases = [
        ('a library of muster alone', [ours], [ours], 0),
        ('something of Boost', [ours, ('W', 'boost::json::parse()')], [], 1),
        ('a function of Asio', [ours, ('W', 'boost::asio::detail::scheduler::run(x)')], [], 1),
        ('the shared statics', [ours, ('V', stack), ('V', 'guard variable for ' + stack), ('W', value)], [('V', stack)], 0),
        ('a hidden call stack', [ours], [('b', stack)], 1),
        ('a hidden thread-local pointer', [ours], [('b', value)], 1),
        ('a hidden category', [ours], [('d', 'boost::asio::error::get_misc_category()::instance')], 1),
        ('a service id', [ours], [('b', 'boost::asio::detail::execution_context_service_base<x>::id')], 0),
        ('an unknown static', [ours], [('b', 'boost::asio::detail::get_signal_state()::state')], 1),
    ]
    failed = [name for name, exported, everything, count in cases if len(complaints(exported, everything)) != count]
    for name in failed:
        print(f'self-test failed: {name}')
    print(f'{len(cases) - len(failed)} passed, {len(failed)} failed')
    return 1 if failed else 0


def main(libraries):
    if libraries == ['--self-test']:
        return self_test()
    passed = failed = 0
    for library in libraries:
        try:
            exported = listed(library, '--dynamic')
            wrong = complaints(exported, listed(library))
        except (OSError, subprocess.CalledProcessError) as error:
            exported, wrong = [], [f'nm failed: {error}']
        # libmuster-sim may still be small, but a library that exports nothing is of no use to anybody.
        if not exported or wrong:
            failed += 1
            print(f'{library}: {len(exported)} exported symbols, and:')
            for line in wrong[:20]:
                print(f'  {line[:220]}')
        else:
            passed += 1
            print(f'{library}: all {len(exported)} exported symbols are of namespace muster or shared with the program')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not libraries else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
