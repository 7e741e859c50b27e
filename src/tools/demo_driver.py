# SPDX-License-Identifier: Apache-2.0
"""The demo: a cluster of real processes, live on the terminal. Exits 0 only when every step was seen."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import threading
import time

import muster_process as mp

BOLD, DIM, GREEN, YELLOW, RED, PLAIN = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 6)

COLOURS = {"MemberUp": GREEN, "MemberJoined": DIM, "UnreachableMember": YELLOW, "MemberDowned": RED,
           "MemberRemoved": RED, "MemberLeft": YELLOW, "MemberExited": YELLOW}


class Screen:
    """Prints each step with the time since the previous one."""

    def __init__(self):
        self.lock = threading.Lock()
        self.last = self.began = time.monotonic()

    def step(self, text, colour="", at=None):
        with self.lock:
            now = time.monotonic() if at is None else at
            print(f"{DIM}{max(0.0, now - self.last) * 1000:+9.1f} ms{PLAIN}  {colour}{text}{PLAIN}", flush=True)
            self.last = max(self.last, now)

    def title(self, text):
        with self.lock:
            print(f"\n{BOLD}{text}{PLAIN}", flush=True)
            self.last = time.monotonic()


class Demo:
    def __init__(self, options):
        self.options = options
        self.screen = Screen()
        self.nodes = {}  # address -> Node
        self.labels = {}  # address -> "node 1"
        self.log_dir = tempfile.mkdtemp(prefix="muster-demo-")

    def start(self):
        count, backend = self.options.nodes, self.options.backend
        self.screen.title(f"{count} processes become a cluster (backend {backend})")
        addresses = [f"127.0.0.1:{port}" for port in mp.free_ports(count)]
        seeds = [argument for seed in addresses[:3] for argument in ("--seed", seed)]
        for number, address in enumerate(addresses, 1):
            command = [self.options.node, "--cluster", "demo", "--listen", address, "--backend", backend,
                       "--stable-after", "2s", "--status-interval", "0", *seeds]
            node = mp.Node(command, name=f"node {number}", log_path=f"{self.log_dir}/node{number}.log")
            self.nodes[address], self.labels[address] = node, node.name
        for address, node in self.nodes.items():
            line = node.wait_event("listening")
            self.screen.step(f"{node.name} listens at {address} (pid {line['pid']}, {line['backend']})",
                             at=line["received_at"])

    def follow(self, observer, wanted, timeout=30.0):
        """Prints the observer's member events as they come until all of `wanted` ({(event, address)}) were seen."""
        missing = set(wanted)
        position = self.position
        deadline = time.monotonic() + timeout
        while missing:
            line = observer.wait_for(f"events {sorted(missing)}", lambda l: True, deadline - time.monotonic(), position)
            position += 1
            key = (line["event"], line.get("address"))
            if line["event"] in COLOURS or line["event"] == "ReachableMember":
                self.screen.step(f"{observer.name} sees {line['event']:<17} {self.labels.get(key[1], key[1])}",
                                 COLOURS.get(line["event"], ""), at=line["received_at"])
            elif line["event"] == "LeaderChanged" and line["to"]:
                self.screen.step(f"{observer.name} sees LeaderChanged     to {self.labels.get(line['to'], line['to'])}",
                                 at=line["received_at"])
            missing.discard(key)
        self.position = position

    def everywhere(self, what, predicate, timeout=30.0):
        """Waits until the predicate holds in the status of every node that still runs."""
        for node in self.nodes.values():
            node.wait_status(what, predicate, timeout)
        self.screen.step(what, GREEN)

    def joins(self):
        self.observer = next(iter(self.nodes.values()))
        self.position = 0
        self.follow(self.observer, {("MemberUp", address) for address in self.nodes})
        self.everywhere(f"all {len(self.nodes)} nodes say: {len(self.nodes)} members, everybody Up, converged",
                        mp.everybody_up(self.nodes))

    def tells(self):
        count, size = self.options.tells, 64
        pairs = [(a, b) for a in self.nodes for b in self.nodes if a != b]
        self.screen.title(f"Tells between all {len(pairs)} pairs, {count} of {size} bytes each")
        began = time.monotonic()
        for sender, recipient in pairs:
            self.nodes[sender].send(f"flood {recipient} {count} {size}")

        def complete(status):
            got = status["received"]
            return all(got.get(other, {}).get("tells") == count for other in self.nodes if other != status["self"])

        for address, node in self.nodes.items():
            status = node.wait_status(f"{count} tells from each of the others", complete, 40)
            parts = ", ".join(f"{status['received'][o]['tells']} from {self.labels[o]}" for o in self.nodes if o != address)
            self.screen.step(f"{node.name} received {parts}", GREEN)
        seconds = time.monotonic() - began
        self.screen.step(f"every count matches: {count * len(pairs)} tells in {seconds:.2f} s")

    def kill(self):
        victim = list(self.nodes)[2]
        self.screen.title(f"SIGKILL of {self.labels[victim]}")
        node = self.nodes.pop(victim)
        marks = {other: other.mark() for other in self.nodes.values()}
        self.position = self.observer.mark()
        node.signal(signal.SIGKILL)
        node.wait_exit()
        self.screen.step(f"{node.name} is dead")
        for other in self.nodes.values():
            line = other.wait_event("UnreachableMember", victim, since=marks[other])
            self.screen.step(f"{other.name} calls {node.name} unreachable", YELLOW, at=line["received_at"])
        self.follow(self.observer, {(e, victim) for e in ("MemberDowned", "MemberRemoved")})
        self.everywhere(f"the other {len(self.nodes)} nodes have removed it", mp.everybody_up(self.nodes))

    def leave(self):
        leaver = list(self.nodes)[1]
        self.screen.title(f"SIGTERM: {self.labels[leaver]} leaves")
        node = self.nodes.pop(leaver)
        self.position = self.observer.mark()
        node.signal(signal.SIGTERM)
        self.follow(self.observer, {(e, leaver) for e in ("MemberLeft", "MemberExited", "MemberRemoved")})
        code = node.wait_exit()
        if code != 0:
            raise AssertionError(f"{node.name} exited with {code} instead of 0")
        self.screen.step(f"{node.name} has exited with 0")
        self.everywhere(f"the other {len(self.nodes)} nodes agree", mp.everybody_up(self.nodes))

    def finish(self):
        self.screen.title("Final membership")
        for member in self.observer.status()["members"]:
            self.screen.step(f"{self.labels[member['address']]}  {member['address']:<21} {member['status']}"
                             f"  up number {member.get('up_number')}")
        for node in self.nodes.values():
            node.signal(signal.SIGTERM)
        codes = [node.wait_exit() for node in self.nodes.values()]
        if any(codes):
            raise AssertionError(f"exit codes at the end: {codes} instead of all 0")
        self.screen.step("everybody has left; all exited with 0", GREEN)

    def run(self):
        for step in (self.start, self.joins, self.tells, self.kill, self.leave, self.finish):
            step()
        shutil.rmtree(self.log_dir, ignore_errors=True)  # kept when a step failed
        print(f"\n{GREEN}{BOLD}The demo saw every step{PLAIN} in {time.monotonic() - self.screen.began:.1f} s.")


def main():
    parser = argparse.ArgumentParser(prog="src/tools/demo", description=__doc__)
    parser.add_argument("--node", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--nodes", type=int, default=5, help="number of processes, 4 to 20 (default 5)")
    parser.add_argument("--backend", choices=("auto", "uring", "epoll"), default="auto")
    parser.add_argument("--tells", type=int, default=10_000, help="tells per pair (default 10000)")
    options = parser.parse_args()
    if not 4 <= options.nodes <= 20:
        parser.error("--nodes must be 4 to 20: one dies, one leaves, and a majority stays")
    mp.clean_up_on_exit()
    demo = Demo(options)
    try:
        demo.run()
    except AssertionError as failure:
        print(f"\n{RED}{BOLD}The demo failed:{PLAIN} {failure}\nLogs of the nodes: {demo.log_dir}", file=sys.stderr)
        for address, node in demo.nodes.items():
            print(f"{node.name} {address}: {json.dumps(node.lines[-3:])}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
