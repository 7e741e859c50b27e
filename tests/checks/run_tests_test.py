#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of run_tests.py's counting: what a program may print, and what is made of it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
GTEST_TWO = '''cat <<'X'
[ RUN      ] Suite.One
[       OK ] Suite.One (0 ms)
[ RUN      ] Suite.Two/3
{middle}
[{verdict}] Suite.Two/3, where GetParam() = 3 (1 ms)
[==========] 2 tests ran.
X
exit {status}'''


def outcome(script, timeout='20', require=''):
    """Runs `script` through run_tests.py: (exit status, recorded lines, printed text)."""
    with tempfile.TemporaryDirectory() as directory:
        record = pathlib.Path(directory) / 'record'
        done = subprocess.run([sys.executable, HERE / 'run_tests.py', '--record', record, '--label', 'it', '--timeout', timeout,
                               '--', 'bash', '-c', script],
                              capture_output=True, text=True, env={'PATH': '/usr/bin:/bin', 'MUSTER_REQUIRE': require})
        lines = record.read_text().splitlines() if record.exists() else []
        return done.returncode, lines, done.stdout + done.stderr


def gtest_two(middle='', verdict='       OK ', status=0):
    return GTEST_TWO.format(middle=middle, verdict=verdict, status=status)


class Counting(unittest.TestCase):
    def test_googletest_cases_are_counted_one_by_one(self):
        self.assertEqual(outcome(gtest_two())[:2], (0, ['passed 2']))

    def test_a_failed_case_is_named_and_the_others_count(self):
        status, lines, text = outcome(gtest_two('expected 1', '  FAILED  ', 1))
        self.assertEqual((status, lines), (1, ['failed it: Suite.Two/3: failed', 'passed 1']))
        self.assertIn('expected 1', text)

    def test_a_case_that_kills_the_program_is_a_failure(self):
        _, lines, _ = outcome('echo "[ RUN      ] Suite.One"; kill -SEGV $$')
        self.assertEqual(lines, ['failed it: Suite.One: died (signal SIGSEGV)', 'passed 0'])

    def test_a_hang_is_a_failure_that_names_the_case_and_ends_its_children(self):
        _, lines, text = outcome('echo "[ RUN      ] Suite.One"; sleep 1000 & sleep 1000', timeout='0.5')
        self.assertEqual(lines, ['failed it: Suite.One: hung', 'passed 0'])
        self.assertIn('no end after 0.5 s', text)

    def test_a_bad_exit_status_after_good_cases_is_a_failure(self):
        _, lines, _ = outcome(gtest_two(status=1))
        self.assertEqual(lines, ['failed it: ended with exit status 1 although its cases passed'.replace('it:', 'it: it:'),
                                 'passed 2'])

    def test_a_program_without_googletest_is_counted_by_its_last_line(self):
        self.assertEqual(outcome('echo "7 passed, 0 failed"')[:2], (0, ['passed 7']))
        status, lines, _ = outcome('echo "7 passed, 2 failed"; exit 1')
        self.assertEqual((status, len([line for line in lines if line.startswith('failed ')])), (1, 2))

    def test_the_failures_that_such_a_program_names_are_reported_by_name(self):
        _, lines, _ = outcome('echo "FAILED some/test"; echo "FAILED: a rule"; echo "1 passed, 3 failed"; exit 1')
        self.assertEqual(lines[:3], ['failed it: some/test: failed, see above', 'failed it: a rule: failed, see above',
                                     'failed it: it: failed, see above'])

    def test_a_silent_program_is_one_case(self):
        self.assertEqual(outcome('true')[:2], (0, ['passed 1']))
        self.assertEqual(outcome('exit 3')[:2], (1, ['failed it: it: ended with exit status 3', 'passed 0']))

    def test_a_program_that_cannot_start_is_a_failure(self):
        self.assertEqual(outcome('exec /nonexistent/program 2>/dev/null')[0], 1)


class NotRun(unittest.TestCase):
    LINE = 'not run: Suite.Two/3 (io_uring is denied by seccomp; allow it)'

    def test_an_allowed_cause_counts_neither_way(self):
        status, lines, _ = outcome(gtest_two(self.LINE))
        self.assertEqual((status, lines),
                         (0, ['not-run uring it: Suite.Two/3 (io_uring is denied by seccomp; allow it)', 'passed 1']))

    def test_another_cause_is_a_failure(self):
        status, lines, _ = outcome(gtest_two('not run: Suite.Two/3 (it is Monday; wait)'))
        self.assertEqual(status, 1)
        self.assertIn('not allowed', lines[0])

    def test_a_required_cause_is_a_failure(self):
        status, lines, _ = outcome(gtest_two(self.LINE), require='netns,uring')
        self.assertEqual(status, 1)
        self.assertIn('MUSTER_REQUIRE', lines[0])

    def test_a_skip_without_a_sentence_is_a_failure(self):
        status, lines, _ = outcome(gtest_two(verdict='  SKIPPED '))
        self.assertEqual(status, 1)
        self.assertIn('skipped', lines[0])

    def test_a_case_that_fails_and_says_not_run_is_a_failure(self):
        self.assertEqual(outcome(gtest_two(self.LINE, '  FAILED  ', 1))[0], 1)

    def test_an_unknown_requirement_is_refused(self):
        status, _, text = outcome('true', require='unring')
        self.assertNotEqual(status, 0)
        self.assertIn('unknown unring', text)


if __name__ == '__main__':
    result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    bad = len(result.failures) + len(result.errors)
    print(f'{result.testsRun - bad} passed, {bad} failed')
    sys.exit(1 if bad else 0)
