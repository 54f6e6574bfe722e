"""Signatures verified ahead: by a process of their own, while what bears them waits for the next commit.

Under load a commit takes as long as many signatures do. What comes in meanwhile is shown to the *verifier*
(``committing.verifying``) at once, so that the next commit finds its answers. Only what it says is good
counts, and for exactly the key and the bytes that it was shown. All else is verified by the committer itself:
what the verifier calls bad, what it was not asked, and everything once it is dead, hangs or answers what
nobody asked. So nobody is refused on its word, and nothing depends on it but speed.

There is none while little comes in, nor on a machine with one core, nor where few devices bring much each:
of a run the committer verifies one signature, and the others are checked after the commit
(``committing.checking``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crdtsync.runtime.committing.line import COMMAND, QUESTION_BYTES_MAX, Line, Question

if TYPE_CHECKING:
    from crdtsync.runtime.committing.work import Work

LOADED_DEVICES: Final = 16
EACH_MAX: Final = 2
LOADED_COMMITS: Final = 4
"""It is started after so many commits in a row of what so many devices brought, each no more than that on
average; and it is asked while commits are such.
"""

FEW: Final = 4
"""So many records are sooner verified than asked, where no commit is under way that they wait for."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Which part of a question is about the records of one piece of work, all of them in their order."""

    question: Question
    first: int
    records: Sequence[bytes]


class Verifier:
    """The committer's verifier. ``ask`` belongs to the event loop's thread, all else to the committer's.
    ``command``, ``cores``: see ``Line``.
    """

    def __init__(
        self,
        monotonic_s: Callable[[], float],
        *,
        command: Sequence[str] = COMMAND,
        cores: int | None = None,
    ) -> None:
        self._line = Line(monotonic_s, command=command, cores=cores)
        self._loaded = 0

    @property
    def pid(self) -> int | None:
        """Its process, if there is one."""
        return self._line.pid

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked."""
        return self._line.is_ready

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
        question = self._line.send([(work.key, records) for work, records in part])
        if question is None:
            return
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
            self._line.wait_for(question)
        if not question.answer:
            return []
        verdicts = question.answer[ahead.first : ahead.first + len(ahead.records)]
        pairs = zip(ahead.records, verdicts, strict=True)
        return [(work.key, record[1:]) for record, is_good in pairs if is_good]

    def committed(self, works: Sequence[Work]) -> None:
        """These were committed: start it if there is much that it could be shown, end it if not."""
        if any(work.deliveries for work in works):  # Else upkeep has written something down.
            self._loaded = self._loaded + 1 if _is_load(works) else 0
        if self.pid is not None:
            self._line.look()
            self.rests_s()
        elif self._loaded >= LOADED_COMMITS:
            self._line.start()

    def rests_s(self) -> float | None:
        """End it where nothing was asked for long; else how long to wait before that is to be asked again."""
        return self._line.rests_s()

    def stop(self) -> None:
        """End it. What it was asked and has not answered is verified without it."""
        self._line.stop()


def _is_load(works: Sequence[Work]) -> bool:
    """Whether it helps: many signatures vouch for nothing but their own entry."""
    shown = {id(work): len(records) for work in works if (records := _shown(work))}
    devices = len({work.key for work in works if id(work) in shown})
    return devices >= LOADED_DEVICES and sum(shown.values()) <= EACH_MAX * devices


def _shown(work: Work) -> list[bytes]:
    """The records of what is sold just now. Of a backlog the last one vouches for the others."""
    records = [record for delivery in work.deliveries for _, record in delivery.records]
    return records if sum(map(len, records)) <= QUESTION_BYTES_MAX else []
