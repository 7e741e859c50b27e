#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs for tests/run, with a timeout, and counts their test cases.

    run_tests.py --record FILE --label NAME --build DIR [--timeout S]         every test() of a meson build directory
    run_tests.py --record FILE --label NAME [--timeout S] -- COMMAND ARG...   one program

Appends to FILE one line per outcome: "passed N", "failed NAME: why" or "not-run CAUSE NAME (cause and cure)".

A GoogleTest program is counted by its test cases; any other by its "N passed, N failed" line; else it is one case, judged by
its exit status. A case that finds the machine unable to run it prints "not run: NAME (cause and cure)" and returns; it
counts as not run, provided that the cause is one of ALLOWED_CAUSES and MUSTER_REQUIRE does not ask for it.
"""
import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import time

# The only reasons for which a test may not run, and how its sentence is recognised. The first match counts.
ALLOWED_CAUSES = {
    'incremental-buffers': r'incremental',
    'uring': r'io_uring|\buring\b',
    'iptables': r'iptables|nft',
    'netns': r'network namespace|netns|unshare',
    'seccomp': r'seccomp',
    'ipv6': r'IPv6',
    'tsan': r'ThreadSanitizer|TSan',
}

NOT_RUN = re.compile(r'^\s*not run: (?P<name>.+?) \((?P<why>.*)\)\s*$')
GTEST_RUN = re.compile(r'^\[ RUN      \] (\S+)')
GTEST_END = re.compile(r'^\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+).*\(\d+ ms\)$')
TOTALS = re.compile(r'^(\d+) passed, (\d+) failed$')
NAMED_FAILURE = re.compile(r'^FAILED:? (.+)$')


def cause_of(why):
    return next((cause for cause, pattern in ALLOWED_CAUSES.items() if re.search(pattern, why, re.IGNORECASE)), None)


class Tally:
    """Outcomes read from the output of one program."""

    def __init__(self, required):
        self.required = required
        self.passed = 0
        self.failed = []  # (name, why)
        self.not_run = []  # (cause, text)
        self.running = None  # the test case between its RUN and its end line
        self.saw_gtest = False
        self.totals = None
        self.named = []  # what a program with totals says that failed
        self.excused = False  # the running case said "not run"

    def read(self, line):
        if match := NOT_RUN.match(line):
            self.excuse(match['name'], match['why'])
        elif match := GTEST_RUN.match(line):
            self.saw_gtest = True
            self.running, self.excused = match[1], False
        elif (match := GTEST_END.match(line)) and self.running == match[2]:
            self.end_case(match[1])
        elif match := TOTALS.match(line):
            self.totals = int(match[1]), int(match[2])
        elif match := NAMED_FAILURE.match(line):
            self.named.append(match[1])

    def excuse(self, name, why):
        cause = cause_of(why)
        if cause is None:
            self.failed.append((name, f'not run for a cause that is not allowed: {why}'))
        elif cause in self.required:
            self.failed.append((name, f'not run, but MUSTER_REQUIRE has {cause}: {why}'))
        else:
            self.not_run.append((cause, f'{name} ({why})'))
        self.excused = True

    def end_case(self, verdict):
        if verdict == 'FAILED':
            self.failed.append((self.running, 'failed'))
        elif verdict == 'SKIPPED' and not self.excused:
            self.failed.append((self.running, 'skipped without saying "not run: NAME (cause and cure)"'))
        elif not self.excused:
            self.passed += 1
        self.running = None

    def finish(self, name, status, timed_out):
        if self.running:
            end = 'hung' if timed_out else f'died ({describe(status)})'
            self.failed.append((self.running, end))
            self.running = None
        elif timed_out:
            self.failed.append((name, 'hung after its last test case'))
        elif not self.saw_gtest:
            self.finish_without_cases(name, status)
        elif status != 0 and not self.failed:
            self.failed.append((name, f'ended with {describe(status)} although its cases passed'))
        elif self.passed + len(self.failed) + len(self.not_run) == 0:
            self.failed.append((name, 'ran no test case'))

    def finish_without_cases(self, name, status):
        if self.totals:
            self.passed += self.totals[0]
            names = (self.named + [name] * self.totals[1])[:self.totals[1]]
            self.failed += [(case, 'failed, see above') for case in names]
        if status != 0 and not self.failed:
            self.failed.append((name, f'ended with {describe(status)}'))
        elif status == 0 and not self.totals and not self.excused:
            self.passed += 1


def describe(status):
    if status is None:
        return 'no status'
    if status < 0:
        try:
            return f'signal {signal.Signals(-status).name}'
        except ValueError:
            return f'signal {-status}'
    return f'exit status {status}'


def run(name, command, timeout, required, cwd=None, env=None):
    """Runs one program and returns its Tally. Its output is shown only when something failed."""
    tally = Tally(required)
    started = time.monotonic()
    try:
        # errors='replace': a test may print any bytes. Its own session, so that a hang's children die with it.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors='replace', cwd=cwd, env=env, start_new_session=True)
    except OSError as error:
        tally.failed.append((name, f'cannot be started: {error}'))
        return tally, '', 0.0
    timed_out = False
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        os.killpg(process.pid, signal.SIGABRT)
        try:
            output, _ = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
        output += f'\n{name}: no end after {timeout} s, killed\n'
    for line in output.splitlines():
        tally.read(line)
    tally.finish(name, process.returncode, timed_out)
    return tally, output, time.monotonic() - started


def show_failure(tally, output, lines_max=60):
    """The output around each failed case: from its RUN line to its end, or the last lines."""
    lines = output.splitlines()
    shown = []
    names = {name for name, _ in tally.failed}
    keep = False
    for line in lines:
        if match := GTEST_RUN.match(line):
            keep = match[1] in names
        if keep:
            shown.append(line)
        if GTEST_END.match(line):
            keep = False
    for line in (shown or lines)[:lines_max]:
        print(f'    | {line}')
    rest = lines[-lines_max:] if shown else lines[lines_max:][-lines_max:]
    if len(shown) != len(lines) and rest:
        print(f'    | .. the end of the output:')
        for line in rest:
            print(f'    | {line}')


def suites_of(build):
    try:
        listed = subprocess.run(['meson', 'introspect', '--tests', build], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f'cannot list the tests of {build}: {error}')
        return []
    return json.loads(listed.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--record', required=True)
    parser.add_argument('--label', required=True)
    parser.add_argument('--build')
    parser.add_argument('--only', help='regular expression of suite names')
    parser.add_argument('--timeout', type=float, default=600)
    parser.add_argument('--echo', action='store_true', help='show the output of a single program as it is')
    parser.add_argument('command', nargs='*')
    options = parser.parse_args()
    required = {cause for cause in re.split(r'[,\s]+', os.environ.get('MUSTER_REQUIRE', '')) if cause}
    if unknown := required - set(ALLOWED_CAUSES):
        sys.exit(f'MUSTER_REQUIRE: unknown {", ".join(sorted(unknown))}; known are {", ".join(ALLOWED_CAUSES)}')

    if options.build:
        work = [(f"{options.label}/{test['name']}", test['cmd'], test.get('workdir'), test.get('env') or {})
                for test in suites_of(options.build) if not options.only or re.fullmatch(options.only, test['name'])]
    else:
        work = [(options.label, options.command, None, {})]
    all_passed = True
    with open(options.record, 'a', encoding='utf-8') as record:
        if not work:
            print(f'{options.label}: FAILED: there is no test to run')
            record.write(f'failed {options.label}: there is no test to run\n')
            all_passed = False
        # Programs run side by side, one for each core; what they print comes in their order.
        pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        outcomes = pool.map(lambda w: run(w[0], w[1], options.timeout, required, w[2], {**os.environ, **w[3]}), work)
        for (name, *_), (tally, output, seconds) in zip(work, outcomes):
            if options.echo:
                sys.stdout.write(output)
            counts = f'{tally.passed} passed, {len(tally.failed)} failed'
            if tally.not_run:
                counts += f', {len(tally.not_run)} not run'
            print(f'  {name}: {counts} ({seconds:.1f} s)', flush=True)
            for case, why in tally.failed:
                print(f'  FAILED {name}: {case}: {why}')
                record.write(f'failed {name}: {case}: {why}\n')
                all_passed = False
            for cause, text in tally.not_run:
                print(f'  not run: {text}')
                record.write(f'not-run {cause} {name}: {text}\n')
            record.write(f'passed {tally.passed}\n')
            if tally.failed and not options.echo:
                show_failure(tally, output)
            sys.stdout.flush()
    return 0 if all_passed else 1


if __name__ == '__main__':
    sys.exit(main())
