import hashlib
from typing import Any

import pytest

from crdtsync.errors import MalformedRecord, RecordTooBig
from crdtsync.model.chain import Moment, next_body
from crdtsync.model.entry import (
    ENTRY_BYTES_MAX,
    Head,
    first_prev,
    is_day,
    is_series,
    read_admitted,
    read_entry,
    read_heads,
    seal_entry,
    shop_id_of,
)
from crdtsync.model.sealed import seal
from crdtsync.testing.till import MemoryOwner, MemoryTill

TILL = MemoryTill()
FIRST = TILL.entries[0]
SALE = TILL.sell()
OWNER = MemoryOwner()


def read(body: dict[str, Any]) -> Any:
    return read_entry(seal(body, TILL.key))


def test_an_entry_knows_its_place() -> None:
    facts = SALE.facts
    assert (facts.chain, facts.n, facts.prev, facts.kind) == (FIRST.link, 2, FIRST.link, "sale")
    assert facts.document == f"ledger/{TILL.author.hex()}/2026-11-24"
    assert (SALE.author, SALE.kind, SALE.link) == (TILL.author, "sale", facts.link)


@pytest.mark.parametrize("entry", [FIRST, SALE, *OWNER.entries], ids=lambda entry: entry.kind)
def test_an_entry_that_was_admitted_reads_the_same_without_being_judged(entry: Any) -> None:
    assert read_admitted(entry.sealed) == read_entry(entry.sealed) == entry


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"seq":2,"chain":7}', b'{"seq":2,"chain":"xy"}'])
def test_what_never_was_an_entry_is_refused_though_nobody_judges_it(body: bytes) -> None:
    with pytest.raises(MalformedRecord):
        read_admitted(body + b"\0" + b"A" * 86)


def test_the_first_entry_names_the_chain() -> None:
    assert FIRST.facts.chain == FIRST.link
    assert FIRST.facts.prev == first_prev(TILL.author)


def test_what_comes_before_a_first_entry_follows_from_its_author() -> None:
    author = bytes(range(16))
    assert first_prev(author) == hashlib.sha256(b"crdtsync/ledger/v1\0" + author).digest()
    assert first_prev(author, owner=True) == hashlib.sha256(b"crdtsync/owner/v1\0" + author).digest()


def test_the_id_of_a_shop_is_a_hash_of_the_owners_key_and_a_nonce() -> None:
    hashed = hashlib.sha256(b"crdtsync/shop/v1\0" + OWNER.key.public + bytes(16)).digest()
    assert shop_id_of(OWNER.key.public, bytes(16)) == hashed[:16]


def test_certificates_belong_to_the_document_of_the_owner() -> None:
    till = OWNER.enrol("till 9")
    assert [entry.facts.document for entry in OWNER.entries] == ["owner", "owner"]
    assert till.entries[0].facts.document.startswith("ledger/")


def test_a_device_is_cut_off_in_the_document_of_the_owner() -> None:
    owner = MemoryOwner()
    assert owner.revoke(TILL).facts.document == "owner"


def test_an_unknown_kind_is_carried() -> None:
    body = next_body(TILL.end, "tasting", {"glasses": 3}, Moment(TILL.moment.ts_ms, 60, "2026-11-24"))
    assert read(body).body["glasses"] == 3


def test_an_unknown_kind_of_the_owner_is_carried_in_the_owners_document() -> None:
    body = next_body(OWNER.end, "owner-note", {}, OWNER.moment)
    assert read_entry(seal(body, OWNER.key)).facts.document == "owner"


def test_an_entry_that_is_sealed_is_what_reading_its_bytes_gives() -> None:
    till = MemoryTill()
    till.sell()
    till.append("tasting", {"wine": "Château d’Été", "glasses": [1, {"half": True}]})
    entries = [*till.entries, *OWNER.entries]
    keys = [till.key] * len(till.entries) + [OWNER.key] * len(OWNER.entries)
    sealed_again = [seal_entry(dict(entry.body), key) for entry, key in zip(entries, keys, strict=True)]
    assert sealed_again == [read_entry(entry.sealed) for entry in entries] == entries


@pytest.mark.parametrize("body", [SALE.body | {"bd": "2026-02-30"}, SALE.body | {"note": None}])
def test_what_nobody_would_read_is_not_sealed(body: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecord):
        seal_entry(body, TILL.key)


def test_too_much_for_one_entry_is_not_sealed() -> None:
    with pytest.raises(RecordTooBig):
        seal_entry(SALE.body | {"note": "x" * ENTRY_BYTES_MAX}, TILL.key)


def test_an_entry_over_the_limit_is_too_big() -> None:
    with pytest.raises(RecordTooBig):
        read_entry(b"x" * (ENTRY_BYTES_MAX + 1))


