"""A backup never takes the place of a better one without being told to: only the newest in a file can be put
back.
"""

import random
from contextlib import closing

import apsw
import pytest

from crdtsync.errors import CrdtsyncError, DamagedStore, SetupError
from crdtsync_server.backups.file import BackupFile
from crdtsync_server.open import opened
from tests.unit.server.backups.conftest import PASSPHRASE, Shop, contents, restored_from

ALL = "SELECT pos FROM record ORDER BY pos"


def change_a_byte(root, *, at):
    """In the bytes of the record at that place, where SQLite notices nothing."""
    with closing(apsw.Connection(str(root / "relay.sqlite"))) as file:
        place = file.execute(ALL).fetchall()[at][0]
        file.execute(
            "UPDATE record SET bytes = CAST(substr(bytes, 1, 40) || x'5a' || substr(bytes, 42) AS BLOB)"
            " WHERE pos = ?",
            (place,),
        )


def size_of_page(root):
    with closing(apsw.Connection(str(root / "relay.sqlite"))) as file:
        file.pragma("wal_checkpoint(TRUNCATE)")
        return file.pragma("page_size"), file.pragma("page_count")


def spoil_page(root, page, size):
    with (root / "relay.sqlite").open("r+b") as file:
        file.seek(page * size)
        file.write(random.Random(page).randbytes(size))


def refused_and_left(shop, path, kind, **more):
    before = path.read_bytes()
    with pytest.raises(kind) as refused:
        shop.back_up(path, **more)
    assert path.read_bytes() == before
    assert list(path.parent.glob("*.part")) == []
    return str(refused.value)


@pytest.mark.parametrize("at", [0, 5, -1], ids=["the first record", "one between", "the last one"])
def test_a_relay_with_a_record_that_changed_does_not_take_the_place_of_a_whole_backup(shop, path, at):
    shop.sell(12)
    shop.back_up(path, passphrase=PASSPHRASE)
    shop.sell(3)
    change_a_byte(shop.root, at=at)
    said = refused_and_left(shop, path, DamagedStore, passphrase=PASSPHRASE)
    assert "damaged" in said
    assert "is left as it is" in said


def test_what_can_be_read_of_it_goes_into_a_new_file_which_says_so(shop, path, tmp_path):
    shop.sell(12)
    change_a_byte(shop.root, at=7)
    report = shop.back_up(path, passphrase=PASSPHRASE)
    assert len(report.damages) == 1
    restored = restored_from(path, tmp_path / "new")
    assert len(restored.damages) == 1
    again = refused_and_left(shop, path, DamagedStore, passphrase=PASSPHRASE)
    assert "is left as it is" in again
    assert len(shop.back_up(path, passphrase=PASSPHRASE, replace=True).damages) == 1


@pytest.mark.parametrize("is_new", [False, True], ids=["into a file with a backup", "into a new file"])
def test_whichever_page_is_spoilt_no_backup_says_nothing_of_it(tmp_path, is_new):
    """Each page of the store in turn, the last one too: what is made without a word is whole."""
    made = Shop(tmp_path / "relay")
    made.sell(60)
    made.pack(30)
    path = tmp_path / "relay.backup"
    made.back_up(path, passphrase=PASSPHRASE)
    whole = contents(made.root, made.id)
    size, pages = size_of_page(made.root)
    store, good = (made.root / "relay.sqlite").read_bytes(), path.read_bytes()
    told = 0
    for page in range(pages):
        (made.root / "relay.sqlite").write_bytes(store)
        for beside in made.root.glob("relay.sqlite-*"):
            beside.unlink()
        spoil_page(made.root, page, size)
        target = tmp_path / f"new-{page}.backup" if is_new else path
        try:
            report = made.back_up(target, passphrase=PASSPHRASE)
        except CrdtsyncError:
            told += 1
            assert path.read_bytes() == good
            assert not is_new or not target.exists()
            continue
        told += bool(report.damages)
        if not report.damages:
            restored_from(target, tmp_path / f"restored-{page}")
            assert contents(tmp_path / f"restored-{page}", made.id) == whole, page
        path.write_bytes(good)
    assert told > pages // 2


def test_a_relay_that_was_wiped_does_not_take_the_place_of_what_it_had(shop, path):
    shop.sell(5)
    shop.back_up(path, passphrase=PASSPHRASE)
    for file in shop.root.glob("*.sqlite*"):
        file.unlink()
    with opened(shop.root, create=True) as (access, store):
        access.create_shop(store, "Cave du Port")
    said = refused_and_left(shop, path, SetupError, passphrase=PASSPHRASE)
    assert "Cave du Port up to record 7" in said
    assert "nothing of it" in said
    assert shop.back_up(path, passphrase=PASSPHRASE, replace=True).shops[0].shop != shop.id


def test_a_relay_put_back_from_an_older_backup_does_not_take_the_place_of_a_newer_one(shop, path, tmp_path):
    shop.sell(5)
    older = tmp_path / "older.backup"
    shop.back_up(older, passphrase=PASSPHRASE)
    shop.sell(4)
    shop.back_up(path, passphrase=PASSPHRASE)
    restored_from(older, tmp_path / "new")
    put_back = Shop.__new__(Shop)
    put_back.__dict__.update(shop.__dict__)
    put_back.root, put_back.folder = tmp_path / "new", type(shop.folder)(tmp_path / "new")
    said = refused_and_left(put_back, path, SetupError, passphrase=PASSPHRASE)
    assert "this relay has 7 records of it" in said
    put_back.sell(4)
    put_back.back_up(path, passphrase=PASSPHRASE)


def test_a_file_that_rotted_holds_its_older_backup_until_the_relay_is_whole(shop, path):
    shop.sell(5)
    first = shop.back_up(path, passphrase=PASSPHRASE)
    shop.sell(5)
    shop.back_up(path, passphrase=PASSPHRASE)
    content = path.read_bytes()
    path.write_bytes(content[: first.file_bytes + 60] + b"?" + content[first.file_bytes + 61 :])
    change_a_byte(shop.root, at=3)
    refused_and_left(shop, path, DamagedStore, passphrase=PASSPHRASE)
    with closing(BackupFile(path)) as file:
        assert file.manifest["shops"][0]["log_end"] == 7
