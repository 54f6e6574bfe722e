"""What people do at a register, as plain data: a day can be drawn, made smaller, written down, done again.

::

    day = (OpenDay(10_000), Sale(cart), Refund(0), CloseDay())
    for act in day:
        do(till, act)

``crdtsync.testing.strategies`` draws such days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crdtsync.errors import InvalidAmount, InvalidSale, NotRefundable, UnknownProduct, UsageError
from crdtsync.model.drawer import CashMove
from crdtsync.model.product import Product
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.testing.wine import Cart


@dataclass(frozen=True, slots=True)
class OpenDay:
    """The day is opened with a float in the drawer."""

    float_minor: int = 0


@dataclass(frozen=True, slots=True)
class CloseDay:
    """The day is closed, the drawer counted or not."""

    counted_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """A cart is sold. The same ``request_id`` again is the same sale again."""

    cart: Cart
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """Products are sold by SKU or barcode at the catalogue's prices, all paid by one means."""

    codes: tuple[str, ...]
    means: str = "card"


@dataclass(frozen=True, slots=True)
class Refund:
    """A sale that is known here is given back: the newest (0), the one before (1), …; the whole of what is
    left, or so many thousandths of one line.
    """

    back: int = 0
    line: int | None = None
    quantity_thousandths: int = 1000


@dataclass(frozen=True, slots=True)
class Abandon:
    """A cart is given up before it is paid."""

    cart: Cart


@dataclass(frozen=True, slots=True)
class Drawer:
    """Cash is put in, taken out or taken to the bank."""

    what: CashMove
    amount_minor: int


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A product costs something else from now on."""

    sku: str
    price_minor: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """Some of a product comes in."""

    sku: str
    quantity_thousandths: int


@dataclass(frozen=True, slots=True)
class Count:
    """What lies on the shelf is counted."""

    sku: str
    quantity_thousandths: int


Act = OpenDay | CloseDay | Sale | Scan | Refund | Abandon | Drawer | NewPrice | Delivery | Count
"""One thing that somebody does at a register."""


def stock_shelf(register: Register, shelf: Iterable[Product]) -> None:
    """Put products into a register's catalogue. Durable on return. Raises ``InvalidProduct``."""
    for product in shelf:
        register.products.add(
            product.sku,
            name=product.name,
            price_minor=product.price_minor or 0,
            vat_rate=product.vat_rate,
            vat_class=product.vat_class,
            unit=product.unit,
            barcodes=product.barcodes,
        )


def do(register: Register, act: Act) -> Ticket | None:
    """Do it; the ticket, where there is one. Durable on return.

    What makes no sense at that moment does not happen: a refund where nothing was sold or nothing is left, a
    second opening, a closing of nothing, a product that is not on sale. Raises ``StorageError``, and whatever
    the register raises for a cart that cannot be sold.
    """
    match act:
        case Sale(cart, request_id):
            return register.sell(
                cart.lines,
                cart.payments,
                ticket_discount_minor=cart.ticket_discount_minor,
                request_id=request_id,
            )
        case Abandon(cart):
            return register.abandon(cart.lines)
        case Drawer(what, amount_minor):
            register.cash(what, amount_minor, reason="monnaie")
        case Delivery(sku, quantity_thousandths):
            register.stock.add(sku, quantity_thousandths)
        case Count(sku, quantity_thousandths):
            register.stock.count({sku: quantity_thousandths})
        case _:
            return _do_if_it_makes_sense(register, act)
    return None


def _do_if_it_makes_sense(
    register: Register, act: OpenDay | CloseDay | Scan | Refund | NewPrice
) -> Ticket | None:
    try:
        match act:
            case OpenDay(float_minor):
                register.open_day(float_minor)
            case CloseDay(counted_minor):
                register.close_day(counted_minor)
            case NewPrice(sku, price_minor):
                register.products.set(sku, price_minor=price_minor)
            case Scan(codes, means):
                return register.sell(codes, [means])
            case Refund():
                return _refund(register, act)
    except (InvalidSale, InvalidAmount) as error:
        raise error from None
    except (NotRefundable, UnknownProduct, UsageError):
        return None
    return None


def _refund(register: Register, act: Refund) -> Ticket | None:
    sales = [row for row in register.sales(rows_max=act.back + 100) if row.kind == "sale"]
    if not sales:
        return None
    row = sales[act.back % len(sales)]
    lines = None if act.line is None else {act.line: act.quantity_thousandths}
    return register.refund(row.link.hex(), lines=lines)
