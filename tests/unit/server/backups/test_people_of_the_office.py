"""The people of the back office come back with a backup; nobody is signed in by one."""

from contextlib import closing

import pytest

from crdtsync.testing.clock import seeded_bytes
from crdtsync_server.backups.backup import back_up
from crdtsync_server.backups.file import BackupFile
from crdtsync_server.backups.restore import restore_from
from crdtsync_server.dashboard.accounts import Accounts
from crdtsync_server.dashboard.database import OfficeDatabase
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened

PASSWORD = "sept bouteilles de crozes"  # Of a test.


@pytest.fixture
def folder(tmp_path, clock):
    """A relay with one shop, one person with a password, and one who is signed in."""
    folder = DataFolder.create(tmp_path / "relay")
    with opened(folder.root, create=True) as (access, store):
        shop = access.create_shop(store, "Cave du Port").id
    with closing(OfficeDatabase(folder.office)) as database, database.transaction():
        database.write(
            "INSERT INTO account VALUES (?, ?, 'Marie', 'marie', 'owner', 'a hash', 'fr', 1, NULL)",
            (b"m" * 16, shop),
        )
        database.write("INSERT INTO session VALUES (?, 's', ?, 't', 1, 1, '', '')", (b"h" * 32, b"m" * 16))
        database.write("INSERT INTO link VALUES (?, ?, 9)", (b"l" * 32, b"m" * 16))
        database.write("INSERT INTO company VALUES (?, '{}')", (shop,))
        facts = (shop, b"l" * 32)
        database.write("INSERT INTO invoice VALUES (?, 'F-26', 7, 'F-26-000007', '01-1', ?, 1, '{}')", facts)
        database.write("INSERT INTO product_change VALUES (?, 'CM-19', 1, 1, NULL, 'Marie', '[]')", (shop,))
    return folder


def rows(folder, table):
    with closing(OfficeDatabase(folder.office)) as database:
        return database.rows(f"SELECT * FROM {table}")


def test_people_and_what_they_changed_come_back(folder, tmp_path):
    back_up(folder, tmp_path / "one.backup", passphrase=b"correct horse battery")
    restore_from(tmp_path / "one.backup", tmp_path / "new", passphrase=b"correct horse battery")
    new = DataFolder(tmp_path / "new")
    assert rows(new, "account") == rows(folder, "account") != []
    assert rows(new, "product_change") == rows(folder, "product_change") != []


@pytest.mark.parametrize("table", ["company", "invoice"])
def test_invoices_come_back(folder, tmp_path, table):
    back_up(folder, tmp_path / "one.backup", passphrase=b"correct horse battery")
    restore_from(tmp_path / "one.backup", tmp_path / "new", passphrase=b"correct horse battery")
    assert rows(DataFolder(tmp_path / "new"), table) == rows(folder, table) != []


@pytest.mark.parametrize("table", ["session", "link", "secret", "attempt", "upload"])
def test_nobody_is_signed_in_by_a_backup_or_by_who_finds_one(folder, tmp_path, table):
    back_up(folder, tmp_path / "one.backup", passphrase=b"correct horse battery")
    with closing(BackupFile(tmp_path / "one.backup")) as file:
        assert table not in file.manifest["databases"]["office.sqlite"]["tables"]
    restore_from(tmp_path / "one.backup", tmp_path / "new", passphrase=b"correct horse battery")
    assert rows(DataFolder(tmp_path / "new"), table) == []


def test_accounts_can_be_used_after_the_restore(folder, tmp_path, clock):
    back_up(folder, tmp_path / "one.backup", passphrase=b"correct horse battery")
    restore_from(tmp_path / "one.backup", tmp_path / "new", passphrase=b"correct horse battery")
    with closing(OfficeDatabase(DataFolder(tmp_path / "new").office)) as database:
        accounts = Accounts(database, clock=clock, random=seeded_bytes(3))
        assert [one.name for one in accounts.of_shop(next(iter(accounts.shops())))] == ["Marie"]


def test_a_relay_whose_back_office_was_never_used_has_none_in_its_backup(tmp_path):
    with opened(tmp_path / "relay", create=True) as (access, store):
        access.create_shop(store, "Cave du Port")
    back_up(DataFolder(tmp_path / "relay"), tmp_path / "one.backup")
    with closing(BackupFile(tmp_path / "one.backup")) as file:
        assert set(file.manifest["databases"]) == {"access.sqlite", "relay.sqlite"}


def test_a_backup_without_it_leaves_the_back_office_that_is_there(folder, tmp_path):
    office = folder.office.read_bytes()
    folder.office.unlink()
    back_up(folder, tmp_path / "old.backup", passphrase=b"correct horse battery")
    folder.office.write_bytes(office)
    restore_from(tmp_path / "old.backup", folder.root, passphrase=b"correct horse battery", replace=True)
    assert [row[2] for row in rows(folder, "account")] == ["Marie"]
