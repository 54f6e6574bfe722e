"""A relay that is put back goes on anew, and a restore that fails leaves what is there."""

import os
import shutil
from contextlib import closing, suppress

import pytest

from crdtsync.errors import (
    DamagedStore,
    RoleTaken,
    SetupError,
    StorageError,
    StoreTooNew,
)
from crdtsync.ids import Origin
from crdtsync.protocol.heads import root_digest
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import ManualClock
from crdtsync_server.backups.file import MAGIC, BackupFile, BackupWriter
from crdtsync_server.backups.restore import read_restored, restore_from
from crdtsync_server.backups.restored import generation_of
from crdtsync_server.open import opened
from tests.unit.server.backups.conftest import PASSPHRASE, PEER, contents, restored_from


def test_the_logs_go_on_under_new_ids_and_nothing_is_given_out_twice(shop, path, tmp_path):
    shop.sell(3)
    shop.back_up(path, passphrase=PASSPHRASE)
    restored_from(path, tmp_path / "new")
    with opened(shop.root) as (_, old_store), opened(tmp_path / "new") as (access, store):
        old, log = old_store.shop(shop.id), store.shop(shop.id)
        assert log.log_id != old.log_id
        assert (log.end, root_digest(log.runs())) == (old.end, root_digest(old.runs()))
        assert log.cursor(PEER) is None
        restored = read_restored(log)
        assert (restored.log_before, restored.log_end) == (old.log_id, 5)
        assert read_restored(old) is None
        assert access.codes.count_open(shop.id) == 0
        assert len(generation_of(log)) == 3


def test_a_second_restore_of_one_backup_is_another_log_with_other_series(shop, path, tmp_path):
    shop.back_up(path, passphrase=PASSPHRASE)
    seen = set()
    for number in range(2):
        root = tmp_path / f"new {number}"
        restore_from(path, root, passphrase=PASSPHRASE)
        with opened(root) as (_, store):
            seen.add((store.shop(shop.id).log_id, generation_of(store.shop(shop.id))))
    assert len({log for log, _ in seen}) == len({generation for _, generation in seen}) == 2


def test_a_folder_with_shops_is_left_alone_unless_it_may_be_replaced(shop, path, tmp_path):
    shop.sell(3)
    shop.back_up(path, passphrase=PASSPHRASE)
    shop.sell(4)
    with pytest.raises(SetupError, match="with shops"):
        restored_from(path, shop.root)
    assert contents(shop.root, shop.id)["end"].seq == 9
    report = restored_from(path, shop.root, replace=True)
    assert contents(shop.root, shop.id)["end"].seq == 5
    assert contents(report.aside, shop.id)["end"].seq == 9
    with opened(shop.root) as (_, store):
        assert generation_of(store.shop(shop.id))


def test_a_folder_that_is_served_is_left_alone(shop, path):
    shop.back_up(path, passphrase=PASSPHRASE)
    with shop.folder.serving(), pytest.raises(RoleTaken):
        restored_from(path, shop.root, replace=True)


