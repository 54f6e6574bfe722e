"""Copies that sell at once and are killed, a rescue file that comes late or into the wrong shop, a register
revoked and replaced in the same moment, a reset: with real processes and files. Nothing here imports the
product; a program judges that reads the files by the page that describes them.
"""

import shutil
import signal
from pathlib import Path

import pytest

from tests import forked
from tests.integration.copies.processes import Desk, Relay, Till

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

ALREADY_A_REGISTER, STILL_PENDING, ACCESS_DENIED, INVALID_RESCUE = 22, 24, 33, 36


class Shop:
    """A relay that serves, with a shop and registers. ``told``: every ticket that anybody was told of."""

    def __init__(self, folder, name="Cave"):
        self.folder, self.name, self.desk = folder, name, Desk()
        self.relay = Relay(folder / "relay", self.desk)
        self.code = self.relay.say("shop", "create", name)["code"]
        self.relay.start()
        self.told = {}

    def join(self, name, code=None, shop=None):
        till = Till(self.folder / name.replace(" ", "-").lower(), self.desk)
        code = code or self.code or self.relay.say("pair", shop or self.name)["code"]
        self.code = None
        till.say("join", self.relay.url, code, "--name", name)
        return till

    def sell(self, till, tickets=1):
        self.told |= till.sell(tickets)

    def links(self, *tills):
        """What lies on the relay's disk, and on those of tills: nothing is wrong with any."""
        found = self.desk.check(self.relay, *tills)
        for one in found:
            assert one["defects"] == []
        return [set(one["links"]) for one in found]

    def everybody_holds_the_same(self, *tills):
        """Entries are the same everywhere, and every ticket that was told of is among them, once."""
        found = self.desk.check(self.relay, *tills)
        for one in found:
            assert one["defects"] == []
            assert one["links"] == found[0]["links"]
            assert {link: one["tickets"].get(link) for link in self.told} == self.told
        return found[0]

    def close(self):
        self.relay.stop()
        self.desk.close()


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.close()


@pytest.fixture
def till(shop):
    """Caisse 1, with two tickets that the relay has."""
    till = shop.join("Caisse 1")
    till.say("product", "add", "CM-19", "--name", "Crozes-Hermitage", "--price", "18.50", "--vat", "20")
    shop.sell(till, 2)
    till.sync()
    return till


def hears(shop, seller, tickets):
    """What a program that sells in a loop says of so many tickets."""
    for _ in range(tickets):
        link, amount = seller.stdout.readline().split()
        shop.told[link] = int(amount)


def kill(shop, seller):
    """It is killed, and what it had told before is heard."""
    seller.send_signal(signal.SIGKILL)
    for line in seller.stdout:
        if line.endswith("\n"):
            link, amount = line.split()
            shop.told[link] = int(amount)
    seller.stdout.close()
    seller.wait(60)


def test_two_copies_that_run_at_once_and_are_killed_with_their_relay_lose_nothing(shop, till, tmp_path):
    copies = [till, *(till.copy_to(tmp_path / f"copy-{number}") for number in (1, 2))]
    for round_ in range(2):
        sellers = [one.seller(10_000) for one in copies]
        for number, seller in enumerate(sellers):
            hears(shop, seller, 8 + number)
        if round_ == 0:
            shop.relay.stop(signal.SIGKILL)
            for seller in sellers:
                hears(shop, seller, 3)
        for one in copies:
            shop.desk.pending(one, shop.relay)
        for seller in sellers:
            kill(shop, seller)
        if round_ == 0:
            shop.relay.start()
    for one in (*copies, *copies):
        one.sync()
        assert shop.desk.pending(one, shop.relay) == 0
    found = shop.everybody_holds_the_same(*copies)
    # The third may leave too, and one may leave twice: see the decision on copied registers.
    left = {one["chain"] for one in found["left"]} - {one["of"] for one in found["left"]}
    assert 2 <= len(left) <= 3, "two of the three go on in chains of their own, or all do"
    told = [one.status()["copied"] for one in copies]
    assert sum(any(row["is_own"] for row in rows) for rows in told) == len(left)
    for number, one in enumerate(copies):
        if any(row["is_own"] for row in told[number]):
            code = shop.relay.say("pair", "Cave")["code"]
            one.say("join", shop.relay.url, code, "--name", f"Caisse 1-{number}")
    for one in copies:
        shop.sell(one)
    for one in (*copies, *copies):
        one.sync()
    shop.everybody_holds_the_same(*copies)
    for one in copies:
        status = one.status()
        assert (status["copied"], status["state"]) == ([], "synced")


# -- rescue files ------------------------------------------------------------------------------------------


def test_a_rescue_file_that_comes_after_its_register_was_replaced_waits_for_a_person(shop, till, tmp_path):
    shop.sell(till, 3)
    file = tmp_path / "till.rescue"
    till.say("rescue", str(file))
    code = shop.relay.say("restore", "Cave", "Caisse 1")["code"]
    shutil.rmtree(till.folder)  # It is gone; the file is what is left of the three.
    new = shop.join("Caisse 1 neuve", code)
    new.sync()
    assert len(set(shop.told) - shop.links()[0]) == 3
    taken = shop.relay.say("rescue", str(file))
    assert (taken["held"]["tickets"], taken["new"]["tickets"]) == (3, 0)
    again = shop.relay.say("rescue", str(file))
    assert (again["new"]["tickets"], shop.relay.say("hold", "list", "Cave")[0]["tickets"]) == (0, 3)
    shop.relay.say("hold", "approve", "Cave", "--device", shop.relay.say("hold", "list", "Cave")[0]["device"])
    new.sync()
    shop.sell(new)
    new.sync()
    shop.everybody_holds_the_same(new)
    last = shop.relay.say("rescue", str(file))
    assert (last["known"]["tickets"], last["held"]["tickets"], last["new"]["tickets"]) == (3, 0, 0)
    assert shop.relay.say("hold", "list", "Cave") == []


