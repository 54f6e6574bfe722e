"""What a register shows must be what a naive sum over all that lies on its disk gives."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from crdtsync.testing.simulation import folds, reading
from crdtsync.testing.simulation.broken import differing, require
from crdtsync.testing.simulation.contents import contents_of
from crdtsync.testing.simulation.reading import Entry
from crdtsync.testing.simulation.register import RegisterMachine

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop


def shown_equals_a_fold(shop: Shop, register: RegisterMachine) -> None:
    """Raise ``Broken`` unless tickets, days, products, prices, stock and the X reading are such sums."""
    records = register.records()
    entries = reading.entries_of(records)
    seen = register.register.sales(rows_max=100_000)
    shown = {
        row.link.hex(): (
            row.number,
            row.kind,
            row.day,
            row.device.hex(),
            row.total,
            row.lines,
            row.ref_number,
        )
        for row in seen
    }
    expected = {
        entry.link: (
            *(entry.body[name] for name in ("num", "kind", "bd", "till")),
            entry.amount_minor,
            len(entry.body["lines"]),
            entry.body.get("ref", {}).get("num"),
        )
        for entry in entries
        if entry.is_ticket
    }
    require(shown == expected, "views equal a fold", register.name, differing(shown, expected)[:4])
    require(len(seen) == len(shown), "views equal a fold", register.name, len(seen), len(shown))
    reports_equal_a_fold(register, entries)
    products_equal_a_fold(register, contents_of(records).get("catalogue", {}))
    stock_equals_a_fold(register, entries)
    x_report_equals_a_fold(shop, register, entries)


def products_equal_a_fold(register: RegisterMachine, catalogue: dict[str, Any]) -> None:
    """Names, prices and whether these are disputed."""
    products = register.register.products
    products.refresh()
    shown = (*products.list(), *products.list(archived=True))
    names = {row.sku: row.name for row in shown}
    named = {key.split("/")[0]: value for key, value in catalogue.items() if key.endswith("/name")}
    require(names == named, "products equal a fold", register.name, len(names), len(named))
    priced = {
        row.sku: (
            None if row.price_minor is None else (row.price_minor, row.vat_rate, row.vat_class),
            bool(row.disputed),
        )
        for row in shown
    }
    prices = folds.prices(catalogue, register.clock.now_ms())
    require(priced == prices, "prices equal a fold", register.name, differing(priced, prices))


def stock_equals_a_fold(register: RegisterMachine, entries: list[Entry]) -> None:
    """Levels, and whether two counts dispute them."""
    shown = {level.sku: (level.quantity, level.disputed) for level in register.register.stock.levels()}
    expected = folds.stock(entries)
    require(shown == expected, "stock equals a fold", register.name, differing(shown, expected))


def reports_equal_a_fold(register: RegisterMachine, entries: list[Entry]) -> None:
    """The report of each day is what its tickets come to."""
    days: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.is_ticket or entry.body["kind"] in ("abandon", "close"):
            days[entry.body["bd"]].append(entry)
    for day, recorded in days.items():
        tickets = [entry for entry in recorded if entry.is_ticket]
        abandoned = [entry.amount_minor for entry in recorded if entry.body["kind"] == "abandon"]
        closings_equal_a_fold(register, day, recorded)
        report = register.register.report(day)
        refunds = [entry.amount_minor for entry in tickets if entry.body["kind"] == "refund"]
        shown = {
            "total": report.total_minor,
            "tickets": report.tickets,
            "refunds": (report.refunds, report.refunds_minor),
            "abandoned": (report.abandoned, report.abandoned_minor),
            "means": {name: amount_minor for name, amount_minor in report.means.items() if amount_minor},
            "vat": sorted(row for row in map(astuple, report.vat) if any(row[2:])),
        }
        expected = {
            "total": sum(entry.amount_minor for entry in tickets),
            "tickets": len(tickets),
            "refunds": (len(refunds), sum(refunds)),
            "abandoned": (len(abandoned), sum(abandoned)),
            "means": folds.means(tickets),
            "vat": folds.vat(tickets),
        }
        require(shown == expected, "reports equal a fold", register.name, day, differing(shown, expected))


def closings_equal_a_fold(register: RegisterMachine, day: str, recorded: list[Entry]) -> None:
    """What is shown of the closings of a day is what these say."""
    said = {
        entry.link: (
            entry.body["z"],
            entry.body["total"],
            entry.body["refunds"]["ttc"],
            entry.body["gt"]["real"],
            entry.body.get("cash", {}).get("expected"),
            entry.body.get("cash", {}).get("counted"),
        )
        for entry in recorded
        if entry.body["kind"] == "close"
    }
    for level in ("day", "month", "year"):
        for row in register.register.replica.queries.closings(day, level=level):
            shown = (row.z, row.ttc, row.refunds_ttc, row.gt_real, row.cash_expected, row.cash_counted)
            expected = said.get(row.link.hex())
            require(shown == expected, "closings are shown as they are", register.name, shown, expected)


def x_report_equals_a_fold(shop: Shop, register: RegisterMachine, entries: list[Entry]) -> None:
    """The X reading says what a closing would say now. Left out where the register's own chain has forked or
    has holes: which of its entries is the last one is then for the product to know.
    """
    if register.name in shop.notebook.forked | shop.notebook.holed or register.losses:
        return
    device = register.identity.device.hex()
    own = sorted((entry for entry in entries if entry.body.get("till") == device), key=lambda one: one.n)
    if not own:
        return
    figures, fold = register.register.x_report(), folds.closing(own, "day")
    shown = {
        "total": figures.total_minor,
        "oos": figures.outside_vat_minor,
        "sales": figures.sales,
        "refunds": {"n": figures.refunds, "ttc": figures.refunds_minor},
        "abandons": figures.abandons,
        "pay": {name: amount_minor for name, amount_minor in figures.means.items() if amount_minor},
        "vat": sorted(row for row in map(astuple, figures.vat) if any(row[2:])),
        "numbers": (figures.first_number, figures.last_number),
        "drawer": figures.cash_expected_minor,
        "real": figures.grand_total_minor,
    }
    expected = {
        **{name: fold[name] for name in ("total", "oos", "refunds", "pay", "vat", "numbers", "drawer")},
        "sales": fold["counts"].get("sale", 0),
        "abandons": fold["counts"].get("abandon", 0),
        "real": fold["gt"]["real"],
    }
    require(shown == expected, "the X reading equals a fold", register.name, differing(shown, expected))
