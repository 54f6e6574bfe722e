"""Questions that the views answer. Each reads one committed state; none blocks a writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import apsw

from crdtsync.storage.database import Database
from crdtsync.storage.view_place import Placed


class ChainRow(NamedTuple):
    """A chain and its newest entry by one device that is known here. ``since``: the business day of its first
    entry, empty while that is not here, or where another device wrote into the chain; ``series`` of its
    tickets, None in the owner's chain.
    """

    chain: bytes
    device: bytes
    series: str | None
    n: int
    link: bytes
    at_ms: int
    day: str
    since: str


class TicketRow(NamedTuple):
    """A sale or a refund. ``total`` is what was paid: turnover and what is outside the scope of VAT."""

    seq: int
    number: str
    kind: str
    device: bytes
    chain: bytes
    n: int
    link: bytes
    day: str
    at_ms: int
    tz_min: int
    operator: str
    mode: str
    ttc: int
    total: int
    lines: int
    ref_link: bytes | None
    ref_number: str | None
    reason: str | None


class LineRow(NamedTuple):
    """One line of a ticket; quantity in thousandths, amounts in minor units, VAT in 1/100 %."""

    i: int
    sku: str
    label: str
    qty: int
    unit: str
    pu: int
    disc: int
    ttc: int
    vat: int
    vc: str
    ht: int
    of: int | None


class PaymentRow(NamedTuple):
    """One payment of a ticket."""

    means: str
    amount: int


class FlagRow(NamedTuple):
    """Something about an entry that cannot be so (``number`` is its ticket's, if it has one), or that the
    entry as a whole cannot be read (``code`` is ``unreadable``).
    """

    device: bytes
    chain: bytes
    n: int
    link: bytes
    number: str | None
    code: str
    detail: str | None


class DayRow(NamedTuple):
    """Totals of one chain and one business day."""

    chain: bytes
    device: bytes
    tickets: int
    refunds: int
    ttc: int
    refunds_due: int
    oos: int
    discounts: int
    abandoned: int
    abandoned_due: int


class TotalRow(NamedTuple):
    """All tickets of one chain that are filed, from the first day on."""

    device: bytes
    tickets: int
    amount: int
    oldest_at_ms: int


class VatRow(NamedTuple):
    """Totals of one VAT rate."""

    vat: int
    vc: str
    ttc: int
    ht: int
    tva: int


class MeansRow(NamedTuple):
    """Totals of one means of payment."""

    means: str
    amount: int
    times: int


class ProductRow(NamedTuple):
    """A product, and its price at the time that was asked for: None before the first. ``body`` holds the
    other fields as JSON; ``disputed``: two people changed the price without seeing one another.
    """

    sku: str
    name: str
    archived: bool
    body: str
    price_minor: int | None
    vat_rate: int | None
    vat_class: str | None
    disputed: bool


class ClosingRow(NamedTuple):
    """A closing (Z) of one register."""

    seq: int
    chain: bytes
    device: bytes
    n: int
    link: bytes
    level: str
    z: int
    day: str
    at_ms: int
    tickets: int
    ttc: int
    refunds_ttc: int
    gt_real: int
    cash_expected: int | None
    cash_counted: int | None
    automatic: bool


class DeviceRow(NamedTuple):
    """A device as the owner's chain last spoke of it. A revocation keeps the name of the certificate.
    ``since``: the business day on which the owner's chain first spoke of it.
    """

    device: bytes
    name: str | None
    role: str | None
    series: str | None
    revoked: bool
    since: str


class CountRow(NamedTuple):
    """What somebody counted of one product; ``cut`` reads ``<chain>:<number> …``."""

    sku: str
    chain: bytes
    n: int
    link: bytes
    at_ms: int
    counted: int
    cut: str


_Row = TypeVar("_Row", bound=tuple[Any, ...])

TICKET_SQL = (
    "SELECT t.seq, t.number, t.kind, c.device, c.chain, t.n, t.link, t.day, t.at_ms, t.tz_min,"
    " t.operator, t.mode, t.ttc, t.ttc + t.oos, t.lines, t.ref_link, t.ref_number, t.reason"
    " FROM view_ticket t {by} JOIN view_chain c ON c.id = t.chain"
    " WHERE t.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
)
_PRODUCT = (
    "SELECT p.sku, p.name, p.archived, p.body, r.amount, r.vat_rate, r.vat_class,"
    " coalesce(r.conflict, 0) FROM view_product p"
    " LEFT JOIN view_price r ON r.shop = p.shop AND r.sku = p.sku AND r.from_ms ="
    " (SELECT max(from_ms) FROM view_price WHERE shop = p.shop AND sku = p.sku AND from_ms <= :at_ms)"
    " WHERE p.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
)
_DAY = (
    " FROM view_{table} d JOIN view_chain c ON c.id = d.chain"
    " WHERE d.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND d.day = :day"
    " AND (:chain IS NULL OR c.chain = :chain)"
)


class ViewQueries:
    """Reads the views of one shop. Not for more than one thread."""

    def __init__(self, database: Database, shop: bytes) -> None:
        self._database = database
        self._shop = shop

    # -- products ---------------------------------------------------------------------------------------

    def product(self, sku: str, at_ms: int) -> ProductRow | None:
        """One product with its price at that time."""
        rows = self._rows(ProductRow, _PRODUCT + " AND p.sku = :sku", sku=sku, at_ms=at_ms)
        return next(rows, None)

    def products_with(self, barcode: str, at_ms: int) -> list[ProductRow]:
        """The products on sale that bear a barcode: several where vintages share one."""
        having = (
            " AND NOT p.archived AND p.sku IN (SELECT sku FROM view_barcode"
            " WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop) AND code = :code) ORDER BY p.sku"
        )
        return list(self._rows(ProductRow, _PRODUCT + having, code=barcode, at_ms=at_ms))

    def products(self, at_ms: int) -> Iterator[ProductRow]:
        """All products, archived ones too, by SKU."""
        return self._rows(ProductRow, _PRODUCT + " ORDER BY p.sku", at_ms=at_ms)

    # -- tickets ----------------------------------------------------------------------------------------

    def tickets_numbered(self, number: str) -> list[TicketRow]:
        """The tickets with that number: one, or none; several if two devices used one series."""
        sql = _tickets_by("number") + " AND t.number = :number ORDER BY t.seq"
        return list(self._rows(TicketRow, sql, number=number))

    def tickets_linked(self, digits: str) -> list[TicketRow]:
        """The tickets whose link begins with these hexadecimal digits. Looks through all of them."""
        low, high = (bytes.fromhex(digits.ljust(64, end)) for end in "0f")
        sql = _tickets_by() + " AND t.link BETWEEN :low AND :high ORDER BY t.seq"
        return list(self._rows(TicketRow, sql, low=low, high=high))

    def tickets(
        self,
        *,
        day: str | None = None,
        device: bytes | None = None,
        older_than: Placed | None = None,
        rows_max: int = 100,
    ) -> list[TicketRow]:
        """The newest business day first, of each day what came in last; after ``older_than``."""
        if device is not None:
            from crdtsync.storage.view_sales import Wanted, find_tickets  # It knows this class.

            wanted = Wanted(device=device, first_day=day, last_day=day)
            return find_tickets(self, wanted, older_than=older_than, rows_max=rows_max)
        conditions = " AND t.day = :day" if day is not None else ""
        conditions += " AND (t.day, t.seq) < (:day_above, :seq_above)" if older_than is not None else ""
        sql = f"{_tickets_by('day')}{conditions} ORDER BY t.day DESC, t.seq DESC LIMIT :rows"
        above = {"day_above": older_than.day, "seq_above": older_than.seq} if older_than is not None else {}
        return list(self._rows(TicketRow, sql, day=day, rows=rows_max, **above))

    def refunds_of(self, link: bytes) -> list[TicketRow]:
        """The refunds known here of the sale with that link."""
        sql = _tickets_by("ref") + " AND t.ref_link = :link ORDER BY t.seq"
        return list(self._rows(TicketRow, sql, link=link))

    def lines(self, seq: int) -> list[LineRow]:
        """The lines of the ticket that is record ``seq``."""
        sql = (
            "SELECT i, sku, label, qty, unit, pu, disc, ttc, vat, vc, ht, of FROM view_line"
            " WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop) AND seq = :seq ORDER BY i"
        )
        return list(self._rows(LineRow, sql, seq=seq))

    def payments(self, seq: int) -> list[PaymentRow]:
        """The payments of the ticket that is record ``seq``."""
        sql = (
            "SELECT means, amount FROM view_payment"
            " WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop) AND seq = :seq ORDER BY i"
        )
        return list(self._rows(PaymentRow, sql, seq=seq))

    # -- days -------------------------------------------------------------------------------------------

    def day(self, day: str, chain: bytes | None = None) -> list[DayRow]:
        """Totals of a business day per chain."""
        sql = (
            "SELECT c.chain, c.device, tickets, refunds, ttc, refunds_due, oos, discounts,"
            " abandoned, abandoned_due" + _DAY.format(table="day") + " ORDER BY c.device, c.chain"
        )
        return list(self._rows(DayRow, sql, day=day, chain=chain))

    def totals(self) -> list[TotalRow]:
        """All that is filed per chain. Costs days, not tickets."""
        sql = (
            "SELECT c.device, sum(d.tickets), sum(d.ttc + d.oos),"
            " coalesce((SELECT at_ms FROM view_ticket t INDEXED BY view_ticket_by_place"
            " WHERE t.chain = c.id ORDER BY t.n LIMIT 1), 0)"
            " FROM view_day d JOIN view_chain c ON c.id = d.chain"
            " WHERE d.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND d.tickets > 0 GROUP BY c.id"
        )
        return list(self._rows(TotalRow, sql))

    def day_vat(self, day: str, chain: bytes | None = None) -> list[VatRow]:
        """Totals of a business day per VAT rate, the highest first."""
        sql = (
            "SELECT vat, vc, sum(ttc), sum(ht), sum(tva)"
            + _DAY.format(table="day_vat")
            + " GROUP BY vat, vc ORDER BY vat DESC, vc"
        )
        return list(self._rows(VatRow, sql, day=day, chain=chain))

    def day_means(self, day: str, chain: bytes | None = None) -> list[MeansRow]:
        """Totals of a business day per means of payment."""
        sql = (
            "SELECT means, sum(amount), sum(times)"
            + _DAY.format(table="day_payment")
            + " GROUP BY means ORDER BY means"
        )
        return list(self._rows(MeansRow, sql, day=day, chain=chain))

    def closings(self, day: str, *, level: str) -> list[ClosingRow]:
        """The closings of that level whose business day is ``day``; of each chain and device the last."""
        sql = (
            "SELECT v.seq, c.chain, c.device, v.n, v.link, v.level, v.z, v.day, v.at_ms, v.tickets, v.ttc,"
            " v.refunds_ttc, v.gt_real, v.cash_expected, v.cash_counted, v.automatic"
            " FROM view_closing v INDEXED BY view_closing_by_day JOIN view_chain c ON c.id = v.chain"
            " WHERE v.shop = (SELECT id FROM view_shop WHERE shop = :shop)"
            " AND v.day = :day AND v.level = :level"
            " ORDER BY c.chain, v.n"
        )
        rows = self._rows(ClosingRow, sql, day=day, level=level)
        return list({(row.chain, row.device): row for row in rows}.values())

    def goes_on(self, chain: bytes, device: bytes, n: int, day: str) -> bool:
        """Whether a device has a ticket or cash of that business day after entry ``n`` of its chain. Of each
        only the next one is looked at: business days never go back along a chain.
        """
        after = " UNION ALL ".join(
            f"SELECT * FROM (SELECT day FROM view_{table} INDEXED BY view_{table}_by_place"  # noqa: S608
            " WHERE chain = (SELECT id FROM view_chain WHERE chain = :chain AND device = :device AND shop ="
            " (SELECT id FROM view_shop WHERE shop = :shop)) AND n > :n ORDER BY n LIMIT 1)"
            for table in ("ticket", "cash")
        )
        return (day,) in self.ask(after, chain=chain, device=device, n=n)

    def chains(self) -> list[ChainRow]:
        """All chains of the shop that have an entry here, once for each device that signed any."""
        sql = (
            "SELECT c.chain, c.device, e.detail, c.n, c.link, c.at_ms, c.day, coalesce(e.day, '')"
            " FROM view_chain c LEFT JOIN view_event e ON e.chain = c.id AND e.n = 1"
            " WHERE c.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND c.n > 0"
            " ORDER BY c.device, c.chain"
        )
        return list(self._rows(ChainRow, sql))

    def devices(self) -> list[DeviceRow]:
        """The devices that the owner's chain speaks of, by id."""
        sql = (
            "SELECT v.device, v.name, v.role, v.series, v.revoked, e.day FROM view_device v"
            " JOIN view_event e ON e.shop = v.shop AND e.seq = v.seq"
            " WHERE v.shop = (SELECT id FROM view_shop WHERE shop = :shop) ORDER BY v.device, v.n, v.link"
        )
        newest: dict[bytes, DeviceRow] = {}
        for row in self._rows(DeviceRow, sql):
            known = newest.get(row.device)
            named = known if row.revoked and known is not None else row
            since = row.since if known is None else known.since
            newest[row.device] = named._replace(revoked=bool(row.revoked), since=since)
        return list(newest.values())

    def flags(self, day: str) -> list[FlagRow]:
        """What is wrong with entries of a business day, as far as each shows it by itself."""
        sql = (
            "SELECT c.device, c.chain, v.n, v.link, t.number, v.code, v.detail"
            " FROM view_flag v INDEXED BY view_flag_by_day JOIN view_chain c ON c.id = v.chain"
            " LEFT JOIN view_ticket t ON t.shop = v.shop AND t.seq = v.seq"
            " WHERE v.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND v.day = :day"
            " UNION ALL SELECT c.device, c.chain, v.n, v.link, NULL, v.code, v.detail"
            " FROM view_event v INDEXED BY view_event_by_day JOIN view_chain c ON c.id = v.chain"
            " WHERE v.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND v.day = :day"
            " AND v.code = 'unreadable'"
            " ORDER BY 1, 2, 3, 4, 6"
        )
        return list(self._rows(FlagRow, sql, day=day))

    # -- stock ------------------------------------------------------------------------------------------

    def counts(self, sku: str | None = None) -> list[CountRow]:
        """The counts of one product or of all."""
        sql = (
            "SELECT v.sku, c.chain, v.n, v.link, v.at_ms, v.counted, v.cut"
            " FROM view_count v JOIN view_chain c ON c.id = v.chain"
            " WHERE v.shop = (SELECT id FROM view_shop WHERE shop = :shop) AND (:sku IS NULL OR v.sku = :sku)"
            " ORDER BY v.sku, v.seq, v.i"
        )
        return list(self._rows(CountRow, sql, sku=sku))

    def moved(self, sku: str, beyond: Iterable[tuple[bytes, int]] | None = None) -> int:
        """The sum of a product's movements: all of them, or per chain those beyond an entry's number."""
        if beyond is None:
            return self._sum(":chain IS NULL", sku, None, 0)
        return sum(
            self._sum("chain IN (SELECT id FROM view_chain WHERE shop = s AND chain = :chain)", sku, chain, n)
            for chain, n in beyond
        )

    def moved_by_sku(self) -> dict[str, int]:
        """The sum of all movements of each product."""
        sql = (
            "SELECT sku, sum(delta) FROM view_movement"
            " WHERE shop = (SELECT id FROM view_shop WHERE shop = :shop) GROUP BY sku"
        )
        return dict(self.ask(sql))

    def _sum(self, condition: str, sku: str, chain: bytes | None, n: int) -> int:
        sql = (
            "SELECT coalesce(sum(delta), 0) FROM (SELECT id AS s FROM view_shop WHERE shop = :shop)"  # noqa: S608
            f" JOIN view_movement ON shop = s WHERE sku = :sku AND {condition} AND n > :n"
        )
        total: int = self.ask(sql, sku=sku, chain=chain, n=n)[0][0]
        return total

    def _rows(self, kind: type[_Row], sql: str, **values: object) -> Iterator[_Row]:
        return (kind(*row) for row in self.ask(sql, **values))

    def ask(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """The rows of a question of another module; ``:shop`` in it is this shop. Raises ``StorageError``."""
        try:
            return self._database.connection.execute(sql, {"shop": self._shop, **values}).fetchall()
        except apsw.Error as error:
            raise self._database.storage_error(error) from error


def _tickets_by(index: str | None = None) -> str:
    """Tickets, found by an index of their own or in the order of the log."""
    return TICKET_SQL.format(by=f"INDEXED BY view_ticket_by_{index}" if index else "")
