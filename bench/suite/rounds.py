# SPDX-License-Identifier: Apache-2.0
"""The rule of measuring: on a shared machine only ratios of runs made back to back count.

A round runs every side once, one after the other, the limit among them. A ratio is taken inside of a round; what counts is the median
over the rounds, and the spread is told. A round whose limit is far worse than the others' says that the machine was busy: it is
repeated."""

import statistics
from dataclasses import dataclass, field
from typing import Callable, Optional

ROUNDS = 9
# A round counts when its limit reaches this share of the limit's median.
LIMIT_SHARE_MIN = 0.7
# Rounds that may be repeated, for each that is wanted.
REPEATS_MAX = 1.0


class Failed(Exception):
    """A program that did not do what it was asked for."""


@dataclass(frozen=True)
class Side:
    """One of the programs that are compared. `run` answers what the program printed."""

    name: str
    run: Callable[[], dict]


@dataclass
class Measured:
    """What became of one side."""

    name: str
    value: float  # median, in the question's unit
    ratio: float  # to the limit: median over the rounds. Above 1 is better than the limit
    ratio_min: float
    ratio_max: float
    runs: list = field(default_factory=list)  # what the program printed, a round each

    def median(self, key: str) -> Optional[float]:
        values = [run[key] for run in self.runs if key in run]
        return statistics.median(values) if values else None


def is_disturbed(limit: float, limits: list, higher_is_better: bool) -> bool:
    """Whether the machine was slow in the round that has this limit."""
    median = statistics.median(limits)
    return limit < LIMIT_SHARE_MIN * median if higher_is_better else limit * LIMIT_SHARE_MIN > median


def run_rounds(limit: Side, sides: list, value: Callable[[dict], float], rounds: int, higher_is_better: bool,
               say: Callable[[str], None] = lambda _: None) -> tuple:
    """`rounds` undisturbed rounds of `limit` and `sides`; how many were repeated. Disturbed ones that are left when nothing more may be
    repeated stay: then the spread tells of them."""
    done = []
    repeats = 0
    repeats_max = int(rounds * REPEATS_MAX)
    while True:
        while len(done) < rounds:
            # Every second round backwards: who comes after whom must not matter.
            order = [limit, *sides] if (len(done) + repeats) % 2 == 0 else [*reversed(sides), limit]
            done.append({side.name: side.run() for side in order})
            say(f"round {len(done)} of {rounds}" + (f", {repeats} repeated" if repeats else ""))
        limits = [value(one[limit.name]) for one in done]
        disturbed = [i for i, v in enumerate(limits) if is_disturbed(v, limits, higher_is_better)]
        disturbed = disturbed[: repeats_max - repeats]
        if not disturbed:
            return done, repeats
        repeats += len(disturbed)
        done = [one for i, one in enumerate(done) if i not in disturbed]


def measure(limit: Side, sides: list, value: Callable[[dict], float], rounds: int = ROUNDS, higher_is_better: bool = True,
            say: Callable[[str], None] = lambda _: None) -> tuple:
    """A Measured for the limit and each side, and how many rounds were repeated."""
    done, repeats = run_rounds(limit, sides, value, rounds, higher_is_better, say)
    measured = []
    for side in [limit, *sides]:
        values = [value(one[side.name]) for one in done]
        limits = [value(one[limit.name]) for one in done]
        ratios = [v / l if higher_is_better else l / v for v, l in zip(values, limits)]
        measured.append(Measured(side.name, statistics.median(values), statistics.median(ratios), min(ratios), max(ratios),
                                 [one[side.name] for one in done]))
    return measured, repeats
