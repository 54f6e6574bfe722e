"""The messages of the protocol, as values. ``docs/reference/wire-protocol.md`` specifies them byte by byte.

Both ends send the same messages. *Mine* below is the sender of the message, *yours* its receiver.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from crdtsync.ids import START, Position
from crdtsync.protocol.slab import Portion

DOCUMENTS = "documents"
"""The capability of comparing Yjs documents: ``DocumentsDigest`` and ``Documents``."""

SYNC_WANTED = "sync wanted"
"""The capability of being asked by a person to synchronise: ``SyncWanted`` and ``SyncTold``."""

REFUSALS = "refusals"
"""The capability of being told in a signed hello that one is refused."""

CAPABILITIES = (DOCUMENTS, SYNC_WANTED, REFUSALS)
"""What this end understands beyond the messages that every end of version 1 does."""

TAKES_ONLY = "takes only"
"""In the hello to a device that was revoked: what it brings is taken, and nothing is given."""

REFUSES = "refuses"
"""In the hello to whoever is refused, before the connection is closed: somebody in between cannot say it."""

_UNDERSTOOD = {one: one for one in (*CAPABILITIES, TAKES_ONLY, REFUSES)}
"""What is decoded of a hello is a text of its own each time."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """First message, from the accepting end: a nonce that the connecting end must sign."""

    version: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """Who I am, where my log ends, how far I hold yours. ``body`` is what was signed.

    ``cursor_log`` is the log that ``cursor`` speaks of: yours, as I remember it (empty: I know none).
    ``fits`` answers your hello (the accepting end's only): false says that your cursor does not fit my log,
    so start again at the beginning, and do not count on my still having what once came from me.
    ``certificate`` is the link of the certificate that names my key. ``capabilities`` name what I understand
    beyond the messages that every end of version 1 does; nothing else is sent to me. ``exchange_key``: a
    fresh key, where the line has no TLS: if both hellos have one, frames are bound to them (see ``binding``).
    """

    version: int
    shop: bytes
    device: bytes
    log_id: bytes
    end: Position
    cursor_log: bytes
    cursor: Position
    nonce: bytes
    certificate: bytes
    is_relay: bool
    fits: bool
    time_ms: int
    digest: bytes
    software: str = ""
    capabilities: tuple[str, ...] = ()
    exchange_key: bytes = b""
    body: bytes = field(default=b"", compare=False)
    signature: bytes = field(default=b"", compare=False)

    def believed(self) -> Hello:
        """The same once it is proved, without what proved it: it is kept as long as the connection lasts."""
        known = tuple(_UNDERSTOOD.get(one, one) for one in self.capabilities)
        return replace(self, body=b"", signature=b"", exchange_key=b"", nonce=b"", capabilities=known)


@dataclass(frozen=True, slots=True)
class CertificatesWanted:
    """I do not know your certificate: send the owner's chain up to it, then I judge your hello."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Sealed entries of the owner's chain, from its first."""

    sealed: tuple[bytes, ...]


@dataclass(slots=True, unsafe_hash=True)
class Records:
    """My records after ``start`` up to ``to``: all that you lack. What is skipped you hold already.

    ``seqs`` are the numbers of ``records`` in my log, ascending. ``fills`` is an interval of my seqs that is
    answered completely by this frame (an answer to ``Want``); such frames, and repairs, have start == to.
    """

    start: Position
    to: Position
    seqs: tuple[int, ...]
    records: tuple[bytes, ...]
    fills: tuple[int, int] | None = None


@dataclass(slots=True, unsafe_hash=True)
class Excerpt:
    """``Records`` as they are sent to many peers: the same on the wire, where it is read as ``Records``."""

    start: Position
    to: Position
    rows: Portion


@dataclass(frozen=True, slots=True)
class Pack:
    """As ``Records``, for one pack as it lies on my disk."""

    start: Position
    to: Position
    blob: bytes
    fills: tuple[int, int] | None = None


@dataclass(slots=True, unsafe_hash=True)
class Ack:
    """Everything in your log up to this position is on my disk, or refused and told."""

    position: Position


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """One record of your log that I did not admit: its seq, its digest, a code, a reason for a person."""

    seq: int
    digest: bytes
    code: str
    reason: str
    held: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Records of yours that I did not admit. ``complete``: these and no others, forget what I said before.

    A list may take several messages, all but the last with ``last`` false; it counts as a whole, so that
    nothing looks admitted in between.
    """

    refusals: tuple[RefusedRecord, ...]
    complete: bool = False
    last: bool = True


@dataclass(frozen=True, slots=True)
class HeadsWanted:
    """Tell me what you hold, so that I need not send it."""


@dataclass(frozen=True, slots=True)
class HeldRun:
    """An unbroken run of entries of a chain that I hold: numbers ``lo`` to ``hi``.

    ``marks`` are (number, link) of some of them, from ``hi`` backwards at growing distances: whoever holds
    one of these links holds its ancestors too.
    """

    chain: bytes
    lo: int
    hi: int
    marks: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Heads:
    """The runs that I hold. ``last`` is false when more follow."""

    runs: tuple[HeldRun, ...]
    last: bool = True


@dataclass(frozen=True, slots=True)
class Cut:
    """You lack much: take my log's end as your cursor and fetch what lies before by intervals.

    ``first`` are the intervals that matter at once: the catalogue and today. ``seqs`` and ``records`` are the
    certificates, which come before everything.
    """

    to: Position
    first: tuple[tuple[int, int], ...]
    seqs: tuple[int, ...] = ()
    records: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """Send me the interval ``lo`` to ``hi`` of your log."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Digest:
    """The root digest of the ledgers that I hold at the moment my log ended at ``end_seq``."""

    digest: bytes
    end_seq: int


@dataclass(frozen=True, slots=True)
class Presence:
    """Small facts for the other end to show: pending, clock, version. Never decided upon."""

    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message that does not fit in a frame; the message is whole after the ``last`` piece."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """First message on the enrolment path, from the relay: its key and a fresh exchange key, signed."""

    version: int
    nonce: bytes
    relay_device: bytes
    relay_key: bytes
    exchange_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Enrol:
    """A device with a pairing code asks for a certificate. ``box`` can be opened by that relay alone."""

    exchange_key: bytes
    box: bytes


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The answer to ``Enrol``; ``box`` can be opened by that device alone."""

    box: bytes


@dataclass(frozen=True, slots=True)
class DocumentsDigest:
    """One digest over the Yjs documents that I hold at the moment my log ended at ``end_seq``, by the records
    that they are made of.
    """

    digest: bytes
    end_seq: int


class About(IntEnum):
    """What the digests in a list of documents are of, and what the list answers."""

    RECORDS = 1
    """The set of a document's records: of all documents, in answer to a digest that differs."""

    CONTENTS = 2
    """What a document holds: of those whose records differ. A compacted document has other records."""

    CONTENTS_TOO = 3
    """The same, of those whose content differs indeed; the end of it."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Yjs documents that I hold, each with a digest (of 32 zero bytes: I hold nothing of it)."""

    about: About
    documents: tuple[tuple[str, bytes], ...]
    last: bool = True


@dataclass(frozen=True, slots=True)
class SyncWanted:
    """A person at the relay wishes that you synchronise now. ``wish`` names it in your answers."""

    wish: bytes


@dataclass(frozen=True, slots=True)
class SyncTold:
    """The answer to ``SyncWanted``: I heard it; later, with ``is_done``: since then we have compared what we
    hold, and nothing is left to exchange.
    """

    wish: bytes
    is_done: bool


Message = (
    Challenge
    | Hello
    | CertificatesWanted
    | Certificates
    | Records
    | Excerpt
    | Pack
    | Ack
    | Refused
    | HeadsWanted
    | Heads
    | Cut
    | Want
    | Digest
    | Presence
    | Part
    | Offer
    | Enrol
    | Enrolled
    | DocumentsDigest
    | Documents
    | SyncWanted
    | SyncTold
)

__all__ = [
    "CAPABILITIES",
    "DOCUMENTS",
    "REFUSALS",
    "REFUSES",
    "START",
    "SYNC_WANTED",
    "TAKES_ONLY",
    "About",
    "Ack",
    "Certificates",
    "CertificatesWanted",
    "Challenge",
    "Cut",
    "Digest",
    "Documents",
    "DocumentsDigest",
    "Enrol",
    "Enrolled",
    "Excerpt",
    "Heads",
    "HeadsWanted",
    "HeldRun",
    "Hello",
    "Message",
    "Offer",
    "Pack",
    "Part",
    "Presence",
    "Records",
    "Refused",
    "RefusedRecord",
    "SyncTold",
    "SyncWanted",
    "Want",
]
