"""A register that was put back is enrolled again in its own folder, while another of its programs sells."""

import json
import shutil

import pytest

from crdtsync import Register
from crdtsync.cli.coming_back import bring_back
from crdtsync.errors import AccessDenied, AlreadyARegister, PairingRefused, StillPending
from crdtsync.runtime.belonging.copies import begin_own_chain
from crdtsync.runtime.belonging.join import join_shop
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.syncing.address import ENROL_PATH
from crdtsync.runtime.syncing.link import open_link
from crdtsync_server.local import LocalRelay
from crdtsync_server.shops.enrolment import EnrolmentDesk
from tests import forked
from tests.integration.conftest import wait_until

WINE = "CM-19"


@pytest.fixture
def till(relay, tmp_path):
    """Caisse 1 with one ticket, which has found out that it was put back, and told the relay."""
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add(WINE, name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
        till.sell([WINE], ["card"])
        replica = till.replica
        with replica.store.transaction():
            begin_own_chain(replica.log, replica.identity, replica.key, replica.clock, replica.random_bytes)
        till.sync(60)
        yield till


class SellsMeanwhile:
    """A connection to the relay that lets another program sell: before the code is shown, and when the
    certificate has come and is not stored yet.
    """

    def __init__(self, socket, sell):
        self._socket, self._sell, self._frames = socket, sell, 0

    async def send(self, frame):
        self._sell()
        await self._socket.send(frame)

    async def receive(self):
        frame = await self._socket.receive()
        self._frames += 1
        if self._frames == 2:
            self._sell()
        return frame

    async def close(self, code, reason):
        await self._socket.close(code, reason)


def enrolled_again(relay, folder, sell, code=""):
    code = code or json.loads(relay.command("restore", relay.shop.hex(), "Caisse 1", "--json"))["code"]

    async def connect(url):
        return SellsMeanwhile(await open_link(url, ENROL_PATH), sell)

    return join_shop(
        folder, relay.url, code, clock=SystemClock(), random_bytes=system_random, connect=connect
    )


def test_what_another_program_sells_in_that_moment_is_not_put_on_hold(relay, till, tmp_path):
    before = till.identity.device
    identity = enrolled_again(relay, tmp_path / "till", lambda: till.sell([WINE], ["card"]))
    assert identity.device != before
    with pytest.raises(AlreadyARegister, match="another key"):
        till.sell([WINE], ["card"])
    with Register.open(tmp_path / "till") as again:
        background = again.start_sync()
        # It is told of it while it is connected, not at the next hello.
        wait_until(lambda: background.is_connected and again.status().pending.records == 0)
        again.sell([WINE], ["card"])
        wait_until(lambda: again.status().pending.records == 0)
        assert (again.status().concerns, again.status().copied) == ((), ())
        assert json.loads(relay.command("hold", "list", relay.shop.hex(), "--json")) == []
        assert again.verify().findings == ()
        assert len(again.sales()) == 4
    with relay.join(tmp_path / "neighbour", "Caisse 2") as neighbour:
        neighbour.sync(60)
        assert len(neighbour.sales()) == 4, "every replica admits what was let in"


def test_what_a_copy_of_its_folder_sells_afterwards_stays_on_hold(relay, till, tmp_path):
    shutil.copytree(tmp_path / "till", tmp_path / "copy")
    enrolled_again(relay, tmp_path / "till", lambda: till.sell([WINE], ["card"]))
    with Register.open(tmp_path / "copy") as copy:
        copy.sell([WINE], ["card"])
        with pytest.raises(AccessDenied, match="revoked"):
            copy.sync(60)
    with Register.open(tmp_path / "till") as again:
        again.sync(60)
        wait_until(lambda: len(held(relay)) == 1)
        again.sync(60)
        assert again.status().pending.records == 0
    [hold] = held(relay)
    assert hold["tickets"] == 1


def test_a_relay_that_was_killed_before_it_let_it_in_does_so_when_it_starts(
    relay, till, tmp_path, monkeypatch
):
    relay.stop()
    with monkeypatch.context() as killed:
        killed.setattr(EnrolmentDesk, "take_vouched", lambda desk, shop: None)
        with LocalRelay(relay.folder, port=relay.port):
            enrolled_again(relay, tmp_path / "till", lambda: till.sell([WINE], ["card"]))
            with Register.open(tmp_path / "till") as again:
                again.start_sync()
                wait_until(lambda: [hold["tickets"] for hold in held(relay)] == [2])
    with LocalRelay(relay.folder, port=relay.port):
        wait_until(lambda: held(relay) == [])


def held(relay):
    return json.loads(relay.command("hold", "list", relay.shop.hex(), "--json"))


# -- with the owner's key off the relay ---------------------------------------------------------------------


@pytest.fixture
def safe(relay, tmp_path):
    """The owner's key, which is on another machine."""
    [key] = (relay.folder / "keys").glob("*.owner")
    return key.rename(tmp_path / "safe.owner")


def asked_for(relay, tmp_path):
    """What the owner is asked to sign; the file."""
    request = tmp_path / "request.json"
    return json.loads(relay.command("owner", "request", "Cave", str(request), "--json")), request


def signed(relay, request, safe):
    """The owner signs it, and the relay takes that; what was taken, and how much more waits for him."""
    answer = request.with_name("answer.json")
    command = ["-m", "crdtsync_server", "owner", "sign", request, answer]
    signed = forked.run([*command, "--key", safe])
    assert signed.returncode == 0, signed.stderr
    taken = json.loads(relay.command("owner", "answer", "Cave", str(answer), "--json"))
    return [one["what"] for one in taken["taken"]], taken["meanwhile"]


def test_with_the_owners_key_elsewhere_his_next_signature_lets_in_all_that_was_sold_meanwhile(
    relay, till, tmp_path, safe
):
    code = json.loads(relay.command("restore", relay.shop.hex(), "Caisse 1", "--json"))["code"]
    with pytest.raises(PairingRefused, match="owner's signature"):
        Register.join(tmp_path / "till", relay.url, code)
    asked, request = asked_for(relay, tmp_path)
    assert (asked["certify"], asked["revoke"], asked["meanwhile"]) == (["Caisse 1"], ["Caisse 1"], 0)
    till.sell([WINE], ["card"])  # While the request is on its way to the owner.
    till.sync(60)
    taken, left = signed(relay, request, safe)
    assert (taken, left > 0) == (["certify", "revoke"], True)
    till.sell([WINE], ["card"])  # The answer is back, and nobody has joined again yet.
    with pytest.raises(StillPending):
        Register.join(tmp_path / "till", relay.url, code)
    with pytest.raises(AccessDenied, match="revoked"):
        till.sync(60)
    enrolled_again(relay, tmp_path / "till", lambda: till.sell([WINE], ["card"]), code)
    refused = relay.command("hold", "approve", "Cave", "--device", "Caisse 1", check=False)
    assert refused == ""
    assert "owner request SHOP FILE --approve" in relay.command("hold", "list", "Cave")
    with Register.open(tmp_path / "till") as again:
        said = bring_back(again, lambda left: None, as_json=True)
        assert "on hold" in said, "`join` ends although something waits for the owner"
        again.start_sync()
        # Three that came after the answer, and the one that the relay took while it was on its way: whoever
        # hears of the revocation first keeps that one apart, too.
        wait_until(lambda: [hold["tickets"] for hold in held(relay)] == [4])
        asked, request = asked_for(relay, tmp_path)
        assert asked["meanwhile"] > 1, "nobody has to name them"
        what, left = signed(relay, request, safe)
        assert (set(what), left) == ({"owner-approve"}, 0)
        wait_until(lambda: again.status().pending.records == 0)
        assert held(relay) == []
        again.sell([WINE], ["card"])
        wait_until(lambda: again.status().pending.records == 0)
        assert (again.status().concerns, again.verify().findings) == ((), ())
        assert len(again.sales()) == 6
    assert asked_for(relay, tmp_path)[0]["meanwhile"] == 0
    code = relay.code()
    with pytest.raises(PairingRefused, match="owner's signature"):
        relay.join(tmp_path / "neighbour", "Caisse 2", code)
    signed(relay, asked_for(relay, tmp_path)[1], safe)
    with relay.join(tmp_path / "neighbour", "Caisse 2", code) as neighbour:
        neighbour.sync(60)
        assert len(neighbour.sales()) == 6, "every replica admits what was let in"


def test_with_the_owners_key_elsewhere_a_copys_sales_are_in_no_request(relay, till, tmp_path, safe):
    shutil.copytree(tmp_path / "till", tmp_path / "copy")
    code = json.loads(relay.command("restore", relay.shop.hex(), "Caisse 1", "--json"))["code"]
    with pytest.raises(PairingRefused):
        Register.join(tmp_path / "till", relay.url, code)
    signed(relay, asked_for(relay, tmp_path)[1], safe)
    Register.join(tmp_path / "till", relay.url, code).close()
    with Register.open(tmp_path / "copy") as copy:
        copy.sell([WINE], ["card"])
        with pytest.raises(AccessDenied, match="revoked"):
            copy.sync(60)
    with Register.open(tmp_path / "till") as again:
        again.sync(60)
    wait_until(lambda: len(held(relay)) == 1)
    assert asked_for(relay, tmp_path)[0]["meanwhile"] == 0
