"""Data that is put back from an old copy, copied to a second machine, rolled back, wiped, moved: with real
processes and files. Each is found out at the next contact, told on both sides, healed, and loses nothing.

Nothing here imports the product: it is worked by its commands, and judged by a program that reads its files
by the page that describes them (``tests.integration.copies.check``).
"""

import shutil
import signal
import time

import pytest

from tests.integration.copies.processes import Desk, Relay, Till

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


class Shop:
    """One relay, and registers that were enrolled by it. ``told``: every ticket that anybody was told of."""

    def __init__(self, folder):
        self.folder, self.desk = folder, Desk()
        self.relay = Relay(folder / "relay", self.desk)
        self.code = self.relay.say("shop", "create", "Cave")["code"]
        self.relay.start()
        self.told = {}

    def join(self, name, code=None):
        till = Till(self.folder / name.replace(" ", "-").lower(), self.desk)
        code = code or self.code or self.relay.say("pair", "Cave")["code"]
        self.code = None
        self.joined(till, code, name)
        return till

    def joined(self, till, code, *name):
        names = ("--name", *name) if name else ()
        return till.say("join", self.relay.url, code, *names)

    def sell(self, till, tickets=1):
        self.told |= till.sell(tickets)

    def sync(self, *tills):
        """In turn, twice: what the later ones brought comes to the earlier ones."""
        for till in (*tills, *tills):
            till.sync()
            self.desk.pending(till, self.relay)

    def check(self, *tills):
        """Everybody holds the same, every ticket that was told of is there for what was told, once; what the
        program found.
        """
        found = self.desk.check(self.relay, *tills)
        for one in found:
            assert one["defects"] == []
            assert one["links"] == found[0]["links"]
            assert {link: one["tickets"].get(link) for link in self.told} == self.told
            assert len(one["tickets"]) == len(self.told)
        return found[0]


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.relay.stop()
    shop.desk.close()


@pytest.fixture
def till(shop):
    """Caisse 1, with two tickets that the relay has."""
    till = shop.join("Caisse 1")
    till.say("product", "add", "CM-19", "--name", "Crozes-Hermitage", "--price", "18.50", "--vat", "20")
    shop.sell(till, 2)
    shop.sync(till)
    return till


def is_told(shop, till, series, *, versions):
    """`status` and `doctor` of a register and of the relay name it, and the relay has warned."""
    status = till.status()
    assert status["state"] == "attention"
    (copied,) = status["copied"]
    assert copied["series"] == series
    assert ("two versions" in copied["says"]) == versions
    assert copied["says"] in status["concerns"]
    assert till.doctor()["copies"]["state"] == "wrong"
    (at_relay,) = shop.relay.shop()["copied"]
    assert (at_relay["name"], at_relay["series"]) == ("Caisse 1", series)
    assert shop.relay.doctor()["copies"]["state"] == "wrong"
    assert shop.relay.has_logged("register_copied")
    return copied


def is_settled(shop, *tills):
    """Nobody asks for anything any more."""
    for till in tills:
        status = till.status()
        assert (status["copied"], status["concerns"], status["state"]) == ([], [], "synced")
        assert till.doctor()["copies"]["state"] == "well"
    assert shop.relay.shop()["copied"] == []
    # When each register was last here is written down some seconds later.
    ends_s = time.monotonic() + 60
    while (found := shop.relay.doctor()["copies"])["state"] != "well":
        assert time.monotonic() < ends_s, found
        time.sleep(0.5)


def series_of_next(shop, till):
    """The series of a ticket that is sold now."""
    ticket = till.say("sell", "CM-19", "--pay", "card")
    shop.told[ticket["link"]] = ticket["total_minor"]
    return ticket["number"].partition("-")[0]


