import pytest

from crdtsync.errors import DamagedStore, SetupError
from crdtsync_server.keys import KeyFolder, relay_device_id

SHOP = b"s" * 16


@pytest.fixture
def keys(tmp_path, seeded):
    return KeyFolder(tmp_path, seeded)


def test_the_relay_has_one_key_for_ever(keys, tmp_path):
    made = keys.relay_key().public
    assert KeyFolder(tmp_path, bytes).relay_key().public == made


def test_of_two_processes_that_make_the_key_at_once_one_counts(keys, tmp_path, seeded, monkeypatch):
    other = KeyFolder(tmp_path, seeded).relay_key().public
    monkeypatch.setattr(type(tmp_path), "exists", _once_false(type(tmp_path).exists))
    assert keys.relay_key().public == other


def _once_false(exists):
    answers = iter([False])
    return lambda path: next(answers, None) is not False and exists(path)


def test_a_key_file_can_be_read_by_its_owner_alone(keys, tmp_path):
    keys.relay_key()
    keys.keep_owner_key(SHOP, keys.new_key())
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]
    assert keys.readable_by_others() == []


def test_a_key_file_that_others_can_read_is_named(keys, tmp_path):
    keys.relay_key()
    (tmp_path / "relay.key").chmod(0o640)
    assert keys.readable_by_others() == [tmp_path / "relay.key"]


def test_an_owner_key_is_read_back(keys):
    key = keys.new_key()
    keys.keep_owner_key(SHOP, key)
    assert keys.owner_key(SHOP).public == key.public


def test_an_owner_key_that_is_kept_elsewhere_is_told(keys):
    with pytest.raises(SetupError, match=f"the owner key of shop {SHOP.hex()} is not on this relay"):
        keys.owner_key(SHOP)


def test_a_key_file_that_holds_no_key_is_told(keys, tmp_path):
    (tmp_path / "relay.key").write_bytes(b"nothing")
    with pytest.raises(DamagedStore, match="no private key"):
        keys.relay_key()


def test_the_relays_device_id_follows_from_its_key(keys):
    public = keys.relay_key().public
    assert relay_device_id(public) == relay_device_id(public)
    assert relay_device_id(public) != relay_device_id(public[::-1])
