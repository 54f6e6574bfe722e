import os

import pytest

from crdtsync.errors import NoRegister, NotAStore, ReadOnlyStore, RoleTaken
from crdtsync.runtime.register.register import Register
from crdtsync_server.folder import DataFolder


def test_a_new_folder_lets_nobody_else_in(tmp_path):
    folder = DataFolder.create(tmp_path / "relay")
    assert [path.stat().st_mode & 0o777 for path in (folder.root, folder.keys)] == [0o700, 0o700]


def test_a_place_where_no_folder_can_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReadOnlyStore, match="cannot be used as a data folder: Not a directory"):
        DataFolder.create(tmp_path / "file" / "relay")


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ReadOnlyStore, match="cannot be used as a data folder: Permission denied"):
        DataFolder.create(tmp_path)


def test_the_folder_of_a_register_does_not_become_a_relays(tmp_path):
    with Register.init(tmp_path / "till", name="Caisse 1"):
        pass
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotAStore, match="belongs to a register"):
        DataFolder.create(tmp_path / "till")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_a_relay_is_not_made_into_one_by_looking(tmp_path):
    with pytest.raises(NoRegister, match="there is no relay in"):
        DataFolder.open(tmp_path / "typo")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_served_by_one_process_at_a_time(tmp_path):
    folder = DataFolder.create(tmp_path)
    with (
        folder.serving(),
        pytest.raises(RoleTaken, match=f"served by another process already .pid {os.getpid()}"),
    ):
        with folder.serving():
            pass


def test_a_folder_that_is_no_longer_served_can_be_served_again(tmp_path):
    folder = DataFolder.create(tmp_path)
    with folder.serving():
        assert folder.served_by() == os.getpid()
    assert folder.served_by() is None
    with folder.serving():
        pass
