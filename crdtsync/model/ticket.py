"""Tickets: the payloads of ``sale``, ``refund`` and ``abandon`` entries.

Fields of a ticket (amounts in minor units with tax, unless said otherwise)::

    lines  [{i, sku, label, qty, unit, pu, disc, ttc, vat, vc, ht, …}]   qty in thousandths
    vat    per rate [{vat, vc, ttc, ht, tva}], the highest rate first
    ttc    turnover: the sum of the lines, those outside the scope of VAT (class ``O``) left out
    oos    the sum of the lines outside the scope (deposits on containers, vouchers sold); absent when 0
    pay    [{m, amt}]; they add up to ttc + oos
    rnd    the arithmetic rule; deliv: none, print or email
    ref    of a refund: {chain, till, seq, link, num} of the original; of its lines: the line numbers there
    num gt added by ``chain.next_body``

A line keeps label, price and rate as they were: later changes of the catalogue never reach a ticket.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from crdtsync.errors import InvalidSale, NotRefundable
from crdtsync.model import arithmetic, canonical, money
from crdtsync.model.entry import ENTRY_BYTES_MAX, Entry
from crdtsync.model.form import OUTSIDE_VAT, VAT_CLASSES, payload_problem

MEANS: Final = frozenset(
    ("cash", "change", "card", "cheque", "transfer", "voucher", "account", "titre", "other")
)
"""Means of payment. ``change`` is the cash handed back: a negative amount."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

DELIVERIES: Final = ("none", "print", "email")
LINES_MAX: Final = 200

_LINES_SURE_TO_FIT: Final = 30
_COMMON_BYTES_MAX: Final = 4096
"""More than the common fields, number, totals and signature of any entry take."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is sold. ``discount_minor`` is what the line is reduced by; ``quantity_thousandths`` is negative
    only where something outside VAT is taken back (an empty container).
    """

    sku: str
    label: str
    unit_price_minor: int
    vat_rate: int
    vat_class: str = "N"
    quantity_thousandths: int = 1000
    unit: str = "pce"
    discount_minor: int = 0
    extra: Mapping[str, Any] | None = None
    """Further fields of the line: gtin, cat, lot, vol (ml), ex (excise class), bundle."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment. ``reference`` is the card terminal's or the voucher's, never a card number."""

    means: str
    amount_minor: int
    reference: str | None = None


