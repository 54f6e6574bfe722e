"""Whatever is sealed or sent: it is refused with an error of ours, or read and written as the same bytes.

What is admitted may still make no sense. Then it is a flag for ``verify`` and an event for the views, and
neither of them, nor a refund of it, ends in anything else.
"""

import base64
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import CrdtsyncError, MalformedRecord, RecordError, RecordTooBig
from crdtsync.model import canonical, sealed
from crdtsync.model.admission import Held, judge_entry, judge_run
from crdtsync.model.closing import build_close
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.entry import ENTRY_BYTES_MAX, Entry, read_entry
from crdtsync.model.form import payload_problem
from crdtsync.model.jet import build_jet
from crdtsync.model.ledger import project as document_of
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.model.returns import Returns
from crdtsync.model.signature import PrivateKey, verify
from crdtsync.model.ticket import build_abandon, build_print, build_training, refund_lines, refunded
from crdtsync.model.verify import CODES, verify_chain
from crdtsync.model.views import AMOUNT_MAX, project
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryOwner, MemoryTill

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

OWNER = MemoryOwner()
SHOP_TILL = OWNER.enrol("Caisse 1")


def a_day(till: MemoryTill) -> MemoryTill:
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


TILL = a_day(SHOP_TILL)
OWNER.revoke(MemoryTill("volée"), [TILL.end.known])
DIRECTORY = OWNER.directory
CHAINS = {chain.author: chain for chain in (TILL, OWNER)}
GENUINE = [*TILL.entries, *OWNER.entries]


def nest(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: list[Any] = [
    *(0, 1, -1, 10**12, -(10**12) - 1, 2**53 - 1, -(2**53) + 1, 2**53, -(2**53), 2**63, 2**64, -(2**63) - 1),
    *(10**400, True, False, None, 1.5, -0.0, 1e300, float("inf"), float("nan")),
    *(
        "",
        " ",
        "x" * 70_000,
        "\0",
        "e\u0301",
        "\ud800",
        "\u202e",
        "🍷",
        "0" * 64,
        "ab" * 32,
        "ab" * 16,
        "-1",
        "1",
    ),
    *([], {}, [[]], [{}], {"": 1}, {"é": 1}, {"a": None}, nest(3), nest(7), nest(9), nest(40)),
    *({"link": 5}, {"sale": -1}, {"real": 2**53 - 1, "abs": 0}, {"expected": 1, "counted": 2}),
    *("sale", "refund", "close", "jet", "register", "owner", "certify", "train", "live", "O", "day", "month"),
    *("2026-11-24", "0001-01-01", "9999-12-31", [{"vat": 2000}], [1] * 5000),
    *("X-01-26-000001", "01-26-999999999999999", "9" * 30),
]
ABSENT = object()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from places(inner, (*path, name))


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    inner = with_value(copy[path[0]], path[1:], new)
    if inner is ABSENT and isinstance(copy, dict):
        del copy[path[0]]
    else:
        copy[path[0]] = [] if inner is ABSENT else inner
    return copy


@st.composite
def rewritten(draw: st.DrawFn) -> tuple[int, MemoryTill | MemoryOwner, dict[str, Any]]:
    """A genuine body in which up to three values are others, or missing, or new."""
    entry = draw(st.sampled_from(GENUINE))
    body: Any = entry.body
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from([*places(body), ("more",)]))
        what = draw(st.sampled_from([*HOSTILE, ABSENT]))
        body = {**body, "more": what} if where == ("more",) else with_value(body, where, what)
        body = {name: value for name, value in body.items() if value is not ABSENT}
    return entry.facts.n, CHAINS[entry.author], body


def sealed_or_none(body: dict[str, Any], key: PrivateKey) -> bytes | None:
    try:
        return sealed.seal(body, key)
    except MalformedRecord:
        return None


