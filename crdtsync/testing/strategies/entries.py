"""Entries with one thing wrong, and bodies with several."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import orjson
from hypothesis import strategies as st

from crdtsync.model.entry import ENTRY_BYTES_MAX, Entry
from crdtsync.model.sealed import join, seal, split
from crdtsync.model.signature import PrivateKey, signature_bytes, signature_text
from crdtsync.testing.strange_entries import (
    ABSENT,
    STRANGE_VALUES,
    everything_once,
    nested,
    places,
    respelled,
    signed_as_it_is,
    with_value,
)
from crdtsync.testing.till import MemoryChain, MemoryOwner, MemoryTill

Verdict = Literal["refused", "held", "flagged"]
"""What becomes of it: it is never stored; it is kept aside until a certificate admits it; it is stored, and
whoever verifies the chain names it.
"""

_FORGER: Final = PrivateKey.from_seed(b"whoever makes what looks like an entry")
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True)
class HostileEntry:
    """``sealed``: the bytes; ``wrong``: what is wrong with them, in words; ``verdict``: what must become of
    them; ``n``: which entry of its chain (from 1) they were made of, or stand for.
    """

    sealed: bytes
    wrong: str
    verdict: Verdict
    n: int

    def __repr__(self) -> str:
        """Short, whatever the bytes; they follow from the rest."""
        return f"<entry {self.n} with {self.wrong}, to be {self.verdict}>"


def _raw(change: Callable[[bytes], bytes]) -> Callable[[Entry, PrivateKey], bytes]:
    """Change the bytes of a body and sign what comes out, as nobody could by the library."""
    return lambda entry, key: signed_as_it_is(change(split(entry.sealed)[0]), key)


def _signature(change: Callable[[str], str]) -> Callable[[Entry, PrivateKey], bytes]:
    """The same body with another signature text."""

    def changed(entry: Entry, _: PrivateKey) -> bytes:
        body, text = split(entry.sealed)
        return join(body, change(text))

    return changed


def _field(name: str, change: Callable[[Any], Any]) -> Callable[[Entry, PrivateKey], bytes]:
    """Another value in one field, sealed properly."""
    return lambda entry, key: seal({**entry.body, name: change(entry.body[name])}, key)


def _with_more(text: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body[:-1] + b',"zz":' + text + b"}"


def _time_as(number: Callable[[int], bytes]) -> Callable[[Entry, PrivateKey], bytes]:
    def changed(entry: Entry, key: PrivateKey) -> bytes:
        ts: int = entry.body["ts"]
        return _raw(lambda body: body.replace(b'"ts":%d' % ts, b'"ts":' + number(ts)))(entry, key)

    return changed


def _high_s(text: str) -> str:
    return signature_text(next(respelled(signature_bytes(text))))


def _last_bits(text: str) -> str:
    """The last of 86 characters carries two bits that count and four that must be zero: set one of these."""
    return text[:-1] + _ALPHABET[_ALPHABET.index(text[-1]) + 1]


def _backwards(body: bytes) -> bytes:
    return orjson.dumps(dict(reversed(list(orjson.loads(body).items()))))


def _another(hex_digits: str) -> str:
    return hex_digits[:-1] + ("0" if hex_digits[-1] != "0" else "1")


_REFUSED: Final[dict[str, Callable[[Entry, PrivateKey], bytes]]] = {
    "a float": _time_as(lambda ts: b"%d.0" % ts),
    "a number with an exponent": _time_as(lambda ts: b"%de0" % ts),
    "an integer of 2^53": _time_as(lambda ts: b"9007199254740992"),
    "an integer of 2^64": _raw(_with_more(b"18446744073709551616")),
    "a key twice": _raw(lambda body: b'{"v":1,' + body[1:]),
    "null": _raw(_with_more(b"null")),
    "nine levels": _raw(_with_more(orjson.dumps(nested(8)))),
    "a string that is not in NFC": _raw(_with_more('"e\u0301"'.encode())),
    "a key outside ASCII": _raw(lambda body: body[:-1] + ',"é":1}'.encode()),
    "a space": _raw(lambda body: body.replace(b":", b": ", 1)),
    "a letter spelled as an escape": _raw(lambda body: body.replace(b'"kind"', b'"\\u006bind"', 1)),
    "keys in another order": _raw(_backwards),
    "a byte order mark": _raw(lambda body: b"\xef\xbb\xbf" + body),
    "more bytes than an entry may have": _raw(_with_more(b'"' + b"x" * ENTRY_BYTES_MAX + b'"')),
    "a signature with a high s": _signature(_high_s),
    "a second spelling of its signature": _signature(_last_bits),
    "a signature with padding": _signature(lambda text: text + "=="),
    "a signature in hexadecimal": _signature(lambda text: signature_bytes(text).hex()),
    "a signature in the other alphabet": _signature(
        lambda text: base64.b64encode(b"\xff" * 64).decode().rstrip("=")
    ),
    "no signature": lambda entry, _: split(entry.sealed)[0],
    "the signature of another key": lambda entry, _: seal(entry.body, _FORGER),
    "a body that was changed after it was signed": lambda entry, _: entry.sealed.replace(
        b'"sw":"crdtsync', b'"sw":"crdtsink', 1
    ),
    "its end cut off": lambda entry, _: entry.sealed[:-1],
    "a byte too many": lambda entry, _: entry.sealed + b"A",
}
_FLAGGED: Final[dict[str, Callable[[Entry, PrivateKey], bytes]]] = {
    "a wrong link to the one before": _field("prev", _another),
    "a number that was skipped": _field("seq", lambda seq: seq + 1),
    "a count of its kind that does not follow": _field("n", lambda n: n - 1 or 2),
    "a clock that went back a year": _field("ts", lambda ts: ts - 366 * 86_400_000),
    "the day before": _field("bd", lambda _: "2026-11-23"),
}
_OF_TICKETS: Final[dict[str, Callable[[Entry, PrivateKey], bytes]]] = {
    "a total that its lines do not come to": _field("ttc", lambda ttc: ttc + 1),
    "a ticket number that was skipped": _field("num", lambda num: num[:-1] + "9"),
    "a grand total that does not follow": _field("gt", lambda gt: {**gt, "real": gt["real"] - 1}),
    "payments that are not what was to be paid": _field("pay", lambda pay: pay[:-1]),
}

WRONGS: Final = (*_REFUSED, *_FLAGGED, *_OF_TICKETS, "the chain of a register that nobody enrolled")
"""Everything that may be wrong with a ``HostileEntry``."""

_STRANGER: Final = MemoryTill("a register that nobody enrolled")


@cache
def busy_shop() -> tuple[MemoryOwner, MemoryTill]:
    """An owner and a register in memory that has recorded everything that there is, once. To be read
    only.
    """
    owner = MemoryOwner()
    return owner, everything_once(owner.enrol("Caisse 1"))


def hostile_entries(
    till: MemoryTill | None = None, *, only: Collection[str] = WRONGS
) -> st.SearchStrategy[HostileEntry]:
    """Sealed bytes with one thing wrong, each with what that is and what must become of them.

    They are made of the entries of a register in memory, by default that of ``busy_shop``, and judged by
    whoever knows that it is certified. ``only``: some of ``WRONGS``.
    """
    till = busy_shop()[1] if till is None else till
    later = [entry for entry in till.entries if entry.facts.n > 1]
    tickets = [entry for entry in later if entry.kind in ("sale", "refund")]
    strategies: list[st.SearchStrategy[HostileEntry]] = [
        st.builds(_made(verdict, table, till.key), st.sampled_from(wanted), st.sampled_from(entries))
        for verdict, table, entries in (
            ("refused", _REFUSED, later),
            ("flagged", _FLAGGED, later),
            ("flagged", _OF_TICKETS, tickets),
        )
        if (wanted := [wrong for wrong in table if wrong in only]) and entries
    ]
    if WRONGS[-1] in only:
        strategies.append(st.just(HostileEntry(_STRANGER.sealed[0], WRONGS[-1], "held", 1)))
    return st.one_of(strategies)


def _made(
    verdict: Any, table: dict[str, Callable[[Entry, PrivateKey], bytes]], key: PrivateKey
) -> Callable[[str, Entry], HostileEntry]:
    return lambda wrong, entry: HostileEntry(table[wrong](entry, key), wrong, verdict, entry.facts.n)


@st.composite
def strange_bodies(
    draw: st.DrawFn, chains: Sequence[MemoryTill | MemoryOwner]
) -> tuple[int, MemoryChain, dict[str, Any]]:
    """(number in the chain, chain, body): a genuine body in which up to three values are others, or missing,
    or new. Whoever made it has the key, and may seal it, where it can be sealed.
    """
    chain = draw(st.sampled_from(chains))
    entry = draw(st.sampled_from(chain.entries))
    body: Any = entry.body
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from([*places(body), ("more",)]))
        what = draw(st.sampled_from([*STRANGE_VALUES, ABSENT]))
        body = {**body, "more": what} if where == ("more",) else with_value(body, where, what)
        body = {name: value for name, value in body.items() if value is not ABSENT}
    return entry.facts.n, chain, body
