"""A sale whose bytes change on the disk before the relay has it is nowhere else: nothing may call it safe."""

import json

import apsw
import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.cli import main
from crdtsync.errors import NotSynchronised
from crdtsync.storage.schema import SEQ_MAX
from crdtsync_server.local import LocalRelay

SOME = "UPDATE record SET crc = crc + 1 WHERE (pos & ?) = ?"
"""The bytes can be read still, and are not believed."""

ALL = "UPDATE record SET bytes = zeroblob(length(bytes)) WHERE (pos & ?) = ?"


def run(register, *arguments):
    return CliRunner().invoke(main, [*arguments, "--data", str(register.replica.folder)])


def damage_the_newest(register, how):
    connection = apsw.Connection(str(register.replica.folder / "register.sqlite"))
    connection.execute(how, (SEQ_MAX, register.replica.log.end.seq))
    assert connection.changes() == 1
    connection.close()


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        yield relay


@pytest.fixture
def till(relay, tmp_path):
    with Register.join(tmp_path / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sell(["CM-19"], ["card"])
        till.sync()
        yield till


@pytest.mark.parametrize(("how", "amount_minor"), [(SOME, 1850), (ALL, 0)], ids=["some bytes", "all bytes"])
def test_a_sale_that_was_damaged_before_the_relay_had_it_is_pending_for_good(till, how, amount_minor):
    till.sell(["CM-19"], ["card"])
    damage_the_newest(till, how)
    assert till.status().damaged_own == 1
    with pytest.raises(NotSynchronised, match="everything but 1 entry of this register that was damaged"):
        till.sync()
    # The rest flows: what is sold now is there, and what was lost is still told.
    till.sell(["CM-19"], ["card"])
    with pytest.raises(NotSynchronised):
        till.sync()
    status = till.status()
    assert (status.state, status.damaged_own) == ("attention", 1)
    assert (status.pending_own.records, status.pending_own.amount_minor) == (1, amount_minor)
    said = run(till, "status").stdout
    assert "1 entry of this register was damaged on its disk" in said
    assert "The relay has everything on its disk" not in said
    assert "up to date" not in said
    found = json.loads(run(till, "doctor", "--json").stdout)["findings"]
    (pending,) = (one for one in found if one["check"] == "pending")
    assert (pending["state"], pending["exit_code"]) == ("wrong", NotSynchronised.exit_code)
    assert run(till, "sync").exit_code == NotSynchronised.exit_code
    assert run(till, "open").exit_code == 0, "a day opens whatever is missing"


@pytest.mark.parametrize("how", [SOME, ALL], ids=["some bytes", "all bytes"])
def test_a_sale_that_was_damaged_after_the_relay_had_it_comes_back_and_is_safe(till, how):
    till.sell(["CM-19"], ["card"])
    till.sync()
    damage_the_newest(till, how)
    assert till.status().damaged_own == 1, "nobody has asked the relay yet"
    till.sync()
    status = till.status()
    assert (status.damaged_own, status.pending.records) == (0, 0)
    assert status.relay_put_back_at_ms is None, "it is this disk that lost something"
    assert "The relay has everything on its disk" in run(till, "status").stdout
    assert till.verify().findings == ()
    # A person is called as long as nobody can say whether what is set apart is here again, and not for ever.
    assert (status.apart, status.apart_back) == (1, how == SOME)
    assert (status.state, status.concerns == ()) == (
        ("synced", True) if how == SOME else ("attention", False)
    )
    found = json.loads(run(till, "doctor", "--json").stdout)["findings"]
    (quarantine,) = (one for one in found if one["check"] == "quarantine")
    assert quarantine["state"] == ("notice" if how == SOME else "wrong")
