"""The checks see figures that are wrong: each defect is planted in the product, and they are asked."""

from dataclasses import replace

import pytest

from crdtsync.model import closing, price, stock
from crdtsync.runtime.register import status as register_status
from crdtsync.runtime.register import stock as register_stock
from crdtsync.storage.view_queries import ViewQueries
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.simulation import checks
from crdtsync.testing.simulation.broken import Broken
from crdtsync.testing.simulation.people import SKUS, People
from crdtsync.testing.simulation.plan import Action
from crdtsync.testing.simulation.register import SimulatedSyncer
from crdtsync.testing.simulation.shop import Shop


@pytest.fixture
def shop():
    with fast_signatures(), Shop(registers=2) as shop:
        shop.run(30)
        first = shop.registers[0].register
        first.products.add("vin", name="Crozes", price_minor=1850, vat_rate=2000)
        shop.run(10)
        yield shop


def test_a_closing_that_is_a_cent_off_is_seen(shop, monkeypatch):
    genuine = closing._fields
    monkeypatch.setattr(
        closing,
        "_fields",
        lambda period, level, *, end: genuine(period, level, end=end) | {"total": period.ttc + 1},
    )
    register = shop.registers[0].register
    register.sell(["vin"], ["cash"])
    register.close_day(None)
    shop.settle()
    with pytest.raises(Broken, match="closings are sums"):
        shop.check_at_rest()


def test_a_price_that_two_set_at_once_and_the_earlier_wins_is_seen(shop, monkeypatch):
    genuine = price._rank
    monkeypatch.setattr(price, "_rank", lambda change: (-change.at_ms, *genuine(change)[1:]))
    one, other = shop.registers
    shop.network.partition({other.name: 1})
    one.register.products.set("vin", price_minor=1900)
    shop.run(10)
    other.register.products.set("vin", price_minor=2000)
    shop.settle()
    with pytest.raises(Broken, match="prices equal a fold"):
        shop.check_at_rest()


def test_a_bottle_that_leaves_the_shelf_twice_is_seen(shop, monkeypatch):
    genuine = ViewQueries.moved_by_sku
    monkeypatch.setattr(
        ViewQueries, "moved_by_sku", lambda self: {sku: 2 * sum_ for sku, sum_ in genuine(self).items()}
    )
    shop.registers[0].register.sell(["vin"], ["cash"])
    shop.settle()
    with pytest.raises(Broken, match="stock equals a fold"):
        shop.check_at_rest()


def test_a_report_that_forgets_a_means_of_payment_is_seen(shop, monkeypatch):
    monkeypatch.setattr(ViewQueries, "day_means", lambda self, day: [])
    shop.registers[0].register.sell(["vin"], ["cash"])
    shop.settle()
    with pytest.raises(Broken, match="reports equal a fold"):
        shop.check_at_rest()


