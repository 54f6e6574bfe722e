"""Products, carts, days of one register, and whole histories of a shop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from crdtsync.model.product import Product, gtin_check_digit
from crdtsync.model.ticket import Line, Payment, due_of, with_change
from crdtsync.testing.acts import (
    Abandon,
    Act,
    CloseDay,
    Count,
    Delivery,
    Drawer,
    NewPrice,
    OpenDay,
    Refund,
    Sale,
    Scan,
)
from crdtsync.testing.simulation.plan import FAULTS, PEOPLE, Action, Plan, Size
from crdtsync.testing.wine import Cart

WHAT: Final = (
    "Miel",
    "Crémant d'Alsace",
    "Terrine de campagne",
    "Châteauneuf-du-Pape",
    "Pâté en croûte",
    "Œufs fermiers",
    "Huile d'olive « Nyons »",
    "Bière blonde 33 cl",
    "Comté 18 mois",
    "Carafe à décanter",
    "Côte-Rôtie",
    "L'Étoile",
)
FROM: Final = ("", " 2019", " Domaine Issartel", " 75 cl", " 1,5 l", " – lot de 6", " (bio)", " n° 5", " 🍷")

prices_minor = st.integers(0, 5_000) | st.integers(0, 10**7)
"""Cents with tax: mostly what things cost in a shop."""


def _barcode(number: int) -> str:
    digits = f"{number:012}"
    return digits + gtin_check_digit(digits)


barcodes = st.integers(0, 10**12 - 1).map(_barcode)
"""EAN-13, with the check digit that belongs to it."""


_skus = st.builds(lambda letter, number: f"{letter}-{number}", st.sampled_from("ABW"), st.integers(1, 9999))
_names = st.sampled_from([f"{what}{whence}" for whence in FROM for what in WHAT])
_vat = st.sampled_from([(2000, "N"), (550, "R1"), (1000, "R2"), (210, "S"), (0, "Z"), (0, "O")])
_units = st.sampled_from(("pce", "btl", "kg"))
_codes = st.lists(barcodes, max_size=2, unique=True).map(lambda codes: tuple(sorted(codes)))


@st.composite
def products(draw: st.DrawFn, sku: str | None = None) -> Product:
    """A product as the catalogue takes it: a French name, each VAT class at its rate, a price, sold by the
    piece, by the bottle or by weight, with no, one or two barcodes.
    """
    vat_rate, vat_class = draw(_vat)
    return Product(
        sku=draw(_skus) if sku is None else sku,
        name=draw(_names),
        price_minor=draw(prices_minor),
        vat_rate=vat_rate,
        vat_class=vat_class,
        unit=draw(_units),
        barcodes=draw(_codes),
    )


@st.composite
def shelves(draw: st.DrawFn, min_size: int = 1, max_size: int = 5) -> tuple[Product, ...]:
    """Products of one shop: no two with one SKU or one barcode."""
    seen: set[str] = set()
    shelf = []
    for number in range(1, draw(st.integers(min_size, max_size)) + 1):
        product = draw(products(f"A{number:02}"))
        codes = tuple(code for code in product.barcodes if code not in seen)
        seen |= set(codes)
        shelf.append(replace(product, barcodes=codes))
    return tuple(shelf)


_grams = st.integers(1, 5_000)
_pieces = st.integers(1, 12)
_discounts = st.just(0) | st.integers(0, 1000)


@st.composite
def lines(draw: st.DrawFn, shelf: Sequence[Product]) -> Line:
    """Some of a product, by the piece or by weight, with or without a discount. What is outside VAT may also
    come back, as an empty container does.
    """
    product = draw(st.sampled_from(shelf))
    quantity = draw(_grams) if product.unit == "kg" else 1000 * draw(_pieces)
    if product.vat_class == "O" and draw(st.booleans()):
        quantity = -quantity
    sold = Line(
        product.sku,
        product.name,
        product.price_minor or 0,
        product.vat_rate,
        product.vat_class,
        quantity,
        product.unit,
    )
    # In thousandths of the line: half of them have none.
    return replace(sold, discount_minor=max(0, due_of([sold])) * draw(_discounts) // 1000)


@st.composite
def carts(draw: st.DrawFn, shelf: Sequence[Product]) -> Cart:
    """What one customer takes and how it is paid, as ``Register.sell`` accepts it: one to five lines, now and
    then a discount on all of it; cash (with change), card, a voucher, or in two parts. What comes back may be
    more than what is bought: then money is handed out.
    """
    taken = tuple(draw(st.lists(lines(shelf), min_size=1, max_size=5)))
    taxed = due_of(line for line in taken if line.vat_class != "O")
    discount = taxed * draw(_discounts) // 1000
    due = due_of(taken) - discount
    return Cart(0, taken, draw(payments(due)), due, discount)


def payments(due_minor: int) -> st.SearchStrategy[tuple[Payment, ...]]:
    """Ways to pay exactly what is due; what is to be handed out, where that is below zero."""
    if due_minor == 0:
        return st.just(())
    if due_minor < 0:
        return st.sampled_from(("cash", "voucher")).map(lambda means: (Payment(means, due_minor),))
    whole = st.sampled_from(("card", "cash", "cheque", "voucher")).map(
        lambda means: (Payment(means, due_minor),)
    )
    noted = st.integers(1, 20_000).map(
        lambda more: with_change(due_minor, (Payment("cash", due_minor + more),))
    )
    if due_minor == 1:
        return whole | noted
    split = st.integers(1, due_minor - 1).map(
        lambda part: (Payment("voucher", part), Payment("card", due_minor - part))
    )
    return whole | noted | split


def acts(shelf: Sequence[Product]) -> st.SearchStrategy[Act]:
    """One thing that somebody does in the course of a day."""
    skus = st.sampled_from([product.sku for product in shelf])
    codes = skus | st.sampled_from([code for product in shelf for code in (product.sku, *product.barcodes)])
    amounts = st.integers(1, 100_000)
    return st.one_of(
        st.builds(Sale, carts(shelf)),
        st.builds(
            Scan, st.lists(codes, min_size=1, max_size=3).map(tuple), st.sampled_from(("card", "cash"))
        ),
        st.builds(Refund, st.integers(0, 5), st.none() | st.integers(1, 3), st.integers(1, 2_000)),
        st.builds(Abandon, carts(shelf)),
        st.builds(Drawer, st.sampled_from(("in", "out", "deposit")), amounts),
        st.builds(NewPrice, skus, prices_minor),
        st.builds(Delivery, skus, st.integers(1, 24).map(lambda pieces: 1000 * pieces)),
        st.builds(Count, skus, st.integers(0, 50_000)),
    )


@st.composite
def days(draw: st.DrawFn, shelf: Sequence[Product], *, max_acts: int = 12) -> tuple[Act, ...]:
    """What people do at one register from opening to closing, either of which they may forget. Do it with
    ``crdtsync.testing.do``.
    """
    opening: tuple[Act, ...] = (
        () if draw(st.integers(0, 9)) == 9 else (OpenDay(draw(st.integers(0, 50_000))),)
    )
    between = tuple(draw(st.lists(acts(shelf), max_size=max_acts)))
    counted = draw(st.none() | st.integers(0, 10**6))
    closing: tuple[Act, ...] = () if draw(st.integers(0, 9)) == 9 else (CloseDay(counted),)
    return (*opening, *between, *closing)


@st.composite
def histories(
    draw: st.DrawFn,
    *,
    registers: int = 3,
    days: int = 2,
    max_actions: int = 30,
    faults: Collection[str] = FAULTS,
) -> Plan:
    """What happens in a whole shop over some days, as plain data: people at several registers, and in between
    ``faults``, kinds of ``simulation.plan.FAULTS`` (none: everything works). Play it with
    ``simulation.run.play``, whose ``Result.failure`` says which promise was broken, if one was.

    As the simulation has it: first it is drawn which faults there are at all.
    """
    kinds = sorted(faults)
    present = draw(st.lists(st.sampled_from(kinds), max_size=6, unique=True)) if kinds else []
    day_ms, work_ms = 86_400_000, 2 * 3_600_000
    what = st.sampled_from(PEOPLE) | st.sampled_from(present) if present else st.sampled_from(PEOPLE)
    action = st.builds(
        Action,
        st.tuples(st.integers(0, days - 1), st.integers(0, work_ms)).map(
            lambda at: at[0] * day_ms + work_ms + at[1]
        ),
        what,
        st.integers(0, 2 * registers - 1),
        st.integers(0, 2**32 - 1),
    )
    actions = draw(st.lists(action, max_size=max_actions))
    return Plan(
        seed=draw(st.integers(0, 2**32 - 1)),
        size=Size(registers=registers, tickets=max_actions, days=days),
        small_bounds=draw(st.booleans()),
        faults=tuple(present),
        actions=tuple(sorted(actions, key=lambda one: one.at_ms)),
    )
