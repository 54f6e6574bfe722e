"""Signatures inside runs, checked by a process of their own, for whose answers nobody waits.

Where few registers sell much, a commit verifies one signature of each register's run, and all others are
still to be checked. ``upkeep`` hands these to a *verifier* (``committing.verifying``) as they come from the
commit. Only its yes counts, for exactly the key and the bytes that it was shown. What it calls bad, was not
shown or did not answer is verified by ``upkeep`` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from crdtsync.runtime.committing.line import COMMAND, QUESTION_BYTES_MAX, Line, Question

if TYPE_CHECKING:
    from crdtsync.runtime.syncing.tail import Growth

LEFT_MIN: Final = 32
LEFT_COMMITS: Final = 4
"""It is started after so many commits in a row that each left so many signatures to be checked."""

FEW: Final = 8
"""So many are sooner verified than asked."""

ROWS_MAX: Final = 1023
"""A commit of more rows is history, and checked when there is time."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What it was asked: ``seqs`` are those of the records, in their order."""

    question: Question
    seqs: list[int]

    @property
    def is_answered(self) -> bool:
        """Whether there is, or will never be, an answer."""
        return self.question.answer is not None

    def not_good(self) -> list[int]:
        """Those of which it has not said that they are good."""
        verdicts = self.question.answer or bytes(len(self.seqs))
        return [seq for seq, is_good in zip(self.seqs, verdicts, strict=True) if not is_good]


class Checker:
    """The verifier of ``upkeep``, in whose thread it is used. ``command``, ``cores``: see ``Line``."""

    def __init__(
        self,
        monotonic_s: Callable[[], float],
        *,
        command: Sequence[str] = COMMAND,
        cores: int | None = None,
    ) -> None:
        self._line = Line(monotonic_s, command=command, cores=cores)
        self._much = 0

    @property
    def pid(self) -> int | None:
        """Its process, if there is one."""
        return self._line.pid

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked."""
        return self._line.is_ready

    @property
    def is_awaited(self) -> bool:
        """Whether it has not answered all."""
        return self._line.is_awaited

    def hand_over(self, growth: Growth) -> list[Handed]:
        """Have it check what a commit left unchecked, if it can and that is much; never waits. Starts it
        where commits leave much again and again.
        """
        count = len(growth.unchecked)
        is_history = len(growth.rows) > ROWS_MAX
        self._much = self._much + 1 if count >= LEFT_MIN and not is_history else 0
        self._line.look()
        if self.pid is None and self._much >= LEFT_COMMITS:
            self._line.start()
        if not self.is_ready or is_history or count < FEW:
            return []
        handed = []
        for part in _parts(growth):
            groups = [
                (key, [record for _, _, record in rows]) for key, rows in groupby(part, lambda row: row[1])
            ]
            question = self._line.send(groups)
            if question is None:
                break
            handed.append(Handed(question, [seq for seq, _, _ in part]))
        return handed

    def collect(self) -> None:
        """Take what it has answered so far; never waits."""
        self._line.collect()

    def rests_s(self) -> float | None:
        """End it where nothing was asked for long; else how long to wait before that is to be asked again."""
        return self._line.rests_s()

    def stop(self) -> None:
        """End it. What it was asked and has not answered is verified without it."""
        self._line.stop()


def _parts(growth: Growth) -> list[list[tuple[int, bytes, bytes]]]:
    """(seq, public key, record) of what is unchecked, a message's worth at a time; not what is larger."""
    records = {row.seq: row.record for row in growth.rows}
    parts: list[list[tuple[int, bytes, bytes]]] = []
    size = 0
    for seq, key in zip(growth.unchecked, growth.keys, strict=True):
        record = records[seq]
        if len(record) > QUESTION_BYTES_MAX:
            continue
        if not parts or size + len(record) > QUESTION_BYTES_MAX:
            parts.append([])
            size = 0
        parts[-1].append((seq, key, record))
        size += len(record)
    return parts
