#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the benchmark suite's rule of measuring (bench/suite/rounds.py), and of what it tells its programs."""
import pathlib
import stat
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'bench'))
sys.dont_write_bytecode = True

from suite import rounds  # noqa: E402
from suite.programs import Runner  # noqa: E402
from suite.questions import QUESTIONS, Point, Program  # noqa: E402


class Script:
    """Sides whose values are given in advance, and the order in which they ran."""

    def __init__(self):
        self.order = []

    def side(self, name, *values):
        left = list(values)

        def run():
            self.order.append(name)
            return {'value': left.pop(0) if len(left) > 1 else left[0]}
        return rounds.Side(name, run)


def measured(limit, *sides, count=3, higher_is_better=True):
    return rounds.measure(limit, list(sides), lambda run: run['value'], count, higher_is_better)


class Rounds(unittest.TestCase):
    def test_a_ratio_is_of_one_round_and_the_median_counts(self):
        # The machine doubles its speed from round to round: both sides do.
        script = Script()
        (_, side), repeated = measured(script.side('limit', 80, 80, 100), script.side('a', 40, 40, 80))
        self.assertEqual((side.ratio, side.ratio_min, side.ratio_max, repeated), (0.5, 0.5, 0.8, 0))

    def test_every_second_round_runs_backwards(self):
        script = Script()
        measured(script.side('limit', 1), script.side('a', 1), script.side('b', 1), count=2)
        self.assertEqual(script.order, ['limit', 'a', 'b', 'b', 'a', 'limit'])

    def test_a_round_whose_limit_is_under_seven_tenths_of_the_median_is_repeated(self):
        script = Script()
        (limit, side), repeated = measured(script.side('limit', 100, 69, 100, 100), script.side('a', 50, 1, 50, 50))
        self.assertEqual(repeated, 1)
        self.assertEqual(len(limit.runs), 3)
        self.assertEqual((side.ratio_min, side.ratio_max), (0.5, 0.5))

    def test_one_at_seven_tenths_is_not(self):
        _, repeated = measured(Script().side('limit', 100, 70, 100), Script().side('a', 1))
        self.assertEqual(repeated, 0)

    def test_a_latency_is_disturbed_when_it_is_too_long_and_less_is_a_better_ratio(self):
        script = Script()
        (_, side), repeated = measured(script.side('limit', 10, 15, 10, 10), script.side('a', 20, 99, 20, 20),
                                       higher_is_better=False)
        self.assertEqual((repeated, side.ratio), (1, 0.5))

    def test_a_machine_that_is_never_quiet_ends_with_the_rounds_it_has(self):
        script = Script()
        (limit, _), repeated = measured(script.side('limit', *([100, 100, 1] + [1] * 20)), script.side('a', 1))
        self.assertEqual((len(limit.runs), repeated <= 3), (3, True))


class Running(unittest.TestCase):
    def program(self, directory, text):
        path = pathlib.Path(directory) / 'bench' / 'program'
        path.parent.mkdir()
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Program('it', 'program', ('own=1',), 0.5)

    def test_a_program_gets_its_own_words_first_and_its_share_of_the_messages(self):
        with tempfile.TemporaryDirectory() as directory:
            program = self.program(directory, 'printf \'{"n":1,"words":"%s"}\' "$*"')
            told = Runner(pathlib.Path(directory), 2).run(program, Point('p', ('payload=64',), 4000))
            self.assertEqual(told['words'], 'own=1 payload=64 n=1000')

    def test_a_paced_run_follows_the_side_s_own_highest_rate(self):
        with tempfile.TemporaryDirectory() as directory:
            program = self.program(directory, 'printf \'{"n":1,"msgs_per_s":8000,"words":"%s"}\' "$*"')
            told = Runner(pathlib.Path(directory)).run(program, Point('p', ('payload=64',), 4000, rate_share=0.5))
            self.assertEqual(told['words'], 'own=1 mode=paced payload=64 rate=4000 n=4000')

    def test_a_program_that_fails_or_moves_nothing_has_no_figure(self):
        for text in ('echo broken >&2; exit 3', 'exit 0', 'echo \'{"n":0}\''):
            with tempfile.TemporaryDirectory() as directory:
                program = self.program(directory, text)
                with self.assertRaises(rounds.Failed):
                    Runner(pathlib.Path(directory)).run(program, Point('p', (), 100))


class Questions(unittest.TestCase):
    def test_names_are_unique_and_every_limit_is_another_program_than_its_sides(self):
        names = [question.name for question in QUESTIONS]
        self.assertEqual(len(names), len(set(names)))
        for question in QUESTIONS:
            sides = [side.name for side in question.sides]
            self.assertNotIn(question.limit.name, sides)
            self.assertEqual(len(sides), len(set(sides)))


if __name__ == '__main__':
    result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    bad = len(result.failures) + len(result.errors)
    print(f'{result.testsRun - bad} passed, {bad} failed')
    sys.exit(1 if bad else 0)
