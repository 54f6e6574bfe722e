"""Verifiers that go wrong, each in its own way: what they are started with, in place of the genuine one."""

import sys

SPEAKS_FIRST = """
import socket, sys, time
import msgpack
from crdtsync.runtime.committing.verifying import READY, answer
line = socket.socket(fileno=0)
line.send(READY)
"""
STRANGE = {
    "dies": "line.recv(1 << 20)",
    "talks nonsense": "line.recv(1 << 20); line.send(b'\\xc1' * 40); time.sleep(600)",
    "says nothing": "line.recv(1 << 20); time.sleep(600)",
    "says too little": "n, g = msgpack.unpackb(line.recv(1 << 20)); line.send(msgpack.packb([n, b'\\1']))"
    "; time.sleep(600)",
    "knows a third answer": "n, g = msgpack.unpackb(line.recv(1 << 20))"
    "; line.send(msgpack.packb([n, b'\\2' * sum(len(r) for _, r in g)])); time.sleep(600)",
    "gives a map": "line.recv(1 << 20); line.send(msgpack.packb({1: 2, 3: 4})); time.sleep(600)",
}
SKIPS_ONE = "line.recv(1 << 20); line.send(answer(line.recv(1 << 20))); time.sleep(600)"


def command(then):
    """A process that says that it can be asked, and then does that."""
    return [sys.executable, "-P", "-c", SPEAKS_FIRST + then]
