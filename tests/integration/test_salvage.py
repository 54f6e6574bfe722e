"""A store that does not open any more: what can be read goes into a new one, and nothing else is needed."""

import json
import shutil
from contextlib import closing

import apsw
import pytest

from crdtsync.errors import (
    CrdtsyncError,
    DamagedStore,
    NoRegister,
    RoleTaken,
    StorageError,
    StoreBusy,
    UsageError,
)
from crdtsync.ids import record_digest
from crdtsync.model.entry import read_entry
from crdtsync.runtime.belonging.leaving import leave
from crdtsync.runtime.belonging.replacing import Lost, load_lost, save_lost
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.damage.rescue import rescue
from crdtsync.runtime.damage.salvage import salvage
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.folder.role import sync_role
from crdtsync.runtime.register.register import Register
from crdtsync.storage.log import Refusal
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.local import LocalRelay
from crdtsync_server.open import opened
from crdtsync_server.shops.owner_keys import rotate
from tests.cli.conftest import Till

DAMAGES = {
    "the head of the log": "UPDATE shop SET h = zeroblob(32)",
    "the end of the log": "UPDATE shop SET seq = seq + 5",
    "the id of the log": "UPDATE shop SET log_id = zeroblob(16)",
    "every chain": "UPDATE chain SET crc = crc + 1",
    "chains gone": "DELETE FROM chain",
    "the totals": "UPDATE document SET crc = crc + 1",
    "documents gone": "DELETE FROM document",
    "who it is": "UPDATE state SET value = x'00' WHERE key = 'identity'",
    "all small state": "DELETE FROM state",
    "whose rows they are": "DELETE FROM origin",
    "what rows are found by": "DELETE FROM stretch; UPDATE chain SET crc = crc + 1",
    "the shops": "DELETE FROM shop",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A relay, and the folder of a register with four tickets, two of which only it has."""
    folder = tmp_path_factory.mktemp("shop")
    with LocalRelay(folder / "relay", shop="Cave du Port") as relay:
        with Register.join(folder / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
            till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
            till.sell(["CM-19"], ["card"])
            till.sell(["CM-19"], ["card"], request_id="second")
            till.sync()
            till.sell(["CM-19"], ["cash"])
            till.sell(["CM-19"], ["card"], request_id="fourth")
        yield relay, folder / "till"


@pytest.fixture
def folder(shop, tmp_path):
    """A copy of it."""
    return shutil.copytree(shop[1], tmp_path / "till")


def rot(folder, sql):
    with closing(apsw.Connection(str(folder / STORE))) as connection:
        connection.execute(sql)


def salvaged(folder, **options):
    return salvage(folder, SystemClock(), system_random, **options)


def entries_of(till):
    chain = read_head(till.replica.log).chain
    return [read_entry(sealed) for _, sealed in till.replica.log.chain_entries(chain, 1, 1 << 20)]


def written_by(till):
    chains = {run.chain for run in till.replica.log.runs()}
    found = [read_entry(one) for chain in chains for _, one in till.replica.log.chain_entries(chain, 1, 99)]
    return [entry for entry in found if entry.author == till.identity.device]


def numbers(till):
    return sorted(row.number for row in till.sales())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_no_ticket_is_lost_whatever_they_were_found_by_is_damaged(shop, folder, damage):
    relay, _ = shop
    rot(folder, damage)
    address = None if "DELETE FROM state" not in damage else relay.url
    made = salvaged(folder, relay_url=address)
    assert (made.name, made.shop_name, made.lost, made.relay_url) == (
        "Caisse 1",
        "Cave du Port",
        0,
        relay.url,
    )
    with Register.open(folder) as till:
        assert not till.verify().findings
        status = till.status()
        assert (status.pending.sales, status.pending.amount_minor) == (4, 7400)
        assert status.concerns == ()
        assert till.sell(["CM-19"], ["card"], request_id="fourth").number == numbers(till)[-1]
        # Not sent: to the relay, all these copies that go on would be forks.
        sold = till.sell(["CM-19"], ["card"]).number
        assert numbers(till) == [f"{sold[:-1]}{n}" for n in range(1, 6)]
    assert made.kept_as.exists()


@pytest.fixture
def relay(tmp_path):
    """Another relay, for who sells on."""
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        yield relay


def test_what_is_on_a_page_that_cannot_be_read_comes_back_from_the_relay(relay, tmp_path):
    folder = tmp_path / "another"
    with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 2") as till:
        till.sync()
        till.products.add("TER-01", name="Terrine", price_minor=695, vat_rate=550)
        for _ in range(40):
            till.sell(["TER-01"], ["card"])
        till.sync()
        pending = till.sell(["TER-01"], ["card"]).number
        before = numbers(till)
    with closing(SqliteStore(folder / STORE)) as store:
        page = store.connection.pragma("page_size")
        leaves = store.database.rows(
            "SELECT pageno FROM dbstat WHERE name = 'record' AND pagetype = 'leaf' ORDER BY pageno"
        )
        middle = leaves[4][0]
        store.connection.pragma("wal_checkpoint(TRUNCATE)")
    with (folder / STORE).open("r+b") as file:
        file.seek((middle - 1) * page)
        file.write(b"\xa5" * page)
    made = salvaged(folder)
    assert made.lost
    with Register.open(folder) as till:
        assert pending in numbers(till)
        assert len(numbers(till)) < len(before)
        till.sync()
        till.resync()
        assert numbers(till) == before
        assert till.sell(["TER-01"], ["card"]).number > before[-1]
        assert not till.verify().findings
        till.sync()
        assert till.status().state == "synced"
        noted = [entry for entry in entries_of(till) if entry.kind == "jet"]
        assert [(entry.body["code"], entry.body["data"]["lost"]) for entry in noted] == [(90, made.lost)]


def test_a_register_of_a_shop_whose_owner_has_another_key_by_now_is_salvaged_too(relay, tmp_path):
    """It came in by a certificate that the key after the rotation signed."""
    with opened(tmp_path / "relay") as (access, store):
        rotate(access, store, access.find_shop("Cave du Port").id)
    folder = tmp_path / "another"
    with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 2") as till:
        till.products.add("TER-01", name="Terrine", price_minor=695, vat_rate=550)
        till.sell(["TER-01"], ["card"])
        till.sync()
        pending = till.sell(["TER-01"], ["card"]).number
    rot(folder, DAMAGES["the head of the log"])
    assert salvaged(folder).name == "Caisse 2"
    with Register.open(folder) as till:
        assert pending in numbers(till)
        till.sync()
        assert till.status().state == "synced"
        assert not till.verify().findings


def test_a_register_that_has_left_its_shop_is_salvaged_and_records_nothing_more(relay, tmp_path):
    folder = tmp_path / "another"
    with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 2") as till:
        till.products.add("TER-01", name="Terrine", price_minor=695, vat_rate=550)
        sold = till.sell(["TER-01"], ["card"]).number
        till.sync()
    left = leave(folder, SystemClock().now_ms()).folder
    rot(left, DAMAGES["the totals"])
    assert salvaged(left).name == "Caisse 2"
    with Register.open(left) as till:
        assert numbers(till) == [sold]
        with pytest.raises(NoRegister, match="has left"):
            till.sell(["TER-01"], ["card"])
        assert written_by(till)[-1].kind == "sale"


def test_what_it_knows_of_the_register_that_it_replaces_is_carried_over(folder):
    lost = Lost("d" * 32, "Caisse 0", (("c" * 64, 7),), 3, 12740, 1)
    with Register.open(folder) as till, till.replica.store.transaction():
        save_lost(till.replica.log, lost)
    rot(folder, DAMAGES["the head of the log"])
    salvaged(folder)
    with Register.open(folder) as till:
        assert load_lost(till.replica.log) == lost


def test_what_lies_between_two_pages_that_cannot_be_read_is_read(relay, tmp_path):
    folder = tmp_path / "another"
    with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 2") as till:
        till.sync()
        till.products.add("TER-01", name="Terrine", price_minor=695, vat_rate=550)
        for _ in range(80):
            till.sell(["TER-01"], ["card"])
        before = numbers(till)
    with closing(SqliteStore(folder / STORE)) as store:
        page = store.connection.pragma("page_size")
        leaves = store.database.rows(
            "SELECT pageno, ncell FROM dbstat WHERE name = 'record' AND pagetype = 'leaf' ORDER BY path"
        )
        store.connection.pragma("wal_checkpoint(TRUNCATE)")
    with (folder / STORE).open("r+b") as file:
        for place in (len(leaves) // 3, 2 * len(leaves) // 3):
            file.seek((leaves[place][0] - 1) * page)
            file.write(b"\xa5" * page)
    gone = sum(leaves[place][1] for place in (len(leaves) // 3, 2 * len(leaves) // 3))
    assert salvaged(folder).lost
    with Register.open(folder) as till:
        assert len(before) - len(numbers(till)) == gone


def test_what_was_set_apart_is_carried_over(folder):
    with Register.open(folder) as till, till.replica.store.transaction():
        refusal = Refusal(3, record_digest(b"Ejunk"), "malformed", "no record", held=False)
        till.replica.log.refuse(b"some-other-log-1", refusal, b"Ejunk", 1)
    rot(folder, DAMAGES["the head of the log"])
    assert salvaged(folder).apart == 1
    with Register.open(folder) as till:
        assert [row.record for row in till.replica.log.apart()] == [b"Ejunk"]


def test_a_number_that_was_printed_is_not_given_again_although_its_entry_is_lost(folder):
    with Register.open(folder) as till:
        last = numbers(till)[-1]
    rot(folder, "UPDATE record SET bytes = x'45' WHERE pos = (SELECT max(pos) FROM record)")
    rot(folder, DAMAGES["the totals"])
    assert salvaged(folder).lost == 1
    with Register.open(folder) as till:
        assert till.status().state == "attention"
        assert till.sell(["CM-19"], ["card"]).number > last


def test_where_the_end_of_the_chain_is_lost_too_numbers_are_new_ones(folder):
    with Register.open(folder) as till:
        before = numbers(till)
    rot(folder, "UPDATE record SET bytes = x'45' WHERE pos = (SELECT max(pos) FROM record)")
    rot(folder, "DELETE FROM state WHERE key = 'head'")
    rot(folder, DAMAGES["the totals"])
    assert salvaged(folder).lost == 1
    with Register.open(folder) as till:
        sold = till.sell(["CM-19"], ["card"]).number
        assert sold.partition("-")[0] != before[0].partition("-")[0]
        assert [one.is_own for one in till.status().copied] == [True]


def test_a_store_that_is_whole_is_left_alone(folder):
    before = (folder / STORE).read_bytes()
    with pytest.raises(UsageError, match="nothing in"):
        salvaged(folder)
    assert (folder / STORE).read_bytes() == before


def test_while_another_process_uses_the_store_it_is_left_alone(folder):
    rot(folder, DAMAGES["the head of the log"])
    with closing(apsw.Connection(str(folder / STORE))) as other:
        other.execute("SELECT * FROM shop").fetchall()
        with pytest.raises(StoreBusy):
            salvaged(folder)
    with sync_role(folder), pytest.raises(RoleTaken):
        salvaged(folder)
    with pytest.raises(DamagedStore, match="head of the log"):
        Register.open(folder)
    assert salvaged(folder).records


def test_what_says_nothing_of_whose_it_is_is_left_alone(folder, tmp_path):
    rot(folder, "DELETE FROM record; DELETE FROM pack; UPDATE chain SET crc = crc + 1")
    with pytest.raises(NoRegister, match="whose store"):
        salvaged(folder)
    with pytest.raises(NoRegister):
        salvaged(tmp_path / "nowhere")
    (folder / STORE).write_bytes(b"no store at all" * 1000)
    with pytest.raises(StorageError):
        salvaged(folder)


def test_every_error_that_salvaging_mends_names_the_command(folder, tmp_path):
    hints = {}
    for place, (name, sql) in enumerate(DAMAGES.items()):
        damaged = shutil.copytree(folder, tmp_path / str(place))
        rot(damaged, sql)
        try:
            with Register.open(damaged) as till:
                till.sell(["CM-19"], ["card"])
                till.status()
        except CrdtsyncError as error:
            hints[name] = error.hint
    assert {name for name, hint in hints.items() if "crdtsync salvage" not in hint} == set()


def test_the_command_tells_a_person_and_a_script(folder, tmp_path):
    rot(folder, DAMAGES["the head of the log"])
    again = Till(shutil.copytree(folder, tmp_path / "again"))
    told = Till(folder).ok("salvage")
    assert "Caisse 1, Cave du Port" in told
    assert "crdtsync sync" in told
    made = again.json("salvage")
    assert (made["name"], made["lost"]) == ("Caisse 1", 0)
    assert again.run("salvage").exit_code == UsageError.exit_code
    assert json.loads(again.run("salvage", "--json").stderr)["code"] == "UsageError"


OWN = 20
"""Tickets that it sold before it joined the shop, and as many after."""


@pytest.fixture
def joined_later(relay, tmp_path):
    """A register that had a shop of its own before, with one ticket that only it has; and all its numbers."""
    folder = tmp_path / "joined"
    product = {"name": "Terrine", "price_minor": 695, "vat_rate": 550}
    with Register.init(folder, name="Caisse 3", shop_name="Chez moi") as till:
        till.products.add("TER-01", **product)
        for _ in range(OWN):
            till.sell(["TER-01"], ["card"])
    with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 3") as till:
        till.products.add("TER-01", **product)
        for _ in range(OWN):
            till.sell(["TER-01"], ["card"])
        till.sync()
        till.sell(["TER-01"], ["card"])
        return folder, numbers(till)


def pages_of_the_present_shop(folder):
    """The pages with the records of the shop that it joined, in order; the first has its owner's word."""
    with closing(SqliteStore(folder / STORE)) as store:
        leaves = store.database.rows(
            "SELECT pageno, ncell FROM dbstat WHERE name = 'record' AND pagetype = 'leaf' ORDER BY path"
        )
        [[before]] = store.database.rows("SELECT count(*) FROM record WHERE pos < 2 << 40")
        store.connection.pragma("wal_checkpoint(TRUNCATE)")
    found, reached = [], 0
    for page, cells in leaves:
        reached += cells
        if reached > before:
            found.append(page)
    return found


def spoil(folder, pages):
    with closing(apsw.Connection(str(folder / STORE))) as connection:
        size = connection.pragma("page_size")
    with (folder / STORE).open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)


