import hashlib

import pytest

from crdtsync.errors import InvalidName, MalformedRecord
from crdtsync.ids import (
    ZERO_HASH,
    entry_record,
    ledger_document,
    next_hash,
    parse_document_name,
    record_digest,
    split_update_record,
    update_record,
)

DEVICE = bytes.fromhex("7a1d3c5e9b0f42688d21c6e4f0a39b57")
NAMES = ["catalogue", "owner", "x/loyalty", f"x/{'a' * 64}", f"ledger/{DEVICE.hex()}/2026-11-24"]


@pytest.mark.parametrize("name", NAMES)
def test_a_document_has_one_of_the_four_names(name: str) -> None:
    assert parse_document_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Catalogue",
        "catalogue\n",
        "ledger",
        "x/",
        "x/.hidden",
        "x/Loyalty",
        "x/a/b",
        f"x/{'a' * 65}",
        f"ledger/{DEVICE.hex().upper()}/2026-11-24",
        f"ledger/{DEVICE.hex()}/24-11-2026",
        f"ledger/{DEVICE.hex()[:-1]}/2026-11-24",
        f"ledger/{DEVICE.hex()}/２０２６-11-24",
    ],
)
def test_any_other_name_is_none(name: str) -> None:
    with pytest.raises(InvalidName):
        parse_document_name(name)


def test_a_day_of_a_register_is_a_document() -> None:
    assert ledger_document(DEVICE, "2026-11-24") == f"ledger/{DEVICE.hex()}/2026-11-24"


@pytest.mark.parametrize(("state", "letter"), [(False, b"U"), (True, b"C")])
def test_an_update_is_filed_under_the_name_of_its_document(state: bool, letter: bytes) -> None:
    record = update_record("x/loyalty", b"\0\0", state=state)
    assert record == letter + b"\0\x09x/loyalty\0\0"
    assert split_update_record(record) == ("x/loyalty", b"\0\0")


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"U",
        b"U\0",
        b"E\0\x09x/loyalty\0\0",
        b"u\0\x09x/loyalty\0\0",
        b"U\0\x09x/loyalt",
        b"U\xff\xffx/loyalty",
        b"U\0\x09x/Loyalty\0\0",
        b"U\0\x03x/\xff",
        b"U\0\0",
    ],
)
def test_a_record_that_names_no_document_is_refused(record: bytes) -> None:
    with pytest.raises(MalformedRecord):
        split_update_record(record)


def test_an_update_may_be_empty() -> None:
    assert split_update_record(b"U\0\x05owner") == ("owner", b"")


def test_an_entry_is_named_by_its_link_and_an_update_by_all_its_bytes() -> None:
    update = update_record("catalogue", b"\0\0")
    assert record_digest(entry_record(b"sealed")) == hashlib.sha256(b"sealed").digest()
    assert record_digest(update) == hashlib.sha256(update).digest()


def test_the_running_hash_covers_what_came_before_and_where_records_end() -> None:
    h = next_hash(ZERO_HASH, b"ab")
    assert h == hashlib.sha256(bytes(32) + b"\0\0\0\2ab").digest()
    assert next_hash(next_hash(ZERO_HASH, b"a"), b"b") != h
