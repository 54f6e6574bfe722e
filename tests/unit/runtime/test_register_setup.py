import stat

import pytest

from crdtsync.errors import AlreadyARegister, InvalidName, NoRegister, NotAStore, StorageError
from crdtsync.runtime.register.register import Register
from crdtsync.testing.clock import seeded_bytes


def make(folder, clock, **names):
    return Register.init(folder, clock=clock, random_bytes=seeded_bytes(1), **{"name": "Caisse 1", **names})


def test_a_register_alone_is_a_shop_of_one(tmp_path, clock):
    with make(tmp_path / "till", clock, shop_name="Cave du Port") as till:
        identity = till.identity
        assert (identity.device_name, identity.shop_name, identity.role) == (
            "Caisse 1",
            "Cave du Port",
            "register",
        )
        assert [fact["kind"] for fact in till.inspect("owner")] == ["owner", "certify"]
        assert till.verify().findings == ()


def test_the_folder_and_the_keys_are_its_owners_alone(tmp_path, clock):
    make(tmp_path / "till", clock).close()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "till").glob("*.key")}
    assert modes == {"device.key": 0o600, "owner.key": 0o600}
    assert stat.S_IMODE((tmp_path / "till").stat().st_mode) == 0o700


def test_a_register_is_not_made_twice(tmp_path, clock):
    make(tmp_path / "till", clock).close()
    with pytest.raises(AlreadyARegister):
        make(tmp_path / "till", clock)


@pytest.mark.parametrize("name", ["", "x" * 65, "two\nlines"])
def test_a_name_that_cannot_stand_in_an_entry_is_refused_before_anything_is_made(tmp_path, clock, name):
    with pytest.raises(InvalidName):
        make(tmp_path / "till", clock, name=name)
    assert not (tmp_path / "till").exists()


def test_two_registers_have_nothing_in_common(tmp_path, clock):
    with make(tmp_path / "a", clock) as a, Register.init(tmp_path / "b", name="Caisse 1") as b:
        assert a.identity.device != b.identity.device
        assert a.identity.shop != b.identity.shop
        assert a.identity.series != b.identity.series


def test_where_no_register_is_none_is_opened_or_made(tmp_path):
    with pytest.raises(NoRegister):
        Register.open(tmp_path / "till")
    assert not (tmp_path / "till").exists()


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path):
    (tmp_path / "register.sqlite").write_bytes(b"not a database, but somebody's file" * 100)
    with pytest.raises(NotAStore):
        Register.open(tmp_path)
    assert (tmp_path / "register.sqlite").read_bytes().startswith(b"not a database")


def test_a_register_whose_key_is_missing_shows_what_it_has_and_sells_nothing(folder, clock):
    (folder / "device.key").unlink()
    with Register.open(folder, clock=clock) as till:
        assert till.status().name == "Caisse 1"
        with pytest.raises(NoRegister):
            till.sell(["CM-19"], ["card"])


def test_a_folder_that_is_a_file_is_told(tmp_path, clock):
    (tmp_path / "till").write_text("a file")
    with pytest.raises(StorageError):
        make(tmp_path / "till", clock)


def test_the_same_clock_and_bytes_make_the_same_register(tmp_path, clock):
    with make(tmp_path / "a", clock) as a, make(tmp_path / "b", clock) as b:
        assert (a.identity, a.end) == (b.identity, b.end)
