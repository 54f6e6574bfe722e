"""A register is lost, and another machine takes its place: by the commands that people type."""

import json
from dataclasses import replace

import pytest

from crdtsync import Register
from crdtsync.model.entry import read_entry, read_heads
from crdtsync.runtime.register.status import presence_of
from crdtsync.testing.clock import DAY_MS
from crdtsync.testing.line import FaultyLine
from crdtsync_server.shops.contacts import Contact, read_contact
from tests import forked
from tests.clocks import clock_of_now

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def crdtsync(*arguments, folder, check=True):
    """(standard output, standard error, exit code) of a command on a register's folder."""
    done = forked.run(["-m", "crdtsync", *arguments, "--data", folder])
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture
def till(relay, tmp_path):
    """Caisse 1, which has sold four tickets that are all at the relay."""
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        for _ in range(4):
            till.sell(["CM-19"], ["card"])
        till.sync(60)
        yield till


def restore_code(relay, name="Caisse 1"):
    return json.loads(relay.command("restore", "Cave", name, "--json"))


def devices(relay):
    return {one["device"]: one for one in relay.status()["devices"]}


def own_first_entry(till):
    (sealed,) = [
        sealed
        for run in till.replica.log.runs()
        for sealed in till.replica.log.entry(run.chain, 1)
        if read_entry(sealed).author == till.identity.device
    ]
    return read_entry(sealed)


def test_the_new_machine_has_the_name_the_products_and_the_tickets_and_numbers_of_its_own(
    relay, till, tmp_path
):
    last, lost = till.sales()[0].number, till.identity.device.hex()
    till.close()
    code = restore_code(relay)
    assert (code["lost"], code["device"], code["never_arrived_sales"]) == ("Caisse 1", lost, 0)
    joined = json.loads(crdtsync("join", relay.url, code["code"], "--json", folder=tmp_path / "new").stdout)
    assert (joined["name"], joined["replaces"]["is_complete"]) == ("Caisse 1", True)
    assert (joined["replaces"]["number"], joined["replaces"]["tickets"]) == (last, 4)
    assert joined["replaces"]["amount_minor"] == 4 * 1850
    assert joined["history_records_left"] == 0
    with Register.open(tmp_path / "new") as new:
        sold = new.sell(["CM-19"], ["card"])
        assert sold.number.startswith(new.identity.series)
        assert sold.number.partition("-")[0] != last.partition("-")[0]
        new.sync(60)
        assert new.verify().findings == ()
    found = devices(relay)
    assert [found[lost]["revoked"], found[joined["device"]]["revoked"]] == [True, False]


def test_its_chain_names_the_end_of_the_lost_one(relay, till, tmp_path):
    head = till.replica.writer.head()
    till.close()
    with relay.join(tmp_path / "new", "", restore_code(relay)["code"]) as new:
        (named,) = read_heads(own_first_entry(new).body["heads"])
        assert (named.chain, named.link, named.n) == (head.chain, head.link, head.n)
        assert new.identity.public_key != till.identity.public_key


def test_not_the_making_of_the_code_cuts_the_old_register_off_but_its_use(relay, till, tmp_path):
    code = restore_code(relay)["code"]
    till.sell(["CM-19"], ["card"])
    till.sync(60)
    relay.join(tmp_path / "new", "", code).close()
    till.sell(["CM-19"], ["card"])
    sold_on = crdtsync("sync", folder=tmp_path / "till", check=False)
    assert (sold_on.returncode, "revoked" in sold_on.stderr) == (33, True)
    assert till.status().pending.sales == 1, "what it sold since is still on its own disk, and said to be"


def test_the_same_machine_may_ask_again_and_no_other(relay, till, tmp_path):
    till.close()
    code = restore_code(relay)["code"]
    relay.join(tmp_path / "new", "", code).close()
    other = crdtsync("join", relay.url, code, folder=tmp_path / "other", check=False)
    assert (other.returncode, "used already" in other.stderr) == (23, True)


def test_a_register_is_replaced_once(relay, till, tmp_path):
    till.close()
    codes = [restore_code(relay)["code"] for _ in range(2)]
    relay.join(tmp_path / "new", "", codes[0]).close()
    late = crdtsync("join", relay.url, codes[1], folder=tmp_path / "late", check=False)
    assert (late.returncode, "replaced already" in late.stderr) == (23, True)
    assert restore_code(relay)["device"] != till.identity.device.hex(), "the name is the new one's now"


def test_a_register_that_sold_alone_takes_nobodys_place(relay, till, tmp_path):
    code = restore_code(relay)["code"]
    Register.init(tmp_path / "alone", name="Caisse 3", shop_name="Cave").close()
    refused = crdtsync("join", relay.url, code, "--name", "Caisse 1", folder=tmp_path / "alone", check=False)
    assert (refused.returncode, "empty folder" in refused.stderr) == (23, True)
    assert not devices(relay)[till.identity.device.hex()]["revoked"]


