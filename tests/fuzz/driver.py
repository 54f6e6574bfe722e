"""A driver for one session that does what it must, over a log that is made up, while a peer does as it likes.

A step is a byte that says which, and bytes that it reads numbers from (0 where there are no more).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from crdtsync.ids import START, ZERO_HASH, Position
from crdtsync.protocol import limits
from crdtsync.protocol.codec import decode, encode, frames
from crdtsync.protocol.messages import (
    CAPABILITIES,
    About,
    Ack,
    Certificates,
    CertificatesWanted,
    Challenge,
    Cut,
    Digest,
    Documents,
    DocumentsDigest,
    Heads,
    HeadsWanted,
    HeldRun,
    Message,
    Pack,
    Part,
    Presence,
    Records,
    Refused,
    RefusedRecord,
    SyncTold,
    SyncWanted,
    Want,
)
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Delivery, Me, ReadRequest, Ready, Standing
from crdtsync.testing.talk import MINE, NOW_MS, THEIRS, at, hello, me
from tests.fuzz.target import require

_BEFORE_LIVE: Final = frozenset((Challenge, CertificatesWanted, Certificates)) | {type(hello())}


class Numbers:
    """The bytes of a step, read as what is needed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def byte(self) -> int:
        """0 to 255; 0 at the end."""
        self._place += 1
        return self._data[self._place - 1] if self._place <= len(self._data) else 0

    def number(self) -> int:
        """Mostly small, sometimes at a bound."""
        first = self.byte()
        if first < 0xF0:
            return first
        return (256, 513, 2049, 8192, 8193, 20_000, 2**31, 2**53, *[first << 8 | self.byte()] * 8)[
            first & 0xF
        ]

    def rest(self) -> bytes:
        """What has not been read."""
        rest, self._place = self._data[self._place :], len(self._data)
        return rest


