"""A rescue file is whole or it is not taken; what it claims costs nobody memory; nothing is overwritten."""

import hashlib
import resource
import struct
from contextlib import contextmanager

import pytest

from crdtsync.errors import InvalidRescue, StorageError
from crdtsync.ids import entry_record, update_record
from crdtsync.storage.pack import encode_pack
from crdtsync.storage.rescue_file import (
    CERTIFICATES,
    FOOTER_BYTES_MAX,
    PIECE_BYTES,
    PIECE_BYTES_MAX,
    PIECE_ROWS,
    RECORDS,
    VERSION,
    RescueWriter,
    read_rescue,
    rescued_records,
)
from crdtsync.testing.till import MemoryOwner

OWNER = MemoryOwner()
TILL = OWNER.enrol("Caisse 1")
for _ in range(3):
    TILL.sell()
SALES = [entry_record(data) for data in TILL.sealed]
PROOFS = [entry_record(data) for data in OWNER.sealed]
FOOTER = {"shop": OWNER.author.hex(), "device": TILL.author.hex(), "name": "Caisse 1"}


def written(path, records=SALES, certificates=PROOFS, footer=FOOTER, sign=lambda digest: digest * 2):
    writer = RescueWriter(path)
    for record in certificates:
        writer.add(record, CERTIFICATES)
    for record in records:
        writer.add(record)
    assert writer.finish(footer, sign) == path.stat().st_size
    return path


@pytest.fixture
def file(tmp_path):
    return written(tmp_path / "till.rescue")


def contents(path):
    return [(kind, record) for kind, rows in rescued_records(read_rescue(path)) for _, record in rows]


def crafted(path, *pieces, magic=b"crdtresc", version=VERSION, footer=b"{}", end=b"E"):
    """A file with a good hash, whatever is in it."""
    data = struct.pack(">8sB", magic, version)
    for kind, blob in pieces:
        data += struct.pack(">cI", kind, len(blob)) + blob
    data += struct.pack(">cI", end, len(footer)) + footer
    path.write_bytes(data + hashlib.sha256(data).digest() + bytes(64))
    return path


def test_what_was_written_comes_back_byte_for_byte(file):
    expected = [(CERTIFICATES, record) for record in PROOFS] + [(RECORDS, record) for record in SALES]
    assert contents(file) == expected
    found = read_rescue(file)
    assert (found.footer, found.signature) == (FOOTER, found.digest * 2)
    assert found.digest == hashlib.sha256(file.read_bytes()[:-96]).digest()


def test_many_records_lie_in_several_pieces_and_a_large_one_in_its_own(tmp_path):
    large = update_record("x/a", bytes(PIECE_BYTES + 1))
    records = [update_record("x/a", number.to_bytes(4, "big")) for number in range(PIECE_ROWS + 3)]
    path = written(tmp_path / "f", [*records, large, records[0]], [])
    pieces = list(rescued_records(read_rescue(path)))
    assert [len(rows) for _, rows in pieces] == [PIECE_ROWS, 3, 1, 1]
    assert [seq for _, rows in pieces for seq, _ in rows] == list(range(1, len(records) + 3))


def test_an_empty_file_is_whole(tmp_path):
    assert contents(written(tmp_path / "f", [], [])) == []


def test_without_a_key_there_is_no_signature(tmp_path):
    assert read_rescue(written(tmp_path / "f", sign=None)).signature == bytes(64)


def test_a_file_cut_short_anywhere_is_not_taken(file):
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(InvalidRescue):
            read_rescue(file)


def test_a_file_with_any_byte_changed_is_not_taken_or_not_signed(file):
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        if place < len(whole) - 64:
            with pytest.raises(InvalidRescue):
                read_rescue(file)
        else:
            assert read_rescue(file).signature != read_rescue(file).digest * 2


def test_more_bytes_than_the_file_has_are_not_taken(file):
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InvalidRescue, match="changed"):
        read_rescue(file)


