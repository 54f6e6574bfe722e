"""A backup holds everything, and writes only what is new."""

import pytest

from crdtsync.errors import (
    NoRegister,
)
from crdtsync.ids import Position
from crdtsync.storage.log import Cursor, Refusal
from crdtsync.testing.records import MadeUpChain, made_up_update
from crdtsync_server.backups import backup as backup_module
from crdtsync_server.backups.keys import key_files
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened
from crdtsync_server.shops.office_chain import enrol_office
from tests.unit.server.backups.conftest import PASSPHRASE, PEER, contents, restored_from


def test_a_relay_that_is_put_back_holds_everything(shop, path, tmp_path):
    shop.sell(700)
    shop.pack(500)
    with opened(shop.root) as (_, store), store.transaction():
        log = store.shop(shop.id)
        log.append(made_up_update("x/a", b"a note"))
        bad = MadeUpChain(5).entry()
        log.refuse(PEER, Refusal(9999, bad.digest, "revoked", "cut off", True), bad.record, 5)
        log.set_cursor(PEER, Cursor(Position(700, b"h" * 32)))
        log.set_state("contact/x", b"here")
    shop.back_up(path, passphrase=PASSPHRASE)
    restored_from(path, tmp_path / "new")
    assert contents(tmp_path / "new", shop.id) == contents(shop.root, shop.id)
    assert contents(tmp_path / "new", shop.id)["check"] == []
    assert key_files(tmp_path / "new" / "keys") == key_files(shop.root / "keys")


def test_the_relays_own_back_office_is_no_device_that_could_have_more_than_the_backup(shop, path):
    with opened(shop.root) as (access, store):
        enrol_office(access, store, shop.id)
    (held,) = shop.back_up(path).shops
    assert held.devices == ()


def test_it_says_up_to_where_it_has_each_shop(shop, path):
    shop.sell(5)
    report = shop.back_up(path)
    [held] = report.shops
    assert (held.shop, held.name, held.log_end) == (shop.id, "Cave du Port", 2 + 5)
    shop.sell(1)
    assert shop.back_up(path).shops[0].log_end == 8


def test_what_is_recorded_after_the_backup_is_not_in_it(shop, path, tmp_path):
    shop.sell(3)
    shop.back_up(path, passphrase=PASSPHRASE)
    shop.sell(3)
    restored_from(path, tmp_path / "new")
    assert contents(tmp_path / "new", shop.id)["end"].seq == 2 + 3


def test_the_newest_of_several_backups_is_put_back(shop, path, tmp_path):
    for rows in (5, 300, 1, 0):
        shop.sell(rows)
        report = shop.back_up(path, passphrase=PASSPHRASE)
    assert report.backups == 4
    restored_from(path, tmp_path / "new")
    assert contents(tmp_path / "new", shop.id) == contents(shop.root, shop.id)


def test_a_folder_without_a_relay_is_not_backed_up(tmp_path, path):
    with pytest.raises(NoRegister):
        DataFolder.open(tmp_path)
    assert not path.exists()


def test_only_what_is_new_is_written(shop, path):
    shop.sell(4000)
    first = shop.back_up(path)
    nothing = shop.back_up(path)
    shop.sell(10)
    little = shop.back_up(path)
    assert (first.is_anew, nothing.is_anew, little.is_anew) == (True, False, False)
    assert nothing.written_bytes * 50 < first.written_bytes
    assert little.written_bytes * 5 < first.written_bytes
    assert little.file_bytes == first.file_bytes + nothing.written_bytes + little.written_bytes


def test_a_file_that_is_more_than_half_past_is_written_anew(shop, path, monkeypatch, tmp_path):
    monkeypatch.setattr(backup_module, "WASTE_BYTES_MIN", 20_000)
    reports = [shop.back_up(path, passphrase=PASSPHRASE)]
    for act in 6 * (shop.sell, shop.pack):
        act(150)
        reports.append(report := shop.back_up(path, passphrase=PASSPHRASE))
        if report.is_anew:
            break
    sizes = [report.file_bytes for report in reports]
    assert report.is_anew
    assert report.backups == 1
    assert sizes[-1] < sizes[-2]
    restored_from(path, tmp_path / "new")
    assert contents(tmp_path / "new", shop.id) == contents(shop.root, shop.id)
