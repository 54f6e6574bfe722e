"""Selling, refunding, abandoning; and finding tickets again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from crdtsync.errors import InvalidSale, UnknownProduct, UnknownTicket
from crdtsync.ids import ENTRY
from crdtsync.model import ticket as tickets
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.money import format_amount
from crdtsync.model.ticket import Line, Payment
from crdtsync.runtime.committing.writer import Payload, Session, Written, entry_at
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.storage.view_place import Placed
from crdtsync.storage.view_queries import ProductRow, TicketRow

if TYPE_CHECKING:
    from crdtsync.runtime.filing.unfiled import ProductLookup


@dataclass(frozen=True, slots=True)
class BasketLine:
    """A product as it goes over the counter, by its SKU or its barcode. ``unit_price_minor``: the price that
    was shown to the customer, when it is not today's of the catalogue; at that price it is sold although it
    was taken off sale meanwhile.
    """

    sku: str
    quantity_thousandths: int = 1000
    unit_price_minor: int | None = None
    discount_minor: int = 0


LINK_DIGITS_SHOWN = 8
"""How much of a ticket's link is printed on it."""

_LINK_DIGITS = re.compile(rf"[0-9a-f]{{{LINK_DIGITS_SHOWN},64}}")

SoldLine = str | BasketLine | Line
"""A SKU or a barcode (one of it), a basket line, or a complete line for what is in no catalogue."""

PaidBy = str | Payment
"""A means of payment for all that is left to pay, or a payment with its amount."""