def test_another_version_is_named(tmp_path):
    with pytest.raises(InvalidRescue, match=f"version {VERSION + 1}.*reads {VERSION}"):
        read_rescue(crafted(tmp_path / "f", version=VERSION + 1))


@pytest.mark.parametrize(
    "change",
    [
        {"magic": b"crdtpack"},
        {"footer": b"[]"},
        {"footer": b"{"},
        {"footer": b"{}" + b" " * FOOTER_BYTES_MAX},
        {"end": b"X"},
    ],
)
def test_what_is_no_rescue_file_is_not_taken(tmp_path, change):
    with pytest.raises(InvalidRescue):
        read_rescue(crafted(tmp_path / "f", **change))


def test_a_piece_that_says_to_be_huge_takes_no_memory(tmp_path):
    path = tmp_path / "f"
    head = struct.pack(">8sB", b"crdtresc", VERSION) + struct.pack(">cI", RECORDS, PIECE_BYTES_MAX + 1)
    path.write_bytes(head)
    with pytest.raises(InvalidRescue):
        read_rescue(path)


def test_a_bomb_is_found_before_it_is_unpacked(tmp_path):
    """Some kilobytes that would become more than a piece may be."""
    bomb = encode_pack([(1, b"U" + bytes(PIECE_BYTES_MAX + 1))])
    assert len(bomb) < 10_000
    found = read_rescue(crafted(tmp_path / "f", (RECORDS, bomb)))
    with pytest.raises(InvalidRescue, match="over the limit"):
        list(rescued_records(found))


@pytest.mark.parametrize(
    "blob",
    [b"", b"nonsense", encode_pack([(5, b"E5")]), encode_pack([(1, b"E1")])[:-1]],
    ids=["empty", "no pack", "numbered otherwise", "cut"],
)
def test_a_piece_that_is_no_pack_is_not_taken(tmp_path, blob):
    found = read_rescue(crafted(tmp_path / "f", (RECORDS, blob)))
    with pytest.raises(InvalidRescue):
        list(rescued_records(found))


def test_a_file_that_is_there_is_left_as_it_is(file):
    before = file.read_bytes()
    with pytest.raises(InvalidRescue, match="there already"):
        RescueWriter(file)
    assert file.read_bytes() == before


def test_a_file_that_comes_meanwhile_is_left_as_it_is(tmp_path):
    path = tmp_path / "f"
    writer = RescueWriter(path)
    path.write_bytes(b"somebody else's")
    with pytest.raises(InvalidRescue, match="there already"):
        writer.finish({}, None)
    writer.give_up()
    assert path.read_bytes() == b"somebody else's"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_given_up_leaves_nothing_behind(tmp_path):
    writer = RescueWriter(tmp_path / "f")
    writer.add(b"U")
    writer.give_up()
    writer.give_up()
    assert list(tmp_path.iterdir()) == []


@contextmanager
def room_for(size):
    """No file gets longer than that: the system refuses to write on, as on a full stick."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_wherever_the_stick_is_full_there_is_no_file_of_that_name(tmp_path, file):
    """Half a file under its name would be carried to the relay instead of a whole one."""
    whole = file.stat().st_size
    file.unlink()
    for size in range(whole):
        with room_for(size), pytest.raises(StorageError, match="cannot be written"):
            writer = RescueWriter(file)
            try:
                for record in PROOFS:
                    writer.add(record, CERTIFICATES)
                for record in SALES:
                    writer.add(record)
                writer.finish(FOOTER, lambda digest: digest * 2)
            finally:
                writer.give_up()
        assert list(tmp_path.iterdir()) == [], size
    with room_for(whole):
        assert contents(written(file))


def test_where_nothing_can_be_written_that_is_said(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        RescueWriter(tmp_path / "nowhere" / "f")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InvalidRescue):
        read_rescue(tmp_path)