@pytest.mark.parametrize("pages", [slice(0, 1), slice(0, None)], ids=["the owner's word", "all"])
def test_where_nothing_tells_who_it_is_in_its_shop_it_does_not_go_on_as_who_it_was_before(
    joined_later, tmp_path, pages
):
    """Else it would give again the numbers that it gave since."""
    folder, _ = joined_later
    present = pages_of_the_present_shop(folder)
    spoil(folder, present[pages])
    before = (folder / STORE).read_bytes()
    with pytest.raises(NoRegister, match="whose store"):
        salvaged(folder)
    assert (folder / STORE).read_bytes() == before
    if len(present[pages]) < len(present):
        assert rescue(folder, tmp_path / "till.rescue", 0).pending.sales > OWN


def test_what_lies_under_a_page_that_cannot_be_read_comes_into_the_new_store(joined_later):
    folder, before = joined_later
    with closing(SqliteStore(folder / STORE)) as store:
        inner = store.database.rows(
            "SELECT pageno FROM dbstat WHERE name = 'record' AND pagetype = 'internal'"
        )
        store.connection.pragma("wal_checkpoint(TRUNCATE)")
    spoil(folder, [page for (page,) in inner])
    assert salvaged(folder).lost
    with Register.open(folder) as till:
        assert numbers(till) == before
        assert till.sell(["TER-01"], ["card"]).number > before[-1]
