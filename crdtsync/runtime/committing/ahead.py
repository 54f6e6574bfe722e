"""Signatures verified ahead: by a process of their own, while what bears them waits for the next commit.

Under load a commit takes as long as many signatures do. What comes in meanwhile is shown to the *verifier*
(``committing.verifying``) at once, so that the next commit finds its answers. Only what it says is good
counts, and for exactly the key and the bytes that it was shown. All else is verified by the committer itself:
what the verifier calls bad, what it was not asked, and everything once it is dead, hangs or answers what
nobody asked. So nobody is refused on its word, and nothing depends on it but speed.

There is none while little comes in, nor on a machine with one core, nor where few devices bring much each:
of a run the committer verifies one signature, and the others are checked after the commit.
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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgpack

if TYPE_CHECKING:
    from crdtsync.runtime.committing.work import Work

COMMAND: Final = (sys.executable, "-P", "-m", "crdtsync.runtime.committing.verifying")
READY: Final = (0, b"")
LOADED_DEVICES: Final = 16
EACH_MAX: Final = 2
LOADED_COMMITS: Final = 4
"""It is started after so many commits in a row of what so many devices brought, each no more than that on
average; and it is asked while commits are such.
"""

IDLE_S: Final = 60.0
"""It is ended when nothing was asked for so long."""

ANSWER_S: Final = 2.0
"""Who takes longer hangs: a message is verified in some 5 ms."""

AGAIN_AFTER_S: Final = 30.0
"""After one that failed, another one is started at the earliest."""

FEW: Final = 4
"""So many records are sooner verified than asked, where no commit is under way that they wait for."""

QUESTION_BYTES_MAX: Final = 48 << 10
ANSWER_BYTES_MAX: Final = 64 << 10
LINE_BYTES: Final = 1 << 20
"""What may lie in its socket, if the system gives that much: what 200 registers sell at once."""


class Question:
    """One message to the verifier. ``answer``: a byte for each record; None as long as nothing is known."""

    __slots__ = ("answer", "count", "number")

    def __init__(self, number: int, count: int) -> None:
        self.number, self.count = number, count
        self.answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """Which part of a question is about the records of one piece of work, all of them in their order."""

    question: Question
    first: int
    records: Sequence[bytes]


class Verifier:
    """The relay's end of it. ``ask`` belongs to the event loop's thread, all else to the committer's.

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
        self._loaded = 0
        self._asked_s = 0.0
        self._not_before_s = 0.0

    @property
    def pid(self) -> int | None:
        """Its process, if there is one."""
        return self._process.pid if self._process is not None else None

    # -- the event loop's thread ---------------------------------------------------------------------------

    def ask(self, works: Sequence[Work], *, is_waiting: bool) -> None:
        """Have it verify what these bring, if it can; never waits. ``is_waiting``: a commit comes before."""
        if not self.is_ready or not self._loaded:
            return
        shown = [(work, records) for work in works if work.key and (records := _shown(work))]
        if not is_waiting and sum(len(records) for _, records in shown) < FEW:
            return
        part: list[tuple[Work, list[bytes]]] = []
        size = 0
        for work, records in shown:
            added = sum(map(len, records))
            if part and size + added > QUESTION_BYTES_MAX:
                self._send(part)
                part, size = [], 0
            part.append((work, records))
            size += added
        if part:
            self._send(part)

    def _send(self, part: list[tuple[Work, list[bytes]]]) -> None:
        with self._lock:
            if self._socket is None or not self.is_ready:
                return
            self._number += 1
            question = Question(self._number, sum(len(records) for _, records in part))
            message = msgpack.packb([self._number, [(work.key, records) for work, records in part]])
            try:
                self._socket.send(message)
            except BlockingIOError:  # It has enough to do.
                return
            except OSError:  # The committer's thread ends what is left of it.
                self._is_gone = True
                return
            self._asked.append(question)
            self._asked_s = self._monotonic_s()
        first = 0
        for work, records in part:
            work.ahead = Ahead(question, first, records)
            first += len(records)

    # -- the committer's thread ----------------------------------------------------------------------------

    def known(self, work: Work) -> list[tuple[bytes, bytes]]:
        """(public key, sealed bytes) of what it has found good of this work. Waits for what it was asked."""
        ahead = work.ahead
        if ahead is None:
            return []
        question = ahead.question
        if question.answer is None:
            self._wait_for(question)
        if not question.answer:
            return []
        verdicts = question.answer[ahead.first : ahead.first + len(ahead.records)]
        pairs = zip(ahead.records, verdicts, strict=True)
        return [(work.key, record[1:]) for record, is_good in pairs if is_good]

    def committed(self, works: Sequence[Work]) -> None:
        """These were committed: start it if there is much that it could be shown, end it if not."""
        if any(work.deliveries for work in works):  # Else upkeep has written something down.
            self._loaded = self._loaded + 1 if _is_load(works) else 0
        if self._process is not None:
            if not self.is_ready:
                self._look_whether_ready()
            if self._is_gone:
                self.stop()
            self.rests_s()
            return
        is_loaded = self._loaded >= LOADED_COMMITS and self._cores > 1
        if is_loaded and self._monotonic_s() >= self._not_before_s:
            self._start()

    def rests_s(self) -> float | None:
        """End it where nothing was asked for long; else how long to wait before that is to be asked again."""
        if self._process is None:
            return None
        left_s = self._asked_s + IDLE_S - self._monotonic_s()
        if left_s > 0:
            return left_s
        self.stop()
        return None

    def stop(self) -> None:
        """End it. What it was asked and has not answered is verified without it."""
        with self._lock:
            process, end, asked = self._process, self._socket, self._asked
            self._process = self._socket = None
            self._asked, self.is_ready, self._is_gone = deque(), False, False
            self._loaded = 0
        for question in asked:
            question.answer = question.answer or b""
        if end is not None:
            end.close()
        if process is not None:
            process.kill()  # It has nothing that could be lost.
            process.wait()

    def _start(self) -> None:
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

    def _look_whether_ready(self) -> None:
        try:
            message = self._receive(0.0)
        except _NothingYet:
            return
        self.is_ready = message == READY
        if not self.is_ready:
            self.stop()

    def _wait_for(self, question: Question) -> None:
        until_s = self._monotonic_s() + ANSWER_S
        while question.answer is None:
            try:
                message = self._receive(until_s - self._monotonic_s())
            except _NothingYet:
                message = None
            if message is None or not self._take(*message):
                self.stop()
                question.answer = question.answer or b""

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


def _is_load(works: Sequence[Work]) -> bool:
    """Whether it helps: many signatures vouch for nothing but their own entry."""
    shown = {id(work): len(records) for work in works if (records := _shown(work))}
    devices = len({work.key for work in works if id(work) in shown})
    return devices >= LOADED_DEVICES and sum(shown.values()) <= EACH_MAX * devices


def _shown(work: Work) -> list[bytes]:
    """The records of what is sold just now. Of a backlog the last one vouches for the others."""
    records = [record for delivery in work.deliveries for _, record in delivery.records]
    return records if sum(map(len, records)) <= QUESTION_BYTES_MAX else []


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
