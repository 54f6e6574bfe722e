"""Stories of what went wrong elsewhere, told with this product's own relay and registers.

Those that one part shows alone are in that part's tests; `docs/explanation/durability.md` has the list.
"""

from contextlib import ExitStack

import pytest
from click.testing import CliRunner
from pycrdt import Array, Doc

from crdtsync import Register
from crdtsync.errors import AccessDenied, UnknownProduct
from crdtsync.ids import Item, record_digest, update_record
from crdtsync.model.entry import read_entry
from crdtsync.runtime.register.tickets import BasketLine
from crdtsync.testing.line import FaultyLine
from crdtsync_server.cli import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.integration.conftest import wait_until


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        yield relay


@pytest.fixture
def tills(relay, tmp_path):
    """Two registers that know one product."""
    with ExitStack() as stack:
        tills = [
            stack.enter_context(
                Register.join(tmp_path / name, relay.url, relay.pairing_code(), name=f"Caisse {name}")
            )
            for name in ("1", "2")
        ]
        tills[0].products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        for till in tills:
            till.sync()
        yield tills


def entries_of(till):
    """All entries that it holds, of whatever chain."""
    chains = {run.chain for run in till.replica.log.runs()}
    return [
        read_entry(one) for chain in chains for _, one in till.replica.log.chain_entries(chain, 1, 1 << 20)
    ]


def in_step(*tills):
    """All of them have what all of them have."""
    for till in (*tills, *tills):
        till.sync()


def test_a_price_that_changes_reaches_a_till_that_is_open(tills):
    """It sold at the old price all day, until it was restarted."""
    office, till = tills
    till.start_sync()
    assert till.sell(["CM-19"], ["card"]).total_minor == 1850
    office.products.set("CM-19", price_minor=1950)
    office.sync()
    wait_until(lambda: till.products.get("CM-19").price_minor == 1950)
    assert till.sell(["CM-19"], ["card"]).total_minor == 1950
    till.stop_sync()


def test_sales_that_come_after_a_day_was_closed_elsewhere_count_in_their_own_day_and_change_no_closing(tills):
    """A day was closed on one device while another held sales of it: they vanished, or the total moved."""
    first, late = tills
    first.sell(["CM-19"], ["card"])
    late.sell(["CM-19"], ["card"])
    late.sell(["CM-19"], ["card"])  # It has no network until tomorrow.
    closing = first.close_day(None)
    first.sync()
    day = closing.business_day
    before = first.report(day)
    assert (closing.total_minor, before.complete) == (1850, False)
    late.sync()
    first.sync()
    meanwhile = first.report(day)
    assert (closing.total_minor, meanwhile.total_minor, meanwhile.complete) == (1850, 5550, False)
    late.close_day(None)
    late.sync()
    first.sync()
    report = first.report(day)
    assert (report.complete, report.total_minor) == (True, 5550)
    assert first.verify().findings == ()


def test_a_till_that_was_cut_off_keeps_what_it_had_not_sent_counts_it_and_sells_on(tills, tmp_path):
    """Who deactivated the broken till destroyed its unsent sales."""
    _, till = tills
    numbers = [till.sell(["CM-19"], ["card"]).number for _ in range(2)]
    arguments = ["revoke", "Cave du Port", "Caisse 2", "--data", str(tmp_path / "relay")]
    assert CliRunner().invoke(relay_main, arguments).exit_code == 0
    with pytest.raises(AccessDenied):
        till.sync()
    numbers.append(till.sell(["CM-19"], ["card"]).number)
    status = till.status()
    assert (status.pending.sales, status.pending.amount_minor) == (3, 5550)
    assert sorted(row.number for row in till.sales()) == numbers
    assert till.verify().findings == ()


