# SPDX-License-Identifier: Apache-2.0
"""Real muster-node processes for the demo and the process tests: start, read their JSON lines, wait for conditions, clean up."""

import atexit
import json
import os
import signal
import socket
import subprocess
import threading
import time


class Timeout(AssertionError):
    """A condition did not become true in time; the message says which, and what was seen last."""


def free_ports(count, host="127.0.0.1"):
    """Ports nobody listens on just now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets = []
    for _ in range(count):
        s = socket.socket(family, socket.SOCK_STREAM)
        s.bind((host, 0))
        sockets.append(s)
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Node:
    """One muster-node process. `lines` holds every JSON line it printed, each with "received_at" (monotonic seconds)."""

    running = set()

    def __init__(self, command, name="", log_path=None, stderr=None):
        self.name = name
        self.command = command
        self.lines = []
        self.changed = threading.Condition()
        self.log = open(log_path, "ab") if log_path else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log if stderr is None else stderr, start_new_session=True)
        Node.running.add(self)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for raw in self.process.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                line = {"event": "unreadable", "text": raw.decode(errors="replace")}
            line["received_at"] = time.monotonic()
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.lines.append({"event": "end_of_output", "received_at": time.monotonic()})
            self.changed.notify_all()

    def send(self, command):
        """A command line on the node's stdin."""
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass  # the process is gone; whoever waits for its answer finds out

    def mark(self):
        """A position in the output: wait_for(..., since=mark) looks only at what comes after."""
        with self.changed:
            return len(self.lines)

    def find(self, predicate, since=0):
        with self.changed:
            return next((line for line in self.lines[since:] if predicate(line)), None)

    def wait_for(self, what, predicate, timeout=30.0, since=0):
        """The first line for which `predicate` holds. Raises Timeout that says `what` was awaited."""
        deadline = time.monotonic() + timeout
        position = since
        with self.changed:
            while True:
                while position < len(self.lines):
                    line = self.lines[position]
                    position += 1
                    if predicate(line):
                        return line
                    if line["event"] == "end_of_output":
                        raise Timeout(f"{self.name}: ended (exit code {self.process.poll()}) before: {what}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f"{self.name}: not within {timeout:.0f} s: {what}; last line: {self.lines[-1:]}")
                self.changed.wait(left)

    def wait_event(self, event, address=None, timeout=30.0, since=0):
        about = f"{event} of {address}" if address else event
        return self.wait_for(
            about, lambda l: l["event"] == event and (address is None or l.get("address") == address), timeout, since)

    def status(self, timeout=10.0):
        """A fresh status line."""
        since = self.mark()
        self.send("status")
        return self.wait_event("status", timeout=timeout, since=since)

    def wait_status(self, what, predicate, timeout=30.0):
        """Polls the status until `predicate` holds; the last one on time-out is in the message."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.status()
            if predicate(status):
                return status
            if time.monotonic() > deadline:
                raise Timeout(f"{self.name}: not within {timeout:.0f} s: {what}; last status: {json.dumps(status)}")
            time.sleep(0.05)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait_exit(self, timeout=30.0):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name}: still running after {timeout:.0f} s") from None

    def close(self):
        """Kills the process if it still runs, and forgets it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        if self.log is not subprocess.DEVNULL:
            self.log.close()
        Node.running.discard(self)


def members_with(status, wanted):
    """Addresses in a status line whose member status is `wanted`, sorted."""
    return sorted(m["address"] for m in status["members"] if m["status"] == wanted)


def everybody_up(addresses):
    """Predicate on a status line: exactly `addresses` are members, all Up and reachable, and the view has converged."""
    wanted = sorted(addresses)

    def check(status):
        return (sorted(m["address"] for m in status["members"]) == wanted and members_with(status, "Up") == wanted
                and status["unreachable"] == 0 and status["converged"])

    return check


def stop_all():
    for node in list(Node.running):
        node.close()


def _on_signal(number, _frame):
    stop_all()
    os._exit(128 + number)


def clean_up_on_exit():
    """No process outlives the caller, however it ends short of SIGKILL."""
    atexit.register(stop_all)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)
