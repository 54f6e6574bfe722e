"""Stories of what went wrong elsewhere with disks, copies and lines that break, told with this product's own
relay and registers. `docs/explanation/durability.md` has the list.
"""

import shutil
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import apsw
import pytest
from pycrdt import Map

from crdtsync import Register
from crdtsync.errors import LinkClosed, LinkError, NoRegister, StorageError
from crdtsync.ids import ENTRY
from crdtsync.model.entry import read_entry
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.line import FaultyLine
from crdtsync_server.local import LocalRelay
from tests.clocks import clock_of_now
from tests.integration.conftest import wait_until


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        yield relay


@pytest.fixture
def till(relay, tmp_path):
    with Register.join(tmp_path / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        till.sync()
        yield till


def numbers(till):
    return [row.number for row in reversed(till.sales(rows_max=1000))]


def at_relay(tmp_path, shop):
    """The numbers of all tickets that the relay has on its disk, in the order of its log."""
    with closing(SqliteStore(tmp_path / "relay" / "relay.sqlite", read_only=True)) as store:
        records = [record for _, record in store.shop(shop).read(0, bytes_max=1 << 24).records]
    bodies = [read_entry(record[1:]).body for record in records if record[:1] == ENTRY]
    return [body["num"] for body in bodies if "num" in body]


def started_again(relay, tmp_path):
    """The relay, stopped and started again on its folder, where registers look for it."""
    port = urlsplit(relay.url).port
    relay.stop()
    return LocalRelay(tmp_path / "relay", port=port)


def remove(folder, pattern):
    for file in folder.glob(pattern):
        file.unlink()


def test_a_till_whose_store_is_thrown_away_under_it_sells_nothing_into_nowhere(relay, till, tmp_path):
    """The system threw the store away. The till sold on, and every sale was gone with its window."""
    number = till.sell(["CM-19"], ["card"]).number
    till.sync()
    remove(tmp_path / "till", "register.sqlite*")
    with pytest.raises(StorageError, match="removed or replaced"):
        till.sell(["CM-19"], ["card"])
    with pytest.raises(NoRegister):
        Register.open(tmp_path / "till")
    assert at_relay(tmp_path, till.identity.shop) == [number]


def test_a_store_that_was_emptied_is_not_taken_for_a_new_till(relay, till, tmp_path):
    """After a load error an empty document was saved, and synchronised over the full one."""
    number = till.sell(["CM-19"], ["card"]).number
    till.sync()
    shop = till.identity.shop
    till.close()
    remove(tmp_path / "till", "register.sqlite-*")
    (tmp_path / "till" / "register.sqlite").write_bytes(b"")
    with pytest.raises(NoRegister, match="belongs to no register"):
        Register.open(tmp_path / "till")
    with Register.join(tmp_path / "other", relay.url, relay.pairing_code(), name="Caisse 2") as other:
        other.sync()
        assert numbers(other) == [number]
        assert other.products.get("CM-19").price_minor == 1850
    assert at_relay(tmp_path, shop) == [number]


def test_a_relay_that_is_wiped_while_it_serves_confirms_nothing_more(relay, till, tmp_path):
    """It went on confirming, and stored nothing."""
    first = till.sell(["CM-19"], ["card"]).number
    till.sync()
    remove(tmp_path / "relay", "relay.sqlite*")
    second = till.sell(["CM-19"], ["card"]).number
    with pytest.raises(LinkClosed, match="removed or replaced"):
        till.sync(timeout_s=60)
    assert till.status().pending.sales == 1
    with started_again(relay, tmp_path):
        till.sync()
    assert till.status().pending.records == 0
    assert at_relay(tmp_path, till.identity.shop) == [first, second]


def test_a_sale_whose_acknowledgement_was_lost_is_pending_until_one_comes_and_is_there_once(relay, tmp_path):
    """Syncing was interrupted and the sale marked as sent; or it was sent again and was there twice."""
    with ExitStack() as stack:
        line = stack.enter_context(FaultyLine(relay.url))
        till = stack.enter_context(
            Register.join(tmp_path / "till", line.url, relay.pairing_code(), name="Caisse 1")
        )
        till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        till.sync()
        shop = till.identity.shop
        background = till.start_sync()
        wait_until(lambda: background.is_connected)
        line.stall("down")  # The relay hears the till, and is not heard.
        sold = [till.sell(["CM-19"], ["card"]).number]
        wait_until(lambda: at_relay(tmp_path, shop) == sold)
        assert till.status().pending.sales == 1, "what the relay has is not safe before it has said so"
        line.stall("up")  # And now it hears nothing either.
        sold.append(till.sell(["CM-19"], ["card"]).number)
        till.stop_sync()
        till.close()
        with Register.open(tmp_path / "till") as again:
            status = again.status()
            assert (status.pending.sales, status.pending.amount_minor) == (2, 3700)
            assert at_relay(tmp_path, shop) == sold[:1]
            line.heal()
            again.sync()
            assert again.status().pending.records == 0
        assert at_relay(tmp_path, shop) == sold
        other = stack.enter_context(
            Register.join(tmp_path / "other", relay.url, relay.pairing_code(), name="Caisse 2")
        )
        other.sync()
        assert numbers(other) == sold


def test_two_copies_of_a_till_that_both_write_the_same_document_lose_nothing(relay, till, tmp_path):
    """A disk was cloned: both wrote under one identity, the state vectors were equal, the contents never."""
    with till.document("x/notes").transaction() as doc:
        doc.get("notes", type=Map)["before"] = "written"
    till.sync()
    shutil.copytree(tmp_path / "till", tmp_path / "copy")
    with Register.open(tmp_path / "copy") as copy:
        for one, name in ((till, "till"), (copy, "copy")):
            for number in range(3):
                with one.document("x/notes").transaction() as doc:
                    doc.get("notes", type=Map)[f"{name} {number}"] = "written"
            one.products.set("CM-19", **{"name": "Crozes 2019"} if one is till else {"producer": "Faux"})
        for one in (till, copy, till, copy):
            one.sync()
        written = {f"{name} {number}" for name in ("till", "copy") for number in range(3)}
        for one in (till, copy):
            notes = one.document("x/notes")
            notes.refresh()
            assert set(notes.doc.get("notes", type=Map).keys()) == {"before", *written}
            one.products.refresh()
            assert one.products.get("CM-19").name == "Crozes 2019"
            assert '"producer":"Faux"' in one.products.get("CM-19").body
        shown = [
            {row.name: row.fingerprint for row in one.status(all_documents=True).documents}
            for one in (till, copy)
        ]
        assert shown[0] == shown[1]


def test_while_half_of_the_past_is_here_no_report_says_that_it_is_complete(relay, till, tmp_path):
    """Half a download was taken for all of it, and reports were made on it."""
    till.sell(["CM-19"], ["card"])
    till.sync()
    with (
        FaultyLine(relay.url) as line,
        Register.join(tmp_path / "new", line.url, relay.pairing_code(), name="Caisse 2") as new,
    ):
        new.sync()
        for _ in range(3):
            till.sell(["CM-19"], ["card"])
        day = till.close_day().business_day
        till.sync()
        line.cut(2_000)  # In the midst of the rest.
        with pytest.raises(LinkError):
            new.sync(timeout_s=60)
        half = new.report(day)
        assert (half.tickets, half.complete) == (1, False)
        assert {row.name: row.state for row in half.registers}["Caisse 1"] == "open"
        line.heal()
        new.sync()
        whole = new.report(day)
        assert (whole.tickets, whole.total_minor) == (4, 4 * 1850)
        assert {row.name: row.state for row in whole.registers}["Caisse 1"] == "closed"


def test_two_shops_of_one_relay_see_nothing_of_each_other(relay, till, tmp_path):
    """Two shops in one default room saw each other's sales."""
    relay.stop()
    with LocalRelay(tmp_path / "relay", shop="Boulangerie") as both:
        with Register.join(
            tmp_path / "bread", both.url, both.pairing_code("Boulangerie"), name="Caisse 1"
        ) as bread:
            bread.products.add("PAIN", name="Pain", price_minor=120, vat_rate=550)
            loaf = bread.sell(["PAIN"], ["cash"]).number
            bread.sync()
            assert numbers(bread) == [loaf]
            assert [product.sku for product in bread.products.list()] == ["PAIN"]
            assert at_relay(tmp_path, bread.identity.shop) == [loaf]
            assert at_relay(tmp_path, till.identity.shop) == []


def test_who_comes_back_after_weeks_needs_no_session_to_hand_in_its_sales(relay, till, tmp_path):
    """The session had ended while the till was offline, and its queue was refused."""
    shop = till.identity.shop
    sold = [till.sell(["CM-19"], ["card"]).number for _ in range(3)]
    till.close()
    back = started_again(relay, tmp_path)
    with closing(apsw.Connection(str(tmp_path / "relay" / "access.sqlite"))) as access:
        access.execute("UPDATE code SET expires_ms = 0")
    clock = clock_of_now(60 * 24 * 3600 * 1000)
    with back, Register.open(tmp_path / "till", clock=clock) as again:
        again.sync()
        assert again.status().pending.records == 0
    assert at_relay(tmp_path, shop) == sold