class Tickets:
    """The tickets of one register."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def sell(
        self,
        lines: Sequence[SoldLine],
        payments: Sequence[PaidBy],
        *,
        request_id: str | None,
        ticket_discount_minor: int,
        delivered: str,
    ) -> Ticket:
        """See ``Register.sell``."""
        products = self._look_up(lines)

        def payload(session: Session) -> Payload:
            sold = [self._line(line, session.moment.ts_ms, products) for line in lines]
            due = tickets.due_of(sold) - ticket_discount_minor
            return tickets.build_sale(
                sold,
                tickets.with_change(due, _payments(payments, due)),
                ticket_discount_minor=ticket_discount_minor,
                delivered=delivered,
            )

        written = self._replica.writer.write("sale", payload, request_id=request_id)
        if written.again and not self._sold_that(written.entry, lines, products):
            raise _used_for(written.entry, request_id)
        return _ticket(written)

    def refund(
        self,
        number: str,
        *,
        lines: Mapping[int, int] | None,
        payments: Sequence[PaidBy],
        reason: str,
        request_id: str | None,
    ) -> Ticket:
        """See ``Register.refund``."""
        self._replica.views.catch_up()
        original = self.entry_of(self.row(number))

        def payload(_: Session) -> Payload:
            earlier = self._refunds_of(original)
            back = tickets.refund_lines(original, earlier, lines)
            due = tickets.amount_due(tickets.totals_of(back))
            return tickets.build_refund(
                original, earlier, _payments(payments, due), reason=reason, quantities=lines
            )

        written = self._replica.writer.write("refund", payload, request_id=request_id)
        if written.again and written.entry.body["ref"]["link"] != original.link.hex():
            raise _used_for(written.entry, request_id)
        return _ticket(written)

    def abandon(self, lines: Sequence[SoldLine], *, reason: str) -> Ticket:
        """See ``Register.abandon``."""
        products = self._look_up(lines)

        def payload(session: Session) -> Payload:
            sold = [self._line(line, session.moment.ts_ms, products) for line in lines]
            return tickets.build_abandon(sold, reason=reason)

        return _ticket(self._replica.writer.write("abandon", payload))

    def tickets(
        self, *, day: str | None, device: bytes | None, older_than: Placed | None, rows_max: int
    ) -> list[TicketRow]:
        """See ``Register.sales``."""
        replica = self._replica
        if day is None and replica.views_lag_far():
            from crdtsync.runtime.filing.day_views import DayViews

            with closing(replica.mending(lambda: DayViews(replica.log))) as views:
                return replica.mending(
                    lambda: views.newest_tickets(device=device, older_than=older_than, rows_max=rows_max)
                )
        if day is None:
            replica.views.catch_up()
            return replica.queries.tickets(device=device, older_than=older_than, rows_max=rows_max)
        with replica.day_views(day) as queries:
            return queries.tickets(day=day, device=device, older_than=older_than, rows_max=rows_max)

    def ticket(self, number: str) -> Ticket:
        """See ``Register.ticket``."""
        self._replica.views.catch_up()
        return Ticket.of(self.entry_of(self.row(number)))

    def row(self, number: str) -> TicketRow:
        """The ticket with that number, of any register of the shop, or whose link begins so. Raises
        ``UnknownTicket``.

        A number can have been issued twice (by a copied register, or by one that used the series of another):
        then this register's own ticket is meant, or that of the register whose series it is. If that does not
        tell, the caller must name it by its link.
        """
        queries = self._replica.queries
        found = queries.tickets_numbered(number)
        if not found and _LINK_DIGITS.fullmatch(number):
            found = queries.tickets_linked(number)
        if not found:
            raise UnknownTicket(f"no ticket {number!r} is known on this register")
        own = [row for row in found if row.device == self._replica.identity.device]
        if len(found) == 1 or len(own) == 1:
            return (own or found)[0]
        series = {device.device: device.series for device in queries.devices()}
        meant = [row for row in found if row.number.rpartition("-")[0][:-3] == series.get(row.device)]
        if len(meant) != 1:
            links = ", ".join(row.link.hex()[:LINK_DIGITS_SHOWN] for row in found)
            raise UnknownTicket(
                f"there are {len(found)} tickets {number!r}",
                hint=f"name one by its link, the last line of the printed ticket: {links}",
            )
        return meant[0]

    def entry_of(self, row: TicketRow) -> Entry:
        """The entry behind a row. Raises ``DamagedStore``."""
        return entry_at(self._replica.log, row.seq)

    def _refunds_of(self, original: Entry) -> list[Entry]:
        """The refunds known in the transaction under way: from the views, and from the log beyond them."""
        log, views = self._replica.log, self._replica.tables
        known = [self.entry_of(row) for row in self._replica.queries.refunds_of(original.link)]
        seq = views.seq(log.shop)
        while True:
            batch = log.read(seq, bytes_max=1 << 20)
            known.extend(_refunds_among((record for _, record in batch.records), original))
            if batch.to.seq == seq:
                return known
            seq = batch.to.seq

    def _look_up(self, lines: Sequence[SoldLine]) -> ProductLookup:
        """Where these products are found: in the views as they are shown, if all of them are there, else as
        the log has them now.
        """
        skus = {line if isinstance(line, str) else line.sku for line in lines if not isinstance(line, Line)}
        now_ms = self._replica.clock.now_ms()
        shown = _AskedOnce(self._replica.queries)
        for sku in skus:
            product = shown.product(sku, now_ms)
            missing = product is None and not shown.products_with(sku, now_ms)
            if missing or (product is not None and product.price_minor is None):
                return self._replica.products_now()
        return shown

    def _sold_that(self, entry: Entry, lines: Sequence[SoldLine], products: ProductLookup) -> bool:
        """Whether a sale made before is of this basket: as many of the same. Its prices may be other ones by
        now; what is named by its barcode is not looked up again.
        """
        sold = entry.body["lines"]
        asked = [BasketLine(line) if isinstance(line, str) else line for line in lines]
        now_ms = self._replica.clock.now_ms()
        return len(sold) == len(asked) and all(
            line["qty"] == wanted.quantity_thousandths
            and (line["sku"] == wanted.sku or _may_be_barcode(wanted, now_ms, products))
            for line, wanted in zip(sold, asked, strict=True)
        )

    def _line(self, line: SoldLine, at_ms: int, products: ProductLookup) -> Line:
        if isinstance(line, Line):
            return line
        wanted = BasketLine(line) if isinstance(line, str) else line
        product = products.product(wanted.sku, at_ms)
        return _line_of(product or self._scanned(wanted.sku, at_ms, products), wanted)

    def _scanned(self, code: str, at_ms: int, products: ProductLookup) -> ProductRow:
        """The product that bears a barcode. Raises ``UnknownProduct``, ``InvalidSale`` where several do."""
        found = products.products_with(code, at_ms)
        if not found:
            from crdtsync.runtime.register.products import unknown_product

            raise unknown_product(f"no product {code!r} is on sale", self._replica)
        if len(found) > 1:
            skus = ", ".join(product.sku for product in found)
            raise InvalidSale(
                f"{len(found)} products bear the barcode {code}: {skus}", hint="name one by its SKU"
            )
        return found[0]


class _AskedOnce:
    """Products for one basket: what was found of a code is not asked again, for an answer takes as long as a
    signature. So a product has the price of the moment at which it was looked up first.
    """

    def __init__(self, products: ProductLookup) -> None:
        self._products = products
        self._by_sku: dict[str, ProductRow | None] = {}
        self._by_barcode: dict[str, list[ProductRow]] = {}

    def product(self, sku: str, at_ms: int) -> ProductRow | None:
        """See ``ProductLookup``."""
        if sku not in self._by_sku:
            self._by_sku[sku] = self._products.product(sku, at_ms)
        return self._by_sku[sku]

    def products_with(self, barcode: str, at_ms: int) -> list[ProductRow]:
        """See ``ProductLookup``."""
        if barcode not in self._by_barcode:
            self._by_barcode[barcode] = self._products.products_with(barcode, at_ms)
        return self._by_barcode[barcode]

    def products(self, at_ms: int) -> Iterator[ProductRow]:
        """See ``ProductLookup``."""
        return self._products.products(at_ms)


def _may_be_barcode(line: BasketLine | Line, now_ms: int, products: ProductLookup) -> bool:
    return isinstance(line, BasketLine) and products.product(line.sku, now_ms) is None


def _line_of(product: ProductRow, wanted: BasketLine) -> Line:
    if product.archived and wanted.unit_price_minor is None:  # Else it was in the basket before.
        raise UnknownProduct(f"no product {wanted.sku!r} is on sale")
    price = product.price_minor if wanted.unit_price_minor is None else wanted.unit_price_minor
    if price is None or product.vat_rate is None or product.vat_class is None:
        raise InvalidSale(f"{product.sku!r} has no price", hint="give it one with `crdtsync product set`")
    details = orjson.loads(product.body)
    return Line(
        sku=product.sku,
        label=product.name,
        unit_price_minor=price,
        vat_rate=product.vat_rate,
        vat_class=product.vat_class,
        quantity_thousandths=wanted.quantity_thousandths,
        unit=details["unit"],
        discount_minor=wanted.discount_minor,
    )


def _refunds_among(records: Iterable[bytes], original: Entry) -> list[Entry]:
    name = original.link.hex().encode()
    # Most records are not meant; a search for the link spares reading them.
    candidates = [read_entry(record[1:]) for record in records if record[:1] == ENTRY and name in record]
    # Whether they are refunds of this very ticket, and make sense, is asked where they are counted.
    return [entry for entry in candidates if entry.kind == "refund"]


def _payments(payments: Sequence[PaidBy], due_minor: int) -> list[Payment]:
    """Complete the payments: one of them may take all that the others leave. Raises ``InvalidSale``."""
    for payment in payments:
        if not isinstance(payment, str | Payment):  # Passed over, it would be money that nobody took.
            raise InvalidSale(f"{payment!r} is no payment", hint="give a Payment, or a means of payment")
    named = [payment for payment in payments if isinstance(payment, Payment)]
    rest = due_minor - sum(payment.amount_minor for payment in named)
    open_ended = [payment for payment in payments if isinstance(payment, str)]
    if len(open_ended) > 1:
        raise InvalidSale("only one means of payment can take all the rest: give the others an amount")
    if not open_ended or rest == 0:
        return named
    if (rest < 0) != (due_minor < 0):
        raise InvalidSale(
            f"nothing is left for {open_ended[0]}: the others pay {format_amount(due_minor - rest)} already"
        )
    return [*named, Payment(open_ended[0], rest)]


def _used_for(entry: Entry, request_id: str | None) -> InvalidSale:
    return InvalidSale(
        f"the request id {request_id!r} was used for ticket {entry.body['num']}, which is of something else",
        hint="give each ticket an id of its own; nothing was recorded now",
    )


def _ticket(written: Written) -> Ticket:
    return Ticket.of(written.entry, again=written.again, notices=written.notices)
