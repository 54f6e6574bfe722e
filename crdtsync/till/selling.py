"""What is done with baskets: products come in, quantities and discounts change, baskets are parked and
paid. Each function works on the desk, and what it changed is on disk when it returns.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

from crdtsync.errors import InvalidAmount, InvalidSale, StorageError
from crdtsync.model import ticket as tickets
from crdtsync.model.money import AMOUNT_MINOR_MAX
from crdtsync.model.ticket import Payment
from crdtsync.runtime.committing.writer import local_date
from crdtsync.runtime.register.ticket import Ticket, TicketLine, TicketPayment, TicketVat
from crdtsync.till.baskets import (
    CASH_LIMIT_MINOR,
    LINES_MAX,
    QUANTITY_MAX,
    Basket,
    Discount,
    Item,
    cash_taken,
)
from crdtsync.till.codes import is_barcode, read_typed
from crdtsync.till.desk import Desk
from crdtsync.till.goods import Goods
from crdtsync.till.shelf import PARKED_MAX

MEANS: Final = ("cash", "card", "cheque", "voucher", "titre", "transfer", "other")
"""The means of payment that a key of the till stands for."""

DELIVERIES: Final = tickets.DELIVERIES

LARGEST_NOTE_MINOR: Final = 50_000
"""Change is less than the largest note: more is a barcode that was typed as an amount, or a slip."""


class Stale(Exception):
    """The page was of another state than there is: nothing was done, and the page is to be shown anew."""


class Changed(Stale):
    """Another window changed the basket that is being paid: what is to be paid is not what the page said."""


class PartPaid(Exception):
    """A part of the basket is paid: first the payment is finished, or given back."""


@dataclass(frozen=True, slots=True)
class Came:
    """What became of something typed or scanned.

    ``added`` – a line; ``choose`` – several products bear the code; ``confirm`` – one of those that are here
    bears it, and others are still on their way to this register; ``unknown`` – a code that nobody knows;
    ``coming`` – one that may be among the products that are still on their way to this register; ``words`` –
    nothing but words to search for; ``counted`` – the quantity of the last line.
    """

    what: Literal["added", "choose", "confirm", "unknown", "coming", "words", "counted", "nothing", "full"]
    goods: tuple[Goods, ...] = ()
    text: str = ""
    quantity_thousandths: int = 1000
    item_id: str = ""


def take(desk: Desk, text: str) -> Came:
    """What was typed or scanned and ended with Enter."""
    typed = read_typed(text)
    quantity = typed.quantity_thousandths or 1000
    if not typed.code:
        if typed.quantity_thousandths and desk.basket.items:
            last = desk.basket.items[-1]
            set_quantity(desk, last.id, typed.quantity_thousandths)
            return Came("counted", item_id=last.id)
        return Came("nothing")
    found = desk.goods.with_code(typed.code, typed.digits)
    if len(found) == 1 and found[0].can_be_sold:
        if desk.goods.may_be_another(found[0], typed.code):
            return Came("confirm", tuple(found), typed.digits or typed.code, quantity)
        return add(desk, found[0], quantity)
    if found:
        return Came("choose", tuple(found), typed.digits or typed.code, quantity)
    if is_barcode(typed.digits):
        return _not_found(desk, typed.digits, quantity)
    by_words = desk.goods.search(typed.code)
    if by_words.total == 1 and by_words.goods[0].can_be_sold:
        return add(desk, by_words.goods[0], quantity)
    if not by_words.total:
        return _not_found(desk, typed.code, quantity)
    return Came("words", by_words.goods, typed.code, quantity)


def _not_found(desk: Desk, text: str, quantity_thousandths: int) -> Came:
    """Nobody knows it; or it may be among the products that are still on their way here."""
    return Came("coming" if desk.goods.are_coming else "unknown", (), text, quantity_thousandths)


def add_sku(desk: Desk, sku: str, quantity_thousandths: int = 1000) -> Came:
    """A product that somebody chose."""
    goods = desk.goods.chosen(sku)
    if goods is None or not goods.can_be_sold:
        return Came("unknown", text=sku[:64])
    return add(desk, goods, quantity_thousandths)


def add(desk: Desk, goods: Goods, quantity_thousandths: int) -> Came:
    """Into the basket; one more of what is there at the same price and without discount."""
    _refuse_part_paid(desk)
    basket = desk.basket
    for item in basket.items:
        if item.sku == goods.sku and item.unit_price_minor == goods.price_minor and not item.discount:
            set_quantity(desk, item.id, item.quantity_thousandths + quantity_thousandths)
            basket.items.append(basket.items.pop(basket.items.index(item)))  # The last line is the newest.
            desk.shelf.save()
            return Came("added", item_id=item.id)
    assert goods.price_minor is not None
    assert goods.vat_rate is not None
    assert goods.vat_class is not None
    return _add_item(
        desk,
        Item(
            id=desk.shelf.new_id(),
            sku=goods.sku,
            label=goods.label[:128],
            unit_price_minor=goods.price_minor,
            vat_rate=goods.vat_rate,
            vat_class=goods.vat_class,
            unit=goods.unit,
            detail=goods.producer,
            quantity_thousandths=min(quantity_thousandths, QUANTITY_MAX),
            is_alcohol=goods.is_alcohol,
        ),
    )


def add_free(desk: Desk, label: str, price_minor: int, vat_rate: int, vat_class: str) -> Came:
    """What is in no catalogue. Raises ``InvalidSale``, ``InvalidAmount``."""
    line = desk.free_line(label, price_minor, vat_rate, vat_class)
    tickets.build_abandon([line], reason="check")  # Whatever a ticket would refuse is refused now.
    return _add_item(
        desk,
        Item(
            id=desk.shelf.new_id(),
            sku=line.sku,
            label=line.label,
            unit_price_minor=price_minor,
            vat_rate=vat_rate,
            vat_class=vat_class,
            is_free=True,
        ),
    )


def _add_item(desk: Desk, item: Item) -> Came:
    _refuse_part_paid(desk)
    if len(desk.basket.items) >= LINES_MAX:
        return Came("full")
    desk.basket.items.append(item)
    desk.shelf.save()
    return Came("added", item_id=item.id)


def _refuse_part_paid(desk: Desk) -> None:
    """A basket of which a part was paid already stays as it is."""
    if desk.basket.payments:
        raise PartPaid("a part of this basket is paid already")


def set_quantity(desk: Desk, item_id: str, quantity_thousandths: int) -> None:
    """So many of a line; nothing or less takes it out. Raises ``InvalidAmount``, ``PartPaid``."""
    _refuse_part_paid(desk)
    item = desk.basket.item(item_id)
    if item is None:
        return
    if quantity_thousandths > QUANTITY_MAX or abs(item.unit_price_minor * quantity_thousandths) > (
        AMOUNT_MINOR_MAX * 1000
    ):
        raise InvalidAmount("that is too many")
    if quantity_thousandths <= 0:
        desk.basket.items.remove(item)
    else:
        item.quantity_thousandths = quantity_thousandths
    desk.shelf.save()


def set_discount(desk: Desk, item_id: str, text: str) -> None:
    """A discount on a line. Raises ``InvalidAmount``, ``PartPaid``."""
    _refuse_part_paid(desk)
    discount = Discount.read(text)
    item = desk.basket.item(item_id)
    if item is not None:
        item.discount = discount
        desk.shelf.save()


def set_ticket_discount(desk: Desk, basket_id: str, text: str) -> None:
    """A discount on the whole ticket. Raises ``Stale`` where the page was of another basket, as above."""
    _refuse_part_paid(desk)
    discount = Discount.read(text)
    if desk.basket.id != basket_id:
        raise Stale("another basket is open by now")
    desk.basket.discount = discount
    desk.shelf.save()


def decide_price(desk: Desk, item_id: str, price_minor: int, *, apply: bool) -> None:
    """Take the new price of a line, or keep the one that was shown. ``price_minor``: the one that was
    offered; if there is yet another by now, nothing is done.
    """
    _refuse_part_paid(desk)
    item = desk.basket.item(item_id)
    if item is None or desk.new_prices(desk.basket).get(item_id) != price_minor:
        return
    if apply:
        goods = desk.goods.get(item.sku)
        item.unit_price_minor, item.declined_minor = price_minor, None
        if goods is not None and goods.vat_rate is not None and goods.vat_class is not None:
            item.vat_rate, item.vat_class = goods.vat_rate, goods.vat_class
    else:
        item.declined_minor = price_minor
    desk.shelf.save()


def park(desk: Desk, basket_id: str, name: str) -> bool:
    """Put the open basket aside. Whether there was one to park, and room for it. Raises ``Stale`` where the
    page was of another one.
    """
    bench = desk.shelf.bench
    if not bench.current.items or bench.current.payments or len(bench.parked) >= PARKED_MAX:
        return False
    if bench.current.id != basket_id:
        raise Stale("another basket is open by now")
    bench.current.name = " ".join(name.split())[:40]
    bench.parked.append(bench.current)
    bench.current = desk.shelf.new_basket()
    desk.shelf.save()
    return True


def resume(desk: Desk, basket_id: str) -> None:
    """Go on with a parked basket; an open one is parked instead."""
    bench = desk.shelf.bench
    wanted = next((one for one in bench.parked if one.id == basket_id), None)
    if wanted is None or bench.current.payments:
        return
    bench.parked.remove(wanted)
    if bench.current.items:
        bench.parked.append(bench.current)
    bench.current = wanted
    desk.shelf.save()


def drop(desk: Desk, basket_id: str) -> None:
    """Give up the open basket: the ledger says so, as the law asks."""
    bench = desk.shelf.bench
    if bench.current.id != basket_id or bench.current.payments:
        return
    if bench.current.items and not desk.shelf.is_training:
        desk.register.abandon(bench.current.lines())
    _begin_anew(desk)


@dataclass(frozen=True, slots=True)
class Paid:
    """What a payment led to: the ticket, or None while something is still to be paid. ``needs_word``: so much
    cash asks for a person's word first; nothing was taken.
    """

    ticket: Ticket | None = None
    needs_word: bool = False


def pay(
    desk: Desk,
    basket_id: str,
    means: str,
    amount_minor: int | None,
    *,
    step: int,
    due_minor: int,
    delivered: str = "none",
    cash_is_confirmed: bool = False,
) -> Paid:
    """Take a payment: ``amount_minor``, or all that is left. The last one records the sale, and only when it
    is on disk this returns its ticket. The same form sent again gives the same ticket. ``step``: how many
    payments the page knew of, ``due_minor``: what it said that the basket comes to. Raises ``Stale``,
    ``Changed``, ``InvalidSale``, ``InvalidAmount``, ``StorageError``.
    """
    made = desk.sold(basket_id)
    if made is not None:
        return Paid(made)
    basket = desk.basket
    if basket.id != basket_id or step != len(basket.payments) or not basket.items:
        raise Stale("the basket has changed meanwhile")
    if due_minor != basket.due_minor:
        raise Changed("another sum is to be paid by now")
    if means not in MEANS or delivered not in DELIVERIES:
        raise InvalidSale("there is no such means of payment")
    payments = [Payment(one, amount) for one, amount in basket.payments]
    if basket.rest_minor:
        payments.append(Payment(means, _amount(basket, means, amount_minor)))
    whole = tickets.with_change(basket.due_minor, payments)
    if cash_taken(whole) > CASH_LIMIT_MINOR and not cash_is_confirmed:
        return Paid(needs_word=True)
    if sum(one.amount_minor for one in payments) < basket.due_minor:
        basket.payments.append((means, payments[-1].amount_minor))
        desk.shelf.save()
        return Paid()
    sell = _practise if desk.shelf.is_training else _sell
    ticket = sell(desk, basket, payments, delivered)
    if ticket.link:
        desk.remember(ticket)
    _begin_anew(desk)
    return Paid(ticket)


def _begin_anew(desk: Desk) -> None:
    """An empty basket, after the ledger took the one before. If that cannot be written, the ledger has the
    sale all the same: nobody is told that it was not recorded, and the next start finds it sold.
    """
    desk.shelf.bench.current = desk.shelf.new_basket()
    with suppress(StorageError):
        desk.shelf.save()


def _amount(basket: Basket, means: str, amount_minor: int | None) -> int:
    amount = basket.rest_minor if amount_minor is None else amount_minor
    if amount <= 0:
        raise InvalidAmount("a payment is more than nothing")
    if amount > basket.rest_minor and means != "cash":
        raise InvalidSale("only cash may be more than what is due")
    if amount - basket.rest_minor >= LARGEST_NOTE_MINOR:
        raise InvalidAmount("nobody hands over a note more than is needed")
    return amount


def take_back_payments(desk: Desk, basket_id: str) -> None:
    """Give back what was taken of an unfinished payment: nothing of it was recorded."""
    if desk.basket.id == basket_id and desk.basket.payments:
        desk.basket.payments.clear()
        desk.shelf.save()


def _sell(desk: Desk, basket: Basket, payments: list[Payment], delivered: str) -> Ticket:
    return desk.register.sell(
        basket.lines(),
        payments,
        request_id=basket.request_id,
        ticket_discount_minor=basket.discount_minor,
        delivered=delivered,
    )


def _practise(desk: Desk, basket: Basket, payments: list[Payment], delivered: str) -> Ticket:
    """The ticket that a sale would make, checked as a sale is, and recorded nowhere."""
    body = tickets.build_sale(
        basket.lines(),
        tickets.with_change(basket.due_minor, payments),
        ticket_discount_minor=basket.discount_minor,
        delivered=delivered,
    )
    now_ms = desk.clock.now_ms()
    offset_min = desk.clock.utc_offset_min(now_ms)
    ticket = Ticket(
        number=f"X-{len(desk.practice) + 1:06}",
        kind="training",
        total_minor=tickets.amount_due(body),
        business_day=local_date(now_ms, offset_min),
        at_ms=now_ms,
        utc_offset_min=offset_min,
        operator=desk.register.config.operator,
        lines=tuple(
            TicketLine(
                *(one["i"], one["sku"], one["label"], one["qty"], one["unit"], one["pu"], one["disc"]),
                *(one["ttc"], one["vat"], one["vc"]),
            )
            for one in body["lines"]
        ),
        payments=tuple(TicketPayment(one["m"], one["amt"]) for one in body["pay"]),
        vat=tuple(TicketVat(one["vat"], one["vc"], one["ttc"], one["ht"], one["tva"]) for one in body["vat"]),
        refund_of=None,
        reason=None,
        device=desk.register.identity.device,
        chain=b"",
        n=0,
        link=b"",
    )
    desk.practice[basket.id] = ticket
    return replace(ticket)


def set_training(desk: Desk, *, on: bool) -> None:
    """Into training, or back. The baskets of both stay apart."""
    desk.shelf.is_training = on
    desk.shelf.save()
