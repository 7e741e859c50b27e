# SPDX-License-Identifier: Apache-2.0
"""What the suite asks: each question is a chart. Its points are measured by themselves, each against the limit of its own."""

from dataclasses import dataclass
from typing import Optional

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Program:
    """A side of a question: a program of the build and what it is told besides the point's own words."""

    name: str  # in the chart
    executable: str
    words: tuple = ()
    # Messages in one run, as a share of the limit's: who is slower is not asked for as many.
    share: float = 1.0


@dataclass(frozen=True)
class Point:
    """One place on the axis."""

    label: str
    words: tuple
    n: int  # messages in a run of the limit
    # Messages come at this share of the rate that the side itself reached with payload's words just before, for a second.
    rate_share: Optional[float] = None


@dataclass(frozen=True)
class Question:
    name: str  # of its files
    title: str
    axis: str
    unit: str
    limit: Program
    sides: tuple
    points: tuple
    key: str = "msgs_per_s"  # of what the programs print
    higher_is_better: bool = True


LIMIT = Program("limit: blocking sockets", "peer_limit")
URING = Program("muster, io_uring", "tell_throughput", ("backend=uring",), 0.4)
EPOLL = Program("muster, epoll", "tell_throughput", ("backend=epoll",), 0.4)
ASIO = Program("Asio, batched by hand", "peer_asio_batched")
ZEROMQ = Program("ZeroMQ", "peer_zeromq", (), 0.15)
CAF = Program("CAF", "peer_caf", (), 0.01)


def _sizes() -> tuple:
    sizes = ((64, "64 B", 12_000_000), (256, "256 B", 6_000_000), (KIB, "1 KiB", 2_000_000), (4 * KIB, "4 KiB", 500_000),
             (64 * KIB, "64 KiB", 40_000), (MIB, "1 MiB", 2_500))
    return tuple(Point(label, (f"payload={size}",), n) for size, label, n in sizes)


QUESTIONS = (
    Question("tells", "One node tells another as fast as it can", "payload", "tells a second", LIMIT, (URING, EPOLL, ASIO, ZEROMQ, CAF),
             tuple(Point(p.label, ("mode=stream", *p.words), p.n) for p in _sizes())),
    Question("ping-pong", "Round trip of one tell, loops that sleep", "payload", "us (median)", LIMIT,
             (Program("muster, io_uring", "tell_throughput", ("backend=uring", "spin=0")), Program("muster, epoll", "tell_throughput", ("backend=epoll",)),
              ASIO, Program("ZeroMQ", "peer_zeromq"), Program("CAF", "peer_caf", (), 0.5)),
             (Point("56 B", ("mode=pingpong", "payload=56"), 8_000), Point("1 KiB", ("mode=pingpong", "payload=1024"), 8_000)),
             key="p50_us", higher_is_better=False),
    Question("ping-pong-spinning", "Round trip of one tell, loops that spin", "payload", "us (median)",
             Program("limit: asks the socket again and again", "peer_limit", ("busy=1",)),
             (Program("muster, io_uring", "tell_throughput", ("backend=uring", "spin=1000")),),
             (Point("56 B", ("mode=pingpong", "payload=56"), 40_000),), key="p50_us", higher_is_better=False),
    Question("threads", "Threads of one process tell one peer, 64 bytes", "threads", "tells a second",
             Program("one thread, io_uring", "tell_throughput", ("backend=uring", "mode=stream", "payload=64", "pin=0", "threads=1")),
             (Program("muster, io_uring", "tell_throughput", ("backend=uring", "mode=stream", "payload=64", "pin=0")),
              Program("muster, epoll", "tell_throughput", ("backend=epoll", "mode=stream", "payload=64", "pin=0"))),
             tuple(Point(str(k), (f"threads={k}",), 4_000_000) for k in (1, 2, 4, 8))),
    Question("senders", "Processes tell one, 64 bytes", "sending processes", "tells a second",
             Program("one sender, io_uring", "tell_throughput", ("backend=uring", "mode=stream", "payload=64", "pin=0", "senders=1")),
             (Program("muster, io_uring", "tell_throughput", ("backend=uring", "mode=stream", "payload=64", "pin=0")),
              Program("muster, epoll", "tell_throughput", ("backend=epoll", "mode=stream", "payload=64", "pin=0"))),
             tuple(Point(str(k), (f"senders={k}",), 4_000_000) for k in (1, 4, 16))),
    Question("peers", "One process tells many in turn, 64 bytes", "receiving processes", "tells a second",
             Program("one peer, io_uring", "tell_throughput", ("backend=uring", "mode=stream", "payload=64", "pin=0", "peers=1")),
             (Program("muster, io_uring", "tell_throughput", ("backend=uring", "mode=stream", "payload=64", "pin=0")),
              Program("muster, epoll", "tell_throughput", ("backend=epoll", "mode=stream", "payload=64", "pin=0"))),
             tuple(Point(str(k), (f"peers={k}",), 4_000_000) for k in (1, 4, 16, 64))),
    Question("latency", "How late a tell comes, 64 bytes, at a share of the highest rate of each", "share of the own highest rate",
             "us (99 of 100)", Program("limit: blocking sockets", "peer_limit", ("pin=0",)),
             (Program("muster, io_uring", "tell_throughput", ("backend=uring", "pin=0"), 0.4),
              Program("muster, epoll", "tell_throughput", ("backend=epoll", "pin=0"), 0.4)),
             tuple(Point(f"{round(100 * share)} %", ("payload=64",), 8_000_000, rate_share=share) for share in (0.1, 0.5, 0.8)),
             key="p99_us", higher_is_better=False),
)


def by_name(name: str) -> Optional[Question]:
    return next((q for q in QUESTIONS if q.name == name), None)
