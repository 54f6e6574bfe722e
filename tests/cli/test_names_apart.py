"""A lost register and the one in its place have one name: whoever reads of them, or types it, knows which."""

import pytest

from crdtsync import errors
from tests.cli.conftest import Till
from tests.cli.test_hold import SHOP, RelayFolder, relay

__all__ = ["relay"]


@pytest.fixture
def both(relay: RelayFolder, tmp_path):
    """Caisse 1 that was lost, the one in its place, and what each is called."""
    lost = Till(tmp_path / "lost")
    lost.ok("join", relay.local.url, relay.local.pairing_code(), "--name", "Caisse 1")
    lost.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    lost.ok("sell", "CM-19", "--pay", "card")
    lost.ok("sync")
    code = relay.json("restore", SHOP, "Caisse 1")["code"]
    new = Till(tmp_path / "new")
    new.ok("join", relay.local.url, code)
    new.ok("sell", "CM-19", "--pay", "card")
    new.ok("sync")
    series = {row["number"].split("-")[0] for row in new.json("sales")}
    assert len(series) == 2
    return lost, new, sorted(f"Caisse 1 ({one})" for one in series)


def test_a_backup_and_what_is_put_back_tell_them_apart(relay, both, tmp_path):
    _, new, names = both
    file = str(tmp_path / "relay.backup")
    said = relay.ok("backup", file)
    assert all(f"  {name}: up to " in said for name in names)
    [held] = relay.json("backup", file)["shops"]
    assert sorted(one["name"] for one in held["devices"]) == names
    assert {one["series"]: one["device"] for one in held["devices"]}[names[-1][10:12]] == new.json("status")[
        "device"
    ]


def test_what_is_missing_says_of_which(relay, both, tmp_path):
    _, _, names = both
    (tmp_path / "passphrase").write_text("correct horse battery staple")
    keys = ("--with-keys", str(tmp_path / "passphrase"))
    relay.ok("backup", str(tmp_path / "relay.backup"), *keys)
    put_back = RelayFolder(tmp_path / "other", None)
    said = put_back.ok("restore-from", str(tmp_path / "relay.backup"), *keys)
    assert all(f"  {name}: up to " in said for name in names)
    said = put_back.ok("missing", SHOP)
    assert all(f"{name}: has not been here since" in said for name in names)
    assert sorted(one["name"] for one in put_back.json("missing", SHOP)["missing"]) == names
    assert ", ".join(names) in put_back.run("doctor").stdout


def test_a_register_tells_them_apart_too(both):
    _, new, names = both
    assert all(f"{name}" in new.ok("status") for name in names)
    assert sorted(one["name"] for one in new.json("status")["devices"] if one["role"] == "register") == names
    assert sorted({row["register"] for row in new.json("sales")}) == names
    assert all(name in new.ok("report") for name in names[-1:])


def test_a_name_that_was_read_can_be_typed(relay, both):
    """What the lost one sold since is on hold under its own name, not under that of the one in its place."""
    lost, _, names = both
    lost.ok("sell", "CM-19x2", "--pay", "card")
    assert lost.run("sync").exit_code == errors.AccessDenied.exit_code
    assert names[0] in relay.ok("hold", "list", SHOP)
    assert relay.json("hold", "show", SHOP, names[0])["tickets"] == 1
    relay.ok("hold", "approve", SHOP, "--device", names[0])
    assert relay.json("hold", "list", SHOP) == []
    again = relay.json("revoke", SHOP, names[0])
    assert (again["device"], again["is_new"]) == (lost.json("status")["device"], False)
