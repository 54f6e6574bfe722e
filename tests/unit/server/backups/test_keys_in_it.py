"""Keys are in a backup only when asked for, and never in the clear."""

from contextlib import closing

import pytest

from crdtsync.errors import (
    SetupError,
    StorageError,
    UsageError,
)
from crdtsync.runtime.folder.keyfile import write_key
from crdtsync.testing.clock import seeded_bytes
from crdtsync_server.backups.backup import back_up
from crdtsync_server.backups.file import BackupFile
from crdtsync_server.backups.keys import key_files, read_passphrase
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened
from crdtsync_server.shops.owner_keys import rotate
from tests.unit.server.backups.conftest import PASSPHRASE, Shop, contents, restored_from


def test_keys_are_in_it_only_when_asked_for_and_never_in_the_clear(shop, path, tmp_path):
    assert not shop.back_up(path).has_keys
    with pytest.raises(SetupError, match="no keys"):
        restored_from(path, tmp_path / "new")
    assert shop.back_up(path, passphrase=PASSPHRASE).has_keys
    secrets = key_files(shop.root / "keys")
    assert len(secrets) == 2
    with closing(BackupFile(path)) as file:
        read = [path.read_bytes(), file.manifest["keys"]["sealed"], *map(file.piece, file.pieces)]
    assert not any(secret in bytes_ for bytes_ in read for secret in secrets.values())


def test_keys_that_are_in_the_file_already_are_not_sealed_again(shop, path):
    for _ in range(2):
        shop.back_up(path, passphrase=PASSPHRASE)
    with closing(BackupFile(path)) as file:
        first = file.manifest["keys"]
    back_up(shop.folder, path, passphrase=PASSPHRASE, random=seeded_bytes(99))
    with closing(BackupFile(path)) as file:
        assert file.manifest["keys"] == first
    back_up(shop.folder, path, passphrase=PASSPHRASE + b"!", random=seeded_bytes(99))
    with closing(BackupFile(path)) as file:
        assert file.manifest["keys"] != first


def test_a_backup_without_the_passphrase_keeps_the_keys_that_are_in_the_file(shop, path, tmp_path):
    """It would be the newest one: a relay that burns down could not be put back, and its keys were there."""
    shop.back_up(path, passphrase=PASSPHRASE)
    shop.sell(3)
    report = shop.back_up(path)
    assert (report.has_keys, report.keys_left_out) == (True, ())
    assert not restored_from(path, tmp_path / "new").has_new_key
    assert key_files(tmp_path / "new" / "keys") == key_files(shop.root / "keys")


def test_keys_that_came_since_are_named_until_the_passphrase_is_given_again(shop, path):
    shop.back_up(path, passphrase=PASSPHRASE)
    with opened(shop.root) as (access, store):
        other = access.create_shop(store, "Épicerie").id
        rotate(access, store, shop.id)
    names = set(shop.back_up(path).keys_left_out)
    assert f"{other.hex()}.owner" in names
    assert len(names) == 2, "of a key that was handed over, too"
    assert shop.back_up(path, passphrase=PASSPHRASE).keys_left_out == ()


def test_a_backup_that_never_had_keys_names_all_of_them(shop, path):
    assert shop.back_up(path).keys_left_out == tuple(sorted(key_files(shop.root / "keys")))


def test_another_passphrase_opens_nothing(shop, path, tmp_path):
    shop.back_up(path, passphrase=PASSPHRASE)
    with pytest.raises(SetupError, match="another passphrase"):
        restored_from(path, tmp_path / "new", passphrase=b"correct horse battery stable")
    assert not (tmp_path / "new" / "relay.sqlite").exists()


def test_a_short_passphrase_is_refused(tmp_path):
    (tmp_path / "short").write_text("  hunter2 \nand a second line\n")
    with pytest.raises(UsageError, match="fewer than 12"):
        read_passphrase(tmp_path / "short")
    (tmp_path / "long").write_text("  correct horse battery staple \n")
    assert read_passphrase(tmp_path / "long") == PASSPHRASE
    with pytest.raises(StorageError):
        read_passphrase(tmp_path / "none")


def test_without_the_old_key_a_relay_is_put_back_only_when_that_is_meant(shop, path, tmp_path):
    shop.back_up(path)
    with pytest.raises(SetupError, match="own key is missing"):
        restored_from(path, tmp_path / "new", passphrase=None)
    assert restored_from(path, tmp_path / "new", passphrase=None, new_key=True).has_new_key


def test_the_old_keys_folder_will_do_instead_of_keys_in_the_backup(shop, path, tmp_path):
    shop.back_up(path)
    new = DataFolder.create(tmp_path / "new")
    for name, key in key_files(shop.root / "keys").items():
        write_key(new.keys / name, key)
    restored_from(path, new.root, passphrase=None)
    assert contents(new.root, shop.id)["end"].seq == 2


def test_the_keys_of_another_relay_are_refused(shop, path, tmp_path):
    shop.back_up(path, passphrase=PASSPHRASE)
    other = Shop(tmp_path / "other relay")
    with pytest.raises(SetupError, match="another key"):
        restored_from(path, other.root, replace=True)
    with pytest.raises(SetupError, match="another relay"):
        restored_from(path, other.root, passphrase=None, replace=True)
    assert contents(other.root, other.id)["end"].seq == 2
