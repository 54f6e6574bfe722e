from datetime import datetime
from typing import Any

import pytest

from crdtsync.errors import InvalidAmount, UsageError
from crdtsync.model.chain import ChainHead
from crdtsync.model.closing import build_close, closing_due, reading
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.entry import Head
from crdtsync.model.jet import build_jet
from crdtsync.model.ticket import Payment, build_abandon, build_print
from crdtsync.model.verify import verify_chain
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryTill


def a_day() -> MemoryTill:
    till = MemoryTill()
    till.append("open", build_open(15000))
    sale = till.sell(WINE, TERRINE, DEPOSIT, paid=[Payment("cash", 6000), Payment("change", -455)])
    till.sell(WINE, paid=[Payment("card", 1750)], ticket_discount_minor=100)
    till.refund(sale, {2: 1000})
    till.append("abandon", build_abandon([TERRINE], reason="client parti"))
    till.append("print", build_print(sale, 1))
    till.append("cash", build_cash("deposit", 10000, reason="banque"))
    return till


def test_a_closing_says_what_the_day_was() -> None:
    till = a_day()
    body = till.close(counted_minor=9800, witness=Head(b"\1" * 32, b"\2" * 32, 7)).body
    common = {"v", "kind", "chain", "till", "seq", "n", "prev", "ts", "tz", "bd", "op", "sw", "mode"}
    assert {name: body[name] for name in body.keys() - common} == {
        "level": "day",
        "z": 1,
        "from": 1,
        "to": 8,
        "counts": {"register": 1, "open": 1, "sale": 2, "refund": 1, "abandon": 1, "print": 1, "cash": 1},
        "first": "01-26-000001",
        "last": "01-26-000003",
        "vat": [
            {"vat": 2000, "vc": "N", "ttc": 3600, "ht": 3000, "tva": 600},
            {"vat": 550, "vc": "R1", "ttc": 0, "ht": 0, "tva": 0},
        ],
        "pay": [{"m": "card", "amt": 1750}, {"m": "cash", "amt": 5305}, {"m": "change", "amt": -455}],
        "refunds": {"n": 1, "ttc": -695},
        "abandons": {"n": 1, "amt": 695},
        "prints": 1,
        "disc": 100,
        "oos": 3000,
        "total": 3600,
        "cash": {"expected": 9850, "counted": 9800, "gap": -50},
        "wit": {"chain": "01" * 32, "link": "02" * 32, "seq": 7},
        "gt": {"real": 3600, "abs": 4990},
    }


def test_a_reading_records_nothing() -> None:
    till = a_day()
    before = till.end
    assert reading(till.end)["total"] == 3600
    assert till.end == before


def test_closings_follow_one_another_without_a_gap() -> None:
    till = a_day()
    first = till.close().body
    till.sell()
    second = till.close().body
    assert (second["from"], second["to"], second["z"]) == (first["to"] + 1, till.end.n - 1, 2)
    assert second["plink"] == till.entries[-3].link.hex()
    assert second["counts"] == {"close": 1, "sale": 1}
    assert "plink" not in first


def test_closings_of_each_level_are_numbered_one_after_another() -> None:
    till = MemoryTill()
    for number in (1, 2, 3, 4):
        assert till.close().body["z"] == number
        assert till.close(level="month").body["z"] == number
        assert till.close(level="year").body["z"] == number
    assert [entry.body["n"] for entry in till.entries if entry.kind == "close"] == list(range(1, 13))


def test_a_day_without_tickets_is_closed_too() -> None:
    body = MemoryTill().close().body
    assert (body["total"], body["pay"], body["cash"]) == (0, [], {"expected": 0})
    assert (body["refunds"], body["abandons"], body["prints"]) == ({"n": 0, "ttc": 0}, {"n": 0, "amt": 0}, 0)
    assert body.keys().isdisjoint({"first", "last"})


def test_a_day_closed_by_the_register_says_so() -> None:
    assert MemoryTill().close(auto=True).body["auto"] is True


def test_a_month_is_its_days() -> None:
    till = MemoryTill()
    days = []
    for day in ("2026-11-24", "2026-11-25"):
        till.sell(WINE, TERRINE, bd=day)
        days.append(till.close().body)
    month = till.close(level="month").body
    assert (month["from"], month["to"], month["z"]) == (1, days[-1]["to"], 1)
    assert month["total"] == sum(day["total"] for day in days)
    assert month["counts"] == {"register": 1, "sale": 2, "close": 1}
    assert month["vat"] == [
        {**one, "ttc": 2 * one["ttc"], "ht": 2 * one["ht"], "tva": 2 * one["tva"]} for one in days[0]["vat"]
    ]
    assert "cash" not in month