def test_a_restore_that_failed_half_way_can_be_repeated(shop, path, tmp_path, monkeypatch):
    shop.sell(3)
    shop.back_up(path, passphrase=PASSPHRASE)
    with monkeypatch.context() as patch:
        patch.setattr("crdtsync_server.backups.restore._begin_anew", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restored_from(path, tmp_path / "new")
    assert not (tmp_path / "new" / "relay.sqlite").exists()
    restored_from(path, tmp_path / "new")
    assert contents(tmp_path / "new", shop.id) == contents(shop.root, shop.id)


def test_rows_that_were_damaged_before_are_named_and_the_rest_is_put_back(shop, path, tmp_path):
    shop.sell(5)
    with closing(SqliteStore(shop.root / "relay.sqlite", create=False)) as store:
        store.connection.execute("UPDATE record SET crc = crc + 1 WHERE pos & 0xff = 4")
    shop.back_up(path, passphrase=PASSPHRASE)
    report = restored_from(path, tmp_path / "new")
    assert len(report.damages) >= 1
    assert contents_end(tmp_path / "new", shop.id) == 7


def contents_end(root, shop):
    with closing(SqliteStore(root / "relay.sqlite", create=False)) as store:
        return store.shop(shop).end.seq


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda manifest: manifest["databases"]["relay.sqlite"].update(version=99), StoreTooNew),
        (lambda manifest: manifest["databases"]["relay.sqlite"]["tables"].update(x=NOTHING), StorageError),
        (lambda manifest: tables(manifest)["record"].update(rows=9), DamagedStore),
        (lambda manifest: tables(manifest)["record"]["pieces"].append(b"?" * 32), DamagedStore),
        (lambda manifest: tables(manifest)["record"]["columns"].append("more"), StorageError),
    ],
    ids=["a newer version", "a table of its own", "too few rows", "a piece that is not there", "a column"],
)
def test_a_manifest_that_does_not_fit_puts_nothing_in_place(shop, path, tmp_path, change, error):
    shop.sell(1)
    shop.back_up(path, passphrase=PASSPHRASE)
    with closing(BackupFile(path)) as file:
        manifest = file.manifest
        change(manifest)
        BackupWriter(path, file).finish(manifest)
    with pytest.raises(error):
        restored_from(path, tmp_path / "new")
    assert not (tmp_path / "new" / "relay.sqlite").exists()


NOTHING = {"columns": ["a"], "rows": 0, "pieces": []}


def tables(manifest):
    return manifest["databases"]["relay.sqlite"]["tables"]


def test_an_empty_file_of_backups_puts_nothing_back(path, tmp_path):
    path.write_bytes(MAGIC)
    with pytest.raises(DamagedStore, match="no whole backup"):
        restored_from(path, tmp_path / "new")
    with closing(BackupFile(path)) as file, pytest.raises(DamagedStore):
        file.check()


@pytest.mark.parametrize("moves", range(1, 5))
def test_what_was_there_is_whole_whenever_moving_it_aside_was_cut_off(
    shop, path, tmp_path, monkeypatch, moves
):
    """A relay that was killed left commits in the journal beside its database: they go where it goes."""
    shop.back_up(path, passphrase=PASSPHRASE)
    with closing(SqliteStore(shop.root / "relay.sqlite")) as store:
        with store.transaction():
            store.shop(shop.id).append(shop.chain.entry(Origin(PEER, 1)))
        killed = shutil.copytree(shop.root, tmp_path / "killed")
        end = store.shop(shop.id).end
    assert (killed / "relay.sqlite-wal").stat().st_size
    count = 0

    def replace(old, new):
        nonlocal count
        count += 1
        if count == moves:
            raise KeyboardInterrupt
        os.rename(old, new)

    with monkeypatch.context() as cut_off:
        cut_off.setattr("crdtsync_server.backups.restore.os.replace", replace)
        with suppress(KeyboardInterrupt):
            restored_from(path, killed, replace=True)
    places = [one for one in (killed, *killed.glob("before-*")) if (one / "relay.sqlite").exists()]
    alone = shutil.copy(places[-1] / "relay.sqlite", tmp_path / "alone.sqlite")
    with closing(SqliteStore(alone, create=False)) as store:
        assert store.shop(shop.id).end == end
    restored_from(path, killed, replace=True)
    assert contents(killed, shop.id)["check"] == []


def test_what_was_moved_aside_in_the_same_second_is_not_written_over(shop, path):
    shop.sell(3)
    shop.back_up(path, passphrase=PASSPHRASE)
    shop.sell(4)
    asides = [restored_from(path, shop.root, replace=True, clock=ManualClock()).aside for _ in range(3)]
    assert [contents(aside, shop.id)["end"].seq for aside in asides] == [9, 5, 5]
    assert len(set(asides)) == 3