@given(rewritten())
def test_a_body_with_strange_values_is_refused_or_read_as_the_same_bytes(
    case: tuple[int, MemoryTill | MemoryOwner, dict[str, Any]],
) -> None:
    _, author, body = case
    data = sealed_or_none(body, author.key)
    if data is None:
        return
    try:
        entry = read_entry(data)
    except RecordError:
        return
    assert len(data) <= ENTRY_BYTES_MAX
    assert sealed.join(canonical.encode(entry.body), sealed.split(data)[1]) == data == entry.sealed


@given(rewritten())
def test_a_body_with_strange_values_is_admitted_held_or_refused(
    case: tuple[int, MemoryTill | MemoryOwner, dict[str, Any]],
) -> None:
    _, author, body = case
    data = sealed_or_none(body, author.key)
    if data is None:
        return
    [verdict] = judge_run([data], DIRECTORY)
    try:
        judged = judge_entry(data, DIRECTORY)
        alone = judged.code if isinstance(judged, Held) else ""
    except RecordError as error:
        alone = error.code
    assert verdict.code == alone


@given(rewritten())
def test_an_admitted_entry_of_strange_values_is_named_and_stops_nothing(
    case: tuple[int, MemoryTill | MemoryOwner, dict[str, Any]],
) -> None:
    n, author, body = case
    data = sealed_or_none(body, author.key)
    others = author.sealed
    if data is None:
        return
    chain = [*others[: n - 1], data, *others[n:]]
    found = list(verify_chain(author.end.chain, chain, directory=DIRECTORY, known=[author.end.known]))
    assert {defect.code for defect in found} <= CODES.keys()
    assert all(defect.message and len(defect.link) == 32 for defect in found)
    if data != others[n - 1]:
        assert sealed.link(data) in {defect.link for defect in found} or n < len(others)


@given(rewritten())
def test_views_show_every_entry_and_add_only_what_fits(
    case: tuple[int, MemoryTill | MemoryOwner, dict[str, Any]],
) -> None:
    entry = entry_of(case)
    if entry is None:
        return
    shown = project(entry)
    assert shown.head[1]["kind"] == entry.kind
    for _, row in (shown.head, *shown.details, *shown.sums):
        for value in row.values():
            assert value is None or type(value) in (int, str, bytes)
            assert type(value) is not int or abs(value) < 2**53
    for _, row in shown.sums:
        assert all(abs(value) <= AMOUNT_MAX for value in row.values() if type(value) is int)
    assert document_of([entry.sealed])


@given(rewritten())
def test_a_strange_ticket_is_refunded_or_refused(
    case: tuple[int, MemoryTill | MemoryOwner, dict[str, Any]],
) -> None:
    entry = entry_of(case)
    if entry is None:
        return
    refunded(TILL.entries[2], [entry])
    returns = Returns()
    for each in (*TILL.entries, entry):
        returns.add(each)
    assert {defect.code for defect in returns.check(lambda place: [*TILL.entries, entry])} <= {"refund"}
    problem = payload_problem(entry.body)
    assert problem is None or problem.startswith("the field ")
    try:
        refund_lines(entry, [*TILL.entries, entry], None)
    except CrdtsyncError:
        pass


def entry_of(case: tuple[int, MemoryTill | MemoryOwner, dict[str, Any]]) -> Entry | None:
    data = sealed_or_none(case[2], case[1].key)
    try:
        return None if data is None else read_entry(data)
    except RecordError:
        return None


SPELLINGS = [
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
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"null",
        b"True",
        b"undefined",
        b"'a'",
        b"",
        b" 1",
        b"1 ",
        b"\t",
        b"\n",
    ),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0041"', b'"\\/"', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc0\x80"'),
    *('"e\u0301"'.encode(), '"\ufb01"'.encode(), '"\u2126"'.encode(), '"\u1e9b\u0323"'.encode(), b'"\x7f"'),
    *(
        b'"\x00"',
        b'"\x1f"',
        b'"a',
        b'"\\x41"',
        b"\xef\xbb\xbf",
        b"\xfe\xff",
        b"/*c*/1",
        b"//c\n1",
        b"[1,]",
        b"[,1]",
    ),
    *(b"{}" * 2, b'{"a":1,"a":2}', b'{"b":1,"a":2}', b"{a:1}", b'{"a":1,}', b"[" * 100_000, b'{"a":' * 5_000),
    *(b"[" * 7 + b"]" * 7, b"[" * 8 + b"]" * 8, b"1,", b"1}", b'1,"z":2', b"\0", b"1\0", b"[1\0]"),
]


