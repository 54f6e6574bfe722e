"""The log interface: what a replica keeps on disk, and what each operation promises.

A ``Store`` is one file with one ``ShopLog`` per shop (a register has one or two, a relay many). Every
implementation passes ``tests/contract``.

* Reads see one consistent committed state per call; they never block a writer.
* Writes happen inside ``Store.transaction()`` only, which takes the write lock at once (other processes
  may write the same file), commits with fsync when the block ends and rolls back when it raises. After
  it returned, everything in it survives a power cut; before, nothing of it is visible.
* ``seq``, the running hash, the runs of the chains and the document totals are assigned here, inside the
  transaction, and nowhere else.
* Methods may block on the disk. Nothing here knows asyncio, pycrdt, or the meaning of a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from crdtsync.ids import ID_BYTES, Item, Origin, Position

Interval = tuple[int, int]
"""Both ends included."""

LOOSE_BEFORE_PACK_MAX = 256
"""How many rows ``append_pack`` packs beforehand, in the same transaction: some milliseconds."""

ROWS_SCANNED_MAX = 4096
"""How many rows one ``read`` looks at, skipped ones included."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of a log from just after ``start`` up to and including ``to``.

    ``records`` are those rows that were not skipped, ascending, with their seq.
    """

    start: Position
    to: Position
    records: Sequence[tuple[int, bytes]]
    records_bytes: int


# A value, never changed. It is made for every row, and to freeze it takes three times as long.
@dataclass(slots=True, unsafe_hash=True)
class Run:
    """A maximal unbroken run of held entries of one chain: numbers ``lo`` to ``hi``, each linked to the
    one before. ``lo_prev`` is the ``prev`` of the first, ``hi_link`` the link of the last. A chain without
    holes or forks is one run with ``lo`` 1. A run also ends at an entry that two or more held entries follow:
    each of these starts a run with that same ``lo_prev``. So the runs depend on what is held alone.
    """

    chain: bytes
    lo: int
    lo_prev: bytes
    hi: int
    hi_link: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far another log is held here: everything up to ``position``, except the ``wanted`` intervals
    of its seqs, which are still to be fetched.
    """

    position: Position
    wanted: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """How far a peer said it has our log on disk, and when it said so (``at_ms``, Unix milliseconds)."""

    position: Position
    at_ms: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was not admitted: number ``seq`` of its sender's log. ``held`` means that it is judged
    again when certificates or rules change; otherwise the refusal is final. The bytes are kept either way.
    """

    seq: int
    digest: bytes
    code: str
    reason: str
    held: bool


DAMAGED: Final = "damaged"
"""The code of what was set apart because its bytes had changed on the disk."""


@dataclass(frozen=True, slots=True)
class Apart:
    """The bytes of a refused, held or damaged record, set apart, and why."""

    record: bytes
    digest: bytes
    origin: Origin | None
    code: str
    reason: str
    held: bool
    at_ms: int


class ApartRow(NamedTuple):
    """As ``Apart``, for who only counts."""

    code: str
    held: bool
    origin: Origin | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class PackRow:
    """One pack: all rows after ``start`` up to ``to``, ``rows`` of them, as ``storage.pack`` encodes them."""

    start: Position
    to: Position
    rows: int
    blob: bytes


@dataclass(frozen=True, slots=True)
class PreparedPack:
    """A pack that was made of rows ``first`` to ``last`` and is not stored yet."""

    first: int
    last: int
    blob: bytes


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """Totals of one document: how many records it has, their bytes, the seq of the newest one."""

    name: str
    records: int
    records_bytes: int
    last_seq: int


def id_after_damage(log_id: bytes, seq: int, end: Position, at_ms: int) -> bytes:
    """The id under which a log goes on that has just lost record ``seq``. It follows from the old id, so that
    nobody can forget to change it, and is as good as random to anybody else.
    """
    numbers = seq.to_bytes(8, "big") + end.seq.to_bytes(8, "big") + at_ms.to_bytes(8, "big")
    return hashlib.sha256(b"crdtsync/damaged-log/v1\0" + log_id + numbers + end.h).digest()[:ID_BYTES]


class ShopLog(Protocol):
    """The log of one shop in one store."""

    @property
    def shop(self) -> bytes: ...
    @property
    def log_id(self) -> bytes:
        """128 random bits that name this log; see ``rotate_log_id``."""
        ...

    @property
    def end(self) -> Position:
        """After the newest record. Read from disk: other processes write too."""
        ...

    @property
    def hash_appended(self) -> bytes:
        """Right after ``append``, in the same transaction: the running hash after that record."""
        ...

    def let_go(self) -> None:
        """Keep nothing in memory that can be read again. Inside a transaction nothing happens."""
        ...

    # -- reading records ------------------------------------------------------------------------------

    def hash_at(self, seq: int) -> bytes | None:
        """The running hash after record ``seq`` (``ZERO_HASH`` for 0), for every seq ever assigned, also
        where the bytes were packed or compacted; None beyond the end.
        """
        ...

    def read(
        self,
        after: int,
        *,
        bytes_max: int,
        skip_origin: Origin | None = None,
        covered: Mapping[bytes, Sequence[Interval]] | None = None,
    ) -> Batch:
        """Rows after seq ``after``, as many as fit in ``bytes_max`` (at least one record if there is one;
        at most 4,096 rows are scanned). Skipped are rows that came from the log of ``skip_origin``, up to its
        seq (see ``void_origin``), entries of chain c whose number lies in an interval of ``covered[c]``, and
        rows whose bytes a compacted state replaced. Raises ``DamagedStore`` where a checksum fails, and
        ``ValueError`` beyond the end.
        """
        ...

    def origin_of(self, seq: int) -> Origin | None:
        """The place in another log that record ``seq`` came from; None where it was made here."""
        ...

    def pack_at(self, seq: int, *, skip_origin: Origin | None = None) -> PackRow | None:
        """The pack that holds row ``seq``, as it lies on disk; None where the row is not packed, and where
        ``read`` with that ``skip_origin`` would skip all rows of the pack.
        """
        ...

    def holds(self, digest: bytes, chain: bytes | None = None, n: int | None = None) -> bool:
        """Whether exactly this record is held in the log (or was, before a compacted state replaced it). For
        an entry give its chain and number.
        """
        ...

    def entry(self, chain: bytes, n: int) -> tuple[bytes, ...]:
        """The sealed entries held as number ``n`` of a chain: normally one, several after a fork."""
        ...

    def links_at(self, chain: bytes, n: int) -> list[bytes]:
        """The links of ``entry(chain, n)``."""
        ...

    def chain_entries(self, chain: bytes, lo: int, hi: int) -> Iterator[tuple[int, bytes]]:
        """(seq, sealed) of the entries ``lo`` to ``hi`` of a chain, ascending by number."""
        ...

    def document_records(self, document: str) -> Iterator[tuple[int, bytes]]:
        """(seq, record) of one document, ascending by seq; what a state replaced is left out."""
        ...

    def document_seqs(self, document: str) -> Sequence[int]:
        """The seqs that ``document_records`` gives. Unpacks nothing, unless a state has replaced some."""
        ...

    def documents(self) -> list[DocumentRow]:
        """All documents, by name."""
        ...

    def document(self, name: str) -> DocumentRow | None:
        """One document, None while it has no records. Costs the same however many there are."""
        ...

    def document_before(self, name: str) -> str | None:
        """Of the names of all ``documents`` the last one before ``name``, by code points; None where there is
        none. Costs the same however many there are.
        """
        ...

    def runs(self, chain: bytes | None = None) -> list[Run]:
        """The maximal runs of all chains or of one, by (chain, lo, hi_link)."""
        ...

    # -- what is known of other logs ------------------------------------------------------------------

    def cursor(self, log_id: bytes) -> Cursor | None: ...
    def acknowledged(self, log_id: bytes) -> Acknowledged | None:
        """What the peer with that log last acknowledged of our log under its present log id."""
        ...

    def refusals_given(self, log_id: bytes) -> list[Refusal]:
        """What we did not admit of that peer's log, by seq."""
        ...

    def refusals_received(self, log_id: bytes) -> list[Refusal]:
        """What that peer did not admit of our log, by seq."""
        ...

    def unacknowledged(self, log_id: bytes | None) -> Iterator[tuple[int, bytes]]:
        """(seq, record) of everything that the peer with that log has not acknowledged on disk: beyond its
        acknowledgement and not received from it, plus what it refused or holds. None: everything. An
        acknowledgement whose hash is not ours at its seq counts as none.
        """
        ...

    def apart(self) -> list[Apart]:
        """Everything that was set apart here, oldest first."""
        ...

    def apart_counts(self) -> dict[tuple[str, bool], int]:
        """How many were set apart here, by code and whether they are held. Reads none of their bytes."""
        ...

    def apart_rows(self) -> list[ApartRow]:
        """What was set apart here, oldest first, without the bytes. Reads none of them."""
        ...

    def apart_bytes(self, log_id: bytes) -> int:
        """How many bytes of records that came from that peer's log are set apart."""
        ...

    # -- small state ----------------------------------------------------------------------------------

    def state(self, key: str) -> bytes | None:
        """A value kept beside the log (the head of the own chain, the present relay, …)."""
        ...

    def request(self, request_id: str) -> tuple[bytes, int] | None:
        """(link, seq) of the entry that was made for that request, if it was."""
        ...

    # -- writing, inside ``Store.transaction()`` only ---------------------------------------------------

    def append(self, item: Item) -> int | None:
        """Append one record; its seq, or None when it is held already (which changes nothing)."""
        ...

    def set_cursor(self, log_id: bytes, cursor: Cursor) -> None: ...
    def set_acknowledged(self, log_id: bytes, position: Position, at_ms: int) -> None:
        """Remember an acknowledgement; it replaces the last one, downwards too."""
        ...

    def refuse(self, log_id: bytes, refusal: Refusal, record: bytes, at_ms: int) -> None:
        """Set a received record apart. Idempotent per (log, seq) and per digest."""
        ...

    def settle_refusals(self, digest: bytes) -> list[Origin]:
        """Drop every refusal that we gave for this record (it was admitted after all), and its bytes. The
        places in other logs that these refusals were about, by (log, seq).
        """
        ...

    def set_refusals_received(self, log_id: bytes, refusals: Sequence[Refusal], *, complete: bool) -> None:
        """Add to what a peer refused of our log or, with ``complete``, replace it."""
        ...

    def set_state(self, key: str, value: bytes | None) -> None: ...
    def set_request(self, request_id: str, link: bytes, seq: int) -> None:
        """Remember which entry was made for a request. The first one stays."""
        ...

    def rotate_log_id(self, log_id: bytes) -> None:
        """Go on under a new log id: what peers acknowledged under the old one counts no more."""
        ...

    def begin_anew(self, log_id: bytes) -> None:
        """Go on under a new log id as a log that no peer has met and that has met none: for one that was put
        back from a backup or brought to another relay. Every cursor is forgotten, where records came from
        (``void_origin``), which numbers were refused, and what peers acknowledged under the old id.
        """
        ...

    def void_origin(self, log_id: bytes) -> None:
        """Forget that records came from that log (its owner lost them), so that they are offered to it
        again, and forget its cursor and what was refused of it, which it will bring again. What is received
        from it afterwards counts as before.
        """
        ...

    def pack(self, rows_max: int, keep_after: int) -> bool:
        """Pack the oldest unpacked rows (none beyond seq ``keep_after``) into one pack of ``rows_max`` rows,
        or of as many as fill a pack by their bytes, after unpacking it again gave the same bytes. False when
        there are not that many.
        """
        ...

    def prepare_pack(
        self, rows_max: int, keep_after: int, *, rows_min: int | None = None
    ) -> PreparedPack | None:
        """The slow half of ``pack`` (compressing and comparing), for outside a transaction, so that nobody
        waits for it. None when there are not enough rows: ``rows_max``, or ``rows_min`` where that is given.
        """
        ...

    def store_pack(self, prepared: PreparedPack) -> bool:
        """The quick half of ``pack``, inside a transaction. False if the rows changed since."""
        ...

    def append_pack(self, blob: bytes, items: Sequence[Item]) -> list[Position] | None:
        """Append the records of a pack that was received, and keep them as that pack, under numbers of this
        log; the position after each. ``items`` are what ``blob`` unpacks to, all of it, in its order.

        None, and nothing is changed, where rows have to be looked at singly: the pack lacks the bytes of
        some, one is held already, an entry has the number of another in its chain, or an update comes twice.
        So it is where more than ``LOOSE_BEFORE_PACK_MAX`` rows, or more bytes than a pack has, are not packed
        yet: packs are the beginning of a log, and what lies before this one is packed with it.
        """
        ...

    def set_damaged_apart(self, seq: int, at_ms: int) -> bool:
        """Set record ``seq`` apart (with its whole pack, if it is packed), if its bytes are not what was
        written; False if they are. It is held no more. The number and its running hash stay.

        Whoever had sent it is not remembered (what is held already is dropped), nor who got it from here and
        would leave it out. So, in the same transaction, the log goes on under a new id (``id_after_damage``)
        and forgets every cursor, where its records came from (``void_origin``) and which numbers it refused:
        a log that no peer has met and that has met none, to which they give what it lacks. Acknowledgements
        stay: what peers have on disk, they still have. Of a Yjs document the updates that a compacted state
        replaced are held no more either: the state may be what was lost.
        """
        ...

    def compact(self, state: Item, replaces: Sequence[int]) -> int:
        """Append a compacted state of a document and drop the bytes of the rows that it replaces; its seq.
        Raises ``ValueError`` if one of them is an entry or of another document.
        """
        ...


class Store(Protocol):
    """One file of logs. Use it from one thread at a time; open one per thread and per process."""

    def shops(self) -> list[bytes]:
        """The ids of the shops in this store, oldest first."""
        ...

    def shop(self, shop: bytes) -> ShopLog:
        """Raises ``KeyError`` for an unknown shop."""
        ...

    def create_shop(self, shop: bytes, log_id: bytes) -> ShopLog:
        """Inside a transaction. An existing shop is returned as it is."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """The only way to write. Raises ``StoreBusy``, ``DiskFull``, ``ReadOnlyStore``; then nothing was
        written. Not reentrant.
        """
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Several reads of one committed state (or of the transaction under way), for less than one by one.
        Reads that belong together of themselves need none.
        """
        ...

    def data_version(self) -> int:
        """Changes when another connection has committed. Costs microseconds."""
        ...

    def close(self) -> None: ...