class Driver:
    """One end, with what it has on disk. The methods whose names begin with an underscore are steps."""

    def __init__(self, setup: bytes) -> None:
        numbers = Numbers(setup)
        flags = numbers.byte()
        self.end = numbers.number() % 30_000
        cursor = numbers.number() % 30_000
        self.me: Me = me(
            end=at(self.end),
            cursor=at(cursor),
            cursor_log=THEIRS if flags & 4 else b"",
            is_relay=bool(flags & 2),
            wanted=((1, 5), (7, 9)) if flags & 8 and cursor > 9 else (),
        )
        self.now_ms = NOW_MS
        self.is_peer_relay = bool(flags & 16)
        connecting = bool(flags & 1)
        self.session = Session(
            connecting=connecting,
            nonce=b"n" * 16,
            sign=lambda purpose, payload: b"s" * 64,
            now_ms=self.now_ms,
            me=self.me if connecting else None,
        )
        self.told: set[Position] = {START}
        self.on_disk: set[Position] = {START, self.me.cursor}
        self.deliveries: list[Delivery] = []
        self.read: ReadRequest | None = None
        self.owes: dict[str, bool] = dict.fromkeys(("judge", "heads_wanted", "heads", "cut"), False)
        self.rotated = False
        self._do()

    def step(self, data: bytes) -> None:
        """One step. Raises what the session does."""
        numbers = Numbers(data)
        _STEPS[numbers.byte() % len(_STEPS)](self, numbers)
        self._do()

    def ended(self) -> None:
        """The session has said that it is over."""
        self._do()

    # -- what a session asks for ---------------------------------------------------------------------------

    def _do(self, queued_bytes: int = 0) -> None:
        ready = self.session.take_ready(queued_bytes)
        self._note(ready)
        for frame in ready.to_send:
            require(len(frame) <= limits.FRAME_BYTES_MAX, "a frame is too large")
            self._check_said(decode(frame))

    def _note(self, ready: Ready) -> None:
        self.owes["judge"] |= ready.judge is not None
        self.owes["heads_wanted"] |= ready.heads_wanted
        self.owes["heads"] |= ready.heads is not None
        self.owes["cut"] |= ready.cut_due
        self.rotated |= ready.rotate
        self.deliveries += ready.to_persist
        if ready.certificates_wanted:
            self.session.send_certificates([b"{}\0signature"])
        if ready.to_read is not None:
            require(self.read is None, "two reads at a time")
            self.read = ready.to_read
        if ready.acknowledged is not None:
            require(ready.acknowledged in self.told, "acknowledged what was never told")
        if ready.digest_due:
            self.session.send_digest(ZERO_HASH)
        if ready.digest is not None:
            self.session.comparing.repair(is_wanted_by_peer=True)
        for delivery in ready.to_persist:
            require(delivery.size <= limits.MESSAGE_BYTES_MAX, "a delivery is too large")

    def _check_said(self, message: Message) -> None:
        kind = type(message)
        if not self.session.is_live and self.session.peer is None:
            require(kind in _BEFORE_LIVE, "something was said before the peer was known")
        if isinstance(message, Ack):
            require(message.position in self.on_disk, "an acknowledgement of what is not on disk")
        if isinstance(message, Records | Pack | Cut):
            self.told.add(message.to)

    # -- what a driver does --------------------------------------------------------------------------------

    def _admit(self, numbers: Numbers) -> None:
        if not self.owes["judge"]:
            return
        self.owes["judge"] = False
        flags = numbers.byte()
        peer = self.session.peer
        if peer is None:
            return
        if flags & 1 and not self.session.connecting and not self.deliveries:
            self.session.want_certificates()
            return
        known = peer.cursor_log == self.me.log_id
        fits = known and peer.cursor == at(peer.cursor.seq) and peer.cursor.seq <= self.end
        if fits:
            self.told.add(peer.cursor)
        refusals = tuple(self._refused(place) for place in range(1, numbers.number() % 2100))
        self.session.admit(Standing(self.me, fits, refusals))

    def _store(self, numbers: Numbers) -> None:
        for _ in range(1 + numbers.byte() % 4):
            if not self.deliveries:
                return
            delivery = self.deliveries.pop(0)
            if delivery.restart:
                self.on_disk = {START}
            self.on_disk.add(delivery.cursor)
            refused = [self._refused(seq) for seq, _ in delivery.records[: numbers.byte() % 3]]
            self.session.stored(delivery.number, refused)

    def _supply(self, numbers: Numbers) -> None:
        request, self.read = self.read, None
        if request is None:
            return
        until = self.end if request.until is None else min(request.until, self.end)
        to = min(until, request.after + 1 + numbers.number())
        how = numbers.byte()
        if to <= request.after:
            self.read = request
            return
        if request.packs and how & 1 and (request.until is None or to <= self.session.outbound.told.seq):
            self.session.supply_pack(at(to), b"p" * (how << 4))
            return
        step = 1 + (how >> 1) % 7
        rows = [(seq, b"r" * (1 + how)) for seq in range(request.after + step, to + 1, step)][:64]
        self.session.supply(at(to), rows, sum(len(record) for _, record in rows))

    def _grow(self, numbers: Numbers) -> None:
        self.end = min(60_000, self.end + numbers.number() % 10_000)
        self.session.log_grew(at(self.end))

    def _heads(self, numbers: Numbers) -> None:
        if self.owes["heads_wanted"] and self.session.is_live:
            self.owes["heads_wanted"] = False
            count = numbers.number() % 6000
            self.session.supply_heads(HeldRun(at(n).h, 1, n, ((n, ZERO_HASH),)) for n in range(1, count))
        if self.owes["heads"]:
            self.owes["heads"] = False
            self.session.cover({ZERO_HASH: [(1, 5)]})
        if self.owes["cut"]:
            self.owes["cut"] = False
            first = [(n, n) for n in range(1, min(self.end, numbers.number() % 3000), 2)]
            self.session.supply_cut(at(self.end), first, [(1, b"Eowner")] if self.end else [])

    def _tick(self, numbers: Numbers) -> None:
        choices = (1, 250, 1000, 10_000, 30_000, 59_000, 61_000)
        self.now_ms += choices[numbers.byte() % len(choices)]
        self.session.tick(self.now_ms)

    def _call(self, numbers: Numbers) -> None:
        session, what = self.session, numbers.byte() % 8
        if what == 0:
            session.repair()
        elif what == 1:
            session.send_presence({"pending": numbers.number()})
        elif what == 2:
            session.comparing.compare_soon()
        elif what == 3:
            session.refusals_changed([self._refused(seq) for seq in range(1, numbers.number() % 2100)])
        elif what == 4 and session.is_live and session.compares_documents:
            session.comparing.send_documents_digest(ZERO_HASH)
        elif what == 5 and session.is_live and session.compares_documents:
            session.comparing.send_documents(
                (About.CONTENTS, About.RECORDS, About.CONTENTS_TOO)[numbers.byte() % 3],
                [(f"x/{n}", ZERO_HASH) for n in range(numbers.number() % 2100)],
            )
        elif what == 6 and session.is_live:
            session.comparing.send_again(range(1, numbers.number() % 3000))
        elif what == 7 and session.is_live:
            session.asking.ask(bytes([numbers.byte() % 4]) * 16)
            require(len(session.asking.take_answers()) <= 2 * limits.WISHES_ASKED_MAX, "answers pile up")

    def _queue(self, numbers: Numbers) -> None:
        self._do(numbers.number() << 8)

    def _refused(self, seq: int) -> RefusedRecord:
        return RefusedRecord(seq, at(seq).h, "malformed", "why", seq % 2 == 0)

    # -- what a peer does ----------------------------------------------------------------------------------

    def _hear(self, frame: bytes) -> None:
        if self.session.inbound.is_flooded:
            return  # A driver reads no further until something is stored.
        self.session.receive(frame, self.now_ms)

    def _frame(self, numbers: Numbers) -> None:
        self._hear(numbers.rest())

    def _say(self, numbers: Numbers) -> None:
        kind = numbers.byte()
        make = _MESSAGES[kind % len(_MESSAGES)]
        for frame in frames(make(self, numbers)):
            self._hear(frame)

    def _say_badly(self, numbers: Numbers) -> None:
        make = _MESSAGES[numbers.byte() % len(_MESSAGES)]
        place, new = numbers.byte(), numbers.byte()
        frame = bytearray(encode(make(self, numbers)))
        frame[place % len(frame)] = new
        self._hear(bytes(frame))

    def _say_in_parts(self, numbers: Numbers) -> None:
        whole = encode(_MESSAGES[numbers.byte() % len(_MESSAGES)](self, numbers))
        count = numbers.byte() % 36
        for _ in range(count):
            self._hear(encode(Part(bytes(limits.PART_BYTES), False)))
        self._hear(encode(Part(whole, True)))

    def _position(self, numbers: Numbers) -> Position:
        session, what = self.session, numbers.byte()
        known = (
            session.inbound.got,
            session.inbound.stored,
            session.outbound.told,
            session.outbound.acked,
            session.outbound.sent,
            at(self.end),
            START,
        )
        if what < 0xC0:
            return known[what % len(known)]
        return at(numbers.number()) if what < 0xF0 else Position(numbers.number(), b"?" * 32)

    def _later(self, numbers: Numbers) -> Position:
        """Behind the last thing that the peer told."""
        by = numbers.number()
        return at(self.session.inbound.got.seq + by) if by else self.session.inbound.got

    def _rows(self, numbers: Numbers, lo: int, hi: int) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
        count, size = min(numbers.number(), max(0, hi - lo + 1), 2000), 1 + numbers.number() % 3000
        records = (b"U" * min(size, 200_000 // (count or 1) + 1),) * count
        # Now and then one number more than there are records, or one that lies elsewhere.
        how = numbers.byte() % 8
        return tuple(range(lo + (how == 6), lo + count + (how == 7))), records


def _hello(driver: Driver, numbers: Numbers) -> Message:
    flags = numbers.byte()
    end = at(numbers.number() % 30_000)
    cursor = driver._position(numbers)
    return hello(
        version=1 if flags < 0xF0 else flags,
        end=end,
        cursor_log=MINE if flags & 1 else b"",
        cursor=cursor,
        log_id=THEIRS if not flags & 2 else b"another log here",
        is_relay=driver.is_peer_relay,
        fits=not flags & 4,
        capabilities=CAPABILITIES if flags & 8 else (),
    )


def _records(driver: Driver, numbers: Numbers) -> Message:
    start = driver.session.inbound.got if numbers.byte() < 0xF0 else driver._position(numbers)
    to = driver._later(numbers)
    seqs, records = driver._rows(numbers, start.seq + 1, to.seq)
    return Records(start, to, seqs, records)


def _answer(driver: Driver, numbers: Numbers) -> Message:
    """Rows of an interval, asked for or not."""
    got, wanted = driver.session.inbound.got, driver.session.inbound.wanted
    lo, hi = wanted[numbers.byte() % len(wanted)] if wanted else (1, max(1, got.seq))
    fills = (lo, max(lo, min(hi, lo + numbers.number())))
    if numbers.byte() & 1:
        return Pack(got, got, b"p" * (numbers.number() % 3000), fills)
    return Records(got, got, *driver._rows(numbers, *fills), fills)


def _repair(driver: Driver, numbers: Numbers) -> Message:
    got = driver.session.inbound.got
    return Records(got, got, *driver._rows(numbers, 1 + numbers.number(), got.seq))


def _cut(driver: Driver, numbers: Numbers) -> Message:
    to = driver._later(numbers)
    seqs, records = driver._rows(numbers, 1, to.seq)
    first = tuple((n, n + numbers.byte() % 3) for n in range(1, numbers.number() % 1000, 3))
    return Cut(to, first, seqs, records)


def _refusals(driver: Driver, numbers: Numbers) -> Message:
    flags, first = numbers.byte(), numbers.number()
    some = tuple(driver._refused(first + place) for place in range(numbers.number() % 1000))
    return Refused(some, complete=not flags & 1, last=not flags & 2)


def _runs(driver: Driver, numbers: Numbers) -> Message:
    flags = numbers.byte()
    count = numbers.number() % 5000
    runs = tuple(HeldRun(at(n + 1).h, 1, n + 1, ((n + 1, ZERO_HASH),)) for n in range(count))
    return Heads(runs, last=not flags & 1)


def _documents(driver: Driver, numbers: Numbers) -> Message:
    flags = numbers.byte()
    about = (About.CONTENTS, About.RECORDS, About.CONTENTS_TOO)[flags % 3]
    some = tuple((f"x/{n}", ZERO_HASH) for n in range(numbers.number() % 1000))
    return Documents(about, some, last=not flags & 4)


def _want(driver: Driver, numbers: Numbers) -> Message:
    lo = 1 + numbers.number()
    return Want(lo, lo + numbers.number())


_MESSAGES: Final[tuple[Callable[[Driver, Numbers], Message], ...]] = (
    lambda driver, numbers: Challenge(1 if numbers.byte() < 0xF0 else 2, b"c" * 16),
    _hello,
    _records,
    _refusals,
    lambda driver, numbers: Ack(driver._position(numbers)),
    _answer,
    _repair,
    _cut,
    _want,
    lambda driver, numbers: HeadsWanted(),
    _runs,
    lambda driver, numbers: Digest(b"d" * 32, driver._position(numbers).seq),
    lambda driver, numbers: DocumentsDigest(b"d" * 32, driver._position(numbers).seq),
    _documents,
    lambda driver, numbers: Presence({"pending": numbers.number()}),
    lambda driver, numbers: CertificatesWanted(),
    lambda driver, numbers: Certificates((b"{}\0signature",) * (numbers.byte() % 4)),
    lambda driver, numbers: Pack(
        driver.session.inbound.got, driver._later(numbers), b"p" * (numbers.number() % 4000)
    ),
    # Behind the others, so that kept inputs mean what they did.
    lambda driver, numbers: SyncWanted(bytes([numbers.byte() % 4]) * 16),
    lambda driver, numbers: SyncTold(bytes([numbers.byte() % 4]) * 16, bool(numbers.byte() & 1)),
)

_STEPS: Final[tuple[Callable[[Driver, Numbers], Any], ...]] = (
    Driver._frame,
    Driver._say,
    Driver._admit,
    Driver._store,
    Driver._supply,
    Driver._grow,
    Driver._heads,
    Driver._tick,
    Driver._call,
    Driver._queue,
    Driver._say_badly,
    Driver._say_in_parts,
)

FRAME: Final = b"\0"
SETUP: Final = (
    *(b"\1", b"\0", b"\2", b"\3", b"\5\x07\x09", b"\x15\xf2\xf2", b"\x0d\x20\x20", b"\x11\xf3\xf3"),
    *(b"\x02\xf3\xf3", b"\x06\x20\x30", b"\x12\x05\x05"),
)
"""First steps: who connects, who is a relay, how long the logs are and how far each is known."""

STEPS: Final[dict[str, list[bytes]]] = {
    "hello": [b"\1\0", b"\1\1\1\x20\0", b"\2\0", b"\1\3\0"],
    "hello that does not fit": [b"\1\0", b"\1\1\5\xf3\xc0\x30", b"\2\0", b"\3", b"\1\3\0"],
    "records": [b"\1\2\0\5\5\x20", b"\3\1", b"\1\2\0\0", b"\1\x11\3\x20", b"\3\3\1"],
    "numbers without records": [b"\1\2\0\5\3\x20\7"],
    "records that lie elsewhere": [b"\1\2\0\5\5\x20\6"],
    "sending": [b"\5\x20", b"\4\x05\2", b"\4\x20\3", b"\1\4\2", b"\4\x20\0", b"\7\2", b"\7\3"],
    "cut": [b"\1\7\xf3\2\x20\x10", b"\3", b"\1\5\0\x20\1", b"\1\5\0\xf3\0\5\5", b"\3\3", b"\3\3"],
    "wants": [b"\1\x08\0\3", b"\4\3\1", b"\4\3\0", b"\1\x08\1\1"],
    "heads": [b"\1\x09", b"\6\5", b"\x08\0", b"\1\x0a\0\5", b"\6", b"\4\5\2", b"\4\5\0"],
    "digests": [b"\7\6", b"\7\6", b"\1\x0b\0", b"\x08\2", b"\7\2", b"\1\x0b\0"],
    "documents": [b"\x08\4", b"\1\x0d\1\5", b"\x08\5\1\5", b"\1\x0d\0\5", b"\1\x0c\0", b"\x08\6\x20"],
    "presence": [b"\1\x0e\5", b"\x08\1\3", b"\1\x0f", b"\1\x10\2", b"\x09\xf6", b"\x09\0"],
    "parts": [b"\x0b\x0e\2", b"\x0b\2\0\5\5\5", b"\x0a\x0e\1\5"],
    "asked to synchronise": [b"\1\x12\1", b"\7\1", b"\7\6", b"\7\1", b"\7\1"],
    "asking to synchronise": [b"\x08\7\1", b"\1\x13\1\0", b"\1\x13\1\1", b"\x08\7\2"],
    "refusals": [b"\1\3\1\1\2", b"\1\3\3\1\1", b"\1\3\1\1\1", b"\x08\3\5"],
}
"""What an honest pair does, by what it is about: the beginnings of an input."""