def test_a_month_whose_last_day_had_no_tickets_ends_with_the_last_ticket_before() -> None:
    till = MemoryTill()
    till.close()
    for day in ("2026-11-25", "2026-11-26"):
        till.sell(bd=day)
        till.close()
    till.append("open", build_open(0), bd="2026-11-27")
    till.close()
    month = till.close(level="month").body
    assert (month["first"], month["last"]) == ("01-26-000001", "01-26-000002")


def test_a_year_is_its_months() -> None:
    till = MemoryTill()
    months = []
    for month in ("11", "12"):
        till.sell(bd=f"2026-{month}-24")
        till.close()
        months.append(till.close(level="month").body)
    year = till.close(level="year").body
    assert (year["from"], year["to"]) == (1, months[-1]["to"])
    assert (year["total"], year["first"], year["last"]) == (3700, "01-26-000001", "01-26-000002")
    assert months[1]["from"] == months[0]["to"] + 1
    till.sell(bd="2027-01-02")
    till.close()
    till.close(level="month")
    assert till.close(level="year").body["from"] == year["to"] + 1


def open_day(till: MemoryTill) -> None:
    till.sell()


def closed_day(till: MemoryTill) -> None:
    till.close()


@pytest.mark.parametrize(
    ("before", "level", "hint"),
    [
        (open_day, "month", "close the day"),
        (open_day, "year", "close the month"),
        (closed_day, "year", "close the month"),
        (lambda till: None, "month", "no day was closed"),
        (lambda till: None, "year", "no month was closed"),
    ],
)
def test_what_lies_below_is_closed_first(before: Any, level: Any, hint: str) -> None:
    till = MemoryTill()
    before(till)
    with pytest.raises(UsageError, match=hint):
        build_close(till.end, level=level)


def test_cash_is_counted_by_the_day() -> None:
    till = MemoryTill()
    till.close()
    with pytest.raises(UsageError, match="day"):
        build_close(till.end, level="month", counted_minor=5)


def test_a_count_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidAmount):
        build_close(MemoryTill().end, counted_minor=10**12)


TWO_O_CLOCK = {23: 0, 25: 2}
"""How often it comes on a short and on a long day."""


@pytest.mark.parametrize(
    ("midnight", "day", "hours", "offsets"),
    [
        ("2027-03-27T23:00+00:00", "2027-03-28", 23, (60, 120)),
        ("2027-10-30T22:00+00:00", "2027-10-31", 25, (120, 60)),
    ],
    ids=["a day of 23 hours", "a day of 25 hours"],
)
def test_a_day_on_which_the_clocks_change_is_closed_whole(
    midnight: str, day: str, hours: int, offsets: tuple[int, int]
) -> None:
    """A closing is an interval of entries, not of hours: an hour that comes twice counts twice."""
    till = MemoryTill()
    begin_ms = int(datetime.fromisoformat(midnight).timestamp()) * 1000
    change = 2 if hours == 23 else 3
    local = []
    for hour in range(hours):
        at_ms = begin_ms + hour * 3_600_000
        sale = till.sell(ts_ms=at_ms, tz_min=offsets[hour >= change], bd=day).body
        local.append((sale["ts"] // 60_000 + sale["tz"]) // 60 % 24)
    body = till.close().body
    assert local == [hour for hour in range(24) for _ in range(TWO_O_CLOCK[hours] if hour == 2 else 1)]
    assert (body["total"], body["counts"]["sale"], till.end.gt_real) == (hours * 1850, hours, hours * 1850)
    assert list(verify_chain(till.end.chain, till.sealed)) == []


class TestForgottenDay:
    def test_the_next_day_closes_it(self) -> None:
        till = a_day()
        assert closing_due(till.end, "2026-11-25")

    @pytest.mark.parametrize(
        ("kind", "payload"),
        [
            ("abandon", build_abandon([TERRINE], reason="client parti")),
            ("open", build_open(15000)),
            ("cash", build_cash("in", 500, reason="monnaie")),
        ],
    )
    def test_a_day_without_a_sale_is_closed_if_anything_was_done(self, kind: str, payload: Any) -> None:
        till = MemoryTill()
        till.append(kind, payload)
        assert closing_due(till.end, "2026-11-25")

    def test_the_same_day_does_not(self) -> None:
        assert not closing_due(a_day().end, "2026-11-24")

    def test_a_day_that_was_closed_is_not_closed_again(self) -> None:
        till = a_day()
        till.close()
        till.append("jet", build_jet(80))
        assert not closing_due(till.end, "2026-11-25")

    def test_nothing_recorded_is_nothing_to_close(self) -> None:
        assert not closing_due(MemoryTill().end, "2026-11-25")


def test_the_totals_of_a_day_survive_the_disk() -> None:
    head = a_day().end
    assert reading(ChainHead.from_bytes(head.to_bytes())) == reading(head)