def test_an_old_copy_that_was_put_back_and_sold_on_keeps_both_versions(shop, till, tmp_path):
    till.copy_to(tmp_path / "yesterday")
    shop.sell(till, 3)
    shop.sync(till)
    till.put_back(tmp_path / "yesterday")
    shop.sell(till, 2)
    assert shop.desk.pending(till, shop.relay) > 0
    shop.sync(till)
    found = shop.check(till)
    (left,) = found["left"]
    assert found["forks"] == {left["of"]: left["at"] - 1}, (
        "the two sales after the copy are a version of their own"
    )
    copied = is_told(shop, till, left["series"], versions=True)
    assert copied["is_own"]
    assert series_of_next(shop, till) == left["series"], "it sells on in a chain of its own"
    shop.sync(till)
    shop.check(till)


def test_an_old_copy_that_was_put_back_and_met_the_relay_first_gets_all_back_and_forks_nothing(
    shop, till, tmp_path
):
    till.copy_to(tmp_path / "yesterday")
    shop.sell(till, 3)
    shop.sync(till)
    till.put_back(tmp_path / "yesterday")
    shop.sync(till)
    found = shop.check(till)
    (left,) = found["left"]
    assert found["forks"] == {}
    is_told(shop, till, left["series"], versions=False)
    assert series_of_next(shop, till) == left["series"], "no number that it gave out before is given again"
    shop.sync(till)
    assert shop.check(till)["forks"] == {}


def test_who_was_put_back_enrols_again_in_place_of_itself_and_all_is_quiet(shop, till, tmp_path):
    till.copy_to(tmp_path / "yesterday")
    shop.sell(till)
    shop.sync(till)
    till.put_back(tmp_path / "yesterday")
    shop.sell(till)
    code = shop.relay.say("restore", "Cave", "Caisse 1")["code"]
    shop.sync(till)
    shop.joined(till, code)
    shop.sync(till)
    shop.check(till)
    is_settled(shop, till)
    names = [(one["name"], one["revoked"]) for one in shop.relay.shop()["devices"]]
    assert sorted(names) == [("Caisse 1", False), ("Caisse 1", True)]


@pytest.mark.parametrize("first", ["the register", "its copy"])
def test_a_copy_on_a_second_machine_one_after_the_other(shop, till, tmp_path, first):
    copy = till.copy_to(tmp_path / "copy")
    shop.sell(till, 2)
    shop.sell(copy, 3)
    earlier, later = (till, copy) if first == "the register" else (copy, till)
    assert shop.desk.pending(earlier, shop.relay) > 0
    shop.sync(earlier)
    assert shop.desk.pending(later, shop.relay) > 0, "what the other brought is not what this one has"
    shop.sync(later, earlier)
    found = shop.check(till, copy)
    (left,) = found["left"]
    assert len(found["forks"]) == 1
    assert is_told(shop, later, left["series"], versions=True)["is_own"], "who came second is to enrol again"
    assert not is_told(shop, earlier, left["series"], versions=True)["is_own"]
    assert series_of_next(shop, later) == left["series"]
    assert series_of_next(shop, earlier) == "01"
    shop.sync(later, earlier)
    shop.joined(later, shop.relay.say("pair", "Cave")["code"], "Caisse 1b")
    assert series_of_next(shop, later) == "02"
    assert series_of_next(shop, earlier) == "01"
    shop.sync(later, earlier)
    shop.check(till, copy)
    is_settled(shop, till, copy)


def test_who_has_not_sent_everything_does_not_enrol_again(shop, till, tmp_path):
    copy = till.copy_to(tmp_path / "copy")
    shop.sell(till)
    shop.sell(copy)
    shop.sync(till, copy)
    shop.sell(copy)
    code = shop.relay.say("pair", "Cave")["code"]
    arguments = ("join", shop.relay.url, code, "--name", "Caisse 1b", "--data", str(copy.folder))
    assert "crdtsync sync" in shop.desk.run("crdtsync", *arguments, code=24)
    shop.sync(copy)
    shop.joined(copy, code, "Caisse 1b")
    shop.sync(copy, till)
    shop.check(till, copy)


