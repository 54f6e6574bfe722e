"""The names that every part of crdtsync shares: ids, positions, records.

A *record* is one row of a log, exactly as it is stored, hashed and sent:

====  =================================================================
byte  rest
====  =================================================================
``E`` a sealed entry (``body 0x00 signature``, see ``model.sealed``)
``U`` u16 length of the document name, the name in UTF-8, a Yjs update
``C`` as ``U``, but a compacted state of the document
====  =================================================================

Nothing local (sequence number, origin, time of arrival) is part of a record, so that its bytes are the
same on every replica.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from crdtsync.errors import InvalidName, MalformedRecord

ID_BYTES = 16
"""Length of a device, shop or log id: 128 random bits."""

LINK_BYTES = 32
"""Length of a link, a digest or a running hash: SHA-256."""

ZERO_HASH = bytes(LINK_BYTES)
"""The running hash of an empty log."""

ENTRY, UPDATE, STATE = b"E", b"U", b"C"

OWNER_DOCUMENT = "owner"
"""The document of the owner's chain: certificates and revocations."""

CATALOGUE_DOCUMENT = "catalogue"

_DOCUMENT_NAME = re.compile(
    r"catalogue|owner|x/[a-z0-9][a-z0-9._-]{0,63}|ledger/[0-9a-f]{32}/[0-9]{4}-[0-9]{2}-[0-9]{2}"
)


# Values, never changed. Those that are made for every row are not frozen: that takes three times as long.


@dataclass(slots=True, unsafe_hash=True)
class Position:
    """A place in one log: after record number ``seq`` (counting from 1), where the running hash is ``h``."""

    seq: int
    h: bytes


START = Position(0, ZERO_HASH)
"""The place before the first record of any log."""


@dataclass(slots=True, unsafe_hash=True)
class Origin:
    """Where a record came from: the log of the peer that sent it, and its number there."""

    log_id: bytes
    seq: int


@dataclass(slots=True, unsafe_hash=True)
class EntryFacts:
    """What a log has to know of a sealed entry to file it: its place in its chain, and its document.

    ``chain`` is the link of the chain's first entry (for that entry itself: its own link); ``n`` counts
    from 1 along the chain; ``prev`` is the link before it.
    """

    chain: bytes
    n: int
    prev: bytes
    link: bytes
    document: str
    kind: str


@dataclass(slots=True, unsafe_hash=True)
class Item:
    """A record that was judged and may be appended. ``digest`` is its link, or the hash of its bytes."""

    record: bytes
    document: str
    digest: bytes
    entry: EntryFacts | None = None
    origin: Origin | None = None


def entry_record(sealed: bytes) -> bytes:
    """The record that carries a sealed entry."""
    return ENTRY + sealed


def update_record(document: str, update: bytes, *, state: bool = False) -> bytes:
    """The record that carries a Yjs update (or, with ``state``, a compacted state) of a document."""
    name = document.encode()
    return (STATE if state else UPDATE) + len(name).to_bytes(2, "big") + name + update


def split_update_record(record: bytes) -> tuple[str, bytes]:
    """Document name and Yjs bytes of a ``U`` or ``C`` record. Raises ``MalformedRecord``."""
    end = 3 + int.from_bytes(record[1:3], "big")
    if record[:1] not in (UPDATE, STATE) or len(record) < end:
        raise MalformedRecord("an update record is cut short")
    try:
        name = parse_document_name(record[3:end].decode())
    except (UnicodeDecodeError, InvalidName) as error:
        raise MalformedRecord("an update record names no valid document") from error
    return name, record[end:]


def record_digest(record: bytes) -> bytes:
    """The name of a record in a log: the link of an entry, the SHA-256 of anything else."""
    return hashlib.sha256(record[1:] if record[:1] == ENTRY else record).digest()


def next_hash(h: bytes, record: bytes) -> bytes:
    """The running hash after one more record: SHA-256(h ‖ length as u32 ‖ record)."""
    return hashlib.sha256(h + len(record).to_bytes(4, "big") + record).digest()


def parse_document_name(text: str) -> str:
    """Check a document name. Raises ``InvalidName``.

    Valid are ``catalogue``, ``owner``, ``ledger/<device>/<day>`` and ``x/<name>`` with a name of small
    letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _DOCUMENT_NAME.fullmatch(text):
        raise InvalidName(f"{text!r} is not a document: catalogue, owner, ledger/<device>/<day> or x/<name>")
    return text


def ledger_document(device: bytes, business_day: str) -> str:
    """The document of one device's entries of one business day (``YYYY-MM-DD``)."""
    return f"ledger/{device.hex()}/{business_day}"
