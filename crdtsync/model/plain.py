"""Tickets read in bulk: sales and refunds of the form that registers write, in a third of the time.

Nearly all entries of a shop are tickets, and nearly all tickets have the fields below. ``read_plain`` decodes
one into a type that has exactly these, with their ranges, writes it again and compares the bytes: both in C,
by a library made for it. It says *certainly good, and this is what it is*, or nothing. It never refuses: what
it is not certain of (another kind, a field that it does not know, an escape, anything damaged) is read by
``entry.read_entry``, which alone says what an entry is. A property test holds the two equal.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from crdtsync.ids import EntryFacts
from crdtsync.model import entry as entries
from crdtsync.model import sealed
from crdtsync.model.entry import Entry

_Integer = Annotated[int, Meta(ge=-entries.INTEGER_MAX, le=entries.INTEGER_MAX)]
_Count = Annotated[int, Meta(ge=1, le=entries.INTEGER_MAX)]


class _Plain(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Fields in the order of canonical JSON, or what is written again is not what was read."""


class _GrandTotal(_Plain, frozen=True, kw_only=True):
    abs: _Integer
    real: _Integer


class _Line(_Plain, frozen=True, kw_only=True):
    cat: str | UnsetType = UNSET
    disc: _Integer
    ex: str | UnsetType = UNSET
    gtin: str | UnsetType = UNSET
    ht: _Integer
    i: _Integer
    label: str
    lot: str | UnsetType = UNSET
    of: _Integer | UnsetType = UNSET
    pu: _Integer
    qty: _Integer
    sku: str
    ttc: _Integer
    unit: str
    vat: _Integer
    vc: str
    vol: _Integer | UnsetType = UNSET


class _Payment(_Plain, frozen=True, kw_only=True):
    amt: _Integer
    m: str
    ref: str | UnsetType = UNSET


class _Original(_Plain, frozen=True, kw_only=True):
    chain: str
    link: str
    num: str | UnsetType = UNSET
    seq: _Integer
    till: str


class _Rate(_Plain, frozen=True, kw_only=True):
    ht: _Integer
    ttc: _Integer
    tva: _Integer
    vat: _Integer
    vc: str


class _Ticket(_Plain, frozen=True, kw_only=True):
    bd: str
    chain: str
    cust: str | UnsetType = UNSET
    deliv: str
    gt: _GrandTotal
    kind: Literal["sale", "refund"]
    lines: list[_Line]
    mode: Literal["live", "train"]
    n: _Count
    num: str
    oos: _Integer | UnsetType = UNSET
    op: str
    pay: list[_Payment]
    prev: str
    reason: str | UnsetType = UNSET
    ref: _Original | UnsetType = UNSET
    req: str | UnsetType = UNSET
    rnd: str
    seq: Annotated[int, Meta(ge=2, le=entries.INTEGER_MAX)]
    start: _Integer | UnsetType = UNSET
    sw: str
    till: str
    ts: Annotated[int, Meta(ge=0, le=entries.TS_MS_MAX)]
    ttc: _Integer
    tz: Annotated[int, Meta(ge=-entries.TZ_MINUTES_MAX, le=entries.TZ_MINUTES_MAX)]
    v: Literal[1]
    vat: list[_Rate]


PLAIN_TYPES: Final = (_Ticket, _GrandTotal, _Line, _Payment, _Original, _Rate)
"""For the test that their fields are in the order of canonical JSON."""

_decode = msgspec.json.Decoder(_Ticket).decode
_encode = msgspec.json.Encoder().encode
_REMEMBERED: Final = 128
"""Texts of each sort: anybody may make one as long as an entry, and these are kept."""

_is_words = lru_cache(maxsize=_REMEMBERED)(entries.is_words)
_is_chain = lru_cache(maxsize=_REMEMBERED)(entries.is_link_text)
_is_author = lru_cache(maxsize=_REMEMBERED)(entries.is_id_text)


def read_plain(data: bytes, link: bytes | None = None) -> Entry | None:
    """The entry that ``read_entry`` reads from sealed bytes, or None where only that can say. Raises nothing.

    Its body is read when somebody asks for it. ``link``: that of these bytes, where whoever put them together
    of body and signature has computed it just now.
    """
    body = data[: -sealed.TAIL_BYTES]
    if len(data) > entries.ENTRY_BYTES_MAX or b"\\" in body or not (link or sealed.has_tail(data)):
        return None
    try:
        ticket = _decode(body)
        if _encode(ticket) != body or not (body.isascii() or _is_nfc(body.decode())):
            return None
        prev = bytes.fromhex(ticket.prev)
    except ValueError:  # Also what is no JSON or not of these types, and what is no UTF-8.
        return None
    if (
        ticket.n > ticket.seq
        or prev.hex() != ticket.prev
        or len(prev) != entries.LINK_BYTES
        or not _is_chain(ticket.chain)
        or not _is_author(ticket.till)
        or not entries.is_day(ticket.bd)
        or not _is_words(ticket.op)
        or not _is_words(ticket.sw)
    ):
        return None
    link = link or sealed.link(data)
    document = _document(ticket.till, ticket.bd)
    facts = EntryFacts(bytes.fromhex(ticket.chain), ticket.seq, prev, link, document, ticket.kind)
    return Entry(data, None, facts, ticket.till)


def _is_nfc(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return unicodedata.is_normalized("NFC", text)
    return True  # No character of the first 256 ever composes with another one of them.


@lru_cache(maxsize=256)
def _document(till: str, day: str) -> str:
    return f"ledger/{till}/{day}"