@given(st.data())
def test_a_body_in_another_spelling_is_refused_or_read_as_the_same_bytes(data: st.DataObject) -> None:
    body, text = sealed.split(data.draw(st.sampled_from(GENUINE)).sealed)
    colons = [place for place, byte in enumerate(body) if byte == ord(":")]
    start = data.draw(st.sampled_from([0, *(place + 1 for place in colons), len(body)]))
    end = start + data.draw(st.integers(0, 12))
    changed = body[:start] + data.draw(st.sampled_from(SPELLINGS)) + body[end:]
    try:
        entry = read_entry(sealed.join(changed, text))
    except (MalformedRecord, RecordTooBig):
        return
    assert canonical.encode(entry.body) == changed


@given(st.data())
def test_any_bytes_at_all_are_an_entry_or_refused(data: st.DataObject) -> None:
    genuine = data.draw(st.sampled_from(GENUINE)).sealed
    start = data.draw(st.integers(0, len(genuine)))
    end = data.draw(st.integers(start, min(len(genuine), start + 40)))
    changed = genuine[:start] + data.draw(st.binary(max_size=40)) + genuine[end:]
    try:
        entry = read_entry(changed)
    except (MalformedRecord, RecordTooBig):
        return
    assert sealed.join(canonical.encode(entry.body), sealed.split(changed)[1]) == changed


def respelled(signature: bytes) -> Iterator[bytes]:
    """Other ways to write, or to make, a signature of the same body."""
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    yield r + (ORDER - s).to_bytes(32, "big")
    yield bytes(32) + signature[32:]
    yield r + bytes(32)
    yield ORDER.to_bytes(32, "big") + signature[32:]
    yield b"\xff" * 64
    yield signature[32:] + r


@given(st.sampled_from(GENUINE), st.data())
def test_a_signature_has_one_spelling(entry: Entry, data: st.DataObject) -> None:
    body, text = sealed.split(entry.sealed)
    key = CHAINS[entry.author].key
    raw = base64.urlsafe_b64decode(text + "==")
    other = data.draw(st.sampled_from(list(respelled(raw))) | st.binary(min_size=64, max_size=64))
    plain = base64.b64encode(other).decode().rstrip("=")
    spelled = data.draw(
        st.sampled_from(
            [
                base64.urlsafe_b64encode(other).decode().rstrip("="),
                plain,
                plain.replace("+", " "),
                text + "==",
                text[:-1],
                text + "A",
                text.upper(),
                text[:-1] + chr(ord(text[-1]) + 1),
                "\n" + text[1:],
                raw.hex()[:86],
            ]
        )
        | st.text(alphabet="ABCxyz019-_+/= \n", min_size=84, max_size=88)
    )
    assert spelled == text or not verify(key.public, body, spelled)
    try:
        judged = judge_entry(sealed.join(body, spelled), DIRECTORY)
    except RecordError:
        return
    assert isinstance(judged, Held) or spelled == text
    assert not isinstance(judged, Held) or judged.entry.facts.n == 1 or spelled == text


@given(
    st.sampled_from(GENUINE), st.sampled_from([b"", b" ", b"\1", b"\0\0", b"\r\0", b"\0\n", b".", b"\xff"])
)
def test_body_and_signature_are_parted_by_one_zero_byte(entry: Entry, separator: bytes) -> None:
    body, text = sealed.split(entry.sealed)
    for data in (body + separator + text.encode(), text.encode() + separator + body):
        try:
            read_entry(data)
        except MalformedRecord:
            continue
        raise AssertionError(f"{separator!r} was taken for a zero byte")