def test_a_copy_and_its_register_that_sell_at_the_same_moment(shop, till, tmp_path):
    copy = till.copy_to(tmp_path / "copy")
    sellers = [one.seller(60) for one in (till, copy)]
    for _ in range(3):
        for one in (till, copy):
            shop.desk.pending(one, shop.relay)
    for seller in sellers:
        for line in seller.stdout:
            link, amount = line.split()
            shop.told[link] = int(amount)
        assert seller.wait(60) == 0
        seller.stdout.close()
    shop.sync(till, copy)
    found = shop.check(till, copy)
    # Who stores what the other wrote before it stores that the other left, and sells in between, leaves too;
    # who leaves while connected may leave once more, when the next hello says that its log does not fit.
    left = {one["chain"] for one in found["left"]} - {one["of"] for one in found["left"]}
    assert 1 <= len(left) <= 2, "one of the two goes on in a chain of its own, or both do"
    told = [{one["series"]: one["is_own"] for one in each.status()["copied"]} for each in (till, copy)]
    assert len(told[0]) == len(left), "each one that goes on in a chain of its own is told"
    assert told[0].keys() == told[1].keys(), "by both"
    assert [sum(each[series] for each in told) for series in told[0]] == [1] * len(left), "as the one's own"


def test_a_machine_that_was_rolled_back_by_a_snapshot_while_it_sold(shop, till, tmp_path):
    """The files of a running till are copied as a snapshot does, it is killed, and its disk set back."""
    seller = till.seller(10_000)
    for count, line in enumerate(seller.stdout):
        link, amount = line.split()
        shop.told[link] = int(amount)
        if count == 20:
            snapshot(till.folder, tmp_path / "snapshot", seller)
        if count == 60:
            break
    seller.send_signal(signal.SIGKILL)
    for line in seller.stdout:  # What it had told before it died.
        link, amount = line.split()
        shop.told[link] = int(amount)
    seller.wait(60)
    seller.stdout.close()
    (before,) = shop.desk.check(till)
    (at_relay,) = shop.desk.check(shop.relay)
    for name in ("register.sqlite", "register.sqlite-wal"):
        (till.folder / name).write_bytes((tmp_path / "snapshot" / name).read_bytes())
    (till.folder / "register.sqlite-shm").unlink(missing_ok=True)
    (after,) = shop.desk.check(till)
    kept = set(at_relay["tickets"]) | set(after["tickets"])
    sold = till.sell(2)
    till.sync()
    (now,) = shop.desk.check(till)
    # What was on this disk alone, and not in the snapshot, is lost with it; nothing else is.
    assert kept | set(sold) <= set(now["tickets"]) <= set(before["tickets"]) | set(sold)
    shop.told = now["tickets"]
    shop.sync(till)
    found = shop.check(till)
    (left,) = found["left"]
    is_told(shop, till, left["series"], versions=True)


def snapshot(folder, place, process):
    """The database and its journal of one moment."""
    process.send_signal(signal.SIGSTOP)
    place.mkdir()
    for name in ("register.sqlite", "register.sqlite-wal"):
        shutil.copy(folder / name, place / name)
    process.send_signal(signal.SIGCONT)


# -- the relay ---------------------------------------------------------------------------------------------


@pytest.fixture
def second(shop, till):
    """Caisse 2, in step."""
    second = shop.join("Caisse 2")
    shop.sell(second)
    shop.sync(till, second)
    return second


def relay_loss_is_told(shop, *tills):
    """What a relay lost is told by whoever had known more of it, and by the relay."""
    for till in tills:
        assert till.status()["relay_put_back_at"] is not None
    assert shop.relay.shop()["restore_noticed_at"] is not None


def test_a_relay_whose_databases_were_wiped_is_filled_again(shop, till, second):
    shop.relay.stop()
    for file in shop.relay.folder.glob("*.sqlite*"):
        file.unlink()
    shop.relay.start()
    shop.sell(till, 2)
    assert shop.desk.pending(till, shop.relay) > 0
    shop.sync(till, second)
    found = shop.check(till, second)
    assert (found["forks"], found["left"]) == ({}, [])
    relay_loss_is_told(shop, till, second)
    assert shop.relay.has_logged("restore_noticed")
    is_settled(shop, till, second)


