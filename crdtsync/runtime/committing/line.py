"""The relay's end of a verifier: starting it, asking it, taking its answers, and ending it.

Nothing depends on what it says but speed. An answer has the number and the length of its question, and bytes
of 0 and 1; whoever answers anything else, or nothing for two seconds, is ended, and what it was asked counts
as not answered.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgpack

COMMAND: Final = (sys.executable, "-P", "-m", "crdtsync.runtime.committing.verifying")
READY: Final = (0, b"")

IDLE_S: Final = 60.0
"""It is ended when nothing was asked for so long."""

ANSWER_S: Final = 2.0
"""Who takes longer hangs: a message is verified in some 5 ms."""

AGAIN_AFTER_S: Final = 30.0
"""After one that failed, another one is started at the earliest."""

QUESTION_BYTES_MAX: Final = 48 << 10
ANSWER_BYTES_MAX: Final = 64 << 10
LINE_BYTES: Final = 1 << 20
"""What may lie in its socket, if the system gives that much: what 200 registers sell at once."""

Group = tuple[bytes, Sequence[bytes]]
"""(Public key, records)."""


class Question:
    """One message to the verifier. ``answer``: a byte for each record, or none where it did not answer; None
    as long as nothing is known.
    """

    __slots__ = ("answer", "asked_s", "count", "number")

    def __init__(self, number: int, count: int, asked_s: float) -> None:
        self.number, self.count, self.asked_s = number, count, asked_s
        self.answer: bytes | None = None


class Line:
    """A verifier, if there is one. ``send`` may be called from one thread and all else from another.

    ``command``: what is started, its socket on standard input. ``cores``: how many there are for the relay.
    """

    def __init__(
        self,
        monotonic_s: Callable[[], float],
        *,
        command: Sequence[str] = COMMAND,
        cores: int | None = None,
    ) -> None:
        self._monotonic_s = monotonic_s
        self._command = command
        self._cores = _cores() if cores is None else cores
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_gone = False
        self.is_ready = False
        """Whether it can be asked."""
        self._asked: deque[Question] = deque()
        self._number = 0
        self._asked_s = 0.0
        self._not_before_s = 0.0

    @property
    def pid(self) -> int | None:
        """Its process, if there is one."""
        return self._process.pid if self._process is not None else None

    @property
    def is_awaited(self) -> bool:
        """Whether there is a question without an answer."""
        return bool(self._asked)

    def send(self, groups: Sequence[Group]) -> Question | None:
        """Ask whether those keys signed those records; never waits. None where it cannot be asked now."""
        with self._lock:
            if self._socket is None or not self.is_ready:
                return None
            self._number += 1
            now_s = self._monotonic_s()
            question = Question(self._number, sum(len(records) for _, records in groups), now_s)
            try:
                self._socket.send(msgpack.packb([self._number, groups]))
            except BlockingIOError:  # It has enough to do.
                return None
            except OSError:  # The other thread ends what is left of it.
                self._is_gone = True
                return None
            self._asked.append(question)
            self._asked_s = now_s
        return question

    def start(self) -> None:
        """Start one, if a second core is there for it, and the last one is not too short ago."""
        if self._cores < 2 or self._monotonic_s() < self._not_before_s:
            return
        self._not_before_s = self._monotonic_s() + AGAIN_AFTER_S
        ours = theirs = None
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LINE_BYTES)
            process = subprocess.Popen(list(self._command), stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        except (OSError, AttributeError):  # No file is left, or the system has no such sockets.
            if ours is not None:
                ours.close()
            return
        finally:
            if theirs is not None:
                theirs.close()
        with self._lock:
            self._process, self._socket, self._asked_s = process, ours, self._monotonic_s()

    def look(self) -> None:
        """Find out whether it can be asked by now, or is gone."""
        if self._process is None:
            return
        if not self.is_ready:
            self._look_whether_ready()
        if self._is_gone:
            self.stop()

    def rests_s(self) -> float | None:
        """End it where nothing was asked for long; else how long to wait before that is to be asked again."""
        if self._process is None:
            return None
        left_s = self._asked_s + IDLE_S - self._monotonic_s()
        if left_s > 0:
            return left_s
        self.stop()
        return None

    def wait_for(self, question: Question) -> None:
        """Wait until that is answered, or the verifier is ended."""
        until_s = self._monotonic_s() + ANSWER_S
        while question.answer is None:
            try:
                message = self._receive(until_s - self._monotonic_s())
            except _NothingYet:
                message = None
            if message is None or not self._take(*message):
                self.stop()
                question.answer = question.answer or b""

    def collect(self) -> None:
        """Take what it has answered so far; never waits."""
        while self._asked:
            try:
                message = self._receive(0.0)
            except _NothingYet:
                if self._monotonic_s() - self._asked[0].asked_s > ANSWER_S:
                    self.stop()
                return
            if message is None or not self._take(*message):
                self.stop()

    def stop(self) -> None:
        """End it. What it was asked and has not answered is verified without it."""
        with self._lock:
            process, end, asked = self._process, self._socket, self._asked
            self._process = self._socket = None
            self._asked, self.is_ready, self._is_gone = deque(), False, False
        for question in asked:
            question.answer = question.answer or b""
        if end is not None:
            end.close()
        if process is not None:
            process.kill()  # It has nothing that could be lost.
            process.wait()

    def _look_whether_ready(self) -> None:
        try:
            message = self._receive(0.0)
        except _NothingYet:
            return
        self.is_ready = message == READY
        if not self.is_ready:
            self.stop()

    def _take(self, number: int, answer: bytes) -> bool:
        """Whether that is an answer to the oldest question."""
        with self._lock:
            question = self._asked.popleft() if self._asked else None
        if question is None:
            return False
        if question.number != number or question.count != len(answer) or answer.strip(b"\0\1"):
            question.answer = b""
            return False
        question.answer = answer
        return True

    def _receive(self, wait_s: float) -> tuple[int, bytes] | None:
        """What it says next; None where it is gone, or talks nonsense. Raises ``_NothingYet``."""
        end = self._socket
        if end is None:
            return None
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if not poll.poll(max(0.0, wait_s * 1000)):
            raise _NothingYet
        with suppress(OSError, ValueError, TypeError, msgpack.UnpackException):
            number, answer = msgpack.unpackb(end.recv(ANSWER_BYTES_MAX))
            if type(number) is int and type(answer) is bytes:
                return number, answer
        return None


class _NothingYet(Exception):
    """It has said nothing so far."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