def test_a_new_register_needs_a_name_and_the_code_stays_good(relay, till, tmp_path):
    code = relay.code()
    nameless = crdtsync("join", relay.url, code, folder=tmp_path / "new", check=False)
    assert (nameless.returncode, "--name" in nameless.stderr) == (23, True)
    relay.join(tmp_path / "new", "Caisse 2", code).close()


def say_last_word(relay, device, told):
    """What the relay notes of a device's presence, as `contacts` writes it while it serves."""
    relay.stop()
    store = relay.open_store()
    log = store.shop(relay.shop)
    facts = {name: told[name] for name in told if name in Contact.__dataclass_fields__}
    contact = replace(read_contact(log, device), **facts)
    with store.transaction():
        log.set_state(f"contact/{device.hex()}", contact.to_bytes())
    store.close()
    relay.start()
    return contact


def test_what_the_lost_register_had_told_of_and_never_sent_is_said(relay, till, tmp_path):
    """Its last word reaches the relay, and its tickets do not."""
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    told = presence_of(till.replica.log, till.identity.device)
    assert (told["own_sales"], told["own_amount_minor"], told["own_to"] - told["own_from"]) == (3, 5550, 2)
    contact = say_last_word(relay, till.identity.device, told)
    code = restore_code(relay)
    assert (code["never_arrived_sales"], code["never_arrived_amount_minor"]) == (3, 5550)
    text = relay.command("restore", "Cave", "Caisse 1")
    assert "3 more tickets, 55,50" in text
    till.close()
    join = crdtsync("join", relay.url, code["code"], folder=tmp_path / "new").stdout
    assert "3 more tickets, 55,50" in join
    assert "only its own disk has them" in join
    found = json.loads(crdtsync("status", "--json", folder=tmp_path / "new").stdout)["came_back"]
    assert (found["never_arrived_sales"], found["never_arrived_amount_minor"]) == (3, 5550)
    assert found["told_at_ms"] == contact.at_ms


def test_what_came_in_since_its_last_word_is_not_missing(relay, till, tmp_path):
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    told = presence_of(till.replica.log, till.identity.device)
    till.sync(60)
    say_last_word(relay, till.identity.device, told)
    assert restore_code(relay)["never_arrived_sales"] == 0
    one_more = {"own_sales": 4, "own_amount_minor": 5550 + 999, "own_to": told["own_to"] + 1}
    say_last_word(relay, till.identity.device, told | one_more)
    code = restore_code(relay)
    assert (code["never_arrived_sales"], code["never_arrived_amount_minor"]) == (1, 999)


def sell_at_once(till, tickets):
    """As many tickets of one day in one transaction: only to have a past."""
    head = till.replica.writer.head()
    body = read_entry(*till.replica.log.entry(head.chain, head.n)).body
    payload = {name: body[name] for name in ("lines", "vat", "ttc", "rnd", "pay") if name in body}
    with till.replica.writer._session(None) as session:
        for _ in range(tickets):
            session.append("sale", payload)


def test_it_sells_while_the_history_comes(relay, tmp_path):
    """3,000 tickets of the past: it sells beside `join`, and is told when it can and how far it is."""
    clock = clock_of_now(-3 * DAY_MS)
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code, clock=clock) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sell(["CM-19"], ["card"])
        sell_at_once(till, 3000)
        clock.pass_ms(DAY_MS)
        till.sell(["CM-19"], ["card"])
        till.sync(60)
    code = restore_code(relay)["code"]
    with FaultyLine(relay.url) as line:
        line.throttle(50_000, "down")
        command = ["-m", "crdtsync", "join", line.url, code, "--data", tmp_path / "new"]
        joining = forked.Process(command, stdout=forked.PIPE)
        lines = iter(joining.stdout.readline, "")
        assert "is a register of" in next(lines)
        assert "Ready: 1 product and today are here" in next(lines)
        with Register.open(tmp_path / "new") as new:
            new.sell(["CM-19"], ["card"])
            status = json.loads(crdtsync("status", "--json", folder=tmp_path / "new").stdout)
            assert 0 < status["history_records_left"] < 3010
            assert not status["came_back"]["is_complete"]
            assert "records still to come" in crdtsync("status", folder=tmp_path / "new").stdout
            line.heal()
            rest = "".join(lines)
            assert joining.wait(60) == 0
            assert "Here of it is all that the relay had" in rest
            assert "3002 tickets" in rest
            assert new.verify().findings == ()
            assert new.status().history_left is None
    joining.stdout.close()