def test_a_rescue_file_of_a_neighbour_gets_nothing_into_this_shop(shop, till, tmp_path):
    """Two shops of one relay. A file goes where its records belong; one that was changed goes nowhere."""
    code = shop.relay.say("shop", "create", "Ailleurs")["code"]
    neighbour = shop.join("Voisine", code)
    neighbour.say("product", "add", "CM-19", "--name", "Crozes", "--price", "12.00", "--vat", "20")
    neighbour.sync()
    neighbour.sell(2)
    file = tmp_path / "neighbour.rescue"
    neighbour.say("rescue", str(file))
    before = totals(shop, "Cave")
    forged = tmp_path / "forged.rescue"
    ids = {one["name"]: one["shop"] for one in shop.relay.say("status")["shops"]}
    bytes_ = file.read_bytes()
    assert ids["Ailleurs"].encode() in bytes_
    forged.write_bytes(bytes_.replace(ids["Ailleurs"].encode(), ids["Cave"].encode()))
    shop.desk.run(
        "crdtsync_server", "rescue", str(forged), "--data", str(shop.relay.folder), code=INVALID_RESCUE
    )
    assert totals(shop, "Cave") == before
    taken = shop.relay.say("rescue", str(file))
    assert (taken["new"]["tickets"], taken["shop_name"]) == (2, "Ailleurs")
    assert totals(shop, "Cave") == before
    neighbour.sync()
    assert neighbour.status()["pending_records"] == 0


def totals(shop, name):
    """What `crdtsync-relay status` says of a shop's log."""
    found = next(one for one in shop.relay.say("status")["shops"] if one["name"] == name)
    return {key: found[key] for key in ("log_end", "not_admitted") if key in found} | {
        "documents": found["documents"]
    }


# -- cut off and replaced at once ----------------------------------------------------------------------------


def start(program, *arguments):
    return forked.Process(["-m", program, *arguments], stdout=forked.PIPE, stderr=forked.PIPE)


@pytest.mark.parametrize("first", ["revoke", "join"])
def test_a_register_that_is_cut_off_while_another_takes_its_place(shop, till, tmp_path, first):
    """Both commands run at once. Whoever comes first: it is cut off, its successor is in, nothing is lost."""
    shop.sell(till, 2)
    code = shop.relay.say("restore", "Cave", "Caisse 1")["code"]
    new, old = Till(tmp_path / "new", shop.desk), till.status()["device"]
    commands = {
        # By its id: whoever takes its place has its name.
        "revoke": ("crdtsync_server", "revoke", "Cave", old, "--data", shop.relay.folder),
        "join": ("crdtsync", "join", shop.relay.url, code, "--data", new.folder),
    }
    started = {name: start(*commands[name]) for name in sorted(commands, key=lambda name: name != first)}
    said = {name: process.communicate(timeout=60) for name, process in started.items()}
    assert started["join"].returncode == 0, said["join"]
    assert started["revoke"].returncode == 0, said["revoke"]
    devices = {one["device"]: one["revoked"] for one in shop.relay.shop()["devices"]}
    assert (devices[old], devices[new.status()["device"]]) == (True, False)
    new.sync()
    shop.desk.run("crdtsync", "sync", "--data", str(till.folder), code=ACCESS_DENIED)
    (hold,) = shop.relay.say("hold", "list", "Cave")
    assert hold["tickets"] == 2
    shop.relay.say("hold", "approve", "Cave", "--device", hold["device"])
    shop.sell(new)
    new.sync()
    shop.everybody_holds_the_same(new)


# -- a reset -------------------------------------------------------------------------------------------------


def test_a_reset_is_refused_while_something_is_pending_and_a_rescue_file_lets_it_go(shop, till, tmp_path):
    shop.sell(till, 2)
    refused = shop.desk.run("crdtsync", "leave", "--data", str(till.folder), code=STILL_PENDING)
    assert "2 tickets, 37,00" in refused
    assert "crdtsync rescue FILE" in refused
    code = shop.relay.say("pair", "Cave")["code"]
    for again, refusal in (
        (("init", "--name", "Neuve"), ALREADY_A_REGISTER),
        (("join", shop.relay.url, code, "--name", "Neuve"), STILL_PENDING),
    ):
        shop.desk.run("crdtsync", *again, "--data", str(till.folder), code=refusal)
    before = shop.links(till)[1]
    assert set(shop.told) <= before, "nothing was touched"
    file = tmp_path / "till.rescue"
    till.say("rescue", str(file))
    left = till.say("leave", "--rescued", str(file))
    assert left["rescued_tickets"] == 2
    assert before <= shop.links(Till(Path(left["moved_to"]), shop.desk))[1]
    new = Till(till.folder, shop.desk)
    new.say("join", shop.relay.url, code, "--name", "Neuve")
    assert shop.relay.say("rescue", str(file))["new"]["tickets"] == 2
    new.sync()
    shop.sell(new)
    new.sync()
    shop.everybody_holds_the_same(new)
