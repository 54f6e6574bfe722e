import os
import stat

import pytest

from crdtsync.errors import NoRegister, StorageError
from crdtsync.runtime.folder.keyfile import read_key, write_key


def test_a_key_is_read_back_and_only_its_owner_may(tmp_path):
    write_key(tmp_path / "device.key", b"secret")
    assert read_key(tmp_path / "device.key") == b"secret"
    assert stat.S_IMODE((tmp_path / "device.key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["device.key"]


def test_a_key_is_never_replaced(tmp_path):
    write_key(tmp_path / "device.key", b"first")
    with pytest.raises(StorageError):
        write_key(tmp_path / "device.key", b"second")
    assert read_key(tmp_path / "device.key") == b"first"
    assert os.listdir(tmp_path) == ["device.key"]


def test_a_missing_key_says_what_to_do(tmp_path):
    with pytest.raises(NoRegister) as told:
        read_key(tmp_path / "device.key")
    assert "join" in told.value.hint


def test_a_key_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(StorageError):
        write_key(tmp_path / "nowhere" / "device.key", b"secret")
