"""A backup is whole or it is none, holds everything, writes only what is new, and keeps keys to itself."""

import random
from contextlib import closing

import pytest

from crdtsync.errors import (
    DamagedStore,
    NoRegister,
    NotAStore,
    RoleTaken,
    SetupError,
    StorageError,
    StoreTooNew,
    UsageError,
)
from crdtsync.ids import Origin, Position
from crdtsync.protocol.heads import root_digest
from crdtsync.runtime.folder.keyfile import write_key
from crdtsync.runtime.folder.role import hold_role
from crdtsync.storage.log import Cursor, Refusal
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.records import MadeUpChain, made_up_update
from crdtsync_server.backups import backup as backup_module
from crdtsync_server.backups.backup import back_up
from crdtsync_server.backups.file import MAGIC, BackupFile, BackupWriter
from crdtsync_server.backups.keys import key_files, read_passphrase
from crdtsync_server.backups.restore import read_restored, restore_from
from crdtsync_server.backups.restored import generation_of
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened
from crdtsync_server.shops.office_chain import enrol_office

PASSPHRASE = b"correct horse battery staple"
PEER = b"the-peer's-logid"


class Shop:
    """A relay's folder with one shop, whose records come and are packed."""

    def __init__(self, root):
        self.root, self.folder = root, DataFolder(root)
        self.chain = MadeUpChain(1)
        self.origin_seq = 0
        with opened(root, create=True) as (access, store):
            self.id = access.create_shop(store, "Cave du Port").id
            access.issue_code(self.id, "register")

    def sell(self, count):
        with opened(self.root) as (_, store), store.transaction():
            for _ in range(count):
                self.origin_seq += 1
                store.shop(self.id).append(self.chain.entry(Origin(PEER, self.origin_seq)))

    def pack(self, rows):
        with opened(self.root) as (_, store), store.transaction():
            log = store.shop(self.id)
            assert log.pack(rows, log.end.seq)

    def back_up(self, path, **more):
        return back_up(self.folder, path, random=seeded_bytes(3), **more)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "relay")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "relay.backup"


def contents(root, shop):
    """Everything of a log that a backup has to hold."""
    with closing(SqliteStore(root / "relay.sqlite", create=False)) as store:
        log = store.shop(shop)
        return {
            "end": log.end,
            "runs": log.runs(),
            "documents": log.documents(),
            "records": [row for name in log.documents() for row in log.document_records(name.name)],
            "apart": log.apart(),
            "states": [log.state(key) for key in ("contact/x", "pairing/y")],
            "check": list(store.check()),
        }


def restored_from(path, root, **more):
    return restore_from(path, root, **{"passphrase": PASSPHRASE, "random": seeded_bytes(9), **more})


# -- what it holds -----------------------------------------------------------------------------------------


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


# -- only what is new is written -----------------------------------------------------------------------------


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


# -- whole or none -------------------------------------------------------------------------------------------


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
    before = {piece for piece, _ in backup_module._pieces(iter(rows), [0])}
    rows.insert(7000, (rows[7000][0] - 1, b"new"))
    after = {piece for piece, _ in backup_module._pieces(iter(rows), [0])}
    assert len(before) > 100
    assert len(after - before) <= 2


# -- keys ----------------------------------------------------------------------------------------------------


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


# -- putting it back -----------------------------------------------------------------------------------------


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
