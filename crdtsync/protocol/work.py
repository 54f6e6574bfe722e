"""What a session asks of its driver, and what the driver tells a session. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crdtsync.ids import Position
from crdtsync.protocol import limits
from crdtsync.protocol.intervals import Interval
from crdtsync.protocol.messages import (
    CAPABILITIES,
    Digest,
    Documents,
    DocumentsDigest,
    HeldRun,
    Hello,
    Refused,
    RefusedRecord,
)

Covered = Mapping[bytes, Sequence[Interval]]
"""Per chain the intervals of entry numbers that need not be sent, because the peer holds them."""


@dataclass(frozen=True, slots=True)
class Me:
    """Who this end is, and where its log stands, at the moment of the hello.

    ``cursor_log`` and ``cursor`` say how far the peer's log is held here, ``wanted`` which intervals of it
    are still missing. The accepting end knows the peer by then; the connecting end goes by the log id that
    the peer had last time.
    """

    shop: bytes
    device: bytes
    log_id: bytes
    end: Position
    cursor_log: bytes
    cursor: Position
    wanted: tuple[Interval, ...]
    nonce: bytes
    certificate: bytes
    is_relay: bool
    time_ms: int
    digest: bytes
    software: str
    capabilities: tuple[str, ...] = CAPABILITIES

    def hello(self, *, fits: bool) -> Hello:
        """The hello that says so, not signed yet."""
        return Hello(
            limits.VERSION,
            self.shop,
            self.device,
            self.log_id,
            self.end,
            self.cursor_log,
            self.cursor,
            self.nonce,
            self.certificate,
            self.is_relay,
            fits,
            self.time_ms,
            self.digest,
            self.software,
            self.capabilities,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What the driver found about a peer whose hello it accepts.

    ``cursor_fits``: the peer's cursor names our log, and our running hash at that seq is the one it says.
    ``refusals`` are all that we did not admit of the peer's log.
    """

    me: Me
    cursor_fits: bool
    refusals: tuple[RefusedRecord, ...] = ()


@dataclass(slots=True, unsafe_hash=True)
class Delivery:
    """What the driver must make durable, in one transaction, before it calls ``Session.stored(number)``.

    It may only be stored if the peer's log is held up to ``start`` exactly: else an earlier one was lost.
    ``records`` are (seq in the peer's log, bytes), to be admitted first; ``blob`` is a pack of them.
    ``restart``: before anything else forget the peer's cursor, and that records came from it. ``cut``: the
    intervals still wanted after taking the peer's end as cursor, ``first`` those of them that matter at once.
    ``fills``: an interval wanted no more.
    """

    number: int
    start: Position
    cursor: Position
    records: tuple[tuple[int, bytes], ...] = ()
    blob: bytes = b""
    restart: bool = False
    cut: tuple[Interval, ...] | None = None
    fills: Interval | None = None
    size: int = 0
    first: tuple[Interval, ...] = ()


@dataclass(slots=True, unsafe_hash=True)
class ReadRequest:
    """Read my log after ``after``, up to ``until`` if given, leaving out what the peer holds.

    With ``skip_origin`` rows that came from the peer's present log are left out, and entries in ``covered``
    always. With ``packs`` the answer may be the pack that holds row ``after + 1``.
    """

    after: int
    bytes_max: int
    until: int | None = None
    skip_origin: bool = True
    covered: Covered | None = None
    packs: bool = False


@dataclass(slots=True)
class Ready:
    """Work for the driver, in the order of the fields. Empty fields mean nothing to do.

    ``judge``: a hello to authenticate (with ``certificates`` if they were asked for), answered by ``admit``,
    ``want_certificates`` or closing. ``to_persist``: deliveries, answered by ``stored`` in their order.
    ``acknowledged`` and ``refused`` are to be persisted too, at leisure: until then more counts as pending,
    never less. ``rotate``: give our log a new id and connect again. ``sync_wanted``: look for what was
    recorded and is not noticed yet. ``to_send`` goes last.
    """

    judge: Hello | None = None
    certificates: tuple[bytes, ...] = ()
    certificates_wanted: bool = False
    rotate: bool = False
    sync_wanted: bool = False
    to_persist: list[Delivery] = field(default_factory=list)
    acknowledged: Position | None = None
    refused: list[Refused] = field(default_factory=list)
    heads_wanted: bool = False
    heads: list[HeldRun] | None = None
    digest_due: bool = False
    digest: Digest | None = None
    documents_digest: DocumentsDigest | None = None
    documents: list[Documents] = field(default_factory=list)
    cut_due: bool = False
    presence: dict[str, Any] | None = None
    to_read: ReadRequest | None = None
    to_send: list[bytes] = field(default_factory=list)

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing to do but to send."""
        return not (
            self.to_persist
            or self.refused
            or self.documents
            or self.judge is not None
            or self.acknowledged is not None
            or self.heads is not None
            or self.digest is not None
            or self.documents_digest is not None
            or self.presence is not None
            or self.certificates_wanted
            or self.rotate
            or self.sync_wanted
            or self.heads_wanted
            or self.digest_due
            or self.cut_due
        )

    @property
    def asks(self) -> bool:
        """Whether the session is told something in answer, so that there may be more to do."""
        return (
            self.judge is not None
            or self.certificates_wanted
            or self.heads_wanted
            or self.heads is not None
            or self.digest_due
            or self.digest is not None
            or self.cut_due
        )
