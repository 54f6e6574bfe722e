"""A backup never takes the place of a better one without being told to: only the newest in a file can be put
back.
"""

import random
from contextlib import closing

import apsw
import pytest

from crdtsync.errors import CrdtsyncError, DamagedStore, SetupError
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain
from crdtsync_server.backups import backup
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
    said = refused_and_left(put_back, path, SetupError, passphrase=PASSPHRASE)
    assert "holds 4 entries of Cave du Port that this relay has no more" in said
    bring(put_back, again(put_back))
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


def mended(shop):
    """As a relay does that is served: what is damaged is set apart, and nothing is damaged any more."""
    with closing(SqliteStore(shop.root / "relay.sqlite", create=False)) as store:
        (damage,) = store.check()
        with store.transaction():
            assert store.shop(shop.id).set_damaged_apart(damage.seq, 1)
        assert list(store.check()) == []
        return damage.seq


def test_what_the_relay_set_apart_as_damaged_stays_in_the_backup(shop, path):
    """Nothing is damaged then, and the log is as long as before."""
    shop.sell(12)
    shop.back_up(path, passphrase=PASSPHRASE)
    change_a_byte(shop.root, at=7)
    mended(shop)
    shop.sell(3)
    said = refused_and_left(shop, path, SetupError, passphrase=PASSPHRASE)
    assert "holds 1 entry of Cave du Port that this relay has no more" in said
    assert shop.back_up(path, passphrase=PASSPHRASE, replace=True).damages == ()
    assert shop.back_up(path, passphrase=PASSPHRASE).backups == 3, "it is said once"


def test_when_it_has_come_back_everything_is_as_before(shop, path):
    shop.sell(12)
    shop.back_up(path, passphrase=PASSPHRASE)
    with closing(SqliteStore(shop.root / "relay.sqlite", create=False)) as store:
        records = [record for _, record in store.shop(shop.id).read(0, bytes_max=1 << 20).records]
    change_a_byte(shop.root, at=7)
    lost = records[mended(shop) - 1]
    refused_and_left(shop, path, SetupError, passphrase=PASSPHRASE)
    bring(shop, [one for one in again(shop) if one.record == lost])
    assert shop.back_up(path, passphrase=PASSPHRASE).backups == 2


def test_of_a_backup_of_before_nothing_is_known_of_entries(shop, path, monkeypatch):
    monkeypatch.setattr(backup, "runs_of", lambda log: ())
    shop.sell(3)
    shop.back_up(path, passphrase=PASSPHRASE)
    monkeypatch.undo()
    assert shop.back_up(path, passphrase=PASSPHRASE).backups == 2


def again(shop):
    """The entries that were sold, once more."""
    chain = MadeUpChain(1)
    return [chain.entry() for _ in range(shop.origin_seq)]


def bring(shop, entries):
    """As the register does that made them; what is there is passed over."""
    with closing(SqliteStore(shop.root / "relay.sqlite", create=False)) as store, store.transaction():
        for entry in entries:
            store.shop(shop.id).append(entry)
