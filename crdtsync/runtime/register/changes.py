"""What came into the log since one last looked: for screens that show it as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from crdtsync.ids import ENTRY, split_update_record
from crdtsync.model.entry import read_admitted
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.ticket import Ticket

LOOK_EVERY_S = 0.05
BATCH_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """Records that came in: the documents they belong to, and the tickets among them."""

    documents: frozenset[str]
    tickets: tuple[Ticket, ...]
    through_seq: int


Observer = Callable[[Change], None]


class Changes:
    """Tells observers, in the thread that polls."""

    def __init__(self, replica: Replica, arrived: threading.Event) -> None:
        self._replica = replica
        self._arrived = arrived
        self._observers: list[Observer] = []
        self._seq = replica.log.end.seq

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Add an observer; returns what removes it."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def poll(self, timeout_s: float) -> bool:
        """See ``Register.poll``."""
        ends_s = time.monotonic() + timeout_s
        while (change := self._next()) is None:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                return False
            # The event tells of this process's syncer; other processes are noticed by looking.
            self._arrived.wait(min(left_s, LOOK_EVERY_S))
            self._arrived.clear()
        while change is not None:
            self._tell(change)
            change = self._next()
        return True

    def _tell(self, change: Change) -> None:
        """Every observer is told, whatever one of them does with it; then its error is raised."""
        errors: list[Exception] = []
        for observer in tuple(self._observers):
            try:
                observer(change)
            except Exception as error:  # Whatever it is: it is the caller's, and the others come first.
                errors.append(error)
        if errors:
            raise errors[0]

    def _next(self) -> Change | None:
        batch = self._replica.log.read(self._seq, bytes_max=BATCH_BYTES_MAX)
        if batch.to.seq == self._seq:
            return None
        self._seq = batch.to.seq
        documents, tickets = set(), []
        for _, record in batch.records:
            if record[:1] != ENTRY:
                documents.add(split_update_record(record)[0])
                continue
            entry = read_admitted(record[1:])
            documents.add(entry.facts.document)
            ticket = Ticket.read(entry)
            if ticket is not None:
                tickets.append(ticket)
        return Change(frozenset(documents), tuple(tickets), self._seq)