@pytest.mark.parametrize(("size", "is_read"), [(65_536, True), (65_537, False)])
def test_an_entry_has_64_kib_at_most(size: int, is_read: bool) -> None:
    bare = len(seal(SALE.body | {"note": ""}, TILL.key))
    data = seal(SALE.body | {"note": "x" * (size - bare)}, TILL.key)
    assert len(data) == size
    if is_read:
        assert read_entry(data).sealed == data
    else:
        with pytest.raises(RecordTooBig):
            read_entry(data)


LAST_FIELDS = [
    {"seq": 2**53 - 1, "n": 2**53 - 1},
    {"ts": 0},
    {"ts": 253_402_300_799_999},
    {"tz": -1080},
    {"tz": 1080},
    {"mode": "train"},
]


@pytest.mark.parametrize("fields", LAST_FIELDS)
def test_the_first_and_the_last_value_of_a_field_are_read(fields: dict[str, Any]) -> None:
    assert read(SALE.body | fields).body.items() >= fields.items()


BAD_FIELDS = [
    *(("v", value) for value in (0, 2, True, "1")),
    *(("kind", value) for value in ("", "Sale", "a b", "x" * 33, 1)),
    *(("till", value) for value in ("", "A" * 32, "0" * 31, 5)),
    *(("seq", value) for value in (0, -1, 1, True, "2")),
    *(("n", value) for value in (0, 3, False)),
    *(("prev", value) for value in ("", "0" * 63, "G" * 64)),
    *(("chain", value) for value in ("", "0" * 63, 1)),
    *(("ts", value) for value in (-1, 253_402_300_800_000, "0")),
    *(("tz", value) for value in (-1081, 1081, "60")),
    *(("bd", value) for value in ("2026-11-31", "2026-1-1", "20261124", "0000-01-01", "2026-W48-2", 5)),
    *(("op", value) for value in ("", "x" * 65, "a\nb", 1)),
    *(("sw", value) for value in ("", 1)),
    *(("mode", value) for value in ("", "test", 1)),
    *(("kind", value) for value in ("register", "owner")),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_a_common_field_of_another_form_is_refused(field: str, value: object) -> None:
    with pytest.raises(MalformedRecord):
        read({**SALE.body, field: value})


@pytest.mark.parametrize(
    "field", ["v", "kind", "chain", "till", "seq", "n", "prev", "ts", "tz", "bd", "op", "sw", "mode"]
)
def test_a_common_field_that_is_missing_is_refused(field: str) -> None:
    with pytest.raises(MalformedRecord):
        read({name: value for name, value in SALE.body.items() if name != field})


BAD_FIRST_FIELDS = [
    ("chain", "0" * 64),
    ("kind", "sale"),
    ("prev", "0" * 64),
    ("nonce", "00"),
    ("key", None),
    ("key", {"alg": "RS256", "pub": TILL.key.public.hex()}),
    ("key", {"alg": "ES256"}),
    ("key", {"alg": "ES256", "pub": "02" + "f" * 64}),
    ("shop", None),
    ("shop", {"id": "0" * 32}),
    ("shop", {"id": "x", "name": "Cave"}),
    ("series", "kleine"),
    ("cur", "EURO"),
    ("heads", None),
    ("heads", [1]),
    ("heads", [{"chain": "0" * 64, "link": "0" * 64, "seq": 0}]),
    ("heads", [{"chain": "0" * 64, "link": "0" * 64, "seq": True}]),
    ("heads", [{"chain": "0" * 64, "link": "0", "seq": 1}]),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIRST_FIELDS)
def test_a_first_entry_of_another_form_is_refused(field: str, value: object) -> None:
    body = {name: old for name, old in FIRST.body.items() if name != field}
    with pytest.raises(MalformedRecord):
        read(body if value is None else {**body, field: value})


@pytest.mark.parametrize("field", ["key", "nonce", "shop", "till"])
def test_the_shops_id_follows_from_the_owners_key(field: str) -> None:
    """Otherwise anybody could make an owner for a shop whose id he has seen."""
    other = MemoryOwner("another").entries[0].body
    body = {**OWNER.entries[0].body, field: other[field]}
    with pytest.raises(MalformedRecord):
        read(body)


def test_heads_are_read_as_they_are_written() -> None:
    heads = (Head(b"\1" * 32, b"\2" * 32, 7), Head(b"\3" * 32, b"\3" * 32, 1))
    assert read_heads([head.to_json() for head in heads]) == heads


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2028-02-29", True), ("2026-02-29", False), ("２０２６-11-24", False), ("20261124", False)],
)
def test_only_days_of_the_calendar_are_days(text: str, expected: bool) -> None:
    assert is_day(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("01", True), ("A" * 12, True), ("A" * 13, False), ("a", False), (1, False)]
)
def test_a_series_is_short_and_in_capitals(text: object, expected: bool) -> None:
    assert is_series(text) is expected
