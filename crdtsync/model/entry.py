"""Entries: the signed facts of a ledger, and the form that every one of them has.

Common fields (``hex`` is lower-case)::

    v      format version, 1
    kind   what happened: register, sale, refund, close, …; an unknown kind is carried
    chain  link of the chain's first entry, hex; absent in that first entry
    till   author: the device id, hex (in the owner's chain: the shop id)
    seq    1, 2, 3, … over the whole chain, without gaps
    n      1, 2, 3, … over the entries of this kind, without gaps
    prev   link of the entry before, hex; in the first entry a value fixed by the author's id
    ts tz  what the clock said: Unix milliseconds UTC, and the local offset in minutes
    bd     business day, YYYY-MM-DD
    op     who did it: a pseudonym, never a name
    sw     software and version
    mode   live or train

What is checked here is form, and only of these fields and of the fields that name a chain; whether the
numbers follow one another, or the totals from the lines, is for ``verify`` to flag, never a reason to
refuse (one bad entry would block a till).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from crdtsync.errors import MalformedRecord, RecordTooBig
from crdtsync.ids import OWNER_DOCUMENT, EntryFacts
from crdtsync.model import canonical, sealed

if TYPE_CHECKING:
    # Reading needs no cryptography, whose import would double the start of a command.
    from crdtsync.model.signature import PrivateKey

VERSION: Final = 1

SOFTWARE: Final = "crdtsync 0.1.0"
"""The field ``sw``: the version of this fiscal core. It changes only with the rules in this package, so
that other releases do not reopen the question of conformity.
"""

ENTRY_BYTES_MAX: Final = 64 * 1024
"""Sealed bytes of one entry. The longest real ticket (200 lines) has about 40 KiB."""

FIRST_KINDS: Final = ("register", "owner")
"""The kinds that begin a chain, and stand nowhere else."""

TS_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HEX_16_BYTES = re.compile(r"[0-9a-f]{32}")
_HEX_32_BYTES = re.compile(r"[0-9a-f]{64}")
_HEX_POINT = re.compile(r"0[23][0-9a-f]{64}")
_WORDS = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_SERIES = re.compile(r"[A-Z0-9]{1,12}")
_CURRENCY = re.compile(r"[A-Z]{3}")
INTEGER_MAX: Final = 2**53 - 1
TZ_MINUTES_MAX: Final = 1080
LINK_BYTES: Final = 32

_COMMON_TEXTS = (
    ("kind", _KIND),
    ("till", _HEX_16_BYTES),
    ("prev", _HEX_32_BYTES),
    ("bd", _DAY),
    ("op", _WORDS),
    ("sw", _WORDS),
    ("mode", re.compile(r"live|train")),
)
_COMMON_INTEGERS = (
    ("seq", 1, INTEGER_MAX),
    ("n", 1, INTEGER_MAX),
    ("ts", 0, TS_MS_MAX),
    ("tz", -TZ_MINUTES_MAX, TZ_MINUTES_MAX),
)


class Entry:
    """A sealed entry that was read: its bytes, its body, and its place. Change none of them.

    Of bytes that were judged already the body may be None: it is read when somebody asks for it. Then
    ``till`` is given.
    """

    __slots__ = ("_body", "facts", "sealed", "till")

    def __init__(
        self, sealed: bytes, body: dict[str, Any] | None, facts: EntryFacts, till: str | None = None
    ) -> None:
        self.sealed = sealed
        self._body = body
        self.facts = facts
        self.till: str = till if till is not None else self.body["till"]
        """The device that made the entry (in the owner's chain: the shop), in hexadecimal digits."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not Entry:
            return NotImplemented
        return (self.sealed, self.facts, self.body) == (other.sealed, other.facts, other.body)

    __hash__ = None  # type: ignore[assignment]  # As anything with a body.

    def __repr__(self) -> str:
        return f"Entry({self.kind} {self.facts.n} of {self.till[:8]}, {self.link.hex()[:8]})"

    @property
    def body(self) -> dict[str, Any]:
        """What it says."""
        if self._body is None:
            self._body = canonical.decode_again(self.sealed[: -sealed.TAIL_BYTES])
        return self._body

    @property
    def kind(self) -> str:
        """What happened."""
        return self.facts.kind

    @property
    def link(self) -> bytes:
        """The entry's name: SHA-256 of its sealed bytes."""
        return self.facts.link

    @property
    def author(self) -> bytes:
        """The device that made the entry (in the owner's chain: the shop)."""
        return bytes.fromhex(self.till)


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry known of a chain: its link, and its number along the chain (``seq`` of its body)."""

    chain: bytes
    link: bytes
    n: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in a body."""
        return {"chain": self.chain.hex(), "link": self.link.hex(), "seq": self.n}


def read_entry(data: bytes) -> Entry:
    """Read sealed bytes. Raises ``RecordTooBig`` and ``MalformedRecord``; signatures are not looked at."""
    _check_size(data)
    return _entry(data, canonical.decode(sealed.split(data)[0]))


def read_admitted(data: bytes) -> Entry:
    """Read an entry that was admitted before and whose checksum holds: what ``read_entry`` gives, in a third
    of the time, since its form is not judged once more. Raises ``MalformedRecord`` where that shows all the
    same.
    """
    try:
        return _placed(data, canonical.decode_again(data[: -sealed.TAIL_BYTES]))
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedRecord(f"an entry that was admitted cannot be read: {error!r}") from error


def seal_entry(body: dict[str, Any], key: PrivateKey) -> Entry:
    """Sign a body: the entry that reading ``sealed.seal(body, key)`` gives, without reading what was just
    written. ``body`` belongs to the entry from now on. Raises as ``read_entry``.
    """
    data = sealed.seal(body, key)
    _check_size(data)
    return _entry(data, body)


def _check_size(data: bytes) -> None:
    if len(data) > ENTRY_BYTES_MAX:
        raise RecordTooBig(f"an entry of {len(data)} bytes; {ENTRY_BYTES_MAX} are allowed")


def _entry(data: bytes, body: dict[str, Any]) -> Entry:
    _check_common(body)
    if body["seq"] == 1:
        _check_first(body)
    return _placed(data, body)


def _placed(data: bytes, body: dict[str, Any]) -> Entry:
    link = sealed.link(data)
    chain = link if body["seq"] == 1 else bytes.fromhex(body["chain"])
    kind: str = body["kind"]
    document = OWNER_DOCUMENT if is_owner_kind(kind) else f"ledger/{body['till']}/{body['bd']}"
    facts = EntryFacts(chain, body["seq"], bytes.fromhex(body["prev"]), link, document, kind)
    return Entry(data, body, facts)


def is_owner_kind(kind: str) -> bool:
    """Whether entries of that kind belong to the owner's chain: the three known ones, and ``owner-…``."""
    return kind in ("owner", "certify", "revoke") or kind.startswith("owner-")


def first_prev(author: bytes, *, owner: bool = False) -> bytes:
    """The ``prev`` of a chain's first entry: SHA-256(``crdtsync/ledger/v1`` 0x00 device id), or, for the
    owner's chain, SHA-256(``crdtsync/owner/v1`` 0x00 shop id).
    """
    return hashlib.sha256((b"crdtsync/owner/v1\0" if owner else b"crdtsync/ledger/v1\0") + author).digest()


def shop_id_of(owner_public: bytes, nonce: bytes) -> bytes:
    """The id of a shop: the first 16 bytes of SHA-256(``crdtsync/shop/v1`` 0x00 owner key ‖ nonce).

    Whoever knows the shop's id so knows the owner's key: nobody can make another owner for that shop.
    """
    return hashlib.sha256(b"crdtsync/shop/v1\0" + owner_public + nonce).digest()[:16]


@lru_cache(maxsize=1024)
def is_day(text: str) -> bool:
    """Whether a text is a day of the calendar, ``YYYY-MM-DD``."""
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_series(text: object) -> bool:
    """Whether a text can be a series of ticket numbers: 1 to 12 capital letters and digits."""
    return type(text) is str and _SERIES.fullmatch(text) is not None


def is_words(text: str) -> bool:
    """Whether a text can be who did it, or with which software: 1 to 64 characters, none of control."""
    return _WORDS.fullmatch(text) is not None


def is_link_text(text: str) -> bool:
    """Whether a text is a link in hexadecimal digits."""
    return _HEX_32_BYTES.fullmatch(text) is not None


def is_id_text(text: str) -> bool:
    """Whether a text is the id of a device or shop in hexadecimal digits."""
    return _HEX_16_BYTES.fullmatch(text) is not None


def _check_common(body: dict[str, Any]) -> None:
    if type(body.get("v")) is not int or body["v"] != VERSION:
        raise MalformedRecord(f"not an entry of format version {VERSION}")
    _check_texts(body, _COMMON_TEXTS)
    for field, least, most in _COMMON_INTEGERS:
        number = body.get(field)
        if type(number) is not int or not least <= number <= most:
            raise MalformedRecord(f"the field {field!r} is missing or out of its range")
    if body["n"] > body["seq"]:
        raise MalformedRecord("more entries of one kind than entries")
    if not is_day(body["bd"]):
        raise MalformedRecord("the field 'bd' is not a day of the calendar")
    if body["seq"] == 1:
        if body["kind"] not in FIRST_KINDS or "chain" in body:
            raise MalformedRecord("a chain begins with its register or owner entry, which names no chain")
    else:
        if body["kind"] in FIRST_KINDS:
            raise MalformedRecord("a register or owner entry in the middle of a chain")
        _check_texts(body, (("chain", _HEX_32_BYTES),))


def _check_texts(body: dict[str, Any], fields: tuple[tuple[str, re.Pattern[str]], ...]) -> None:
    for field, pattern in fields:
        text = body.get(field)
        if type(text) is not str or pattern.fullmatch(text) is None:
            raise MalformedRecord(f"the field {field!r} is missing or not of its form")


def _check_first(body: dict[str, Any]) -> None:
    """Check what a chain's name and key depend on."""
    from crdtsync.model.signature import is_public_key  # Late: cryptography is slow to import.

    owner = body["kind"] == "owner"
    author = bytes.fromhex(body["till"])
    if body["prev"] != first_prev(author, owner=owner).hex():
        raise MalformedRecord("the field 'prev' of a first entry does not follow from its author")
    _check_texts(body, (("nonce", _HEX_16_BYTES),))
    key, shop = body.get("key"), body.get("shop")
    if type(key) is not dict or key.get("alg") != "ES256":
        raise MalformedRecord("the field 'key' holds no ES256 key")
    _check_texts(key, (("pub", _HEX_POINT),))
    if not is_public_key(bytes.fromhex(key["pub"])):
        raise MalformedRecord("the field 'pub' is no point of the curve")
    if type(shop) is not dict:
        raise MalformedRecord("the field 'shop' is missing")
    _check_texts(shop, (("id", _HEX_16_BYTES), ("name", _WORDS)))
    if owner:
        _check_owner(body, author)
    else:
        _check_texts(body, (("series", _SERIES), ("cur", _CURRENCY)))
        read_heads(body.get("heads"))


def _check_owner(body: dict[str, Any], shop_id: bytes) -> None:
    expected = shop_id_of(bytes.fromhex(body["key"]["pub"]), bytes.fromhex(body["nonce"]))
    if not shop_id == expected == bytes.fromhex(body["shop"]["id"]):
        raise MalformedRecord("the shop id does not follow from the owner's key")


def read_heads(heads: object) -> tuple[Head, ...]:
    """Read a list of heads of a body. Raises ``MalformedRecord``."""
    if type(heads) is not list:
        raise MalformedRecord("the field 'heads' is not a list")
    found = []
    for head in heads:
        if type(head) is not dict or type(head.get("seq")) is not int or head["seq"] < 1:
            raise MalformedRecord("a head is an object of chain, link and seq")
        _check_texts(head, (("chain", _HEX_32_BYTES), ("link", _HEX_32_BYTES)))
        found.append(Head(bytes.fromhex(head["chain"]), bytes.fromhex(head["link"]), head["seq"]))
    return tuple(found)
