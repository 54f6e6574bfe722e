"""What views show of one entry: its rows, what it adds, and that a strange one is shown and adds nothing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from crdtsync.model.chain import next_body
from crdtsync.model.closing import build_close
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.flags import FLAGS, strange_clock
from crdtsync.model.jet import DRAWER_OPENED, build_jet
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.model.sealed import seal
from crdtsync.model.ticket import Payment, build_abandon, build_print, build_training
from crdtsync.model.views import AMOUNT_MAX, Projection, Row, project
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryOwner, MemoryTill

CHAIN = "ab" * 32


def rows(found: Projection, table: str) -> list[Mapping[str, Any]]:
    return [values for name, values in (found.head, *found.details, *found.sums) if name == table]


def row(found: Projection, table: str) -> Mapping[str, Any]:
    [only] = rows(found, table)
    return only


def sealed_as(kind: str, payload: dict[str, Any], **common: Any) -> Entry:
    """An entry of a till whose software writes what it likes."""
    till = MemoryTill()
    ttc = {"ttc": 0} if kind in ("sale", "refund") else {}
    body = next_body(till.end, kind, {**ttc, **payload}, till.moment)
    return read_entry(seal({**body, **common}, till.key))


def shown(kind: str, payload: dict[str, Any]) -> Row:
    return project(sealed_as(kind, payload)).head


def test_the_row_of_an_entry_says_what_when_and_by_whom() -> None:
    till = MemoryTill()
    sale = till.sell()
    found = project(sale)
    common = ("kind", "day", "at_ms", "tz_min", "operator", "mode")
    assert [found.head[1][name] for name in common] == [
        "sale",
        "2026-11-24",
        sale.body["ts"],
        60,
        "u-lea",
        "live",
    ]
    assert (found.chain, found.n, found.link) == (sale.facts.chain, 2, sale.link)
    assert found.newest == {"device": till.author, "at_ms": sale.body["ts"], "day": "2026-11-24"}


class TestTickets:
    def test_a_sale_is_shown_with_its_lines_and_payments(self) -> None:
        sale = MemoryTill().sell(WINE, DEPOSIT, paid=[Payment("cash", 5000), Payment("change", -150)])
        found = project(sale)
        ticket = row(found, "ticket")
        assert (ticket["number"], ticket["ttc"], ticket["oos"]) == ("01-26-000001", 1850, 3000)
        assert (ticket["lines"], ticket["ref_link"], ticket["ref_number"]) == (2, None, None)
        assert rows(found, "line")[0] == {
            "i": 1,
            "sku": "cm-2019-75",
            "label": "Crozes-Hermitage 2019 75 cl",
            "qty": 1000,
            "unit": "btl",
            "pu": 1850,
            "disc": 0,
            "ttc": 1850,
            "vat": 2000,
            "vc": "N",
            "ht": 1542,
            "of": None,
        }
        assert rows(found, "payment") == [
            {"i": 1, "means": "cash", "amount": 5000},
            {"i": 2, "means": "change", "amount": -150},
        ]

    def test_a_sale_adds_to_its_day(self) -> None:
        till = MemoryTill()
        found = project(till.sell(replace(WINE, discount_minor=50), TERRINE, DEPOSIT))
        assert row(found, "day") == {
            "day": "2026-11-24",
            "tickets": 1,
            "refunds": 0,
            "ttc": 2495,
            "refunds_due": 0,
            "oos": 3000,
            "discounts": 50,
        }
        assert [(rate["vat"], rate["ttc"], rate["ht"], rate["tva"]) for rate in rows(found, "day_vat")] == [
            (2000, 1800, 1500, 300),
            (550, 695, 659, 36),
        ]
        assert row(found, "day_payment") == {"day": "2026-11-24", "means": "cash", "amount": 5495, "times": 1}

    def test_a_refund_names_its_sale_and_takes_off_its_day(self) -> None:
        till = MemoryTill()
        sale = till.sell()
        found = project(till.refund(sale))
        ticket, day = row(found, "ticket"), row(found, "day")
        assert (ticket["ref_link"], ticket["ref_number"]) == (sale.link, "01-26-000001")
        assert (ticket["reason"], ticket["ttc"]) == ("retour", -1850)
        assert (day["tickets"], day["refunds"], day["ttc"], day["refunds_due"]) == (1, 1, -1850, -1850)
        assert row(found, "line")["of"] == 1

    def test_what_is_outside_vat_is_paid_back_and_abandoned_like_the_rest(self) -> None:
        till = MemoryTill()
        refund = row(project(till.refund(till.sell(WINE, DEPOSIT))), "day")
        assert (refund["ttc"], refund["oos"], refund["refunds_due"]) == (-1850, -3000, -4850)
        payload = build_abandon([WINE, DEPOSIT], reason="parti")
        assert row(project(till.append("abandon", payload)), "day")["abandoned_due"] == 4850

    def test_what_is_sold_leaves_the_stock_and_what_comes_back_returns(self) -> None:
        till = MemoryTill()
        sale = till.sell(replace(WINE, quantity_thousandths=3000))
        assert row(project(sale), "movement") == {"i": 1, "sku": "cm-2019-75", "delta": -3000}
        assert row(project(till.refund(sale, {1: 1000})), "movement")["delta"] == 1000

    def test_a_sale_within_vat_adds_nothing_outside_it(self) -> None:
        found = project(MemoryTill().sell())
        assert (row(found, "ticket")["oos"], row(found, "day")["oos"]) == (0, 0)
        assert row(found, "day_vat") == {
            "day": "2026-11-24",
            "vat": 2000,
            "vc": "N",
            "ttc": 1850,
            "ht": 1542,
            "tva": 308,
        }

    def test_goods_without_a_unit_have_none(self) -> None:
        bare = {name: value for name, value in LINE.items() if name != "unit"}
        assert row(project(sealed_as("sale", {"lines": [bare], **PAID})), "line")["unit"] == ""

    @pytest.mark.parametrize("amount", [AMOUNT_MAX, -AMOUNT_MAX])
    def test_the_largest_amount_is_shown(self, amount: int) -> None:
        found = project(sealed_as("sale", {"lines": [LINE], **PAID, "ttc": amount}))
        assert row(found, "ticket")["ttc"] == amount == row(found, "day")["ttc"]
        assert AMOUNT_MAX == 10**12

    def test_the_highest_rate_of_vat_is_shown(self) -> None:
        found = project(sealed_as("sale", {**PAID, "lines": [{**LINE, "vat": 10_000}]}))
        assert row(found, "line")["vat"] == 10_000

    def test_goods_without_a_sku_are_in_no_stock(self) -> None:
        free = {name: value for name, value in LINE.items() if name != "sku"}
        found = project(sealed_as("sale", {"lines": [free], **PAID}))
        assert (row(found, "line")["sku"], rows(found, "movement")) == ("", [])

    def test_a_sale_marked_as_training_is_shown_and_moves_nothing(self) -> None:
        body = MemoryTill().sell().body
        parts = {name: body[name] for name in ("lines", "pay", "vat")}
        found = project(sealed_as("sale", parts, mode="train"))
        assert found.head[0] == "ticket"
        assert (found.sums, rows(found, "movement")) == ((), [])

    def test_an_abandoned_sale_is_counted_and_is_no_turnover(self) -> None:
        till = MemoryTill()
        found = project(till.append("abandon", build_abandon([TERRINE], reason="client parti")))
        assert (found.head[0], found.head[1]["code"]) == ("event", "abandon")
        assert found.head[1]["detail"] == "client parti"
        assert row(found, "day") == {"day": "2026-11-24", "abandoned": 1, "abandoned_due": 695}
        training = sealed_as("abandon", build_abandon([TERRINE], reason="essai"), mode="train")
        assert project(training).sums == ()


class TestTheOtherKinds:
    def test_the_float_and_what_is_taken_out_are_cash(self) -> None:
        till = MemoryTill()
        opened = row(project(till.append("open", build_open(15000))), "cash")
        taken = row(project(till.append("cash", build_cash("out", 500, reason="monnaie"))), "cash")
        assert (opened["what"], opened["amount"], opened["reason"]) == ("float", 15000, None)
        assert (taken["what"], taken["amount"], taken["reason"]) == ("out", -500, "monnaie")

    def test_a_closing_shows_its_interval_its_totals_and_the_drawer(self) -> None:
        till = MemoryTill()
        till.refund(till.sell(paid=[Payment("card", 1850)]), paid=[Payment("cash", -1850)])
        closed = row(project(till.append("close", build_close(till.end, counted_minor=20))), "closing")
        wanted = ("level", "z", "first_n", "last_n", "tickets", "ttc", "refunds_ttc", "gt_real", "gt_abs")
        assert [closed[name] for name in wanted] == ["day", 1, 1, 3, 2, 0, -1850, 0, 3700]
        drawer = ("cash_expected", "cash_counted", "automatic")
        assert [closed[name] for name in drawer] == [-1850, 20, 0]

    def test_a_day_without_tickets_is_closed_with_none(self) -> None:
        body = MemoryTill().close().body
        bare = {name: body[name] for name in ("level", "z", "from", "to", "total")}
        for entry in (MemoryTill().close(), sealed_as("close", bare)):
            closed = row(project(entry), "closing")
            assert (closed["tickets"], closed["refunds_ttc"]) == (0, 0)

    def test_a_day_that_the_register_closed_itself_says_so(self) -> None:
        till = MemoryTill()
        closed = row(project(till.close(auto=True)), "closing")
        assert (closed["automatic"], closed["cash_counted"]) == (1, None)

    def test_a_delivery_moves_the_stock_and_says_why(self) -> None:
        moved = build_move([Moved("ter-01", -1000, "tasting"), Moved("cm-2019-75", 12000, "delivery")])
        found = project(MemoryTill().append("move", moved))
        assert (found.head[0], found.head[1]["reason"]) == ("move", "delivery, tasting")
        assert rows(found, "movement") == [
            {"i": 1, "sku": "ter-01", "delta": -1000},
            {"i": 2, "sku": "cm-2019-75", "delta": 12000},
        ]
        assert project(sealed_as("move", moved, mode="train")).details == ()
        unsaid = sealed_as("move", {"lines": [{"sku": "ter-01", "qty": 1}]})
        assert project(unsaid).head[1]["reason"] == ""

    def test_a_count_is_shown_with_what_it_takes_into_account(self) -> None:
        till = MemoryTill()
        counted = build_count({"ter-01": 5000}, cut={bytes.fromhex(CHAIN): 7, b"\1" * 32: 3})
        entry = till.append("count", counted)
        assert (project(entry).head[0], project(entry).head[1]["reason"]) == ("move", "count")
        assert row(project(entry), "count") == {
            "i": 1,
            "sku": "ter-01",
            "at_ms": entry.body["ts"],
            "counted": 5000,
            "cut": f"{'01' * 32}:3 {CHAIN}:7",
        }
        assert project(sealed_as("count", counted, mode="train")).details == ()

    def test_certificates_say_who_is_who(self) -> None:
        owner = MemoryOwner()
        till = owner.enrol("Caisse 2", series="02")
        certified, revoked = project(owner.entries[1]), project(owner.revoke(till))
        assert row(certified, "device") == {
            "device": till.author,
            "name": "Caisse 2",
            "role": "register",
            "series": "02",
            "revoked": 0,
        }
        assert row(revoked, "device") == {"device": till.author, "revoked": 1}
        assert [(found.head[0], found.head[1]["code"]) for found in (certified, revoked)] == [
            ("event", "certify"),
            ("event", "revoke"),
        ]
        assert revoked.head[1]["detail"] == "volée"

    def test_the_beginning_of_a_shop_is_an_event(self) -> None:
        found = project(MemoryOwner().entries[0])
        assert (found.head[0], found.head[1]["code"], found.details) == ("event", "owner", ())

    def test_a_register_shows_the_series_of_its_tickets(self) -> None:
        found = project(MemoryTill(series="07").entries[0])
        assert (found.head[0], found.head[1]["code"]) == ("event", "register")
        assert found.head[1]["detail"] == "07"

    def test_a_technical_event_shows_its_code(self) -> None:
        found = project(MemoryTill().append("jet", build_jet(DRAWER_OPENED)))
        assert (found.head[0], found.head[1]["code"]) == ("event", "170")

    @pytest.mark.parametrize("kind", ["print", "train"])
    def test_copies_and_training_are_shown_as_what_they_are(self, kind: str) -> None:
        till = MemoryTill()
        sale = till.sell()
        payload = (
            build_print(sale, 1)
            if kind == "print"
            else build_training("sale", {"lines": [LINE], **PAID, "ttc": 5})
        )
        found = project(till.append(kind, payload))
        assert found.head[0] == "event"
        assert (found.head[1]["code"], found.details, found.sums) == (kind, (), ())


SALE = MemoryTill().sell().body
LINE = SALE["lines"][0]
PAID = {"pay": SALE["pay"], "vat": SALE["vat"]}
DROPPED = build_abandon([TERRINE], reason="client parti")
STRANGE: list[tuple[str, dict[str, Any]]] = [
    ("sale", {**PAID, "lines": "none"}),
    ("sale", {"lines": [], "pay": []}),
    ("sale", {"lines": [], "vat": []}),
    ("sale", {"pay": [], "vat": []}),
    *(("sale", {**PAID, "lines": [{**LINE, "vat": vat}]}) for vat in (-10_000, -1, 10_001, "2000")),
    ("sale", {**PAID, "lines": [{**LINE, "vc": "X"}]}),
    ("sale", {**PAID, "lines": [LINE], "vat": [{**SALE["vat"][0], "vat": 10_001}]}),
    ("sale", {**PAID, "lines": [LINE], "vat": [{**SALE["vat"][0], "vc": 5}]}),
    ("abandon", {"lines": [LINE], "vat": SALE["vat"], "ttc": 1850}),
    ("sale", {**PAID, "lines": [5]}),
    ("sale", {**PAID, "lines": [{**LINE, "qty": "1"}]}),
    ("sale", {**PAID, "lines": [{**LINE, "label": 5}]}),
    ("sale", {**PAID, "lines": [{**LINE, "of": "1"}]}),
    ("sale", {"lines": [LINE], **PAID, "ttc": AMOUNT_MAX + 1}),
    ("sale", {**PAID, "lines": [{**LINE, "pu": -AMOUNT_MAX - 1}]}),
    ("sale", {**PAID, "lines": [{**LINE, "disc": AMOUNT_MAX}] * 2}),
    ("sale", {"lines": [LINE], **PAID, "ttc": True}),
    ("sale", {"lines": [LINE], **PAID, "pay": {}}),
    ("sale", {"lines": [LINE], **PAID, "pay": [{"m": "cash"}]}),
    ("sale", {"lines": [LINE], **PAID, "vat": [{"vat": 2000}]}),
    ("sale", {"lines": [LINE], **PAID, "ref": []}),
    ("refund", {"lines": [LINE], **PAID, "ref": {"link": "zz"}}),
    ("abandon", {"ttc": "much"}),
    *(("abandon", {**DROPPED, "pay": pay}) for pay in (5, [[]], [5], [{"m": "cash"}], [{"m": 5, "amt": 5}])),
    ("open", {}),
    ("cash", {"amt": 5, "what": 7}),
    ("close", {"level": "day"}),
    ("move", {"lines": [{"sku": "a"}]}),
    ("count", {"lines": [], "cut": []}),
    ("count", {"lines": [], "cut": {CHAIN: "7"}}),
    ("count", {"lines": [], "cut": {CHAIN: 7, "not a chain": 7}}),
    ("count", {"lines": [], "cut": {CHAIN.upper(): 7}}),
    ("count", {"lines": [], "cut": {f"{CHAIN}:1 {CHAIN}": 7}}),
    ("certify", {"name": "Caisse 2", "role": "register"}),
    ("certify", {"device": "ab", "name": "Caisse 2", "role": "register"}),
    ("certify", {"device": "ab" * 16, "name": 5, "role": "register"}),
    ("revoke", {}),
]


@pytest.mark.parametrize(("kind", "payload"), STRANGE)
def test_what_makes_no_sense_is_shown_as_unreadable_and_adds_nothing(
    kind: str, payload: dict[str, Any]
) -> None:
    found = project(sealed_as(kind, payload))
    assert (found.head[0], found.head[1]["kind"], found.head[1]["code"]) == ("event", kind, "unreadable")
    assert (found.details, found.sums) == ((), ())


FLAGGED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"ttc": 1849}, ["totals", "payment"]),
    ({"lines": [{**LINE, "ht": 1541}]}, ["totals"]),
    ({"vat": []}, ["totals"]),
    ({"oos": 0}, ["totals"]),
    ({"rnd": "rate-half-even/1", "vat": []}, []),
    ({"pay": []}, ["payment"]),
    ({"pay": [{"m": "change", "amt": 50}, {"m": "cash", "amt": 1800}]}, ["sign"]),
    ({"bd": "2026-11-23"}, []),
    ({"bd": "2026-11-25"}, []),
    ({"bd": "2026-11-22"}, ["clock"]),
    ({"bd": "2026-11-26"}, ["clock"]),
    ({"ts": 0}, ["clock"]),
    ({"ts": 253_402_300_799_999}, ["clock"]),
]


class TestFlags:
    @pytest.mark.parametrize(("change", "codes"), FLAGGED)
    def test_a_ticket_that_cannot_be_so_is_shown_counted_and_flagged(
        self, change: dict[str, Any], codes: list[str]
    ) -> None:
        till = MemoryTill()
        found = project(read_entry(seal({**till.sell().body, **change}, till.key)))
        assert found.head[0] == "ticket"
        assert [flag["code"] for flag in rows(found, "flag")] == codes
        assert row(found, "day")["tickets"] == 1
        assert {flag["day"] for flag in rows(found, "flag")} <= {found.head[1]["day"]}

    def test_a_flag_says_what_is_wrong(self) -> None:
        till = MemoryTill()
        body = {**till.sell().body, "ttc": 5, "ts": till.end.ts_ms + 40 * 24 * 3_600_000}
        details = [flag["detail"] for flag in rows(project(read_entry(seal(body, till.key))), "flag")]
        assert details == [
            "ttc: not what follows from the lines",
            "5 was to be paid, the payments come to 1850",
            "the clock was 40 days ahead of the business day",
        ]

    def test_the_days_are_those_of_the_place_where_the_till_stands(self) -> None:
        """At 23:30 UTC it is the 26th in Paris already, and two days after the 24th."""
        late = 1_795_649_400_000
        body = MemoryTill().sell().body
        assert strange_clock({**body, "ts": late, "tz": 0}) is None
        assert (
            strange_clock({**body, "ts": late, "tz": 60}) == "the clock was 2 days ahead of the business day"
        )
        assert "behind" in (strange_clock({**body, "ts": 0}) or "")

    def test_an_abandoned_sale_is_flagged_too(self) -> None:
        dropped = build_abandon([TERRINE], reason="client parti")
        flags = rows(project(sealed_as("abandon", {**dropped, "ttc": 5})), "flag")
        assert [flag["code"] for flag in flags] == ["totals"]

    def test_every_flag_is_explained(self) -> None:
        assert {code for _, codes in FLAGGED for code in codes} == FLAGS.keys()


class TestUnknownKinds:
    def test_a_kind_of_a_later_version_is_shown_as_unknown(self) -> None:
        name, values = shown("tasting", {"glasses": 3})
        assert (name, values["kind"], values["code"]) == ("event", "tasting", "unknown")

    def test_its_reason_is_shown_if_it_is_text(self) -> None:
        assert shown("tasting", {"reason": "portes ouvertes"})[1]["detail"] == "portes ouvertes"
        assert shown("tasting", {"reason": 5})[1]["detail"] is None

    def test_its_code_is_not_taken_for_that_of_a_technical_event(self) -> None:
        assert shown("tasting", {"code": 90})[1]["code"] == "unknown"
