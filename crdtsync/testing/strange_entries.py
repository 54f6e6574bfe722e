"""What a forger, a careless programmer or a broken disk makes of a sealed entry.

Values that have no place in a body, spellings that read as another one does, and signatures that are made or
written in another way. The strategies of ``crdtsync.testing.strategies`` draw from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from crdtsync.model.closing import build_close
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.jet import build_jet
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.model.signature import PrivateKey
from crdtsync.model.ticket import build_abandon, build_print, build_training
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryTill

CURVE_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

ABSENT: Final = object()
"""Stands for a value that is taken away (see ``with_value``)."""


def everything_once(till: MemoryTill) -> MemoryTill:
    """Let a register record everything that there is, month and year closed in the end; the register."""
    till.append("open", build_open(15000))
    sale = till.sell(WINE, TERRINE, DEPOSIT)
    till.refund(sale, {2: 1000})
    till.append("abandon", build_abandon([WINE], reason="client parti"))
    till.append("cash", build_cash("out", 2000, reason="monnaie"))
    till.append("print", build_print(sale, 1))
    till.append("move", build_move([Moved("cm-2019-75", 12000, "delivery")]))
    till.append("count", build_count({"cm-2019-75": 11000}, cut={till.end.chain: till.end.n}))
    till.append("train", build_training("sale", {"ttc": 5}))
    till.append("jet", build_jet(170))
    till.append("tasting", {"glasses": 3})
    till.append("close", build_close(till.end, counted_minor=5))
    till.close(level="month")
    till.close(level="year")
    return till


def nested(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


STRANGE_VALUES: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 10**12, -(10**12) - 1, 2**53 - 1, -(2**53) + 1, 2**53, -(2**53), 2**63, 2**64, -(2**63) - 1),
    *(10**400, True, False, None, 1.5, -0.0, 1e300, float("inf"), float("nan")),
    *("", " ", "x" * 70_000, "\0", "e\u0301", "\ud800", "\u202e", "🍷"),
    *("0" * 64, "ab" * 32, "ab" * 16, "-1", "1"),
    *([], {}, [[]], [{}], {"": 1}, {"é": 1}, {"a": None}, nested(3), nested(7), nested(9), nested(40)),
    *({"link": 5}, {"sale": -1}, {"real": 2**53 - 1, "abs": 0}, {"expected": 1, "counted": 2}),
    *("sale", "refund", "close", "jet", "register", "owner", "certify", "train", "live", "O", "day", "month"),
    *("2026-11-24", "0001-01-01", "9999-12-31", [{"vat": 2000}], [1] * 5000),
    *("X-01-26-000001", "01-26-999999999999999", "9" * 30),
)
"""Values for any field of a body: too large, too small, of another type, too deep, of another field."""

STRANGE_SPELLINGS: Final[tuple[bytes, ...]] = (
    *(
        b"-0",
        b"0.0",
        b"1.0",
        b"1e2",
        b"1E+2",
        b"1e400",
        b"-1e400",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"1_0",
    ),
    *(b"9007199254740991", b"9007199254740992", b"-9007199254740992", b"18446744073709551616", b"9" * 5000),
    *(b"NaN", b"Infinity", b"-Infinity", b"null", b"True", b"undefined", b"'a'", b"", b" 1", b"1 "),
    *(b"\t", b"\n", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0041"', b'"\\/"', b'"\xed\xa0\x80"', b'"\xff"'),
    *(b'"\xc0\x80"', b'"\x7f"', b'"\x00"', b'"\x1f"', b'"a', b'"\\x41"', b"\xef\xbb\xbf", b"\xfe\xff"),
    *('"e\u0301"'.encode(), '"\ufb01"'.encode(), '"\u2126"'.encode(), '"\u1e9b\u0323"'.encode()),
    *(
        b"/*c*/1",
        b"//c\n1",
        b"[1,]",
        b"[,1]",
        b"{}{}",
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b"{a:1}",
        b'{"a":1,}',
    ),
    *(b"[" * 100_000, b'{"a":' * 5_000, b"[" * 7 + b"]" * 7, b"[" * 8 + b"]" * 8),
    *(b"1,", b"1}", b'1,"z":2', b"\0", b"1\0", b"[1\0]"),
)
"""What may stand for a value in the bytes of a body: other JSON, what some programs take for it."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a value: names of objects and numbers of lists."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from places(inner, (*path, name))


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy in which the value at a path is another one, or gone (``ABSENT``)."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    inner = with_value(copy[path[0]], path[1:], new)
    if inner is ABSENT and isinstance(copy, dict):
        del copy[path[0]]
    else:
        copy[path[0]] = [] if inner is ABSENT else inner
    return copy


def respelled(signature: bytes) -> Iterator[bytes]:
    """Other 64 bytes that could be taken for a signature of the same body. The first, with a high s, is one
    by the mathematics.
    """
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    yield r + (CURVE_ORDER - s).to_bytes(32, "big")
    yield bytes(32) + signature[32:]
    yield r + bytes(32)
    yield CURVE_ORDER.to_bytes(32, "big") + signature[32:]
    yield b"\xff" * 64
    yield signature[32:] + r


def signed_as_it_is(body: bytes, key: PrivateKey) -> bytes:
    """Any bytes as a body, with a genuine signature: sealed, though nobody could have sealed them."""
    return body + b"\0" + key.sign_text(body).encode("ascii")
