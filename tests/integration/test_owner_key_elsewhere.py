"""The owner's key changes hands, and is kept off the relay, while registers sell."""

import json

import pytest

from crdtsync import Register
from crdtsync.errors import PairingRefused
from tests import forked
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def a(relay, tmp_path):
    with relay.join(tmp_path / "a", "Caisse A", relay.first_code) as a:
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        a.sell(["CM-19"], ["card"])
        a.sync(60)
        yield a


def test_registers_go_on_over_a_rotation_and_new_ones_come_in(relay, a, tmp_path):
    a.start_sync()
    relay.command("owner", "rotate", "Cave")
    with relay.join(tmp_path / "b", "Caisse B") as b:
        b.sync(60)
        b.sell(["CM-19"], ["card"])
        b.sync(60)
        assert len(b.sales()) == 2
        assert b.verify().findings == ()
    number = a.sell(["CM-19"], ["card"]).number
    wait_until(lambda: len(a.sales()) == 3 and a.status().pending.records == 0)
    a.stop_sync()
    assert number in [row.number for row in a.sales()]
    assert a.verify().findings == ()
    assert json.loads(relay.command("verify", "--json"))["defects"] == 0


def test_a_register_that_was_away_during_a_rotation_comes_back(relay, a, tmp_path):
    a.close()
    relay.command("owner", "rotate", "Cave")
    relay.command("owner", "rotate", "Cave")
    relay.join(tmp_path / "b", "Caisse B").close()
    with Register.open(tmp_path / "a") as again:
        again.sell(["CM-19"], ["card"])
        again.sync(60)
        assert again.status().pending.records == 0
        assert again.verify().findings == ()
        names = [device.name for device in again.replica.queries.devices()]
    assert "Caisse B" in names


def test_a_register_joins_with_an_owners_key_that_is_on_another_machine(relay, a, tmp_path):
    [key] = (relay.folder / "keys").glob("*.owner")
    safe = key.rename(tmp_path / "safe.owner")
    code = relay.code()
    with pytest.raises(PairingRefused, match="owner's signature"):
        relay.join(tmp_path / "b", "Caisse B", code)
    number = a.sell(["CM-19"], ["card"]).number
    a.sync(60)
    request, answer = tmp_path / "request.json", tmp_path / "answer.json"
    assert "let in Caisse B" in relay.command("owner", "request", "Cave", str(request))
    command = ["-m", "crdtsync_server", "owner", "sign", request, answer]
    signed = forked.run([*command, "--key", safe])
    assert signed.returncode == 0, signed.stderr
    assert "lets in Caisse B (register, series 02)" in signed.stdout
    assert "lets in Caisse B" in relay.command("owner", "answer", "Cave", str(answer))
    with relay.join(tmp_path / "b", "Caisse B", code) as b:
        b.sync(60)
        assert number in [row.number for row in b.sales()]
        b.sell(["CM-19"], ["card"])
        b.sync(60)
    a.sync(60)
    assert len(a.sales()) == 3
    assert json.loads(relay.command("verify", "--json"))["defects"] == 0