def build_sale(
    lines: Sequence[Line],
    payments: Sequence[Payment],
    *,
    ticket_discount_minor: int = 0,
    delivered: str = "none",
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The payload of a sale that is paid in full.

    ``extra`` holds further fields of the entry: ``req`` (request id), ``start`` (ms of the first item),
    ``cust`` (opaque customer id), ``fiscal``. Raises ``InvalidSale`` and ``InvalidAmount``.
    """
    payload = totals_of([_line_json(line) for line in _discounted(lines, ticket_discount_minor)])
    payload |= {"pay": _payments(payments, amount_due(payload)), "deliv": _delivery(delivered)}
    return _fitting(_with_extra(payload, extra))


def build_refund(
    original: Entry,
    earlier: Iterable[Entry],
    payments: Sequence[Payment],
    *,
    reason: str,
    quantities: Mapping[int, int] | None = None,
    delivered: str = "none",
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The payload of a refund of a sale, whole or in part.

    ``earlier`` are the refunds known so far (those of other tickets are passed over): they cap this one.
    ``quantities`` maps line numbers of the original to thousandths; None means all that is left. An empty
    mapping returns no goods and only changes the means of payment: payments that add up to zero.
    ``payments`` are negative amounts. Raises ``NotRefundable``, ``InvalidSale`` and ``InvalidAmount``.
    """
    lines = refund_lines(original, earlier, quantities)
    payload = totals_of(lines)
    due = amount_due(payload)
    payload |= {
        "pay": _payments(payments, due),
        "deliv": _delivery(delivered),
        "reason": plain_text(reason, "the reason", 200),
        "ref": reference(original),
    }
    if not lines and not payments:
        raise NotRefundable("nothing is returned and no payment is changed")
    return _fitting(_with_extra(payload, extra))


def build_abandon(lines: Sequence[Line], *, reason: str, ticket_discount_minor: int = 0) -> dict[str, Any]:
    """The payload of a sale that was started and dropped before payment. Raises ``InvalidSale``."""
    payload = totals_of([_line_json(line) for line in _discounted(lines, ticket_discount_minor)])
    return _fitting(payload | {"reason": plain_text(reason, "the reason", 200)})


def build_print(original: Entry, rank: int, *, delivered: str = "print") -> dict[str, Any]:
    """The payload of a ticket printed or sent after its sale: copy number ``rank``, from 1 on."""
    return {"rank": rank, "deliv": _delivery(delivered), "ref": reference(original)}


def build_training(what: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of something done for training: what kind it imitates, and that kind's payload.

    It has a number of its own (``X-…``), and never moves a total or the stock.
    """
    return {"what": what, **payload}


def totals_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Lines with ``i``, ``ttc`` and ``ht``, and the totals that follow from them: rule ``rate-half-up/1``.

    Takes the lines of a payload and uses only ``pu``, ``qty``, ``disc``, ``vat`` and ``vc``, so that a
    verifier can compute a ticket again from its own lines.
    """
    done: list[dict[str, Any]] = []
    by_rate: dict[tuple[int, str], list[dict[str, Any]]] = {}
    ttc = oos = 0
    for number, line in enumerate(lines, start=1):
        amount = arithmetic.line_gross(line["pu"], line["qty"]) - line["disc"]
        written = {**line, "i": number, "ttc": amount, "ht": amount}
        done.append(written)
        if line["vc"] == OUTSIDE_VAT:
            oos += amount
        else:
            ttc += amount
            by_rate.setdefault((line["vat"], line["vc"]), []).append(written)
    totals = {"lines": done, "vat": _rates(by_rate), "ttc": ttc, "rnd": arithmetic.RULE}
    return totals | {"oos": oos} if oos else totals


def amount_due(payload: Mapping[str, Any]) -> int:
    """What is to be paid for a ticket: turnover and what is outside the scope of VAT."""
    total: int = payload["ttc"] + payload.get("oos", 0)
    return total


def due_of(lines: Iterable[Line]) -> int:
    """What is to be paid for lines before a discount on the whole ticket, whether or not they make a
    ticket.
    """
    return sum(_amount(line) for line in lines)


def with_change(due_minor: int, payments: Sequence[Payment]) -> tuple[Payment, ...]:
    """Add the change to payments that exceed what is due, if it can be given from the cash tendered."""
    over = sum(payment.amount_minor for payment in payments) - due_minor
    cash = sum(payment.amount_minor for payment in payments if payment.means == "cash")
    if 0 < over <= cash:
        return (*payments, Payment("change", -over))
    return tuple(payments)


def reference(original: Entry) -> dict[str, Any]:
    """The field ``ref`` of an entry that speaks of another one."""
    ref = {
        "chain": original.facts.chain.hex(),
        "till": original.body["till"],
        "seq": original.facts.n,
        "link": original.link.hex(),
    }
    return ref | {"num": original.body["num"]} if "num" in original.body else ref


def refund_lines(
    original: Entry, earlier: Iterable[Entry], quantities: Mapping[int, int] | None
) -> list[dict[str, Any]]:
    """The lines of a refund: what is left of the original's lines, or the quantities of it asked for.

    Raises ``NotRefundable``.
    """
    if original.kind != "sale":
        raise NotRefundable(f"a {original.kind} cannot be refunded, only a sale")
    if payload_problem(original.body):
        raise NotRefundable("the ticket was admitted but makes no sense: it cannot be refunded")
    done = refunded(original, earlier)
    lines = {line["i"]: line for line in original.body["lines"]}
    left = {i: abs(line["qty"]) - done.get(i, (0, 0))[0] for i, line in lines.items()}
    if quantities is None:
        quantities = {i: quantity for i, quantity in left.items() if quantity > 0}
        if not quantities:
            raise NotRefundable(f"ticket {original.body['num']} was refunded already")
    for i, quantity in quantities.items():
        if i not in lines:
            raise NotRefundable(f"ticket {original.body['num']} has no line {i}")
        if not 0 < quantity <= left[i]:
            asked, rest = money.format_quantity(quantity), money.format_quantity(max(0, left[i]))
            raise NotRefundable(f"line {i} of ticket {original.body['num']}: {asked} asked for, {rest} left")
    return [_returned(lines[i], done.get(i, (0, 0)), quantities[i]) for i in sorted(quantities)]


def refunded(original: Entry, earlier: Iterable[Entry]) -> dict[int, tuple[int, int]]:
    """What went back of each line of a sale: line number -> (thousandths, amount), both positive.

    (Of a line that took something back, a container say, the amount is negative.)
    """
    done: dict[int, tuple[int, int]] = {}
    for entry in earlier:
        if entry.kind != "refund" or payload_problem(entry.body):
            continue
        if entry.body["ref"]["link"] == original.link.hex():
            for line in entry.body["lines"]:
                quantity, amount = done.get(line["of"], (0, 0))
                done[line["of"]] = (quantity + abs(line["qty"]), amount - line["ttc"])
    return done


def _returned(line: Mapping[str, Any], done: tuple[int, int], quantity: int) -> dict[str, Any]:
    sign = 1 if line["qty"] > 0 else -1
    share = sign * arithmetic.refund_share(
        sign * line["ttc"],
        abs(line["qty"]),
        done_quantity=done[0],
        done_ttc=sign * done[1],
        more_quantity=quantity,
    )
    back = -sign * quantity
    # The discount takes up what rule 1 would give otherwise, so that a verifier can apply it here too.
    discount = arithmetic.line_gross(line["pu"], back) + share
    return {**line, "of": line["i"], "qty": back, "disc": discount}


def _rates(by_rate: Mapping[tuple[int, str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The field ``vat``; also writes ``ht`` into the lines."""
    rates = []
    for (rate, vat_class), lines in sorted(by_rate.items(), key=lambda item: (-item[0][0], item[0][1])):
        shares = arithmetic.lines_without_tax([line["ttc"] for line in lines], rate)
        for line, ht in zip(lines, shares, strict=True):
            line["ht"] = ht
        ttc, ht = sum(line["ttc"] for line in lines), sum(shares)
        rates.append({"vat": rate, "vc": vat_class, "ttc": ttc, "ht": ht, "tva": ttc - ht})
    return rates


def _discounted(lines: Sequence[Line], ticket_discount_minor: int) -> Sequence[Line]:
    """Spread a discount on the whole ticket over the lines that are inside the scope of VAT."""
    if not 0 < len(lines) <= LINES_MAX:
        raise InvalidSale(f"a ticket has 1 to {LINES_MAX} lines, this one has {len(lines)}")
    if ticket_discount_minor == 0:
        return lines
    weights = [0 if line.vat_class == OUTSIDE_VAT else _amount(line) for line in lines]
    if not 0 < ticket_discount_minor <= sum(weights):
        raise InvalidSale("a discount on the ticket is more than nothing and at most what it comes to")
    parts = arithmetic.apportion(ticket_discount_minor, weights)
    return [
        replace(line, discount_minor=line.discount_minor + part)
        for line, part in zip(lines, parts, strict=True)
    ]


def _amount(line: Line) -> int:
    return arithmetic.line_gross(line.unit_price_minor, line.quantity_thousandths) - line.discount_minor


def _line_json(line: Line) -> dict[str, Any]:
    money.check_quantity(line.quantity_thousandths)
    money.check_amount(line.unit_price_minor)
    money.check_rate(line.vat_rate)
    money.check_amount(line.discount_minor)
    gross = money.check_amount(arithmetic.line_gross(line.unit_price_minor, line.quantity_thousandths))
    outside = line.vat_class == OUTSIDE_VAT
    if line.vat_class not in VAT_CLASSES or (outside and line.vat_rate):
        raise InvalidSale(f"{line.label!r}: no VAT class {line.vat_class!r} at that rate")
    if line.unit_price_minor < 0 or line.quantity_thousandths == 0:
        raise InvalidSale(f"{line.label!r}: a price below zero, or no quantity")
    if line.quantity_thousandths < 0 and not outside:
        raise InvalidSale(f"{line.label!r}: what was sold with VAT goes back by a refund")
    if not 0 <= line.discount_minor <= max(0, gross):
        raise InvalidSale(f"{line.label!r}: a discount is at least nothing and at most the line")
    written = {
        "sku": plain_text(line.sku, "a SKU", 64),
        "label": plain_text(line.label, "a label", 128),
        "qty": line.quantity_thousandths,
        "unit": plain_text(line.unit, "a unit", 16),
        "pu": line.unit_price_minor,
        "disc": line.discount_minor,
        "vat": line.vat_rate,
        "vc": line.vat_class,
    }
    return _with_extra(written, line.extra)


def _payments(payments: Sequence[Payment], due: int) -> list[dict[str, Any]]:
    for payment in payments:
        _check_payment(payment, due)
    paid = sum(payment.amount_minor for payment in payments)
    if paid != due:
        raise InvalidSale(
            f"the payments come to {money.format_amount(paid)}, to be paid is {money.format_amount(due)}"
        )
    change = -sum(payment.amount_minor for payment in payments if payment.means == "change")
    cash = sum(payment.amount_minor for payment in payments if payment.means == "cash")
    if change > max(0, cash):
        raise InvalidSale("more change than cash")
    return [
        {"m": payment.means, "amt": payment.amount_minor}
        | ({"ref": plain_text(payment.reference, "a reference", 64)} if payment.reference else {})
        for payment in payments
    ]


def _check_payment(payment: Payment, due: int) -> None:
    if payment.means not in MEANS:
        raise InvalidSale(f"no means of payment {payment.means!r}")
    amount = money.check_amount(payment.amount_minor)
    wrong_way = amount > 0 if payment.means == "change" or due < 0 else due > 0 > amount
    if amount == 0 or wrong_way:
        raise InvalidSale(f"{payment.means} of {money.format_amount(amount)} has no place in this ticket")


def _delivery(delivered: str) -> str:
    if delivered not in DELIVERIES:
        raise InvalidSale(f"a ticket is delivered by {', '.join(DELIVERIES)}, not by {delivered!r}")
    return delivered


def plain_text(text: str, what: str, characters_max: int) -> str:
    """Text in NFC without control characters, 1 to ``characters_max`` characters."""
    words = text if text.isascii() else unicodedata.normalize("NFC", text)
    if not 0 < len(words) <= characters_max or _CONTROL.search(words):
        raise InvalidSale(f"{what} is 1 to {characters_max} characters of plain text, not {text!r}")
    return words


def _fitting(payload: dict[str, Any]) -> dict[str, Any]:
    """Refuse a ticket that would be too much for one entry, now and not when it is sealed."""
    money.check_amount(amount_due(payload))
    if len(payload["lines"]) > _LINES_SURE_TO_FIT:
        size = len(canonical.encode(payload))
        if size > ENTRY_BYTES_MAX - _COMMON_BYTES_MAX:
            raise InvalidSale(f"a ticket of {size} bytes is too long for one entry: make two of it")
    return payload


def _with_extra(payload: dict[str, Any], extra: Mapping[str, Any] | None) -> dict[str, Any]:
    if not extra:
        return payload
    if not payload.keys().isdisjoint(extra):
        raise InvalidSale(f"fields given twice: {sorted(payload.keys() & extra.keys())}")
    return payload | dict(extra)
