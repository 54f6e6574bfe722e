"""A day that is shown while the past is still to be filed is the day that is shown afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync.ids import Item, entry_record
from crdtsync.model.chain import Shop
from crdtsync.model.entry import Entry
from crdtsync.model.ticket import build_abandon
from crdtsync.runtime.register.register import Register
from crdtsync.testing.clock import ManualClock, seeded_bytes
from crdtsync.testing.till import TERRINE, WINE, MemoryTill

DAYS = ("2026-11-24", "2026-11-25", "2026-11-26")

acts = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from(["sell", "sell", "refund", "abandon", "close", "another day"])
    ),
    max_size=24,
)


def live(tills: list[MemoryTill], days: list[int], which: int, what: str) -> None:
    """One thing that happens at a till, on the day that it is there."""
    till, moment = tills[which], {"bd": DAYS[days[which]]}
    sales = [entry for entry in till.entries if entry.kind == "sale"]
    if what == "sell":
        till.sell(WINE, TERRINE, **moment)
    elif what == "refund" and sales and not any(entry.kind == "refund" for entry in till.entries):
        till.refund(sales[0], {1: 1000}, **moment)
    elif what == "abandon":
        till.append("abandon", build_abandon([WINE], reason="left"), **moment)
    elif what == "close" and till.entries[-1].kind != "close" and till.entries[-1].body["bd"] == moment["bd"]:
        till.close()
    elif what == "another day":
        days[which] = min(days[which] + 1, len(DAYS) - 1)


@contextmanager
def register() -> Iterator[Register]:
    folder = Path(tempfile.mkdtemp(prefix="day-views-"))
    try:
        with Register.init(
            folder / "till", name="Caisse 1", clock=ManualClock(), random_bytes=seeded_bytes(1)
        ) as till:
            yield till
    finally:
        shutil.rmtree(folder)


def receive(till: Register, entries: list[Entry]) -> None:
    with till.replica.store.transaction():
        for entry in entries:
            record = entry_record(entry.sealed)
            till.replica.log.append(Item(record, entry.facts.document, entry.link, entry.facts))


def shown(till: Register) -> list[object]:
    """All that a person is told of days and tickets; pages of two, one after the other."""
    told: list[object] = [till.report(day) for day in (*DAYS, "2026-11-27")]
    told += [till.sales(day=day, rows_max=100) for day in DAYS]
    told.append(till.sales(device=till.identity.device, rows_max=2))
    pages, last = [], None
    while page := till.sales(older_than=last, rows_max=2):
        pages, last = [*pages, *page], page[-1]
    assert len({row.link for row in pages}) == len(pages)
    return [*told, pages]


@settings(max_examples=settings().max_examples // 5)
@given(acts, st.randoms(use_true_random=False), st.integers(0, 3))
def test_days_are_shown_alike_before_and_after_the_past_is_filed(done, chance, own):
    with register() as till:
        shop = Shop(till.identity.shop, "Cave du Test")
        tills = [MemoryTill(f"Caisse {n}", shop=shop, series=f"0{n}") for n in (2, 3)]
        days = [0, 0]
        for which, what in done:
            live(tills, days, which, what)
        arriving = [entry for one in tills for entry in one.entries]
        chance.shuffle(arriving)
        # Not all of it: chains with holes.
        receive(till, arriving[: max(1, len(arriving) - chance.randrange(3))])
        for _ in range(own):
            till.sell([WINE], ["card"])
        filed = till.replica.tables.seq(till.identity.shop)
        till.replica.views.catch_up_a_little = lambda: None
        till.replica.lag_rows_max = -1
        before = shown(till)
        assert till.replica.tables.seq(till.identity.shop) == filed
        till.replica.lag_rows_max = 1_000_000
        assert shown(till) == before
        assert till.replica.views.lag() == 0


@pytest.mark.parametrize("page_rows", [1, 3, 100])
def test_of_many_days_only_those_are_filed_that_are_shown(page_rows):
    with register() as till:
        other = MemoryTill("Caisse 2", shop=Shop(till.identity.shop, "Cave du Test"), series="02")
        for day in range(1, 29):
            other.sell(WINE, bd=f"2026-12-{day:02}")
            other.sell(WINE, bd=f"2026-12-{day:02}")
        receive(till, other.entries[::-1])
        till.replica.views.catch_up_a_little = lambda: None
        till.replica.lag_rows_max = -1
        newest = [row.number for row in till.sales(rows_max=page_rows)]
        assert newest == [row.number for row in sorted_tickets(till)][:page_rows]


def sorted_tickets(till: Register) -> list[object]:
    till.replica.views.catch_up()
    return sorted(till.replica.queries.tickets(rows_max=1000), key=lambda row: (row.day, row.seq))[::-1]
