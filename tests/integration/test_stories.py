"""Stories of what went wrong elsewhere, told with this product's own relay and registers.

Those that one part shows alone are in that part's tests; `docs/explanation/durability.md` has the list.
"""

from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.errors import AccessDenied
from crdtsync.ids import Item, record_digest
from crdtsync.storage.memory import MemoryStore
from crdtsync.testing.line import FaultyLine
from crdtsync.testing.stepped import SHOP, SteppedShop
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


def test_what_waits_for_an_earlier_update_is_passed_on_byte_for_byte():
    """The engine's observer gave an empty update, and the relay passed that on: the change went nowhere."""
    elsewhere = SteppedShop(1)
    records = [elsewhere.registers[0].write("x/notes") for _ in range(3)]
    shop = SteppedShop(2, seed=2)
    shop.settle()
    store = MemoryStore(shop.registers[0].disk)
    for record in reversed(records):
        with store.transaction():
            store.shop(SHOP).append(Item(record, "x/notes", record_digest(record)))
        shop.settle()
        held = [row for _, row in shop.registers[1].log.document_records("x/notes")]
        assert held == [row for _, row in shop.registers[0].log.document_records("x/notes")]
    assert held == records[::-1]
