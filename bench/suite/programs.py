# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of a build, and says what the machine is."""

import json
import os
import platform
import subprocess
from pathlib import Path

from .questions import Point, Program
from .rounds import Failed

RUN_SECONDS_MAX = 150
# A paced run takes about so long.
PACED_SECONDS = 1.0
PACED_MESSAGES_MAX = 2_000_000


class Runner:
    """Runs sides of questions. `shorter` divides the messages of every run."""

    def __init__(self, build: Path, shorter: int = 1):
        self.build = build
        self.shorter = shorter
        self._rates = {}

    def path_of(self, program: Program) -> Path:
        folder = "bench/peers" if program.executable.startswith("peer_") else "bench"
        return self.build / folder / program.executable

    def is_built(self, program: Program) -> bool:
        return self.path_of(program).is_file()

    def run(self, program: Program, point: Point) -> dict:
        if point.rate_share is None:
            return self._run(program, point.words, max(100, int(point.n * program.share) // self.shorter))
        rate = max(1, int(self._rate_of(program, point) * point.rate_share))
        messages = min(PACED_MESSAGES_MAX, int(rate * PACED_SECONDS)) // self.shorter
        return self._run(program, ("mode=paced", *point.words, f"rate={rate}"), max(100, messages))

    def _rate_of(self, program: Program, point: Point) -> float:
        key = (program, point.words)
        if key not in self._rates:
            messages = max(100, int(point.n * program.share) // self.shorter)
            self._rates[key] = self._run(program, ("mode=stream", *point.words), messages)["msgs_per_s"]
        return self._rates[key]

    def _run(self, program: Program, words: tuple, messages: int) -> dict:
        # Of two words with one name the first one counts: the program's own.
        command = [str(self.path_of(program)), *program.words, *words, f"n={messages}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(command)}: no result within {RUN_SECONDS_MAX} s") from None
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines:
            raise Failed(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()[-300:]}")
        result = json.loads(lines[-1])
        if result["n"] <= 0:
            raise Failed(f"{' '.join(command)}: it moved no message")
        return result


def _first_line(path: str, prefix: str = "") -> str:
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(prefix):
                    return line.split(":", 1)[-1].strip()
    except OSError:
        pass
    return "unknown"


def machine() -> dict:
    """What figures depend on."""
    return {
        "cpu": _first_line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "congestion_control": _first_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "load": os.getloadavg()[0],
    }