def test_a_basket_that_is_paid_while_the_network_goes_is_sold_once(relay, tmp_path):
    """It was sold once online and, because no answer came, once more offline."""
    with (
        FaultyLine(relay.url) as line,
        Register.join(tmp_path / "a", line.url, relay.pairing_code(), name="Caisse 1") as till,
        Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as other,
    ):
        till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
        syncing = till.start_sync()
        wait_until(lambda: syncing.is_connected)
        for basket in range(6):
            if basket % 2:
                line.stall(("down", "both", "up")[basket // 2])
            ticket = till.sell(["CM-19"], ["card"], request_id=f"basket-{basket}")
            again = till.sell(["CM-19"], ["card"], request_id=f"basket-{basket}")
            assert again.number == ticket.number
            line.heal()
        wait_until(lambda: till.status().pending.records == 0)
        other.sync()
        assert [row.number for row in other.sales()] == [row.number for row in till.sales()]
        assert len(other.sales()) == 6
        till.stop_sync()


def test_stock_is_right_on_every_till_and_nobody_is_refused(tills):
    """Stock was a number: of two decrements one survived. Or it was guarded: no stock, no sale."""
    first, second = tills
    first.stock.add("CM-19", 12_000)
    for till in (first, second):
        till.sync()
    first.sell([BasketLine("CM-19", 3000)], ["card"])
    second.sell([BasketLine("CM-19", 2000)], ["card"])
    in_step(first, second)
    assert [till.stock.level("CM-19").quantity for till in tills] == [7000, 7000]
    first.sell([BasketLine("CM-19", 5000)], ["card"])
    second.sell([BasketLine("CM-19", 5000)], ["card"])
    in_step(first, second)
    assert [till.stock.level("CM-19").quantity for till in tills] == [-3000, -3000]


def test_a_bottle_that_two_tills_give_back_is_told_as_soon_as_they_meet(tills):
    """Goods were refunded twice on two tills that did not hear each other, and nobody was told."""
    first, second = tills
    number = first.sell(["CM-19"], ["card"]).number
    in_step(first, second)
    first.refund(number)
    day = second.refund(number).business_day
    for till in tills:
        assert till.status().concerns == ()
    in_step(first, second)
    for till in tills:
        [concern] = till.status().concerns
        assert f"line 1 of ticket {number}: 2 given back, 1 sold" in concern
        report = till.report(day)
        assert [flag.code for flag in report.flags] == ["refund"]
        assert report.total_minor == -1850, "what was paid out counts as it is"


def test_an_open_basket_is_sold_as_it_was_shown_whatever_changes_meanwhile(tills):
    """A price, a rate or a product changed between the scan and the payment, and the sale was refused."""
    office, till = tills
    shown = till.products.get("CM-19")
    basket = [BasketLine("CM-19", unit_price_minor=shown.price_minor)]
    office.products.set("CM-19", price_minor=1950, vat_rate=550)
    in_step(office, till)
    assert till.products.get("CM-19").price_minor == 1950
    assert till.sell(basket, ["card"]).total_minor == 1850
    office.products.archive("CM-19")
    in_step(office, till)
    with pytest.raises(UnknownProduct):
        till.sell(["CM-19"], ["card"])
    assert till.sell(basket, ["card"]).total_minor == 1850
    assert till.verify().findings == ()


def test_a_product_that_was_taken_off_sale_does_not_come_back_with_a_till_that_was_away(tills):
    """What was deleted came back when a till returned after weeks with what it still had."""
    office, away = tills
    office.products.archive("CM-19")
    office.sync()
    number = away.sell(["CM-19"], ["card"]).number  # It has not heard of it.
    away.products.set("CM-19", name="Crozes-Hermitage", price_minor=1950)
    in_step(away, office)
    for till in tills:
        assert till.products.get("CM-19").archived
        assert till.products.get("CM-19").name == "Crozes-Hermitage"
        assert [product.sku for product in till.products.list()] == []
    assert [row.number for row in office.sales()] == [number]


def test_two_tills_that_are_given_the_same_catalogue_have_it_once(relay, tmp_path):
    """Each seeded the document by itself, and when they met everything was there twice."""
    lines = "".join(f"W-{n};Vin {n};{n + 1},50;20\n" for n in range(30))
    file = tmp_path / "tarif.csv"
    file.write_text(f"sku;name;price;vat\n{lines}")
    with ExitStack() as stack:
        tills = [
            stack.enter_context(Register.join(tmp_path / name, relay.url, relay.pairing_code(), name=name))
            for name in "ab"
        ]
        for till in tills:
            till.products.import_file(file)
        in_step(*tills)
        for till in tills:
            assert [product.sku for product in till.products.list()] == sorted(f"W-{n}" for n in range(30))
            assert till.products.get("W-7").price_minor == 850
            assert till.verify().findings == ()


def test_what_was_paid_stays_paid_whatever_comes_later(tills):
    """Paid offline; then an older draft of the same table came from the server, and it was open again."""
    first, second = tills
    second.abandon(["CM-19"], reason="table 7 is still open")
    second.sync()
    paid = first.sell(["CM-19"], ["card"], request_id="table 7")
    in_step(first, second)
    second.abandon(["CM-19"], reason="table 7 is still open")
    in_step(second, first)
    for till in tills:
        assert [(row.number, row.total) for row in till.sales()] == [(paid.number, 1850)]
        assert till.report(paid.business_day).total_minor == 1850
        assert till.ticket(paid.number).link == paid.link
    again = first.sell(["CM-19"], ["card"], request_id="table 7")
    assert (again.link, again.again) == (paid.link, True)


def test_what_waits_for_an_earlier_update_is_passed_on_byte_for_byte(tills):
    """The engine's observer gave an empty update, and the relay passed that on: the change went nowhere."""
    first, second = tills
    updates: list[bytes] = []
    author = Doc()
    author.observe(lambda event: updates.append(event.update))
    points = author.get("points", type=Array)
    for number in range(3):
        points.append(str(number))
    records = [update_record("x/notes", update) for update in updates]
    store, shop = first.replica.store, first.identity.shop
    for record in reversed(records):
        with store.transaction():
            store.shop(shop).append(Item(record, "x/notes", record_digest(record)))
        in_step(first, second)
        held = [row for _, row in second.replica.log.document_records("x/notes")]
        assert held == [row for _, row in store.shop(shop).document_records("x/notes")]
    assert held == records[::-1]
    with second.document("x/notes").transaction() as doc:
        assert list(doc.get("points", type=Array)) == ["0", "1", "2"]


def test_an_entry_of_a_kind_that_a_later_version_makes_is_carried_through_the_shop(tills):
    """After an update the store had orders of another version: the till did not start, or dropped them."""
    first, second = tills
    first.replica.writer.write("tasting", {"glasses": 3})
    number = first.sell(["CM-19"], ["card"]).number
    in_step(first, second)
    for till in tills:
        assert [row.number for row in till.sales()] == [number]
        assert till.status().pending.records == 0
        assert till.status().concerns == ()
        assert till.verify().findings == ()
        [carried] = [entry for entry in entries_of(till) if entry.kind == "tasting"]
        assert carried.body["glasses"] == 3
