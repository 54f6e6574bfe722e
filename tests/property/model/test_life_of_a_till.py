"""Random days of a till: whatever it does, its chain verifies, and its sums agree."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.model import sealed
from crdtsync.model.chain import ChainHead, business_day, clock_step, rebuild
from crdtsync.model.closing import build_close, closing_due
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.ledger import project
from crdtsync.model.ticket import build_abandon, build_training, refunded
from crdtsync.model.verify import verify_chain
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryTill

ACTIONS = (
    "sell",
    "sell",
    "sell",
    "refund",
    "abandon",
    "cash",
    "open",
    "train",
    "back",
    "day",
    "close",
    "month",
    "year",
)
lives = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=30)


def act(till: MemoryTill, action: str, data: st.DataObject) -> None:
    """One thing that happens in a shop; what makes no sense at that moment does not happen."""
    if action == "sell":
        goods = data.draw(st.lists(st.sampled_from([WINE, TERRINE, DEPOSIT]), min_size=1, max_size=3))
        till.sell(*goods)
    elif action == "refund":
        sales = [e for e in till.entries if e.kind == "sale" and not refunded(e, till.entries)]
        if sales:
            sale = data.draw(st.sampled_from(sales))
            i = data.draw(st.sampled_from([line["i"] for line in sale.body["lines"]]))
            till.refund(sale, {i: data.draw(st.integers(1, 1000))})
    elif action == "abandon":
        till.append("abandon", build_abandon([WINE], reason="client parti"))
    elif action == "cash":
        till.append("cash", build_cash("out", 500, reason="monnaie"))
    elif action == "open":
        till.append("open", build_open(15000))
    elif action == "train":
        till.append("train", build_training("sale", {"ttc": 5}))
    elif action == "back":
        earlier = till.end.ts_ms - data.draw(st.integers(2000, 10**7))
        till.append("jet", clock_step(till.end, replace(till.moment, ts_ms=earlier)) or {}, ts_ms=earlier)
    elif action == "day":
        tomorrow = (date.fromisoformat(till.end.bd) + timedelta(days=1)).isoformat()
        if closing_due(till.end, tomorrow):
            till.close(auto=True)
        till.sell(bd=tomorrow)
    elif action == "close":
        till.close()
    else:
        close_above(till, action)


def close_above(till: MemoryTill, level: str) -> None:
    till.close()
    till.close(level="month")
    if level == "year":
        till.close(level="year")


def lived(actions: list[str], data: st.DataObject) -> MemoryTill:
    till = MemoryTill()
    for action in actions:
        act(till, action, data)
    return till


@given(lives, st.data())
def test_its_chain_verifies_and_its_head_can_be_rebuilt(actions: list[str], data: st.DataObject) -> None:
    till = lived(actions, data)
    assert list(verify_chain(till.end.chain, till.sealed, known=[till.end.known])) == []
    assert rebuild(till.entries) == till.end == ChainHead.from_bytes(till.end.to_bytes())


@given(lives, st.data())
def test_tickets_closings_and_grand_totals_agree(actions: list[str], data: st.DataObject) -> None:
    till = lived(actions, data)
    close_above(till, "year")
    tickets = [e.body for e in till.entries if e.kind in ("sale", "refund")]
    turnover = sum(body["ttc"] for body in tickets)
    for level in ("day", "month", "year"):
        closings = [e.body for e in till.entries if e.kind == "close" and e.body["level"] == level]
        assert sum(body["total"] for body in closings) == turnover == till.end.gt_real
        assert sum(body["oos"] for body in closings) == sum(body.get("oos", 0) for body in tickets)
        assert sum(amount["amt"] for body in closings for amount in body["pay"]) == sum(
            payment["amt"] for body in tickets for payment in body["pay"]
        )
        assert sum((Counter(body["counts"]) for body in closings), Counter()) == Counter(
            e.kind for e in till.entries[: closings[-1]["to"]]
        )
        assert [body["from"] for body in closings] == [1, *(body["to"] + 1 for body in closings[:-1])]
        assert [body["z"] for body in closings] == list(range(1, len(closings) + 1))
    assert till.end.gt_abs == sum(abs(body["ttc"]) for body in tickets)


@given(lives, st.data())
def test_taking_everything_back_restores_one_total_and_doubles_the_other(
    actions: list[str], data: st.DataObject
) -> None:
    till = lived([action for action in actions if action in ("sell", "train", "close")], data)
    sold = till.end.gt_real
    for sale in [entry for entry in till.entries if entry.kind == "sale"]:
        till.refund(sale)
    assert (till.end.gt_real, till.end.gt_abs) == (0, 2 * sold)


@given(st.data())
def test_a_change_of_any_byte_anywhere_names_the_entry(data: st.DataObject) -> None:
    till = GENUINE
    n = data.draw(st.integers(0, len(till.sealed) - 1))
    place = data.draw(st.integers(0, len(till.sealed[n]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != till.sealed[n][place]))
    changed = till.sealed[n][:place] + bytes([byte]) + till.sealed[n][place + 1 :]
    found = list(verify_chain(till.end.chain, [*till.sealed[:n], changed, *till.sealed[n + 1 :]]))
    assert sealed.link(changed) in {defect.link for defect in found}


@given(st.permutations(range(8)), st.integers(0, 7))
def test_the_document_of_a_day_does_not_depend_on_the_order(order: list[int], twice: int) -> None:
    entries = GENUINE.sealed[:8]
    assert project([entries[i] for i in (*order, twice)]) == project(entries)


dates = st.dates(date(2026, 1, 1), date(2027, 12, 31)).map(date.isoformat)


@given(dates | st.none(), dates, dates | st.none())
def test_a_business_day_never_goes_back_nor_far_ahead_by_itself(
    head: str | None, clock: str, trusted: str | None
) -> None:
    day, question = business_day(head, clock, trusted)
    known = max(filter(None, (head, trusted)), default=clock)
    assert head is None or day >= head
    assert date.fromisoformat(day) <= date.fromisoformat(known) + timedelta(days=1)
    assert day in (head, clock, known)
    assert question is not None or day == max(head or clock, clock)


def genuine() -> MemoryTill:
    till = MemoryTill()
    till.append("open", build_open(15000))
    sale = till.sell(WINE, TERRINE, DEPOSIT)
    till.refund(sale, {2: 1000})
    till.append("abandon", build_abandon([WINE], reason="client parti"))
    till.append("tasting", {"glasses": 3})
    till.sell()
    till.append("close", build_close(till.end, counted_minor=5))
    return till


GENUINE = genuine()