def test_a_relay_put_back_from_last_night_names_who_is_not_back_yet(shop, till, second, tmp_path):
    shop.relay.stop()
    shutil.copytree(shop.relay.folder, tmp_path / "last-night")
    shop.relay.start()
    shop.sell(till, 2)
    shop.sell(second, 3)
    shop.sync(till, second)
    shop.relay.stop(signal.SIGKILL)
    shutil.rmtree(shop.relay.folder)
    shutil.copytree(tmp_path / "last-night", shop.relay.folder)
    shop.relay.start()
    till.sync()
    named = shop.relay.doctor()["copies"]
    assert (named["state"], "Caisse 2" in named["advice"]) == ("notice", True)
    shop.desk.pending(till, shop.relay)
    shop.sync(second, till)
    found = shop.check(till, second)
    assert (found["forks"], found["left"]) == ({}, [])
    relay_loss_is_told(shop, till, second)
    is_settled(shop, till, second)


def test_a_relay_put_back_and_written_to_by_others_before_a_register_returns(shop, till, second, tmp_path):
    shop.relay.stop()
    shutil.copytree(shop.relay.folder, tmp_path / "last-night")
    shop.relay.start()
    shop.sell(second, 3)
    shop.sync(second, till)
    shop.relay.stop()
    shutil.rmtree(shop.relay.folder)
    shutil.copytree(tmp_path / "last-night", shop.relay.folder)
    shop.relay.start()
    third = shop.join("Caisse 3")
    shop.sell(third, 4)
    shop.sync(third)
    shop.sell(second)
    assert shop.desk.pending(second, shop.relay) > 0
    shop.sync(second, till, third)
    found = shop.check(till, second, third)
    assert (found["forks"], found["left"]) == ({}, [])
    relay_loss_is_told(shop, second)
    is_settled(shop, till, second, third)


def test_a_relay_that_moved_to_another_machine(shop, till, second, tmp_path):
    shop.sell(till)
    shop.relay.stop()
    shutil.copytree(shop.relay.folder, tmp_path / "elsewhere")
    shutil.rmtree(shop.relay.folder)
    shop.relay.folder = tmp_path / "elsewhere"
    shop.relay.start()
    assert shop.desk.pending(till, shop.relay) > 0
    shop.sync(till, second)
    found = shop.check(till, second)
    assert (found["forks"], found["left"]) == ({}, [])
    assert all(one.status()["relay_put_back_at"] is None for one in (till, second)), "nothing was lost"
    is_settled(shop, till, second)


def test_a_register_and_its_relay_are_put_back_from_the_same_night(shop, till, second, tmp_path):
    """Two old copies that agree with each other: the neighbour has what both lost."""
    shop.relay.stop()
    shutil.copytree(shop.relay.folder, tmp_path / "last-night")
    till.copy_to(tmp_path / "last-night-till")
    shop.relay.start()
    shop.sell(till, 2)
    shop.sync(till, second)
    shop.relay.stop()
    shutil.rmtree(shop.relay.folder)
    shutil.copytree(tmp_path / "last-night", shop.relay.folder)
    till.put_back(tmp_path / "last-night-till")
    shop.relay.start()
    shop.sell(till)
    shop.sync(till)
    shop.sync(second, till)
    found = shop.check(till, second)
    assert len(found["forks"]) == 1, "nobody could know when it sold: both versions are kept"
    assert any("two versions" in concern for concern in till.status()["concerns"])
    shop.told |= found["tickets"]
    assert series_of_next(shop, till) not in ("01", "02"), "no number of the other version is given again"
    shop.sync(till, second)
    (left,) = shop.check(till, second)["left"]
    is_told(shop, till, left["series"], versions=True)
