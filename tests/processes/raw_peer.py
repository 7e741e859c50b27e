# SPDX-License-Identifier: Apache-2.0
"""A peer made of bytes (src/doc/wire.md), for what a well-behaved node never says."""

import socket
import struct

PROTOCOL = "akka.tcp"
HELLO, HELLO_REPLY, GOODBYE, INIT_JOIN, JOIN = 2, 3, 4, 5, 8
QUARANTINED = 2  # GoodbyeReason


def varint(n):
    if n <= 250:
        return bytes([n])
    if n < 1 << 16:
        return b"\xfb" + struct.pack("<H", n)
    if n < 1 << 32:
        return b"\xfc" + struct.pack("<I", n)
    return b"\xfd" + struct.pack("<Q", n)


def text(s):
    raw = s.encode()
    return varint(len(raw)) + raw


def address(cluster, host_port):
    host, port = host_port.rsplit(":", 1)
    return text(PROTOCOL) + text(cluster) + b"\x01" + text(host.strip("[]")) + b"\x01" + varint(int(port))


def node(cluster, host_port, uid):
    uid = int(uid)
    return address(cluster, host_port) + varint((uid << 1) ^ (uid >> 63) if uid >= 0 else ((-uid) << 1) - 1)


def frame(variant, body):
    body = varint(variant) + body
    return struct.pack(">I", len(body)) + body


def hello(cluster, own, uid, to):
    return frame(HELLO, b"MSTR" + varint(1) + varint(1) + varint(0) + text(cluster) + node(cluster, own, uid) +
                 address(cluster, to) + varint(0) + varint(0))


def goodbye(reason, detail=""):
    return frame(GOODBYE, bytes([reason]) + text(detail))


def join(cluster, own, uid, roles=("dc-default",), version="0.0.0"):
    return frame(JOIN, node(cluster, own, uid) + varint(len(roles)) + b"".join(map(text, roles)) + text(version))


class RawPeer:
    """One connection to `to`."""

    def __init__(self, to, timeout=10):
        host, port = to.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def read_frame(self):
        """The next frame as (variant, body behind the variant); None at the end of the stream."""
        header = self._read(4)
        if header is None:
            return None
        body = self._read(struct.unpack(">I", header)[0])
        return None if body is None else (body[0], body[1:])

    def _read(self, count):
        got = b""
        while len(got) < count:
            part = self.socket.recv(count - len(got))
            if not part:
                return None
            got += part
        return got

    def close(self):
        self.socket.close()
