"""The pen of a register: the only place where entries of its own chain are made.

Several processes may write one register. Each entry is numbered, signed and appended inside one immediate
transaction that began by reading the head from disk, so that numbers have no gaps and no doubles whoever
writes. When the transaction has ended, the entry is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crdtsync.errors import AlreadyARegister, CrdtsyncError, DamagedStore, InvalidSale, StorageError
from crdtsync.ids import Item, entry_record
from crdtsync.model import chain as chains
from crdtsync.model import jet
from crdtsync.model.chain import ChainHead, Moment
from crdtsync.model.closing import build_close, closing_due
from crdtsync.model.entry import Entry, read_entry, seal_entry
from crdtsync.runtime.clock import Clock
from crdtsync.runtime.committing.events import LOOK_EVERY_MS, unreachable_request, unrecorded_events
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.folder.identity import HEAD, load_clock_offset
from crdtsync.said import Said
from crdtsync.storage.log import ShopLog, Store

if TYPE_CHECKING:
    from crdtsync.model.signature import PrivateKey  # cryptography is slow to import.

Payload = Mapping[str, Any]

REQUEST_ID_CHARACTERS_MAX = 64

WRITTEN_ELSEWHERE = Said(
    "this register's data was put back from an old copy, or copied to another machine: from here on its "
    "tickets are numbered anew, and it must be enrolled again"
)

_FIRST_DAY = date(1970, 1, 1)


# A value, never changed. It is made for every sale, and to freeze it takes three times as long.
@dataclass(slots=True, unsafe_hash=True)
class Written:
    """An entry that is on disk, its seq in the log, and what a person should be told about it.

    ``again``: it had been made before, for the same request. ``notices``: questions about the clock and
    the day, and that a forgotten day was closed.
    """

    entry: Entry
    seq: int
    again: bool = False
    notices: tuple[str, ...] = ()


class Writer:
    """Makes entries of one chain. Blocks on the disk; not for more than one thread."""

    def __init__(
        self,
        store: Store,
        log: ShopLog,
        key: PrivateKey,
        clock: Clock,
        *,
        device: bytes,
        operator: str = "system",
        day_starts_min: int = 0,
        wrote: Callable[[], None] = lambda: None,
        mend: Callable[[DamagedStore], bool] = lambda _: False,
        leave: Callable[[ChainHead], ChainHead | None] = lambda _: None,
    ) -> None:
        """``wrote`` is called after each commit; ``mend`` sets a damaged record apart, if it can; ``leave``
        begins another chain, inside a transaction, where somebody else writes into this one.
        """
        self._store = store
        self._log = log
        self._key = key
        self._clock = clock
        self._device = device
        self._operator = operator
        self._day_starts_min = day_starts_min
        self._wrote = wrote
        self._mend = mend
        self._leave = leave
        self._read: tuple[bytes, ChainHead] | None = None
        self._looked: tuple[bytes, int] | None = None

    def write(
        self,
        kind: str,
        payload: Payload | Callable[[Session], Payload],
        *,
        request_id: str | None = None,
        business_day: str | None = None,
    ) -> Written:
        """Make one entry; it is on disk when this returns, or an error says that it is not.

        ``payload`` may be a function of the transaction under way: what it reads there is true when the
        entry is made. With a ``request_id`` the call is idempotent: the same id gives the same entry.
        ``business_day``: the day that a person said it is. Raises ``StorageError`` (then nothing was
        recorded), and what making the payload raises. A record that is found damaged on the way is set apart,
        and hinders nobody.
        """
        while True:
            try:
                return self._write(kind, payload, request_id, business_day)
            except DamagedStore as damage:
                if not self._mend(damage):
                    raise

    def _write(
        self,
        kind: str,
        payload: Payload | Callable[[Session], Payload],
        request_id: str | None,
        business_day: str | None,
    ) -> Written:
        session = None
        try:
            with self._session(business_day) as session:
                made = self._made_for(request_id, kind)
                if made is not None:
                    return made
                if kind != "close":
                    session.close_forgotten_day()
                body = payload(session) if callable(payload) else payload
                session.append(kind, {**body, "req": request_id} if request_id else body)
                if request_id:
                    self._log.set_request(request_id, session.last.link, session.last_seq)
        except StorageError:
            # The commit may have reached the disk although it reported an error (an entry is never told
            # to be lost, or made again, while it is there).
            if session is None or not session.is_on_disk():
                raise
        self._wrote()
        return Written(session.last, session.last_seq, notices=tuple(session.notices))

    def asked_of_the_day(self) -> tuple[str, str] | None:
        """What a person must be asked about the business day, and which day the clock says; None if nothing.
        Records nothing. Raises ``StorageError``.
        """
        session = self._begin(self.head(), None)
        return (session.notices[0], session.clock_day) if session.notices else None

    def head(self) -> ChainHead:
        """The end of the chain as it is on disk now."""
        data = self._log.state(HEAD)
        if self._read is None or self._read[0] != data:
            self._read = data or b"", read_head(self._log)
        return self._read[1]

    @contextmanager
    def _session(self, business_day: str | None) -> Iterator[Session]:
        with self._store.transaction():
            head = self.head()
            if head.author != self._device:
                raise AlreadyARegister(
                    "this register was enrolled again by another process, with another key",
                    hint="nothing was recorded: start this program again, then it goes on",
                )
            own = self._leave(head) or head
            session = self._begin(own, business_day)
            if own is not head:
                session.notices.append(WRITTEN_ELSEWHERE)
            session.record_clock_step()
            looked = self._looked if self._has_looked(own, session.moment.ts_ms) else None
            if looked is None:
                session.record_events(own)
                looked = own.chain, session.moment.ts_ms
            yield session
            data = session.head.to_bytes()
            self._log.set_state(HEAD, data)
            # Only what is found on disk again is believed next time: the commit may still fail.
            self._read = data, session.head
        self._looked = looked

    def _has_looked(self, head: ChainHead, now_ms: int) -> bool:
        """Whether this process looked for events of that chain a short time ago."""
        if self._looked is None:
            return False
        chain, at_ms = self._looked
        return chain == head.chain and 0 <= now_ms - at_ms < LOOK_EVERY_MS

    def _begin(self, head: ChainHead, business_day: str | None) -> Session:
        now_ms = self._clock.now_ms()
        offset_min = self._clock.utc_offset_min(now_ms)
        today = local_date(now_ms, offset_min - self._day_starts_min)
        offset = load_clock_offset(self._log)
        trusted = None
        if offset is not None:
            # When it was measured, not now: a clock that has jumped since then vouches for itself alone.
            trusted = local_date(offset.relay_time_ms, offset_min - self._day_starts_min)
        day, question = chains.business_day(head.bd, today, trusted)
        by_itself = day
        if business_day is not None:
            day, question = chains.business_day(head.bd, business_day, business_day)
        session = Session(self._log, head, Moment(now_ms, offset_min, day, self._operator), self._key, today)
        session.day_was_confirmed = day != by_itself
        if question:
            session.notices.append(question)
        return session

    def _made_for(self, request_id: str | None, kind: str) -> Written | None:
        if request_id is None:
            return None
        if not 0 < len(request_id) <= REQUEST_ID_CHARACTERS_MAX or not request_id.isprintable():
            raise InvalidSale(f"a request id is 1 to {REQUEST_ID_CHARACTERS_MAX} characters of plain text")
        found = self._log.request(request_id)
        if found is None:
            return None
        entry = entry_at(self._log, found[1])
        if entry.kind != kind:
            raise InvalidSale(f"the request id {request_id!r} was used for a {entry.kind}")
        return Written(entry, found[1], again=True)


class Session:
    """Entries made in one transaction. Its moment is the same for all of them; ``clock_day`` is the day
    that the clock says; ``day_was_confirmed``: the business day is another than it would be without the
    person who said which it is.
    """

    def __init__(
        self, log: ShopLog, head: ChainHead, moment: Moment, key: PrivateKey, clock_day: str
    ) -> None:
        self.head = head
        self.moment = moment
        self.clock_day = clock_day
        self.day_was_confirmed = False
        self.notices: list[str] = []
        self._log = log
        self._key = key
        self._made: list[tuple[Entry, int]] = []

    @property
    def last(self) -> Entry:
        """The newest entry made here."""
        return self._made[-1][0]

    @property
    def last_seq(self) -> int:
        """Its number in the log."""
        return self._made[-1][1]

    def append(self, kind: str, payload: Payload, *, moment: Moment | None = None) -> Entry:
        """Number, sign and append an entry."""
        body = chains.next_body(self.head, kind, payload, moment or self.moment)
        entry = seal_entry(body, self._key)
        seq = append_entry(self._log, entry)
        assert seq is not None, "an entry that follows the head cannot be there already"
        self.head = chains.advance(self.head, entry)
        self._made.append((entry, seq))
        return entry

    def record_clock_step(self) -> None:
        """If the clock went back, say so first: time may decrease only there.

        It is said on the business day that has to be closed, if there is one: on a later one it would take
        the chain there, and what is to be closed with it.
        """
        step = chains.clock_step(self.head, self.moment)
        if step is not None:
            self._append_event(step)
            self.notices.append(Said("the clock went back; it is recorded, and sales go on"))

    def record_events(self, head: ChainHead) -> None:
        """Record what happened since ``head``, the newest entry but for what was made here. Damage on the
        way is no reason to refuse a sale: who reads it next finds it.
        """
        try:
            found = list(unrecorded_events(self._log, head, self.moment.ts_ms))
        except CrdtsyncError:
            return
        for code, data in found:
            self._append_event(jet.build_jet(code, data))
            if code == jet.RELAY_UNREACHABLE:
                self._log.set_request(unreachable_request(data["since"]), self.last.link, self.last_seq)

    def _append_event(self, payload: Payload) -> None:
        due = closing_due(self.head, self.moment.bd)
        self.append("jet", payload, moment=replace(self.moment, bd=self.head.bd) if due else None)

    def stay_in_day_to_close(self) -> None:
        """Make what follows on the business day that has to be closed, if there is one: whoever closes it
        the next morning closes that day, not the new one.
        """
        if closing_due(self.head, self.moment.bd):
            self.moment = replace(self.moment, bd=self.head.bd)

    def close_forgotten_day(self) -> None:
        """Close the day before, if it was left open: its closing keeps its own business day."""
        if not closing_due(self.head, self.moment.bd):
            return
        day = self.head.bd
        late = Moment(self.moment.ts_ms, self.moment.tz_min, day, self.moment.op)
        self.append("close", build_close(self.head, auto=True), moment=late)
        self.notices.append(
            Said("the day %(day)s had not been closed: it was closed now, cash not counted", day=day)
        )

    def is_on_disk(self) -> bool:
        """Whether everything made here is in the log, asked anew."""
        try:
            return bool(self._made) and all(
                self._log.holds(entry.link, entry.facts.chain, entry.facts.n) for entry, _ in self._made
            )
        except StorageError:
            return False  # The disk does not even answer: the first error is the one to tell.


def append_entry(log: ShopLog, entry: Entry) -> int | None:
    """Append an entry to a log, inside a transaction; its seq, or None when it is held already."""
    item = Item(entry_record(entry.sealed), entry.facts.document, entry.link, entry.facts)
    return log.append(item)


def entry_at(log: ShopLog, seq: int) -> Entry:
    """The entry that is record number ``seq``. Raises ``DamagedStore``."""
    records = log.read(seq - 1, bytes_max=1).records
    if not records or records[0][0] != seq:
        raise DamagedStore(f"record {seq} of the log is not there any more")
    return read_entry(records[0][1][1:])


def local_date(at_ms: int, offset_min: int) -> str:
    """The calendar day at a place that is ``offset_min`` minutes ahead of UTC."""
    return _day((at_ms // 60_000 + offset_min) // (24 * 60))


@lru_cache(maxsize=16)
def _day(days_since_1970: int) -> str:
    try:
        return (_FIRST_DAY + timedelta(days_since_1970)).isoformat()
    except OverflowError:
        return date.max.isoformat()