@pytest.mark.parametrize("is_waiting_elsewhere", [False, True], ids=["its own", "the relay has it by now"])
def test_half_of_what_is_pending_is_seen(shop, monkeypatch, is_waiting_elsewhere):
    first = shop.registers[0]
    if not is_waiting_elsewhere:
        shop.network.partition({first.name: 1})
    first.register.sell(["vin"], ["cash"])
    if is_waiting_elsewhere:  # Acknowledgements do not get through.
        (wire,) = shop.network.wires_of(first)
        wire.near.stall(shop.timeline.now_us + 5_000_000)
        shop.run(1)
        assert checks.links_on(first) == checks.links_on(shop.relay)
    monkeypatch.setattr(register_status, "_amount", lambda body: body["ttc"] // 2)
    with pytest.raises(Broken, match="pending is"):
        checks.shown_as_pending_is_no_less(shop, first, first.register.status().pending)


def test_a_count_that_does_not_know_what_others_sold_is_seen(shop, monkeypatch):
    first = shop.registers[0]
    for sku in SKUS:
        first.register.stock.add(sku, 12_000)
    shop.run(30)
    genuine = register_stock.build_count
    monkeypatch.setattr(register_stock, "build_count", lambda quantities, *, cut: genuine(quantities, cut={}))
    with pytest.raises(Broken, match="what was just counted is there"):
        People(shop).do(Action(0, "count", 1, 1))


def test_who_sells_looks_now_and_then_at_what_is_pending(shop, monkeypatch):
    monkeypatch.setattr(register_status, "_amount", lambda body: body["ttc"] // 2)
    people = People(shop)
    with pytest.raises(Broken, match="pending is"):
        for pick in range(20):
            people.do(Action(0, "sell", 0, pick))


@pytest.mark.parametrize("level", ["month", "year"])
def test_a_month_or_year_that_leaves_out_a_day_is_seen(shop, monkeypatch, level):
    register = shop.registers[0].register
    for _ in range(2):
        register.sell(["vin"], ["cash"])
        register.close_day(None)
    register.close_period("month")
    register.sell(["vin"], ["cash"])
    register.close_day(None)
    shop.settle()
    shop.check_at_rest()
    genuine = closing._fields

    def one_ticket_less(period, of, *, end):
        fields = genuine(period, of, end=end)
        return fields | {"counts": {**fields["counts"], "sale": 0}} if of == level else fields

    monkeypatch.setattr(closing, "_fields", one_ticket_less)
    register.close_period("month")
    if level == "year":
        register.close_period("year")
    shop.settle()
    with pytest.raises(Broken, match="closings are sums"):
        shop.check_at_rest()


def test_a_drawer_that_forgets_the_change_is_seen_in_an_x_reading(shop, monkeypatch):
    register = shop.registers[0].register
    register.open_day(10_000)
    register.sell(["vin"], ["cash"])
    shop.settle()
    shop.check_at_rest()
    genuine = closing._fields
    monkeypatch.setattr(
        closing,
        "_fields",
        lambda period, level, *, end: genuine(period, level, end=end) | {"cash": {"expected": 10_000}},
    )
    with pytest.raises(Broken, match="X reading"):
        shop.check_at_rest()


def test_counts_that_contradict_one_another_in_silence_are_seen(shop, monkeypatch):
    one, other = shop.registers
    shop.network.partition({other.name: 1})
    one.register.stock.count({"vin": 3_000})
    other.register.stock.count({"vin": 5_000})
    shop.settle()
    shop.check_at_rest()
    genuine = stock.settled
    monkeypatch.setattr(register_stock, "settled", lambda *what: replace(genuine(*what), disputed=False))
    with pytest.raises(Broken, match="stock equals a fold"):
        shop.check_at_rest()


def test_what_a_revoked_register_shows_is_still_looked_at(shop, monkeypatch):
    first = shop.registers[0]
    first.register.sell(["vin"], ["cash"])
    shop.run(10)
    shop.revoke(first)
    shop.settle()
    shop.check_at_rest()
    monkeypatch.setattr(first.register.replica.queries, "day_means", lambda day: [])
    with pytest.raises(Broken, match="reports equal a fold: till 1"):
        shop.check_at_rest()


def test_each_branch_of_a_fork_is_a_chain_and_its_closing_a_sum(shop, monkeypatch):
    first = shop.registers[0]
    first.register.sell(["vin"], ["cash"])
    shop.run(10)
    twin = shop.clone(first)
    for machine in (first, twin):
        machine.register.sell(["vin"], ["card"])
        machine.register.close_day(None)
    shop.settle()
    shop.check_at_rest()
    twin.register.sell(["vin"], ["cash"])
    genuine = closing._fields
    monkeypatch.setattr(
        closing, "_fields", lambda period, level, *, end: genuine(period, level, end=end) | {"oos": 1}
    )
    twin.register.close_day(None)
    shop.settle()
    with pytest.raises(Broken, match="closings are sums"):
        shop.check_at_rest()


def test_a_register_that_never_hears_again_of_a_relay_that_lost_its_disk_is_seen(shop, monkeypatch):
    monkeypatch.setattr(SimulatedSyncer, "acknowledged", lambda *_: None)
    shop.wipe_relay()
    shop.settle()
    with pytest.raises(Broken, match="hears of what the relay lost"):
        shop.check_at_rest()
