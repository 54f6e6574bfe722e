"""A backup is whole or it is none, whatever becomes of its file."""

import random
import resource
from contextlib import closing

import pytest

from crdtsync.errors import (
    DamagedStore,
    NotAStore,
    RoleTaken,
    SetupError,
    StorageError,
)
from crdtsync.runtime.folder.role import hold_role
from crdtsync_server.backups.file import MAGIC, BackupFile, BackupWriter
from crdtsync_server.backups.rows import pieces
from tests.unit.server.backups.conftest import PASSPHRASE, Shop, contents, restored_from


@pytest.fixture
def two(shop, path):
    """The bytes of a file with two backups, and where the first one ends."""
    shop.sell(40)
    first = shop.back_up(path, passphrase=PASSPHRASE)
    shop.sell(7)
    shop.back_up(path, passphrase=PASSPHRASE)
    return path.read_bytes(), first.file_bytes


def newest(path):
    """How far the newest whole backup in a file goes; None where there is none."""
    try:
        file = BackupFile(path)
    except NotAStore:
        return None
    with closing(file):
        return file.manifest["shops"][0]["log_end"] if file.manifest is not None else None


def test_a_file_cut_anywhere_holds_the_backups_before_the_cut(two, path):
    whole, first = two
    for cut in [*range(0, len(MAGIC) + 60, 3), *range(first - 9, first + 9), *range(first, len(whole), 97)]:
        path.write_bytes(whole[:cut])
        assert newest(path) == (42 if cut >= first else None), cut
    path.write_bytes(whole)
    assert newest(path) == 49


def test_a_byte_that_changed_anywhere_is_never_taken_for_a_whole_backup(two, path):
    whole, first = two
    for place in [*range(0, first, 97), *range(first, len(whole), 41)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        assert newest(path) == (42 if place >= first else None), place


def test_a_backup_that_was_interrupted_is_gone_with_the_next_one(two, path, shop, tmp_path):
    whole, first = two
    path.write_bytes(whole[:-5])
    report = shop.back_up(path, passphrase=PASSPHRASE)
    assert report.torn_bytes == len(whole) - 5 - first
    assert (report.is_anew, report.backups) == (False, 2)
    restored_from(path, tmp_path / "new")
    assert contents(tmp_path / "new", shop.id) == contents(shop.root, shop.id)


def test_a_file_that_rotted_is_written_anew_and_kept_until_then(two, path, shop, tmp_path):
    whole, first = two
    path.write_bytes(whole[: first // 2] + b"?" + whole[first // 2 + 1 :])
    assert shop.back_up(path, passphrase=PASSPHRASE).is_anew
    restored_from(path, tmp_path / "new")
    assert contents(tmp_path / "new", shop.id) == contents(shop.root, shop.id)


def test_a_first_backup_that_fails_leaves_no_file(shop, path, monkeypatch):
    def fail(*_):
        raise StorageError("the disk is gone")

    monkeypatch.setattr(BackupWriter, "finish", fail)
    with pytest.raises(StorageError):
        shop.back_up(path)
    assert list(path.parent.glob("relay.backup*")) == []


def test_a_later_backup_that_fails_leaves_the_ones_before(shop, path, monkeypatch):
    shop.back_up(path)
    shop.sell(300)
    with monkeypatch.context() as patch:
        patch.setattr(BackupWriter, "finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shop.back_up(path)
    assert newest(path) == 2
    shop.back_up(path)
    assert newest(path) == 302


@pytest.mark.parametrize("is_first", [True, False], ids=["the first one", "a later one"])
def test_wherever_the_disk_is_full_the_file_is_as_good_as_before(shop, path, is_first):
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not is_first:
        shop.back_up(path)
    shop.sell(400)
    before, refused = path.read_bytes() if path.exists() else None, 0
    for room in range(40_000, 200_000, 1_999):  # To read its store SQLite needs a file of 32 KiB.
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        try:
            shop.back_up(path)
            break
        except StorageError:
            refused += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        assert (path.read_bytes() if path.exists() else None) == before
        assert list(path.parent.glob("*.part")) == []
    assert refused > 2
    assert newest(path) == 402


def test_a_piece_that_is_not_what_it_was_is_found_when_it_is_read(two, path):
    with closing(BackupFile(path)) as file:
        place = next(iter(file.pieces.values()))
        whole, _ = two
        with path.open("r+b") as other:
            other.seek(place.offset + place.size - 1)
            other.write(bytes([whole[place.offset + place.size - 1] ^ 1]))
        with pytest.raises(DamagedStore):
            file.check()


@pytest.mark.parametrize("found", [b"", b"a letter to the bank", MAGIC[:-1] + b"2"])
def test_a_file_that_is_no_backup_is_left_as_it_is(shop, path, found):
    path.write_bytes(found)
    with pytest.raises(NotAStore):
        shop.back_up(path)
    with pytest.raises(NotAStore):
        restored_from(path, path.parent / "new")
    assert path.read_bytes() == found


def test_a_file_of_another_relay_is_left_as_it_is(shop, path, tmp_path):
    shop.back_up(path)
    before = path.read_bytes()
    other = Shop(tmp_path / "other relay")
    with pytest.raises(SetupError, match="another relay"):
        other.back_up(path)
    assert path.read_bytes() == before


def test_one_backup_of_a_relay_is_made_at_a_time(shop, path):
    with hold_role(shop.root / "backup.lock", "busy", hint=""), pytest.raises(RoleTaken):
        shop.back_up(path)


def test_a_backup_is_for_its_owner_alone(shop, path):
    shop.back_up(path)
    assert path.stat().st_mode & 0o077 == 0


def test_where_pieces_end_follows_from_the_rows_alone():
    """A row put in the middle changes the piece that it falls into, and no other."""
    pick = random.Random(5)
    rows = [(key, pick.randbytes(40)) for key in range(0, 60_000, 3)]
    before = {piece for piece, _ in pieces(iter(rows), [0])}
    rows.insert(7000, (rows[7000][0] - 1, b"new"))
    after = {piece for piece, _ in pieces(iter(rows), [0])}
    assert len(before) > 100
    assert len(after - before) <= 2
