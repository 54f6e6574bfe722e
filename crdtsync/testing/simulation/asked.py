"""What people ask for is what is recorded: what each act has put on the disk, held against what was asked.

Amounts are computed here, from what the till shows and with nothing of the product's arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from crdtsync.model.ticket import Line
from crdtsync.runtime.register.tickets import BasketLine, PaidBy
from crdtsync.testing.simulation import reading
from crdtsync.testing.simulation.baskets import Basket
from crdtsync.testing.simulation.broken import require
from crdtsync.testing.simulation.contents import contents_of
from crdtsync.testing.simulation.reading import Entry

if TYPE_CHECKING:
    from crdtsync.testing.simulation.register import RegisterMachine

CLAMP_MS = 2_000
"""A clock that was set back a little stands still for the chain: as far may the time of an entry be ahead."""

WHOLE = 10_000
"""100 %, in hundredths of a percent."""


class Asked:
    """One act at a register: made before it, and asked after it. Where the power has gone meanwhile nobody
    looks.
    """

    def __init__(self, register: RegisterMachine) -> None:
        self._register = register
        self._before = register.record_set()
        self._now_ms = register.clock.now_ms()
        self._day = self._last_day()

    def recorded(self, kind: str, *, level: str | None = None) -> Entry | None:
        """The one entry of that kind which the act has put on the disk. Raises ``Broken`` unless there is
        exactly one; None where the power has gone.
        """
        if self._register.plate.is_off:
            return None
        made = [entry for entry in self._new() if not self._comes_by_itself(entry)]
        found = [entry for entry in made if entry.body["kind"] == kind and entry.body.get("level") == level]
        name, kinds = self._register.name, [entry.body["kind"] for entry in made]
        require(len(made) == len(found) == 1, "what is asked is recorded once", name, kind, kinds)
        at_ms = found[0].body["ts"]
        is_of_now = self._now_ms <= at_ms < self._now_ms + CLAMP_MS
        require(is_of_now, "an entry says when it was made", name, kind, at_ms, self._now_ms)
        if kind != "close":  # A closing stays in the day that it closes.
            self._is_of_today(found[0])
        return found[0]

    def _comes_by_itself(self, entry: Entry) -> bool:
        """A day that somebody forgot to close is closed first; events are noted beside it; and who finds out
        that he was copied begins a chain of his own.
        """
        body, is_copied = entry.body, self._register.name in self._register.shop.notebook.forked
        return (
            body["kind"] == "jet"
            or bool(body.get("auto"))
            or (body["kind"] == "register" and "follows" in body and is_copied)
        )

    def _is_of_today(self, entry: Entry) -> None:
        """The business day is the clock's, if that is the chain's last one or the next:
        beyond that a person is asked. On a disk that is not the only one of its chain the last is not known.
        """
        register = self._register
        if register.losses or register.name in register.shop.notebook.forked or not self._day:
            return
        local = register.clock.utc_offset_min(self._now_ms) - register.register.config.day_starts_min
        clock_day = datetime.fromtimestamp(self._now_ms / 1000 + local * 60, UTC).date()
        if clock_day <= date.fromisoformat(self._day) + timedelta(days=1):
            day = max(self._day, clock_day.isoformat())
            said = entry.body["bd"]
            require(said == day, "a sale belongs to its business day", register.name, said, day)

    def says(self, kind: str, **facts: object) -> None:
        """Raise ``Broken`` unless the one entry that was recorded says these facts."""
        entry = self.recorded(kind)
        if entry is not None:
            said = {name: entry.body.get(name) for name in facts}
            name = self._register.name
            require(said == facts, "what is recorded is what was asked", name, kind, said, facts)

    def sold(self, request_id: str, payments: Iterable[PaidBy], lines: list[dict[str, Any]]) -> None:
        """Raise ``Broken`` unless exactly these lines were sold once, at these prices, and paid so."""
        entry = self.recorded("sale")
        if entry is None:
            return
        said = [{key: line[key] for key in lines[0]} for line in entry.body["lines"]]
        name = self._register.name
        require(said == lines, "what is recorded is what was asked", name, "sale", said, lines)
        due = sum(line["ttc"] for line in lines)
        paid = [(payment["m"], payment["amt"]) for payment in entry.body["pay"]]
        expected_paid = _paid(due, payments)
        require(paid == expected_paid, "it is paid as it was", name, paid, expected_paid)
        require(entry.body.get("req") == request_id, "it says for what request", name, request_id)
        require(entry.amount_minor == due, "money equals an oracle's", name, entry.amount_minor, due)
        self._is_taxed(entry)

    def given_back(self, worth: list[tuple[int, int, int]]) -> None:
        """Raise ``Broken`` unless exactly this came back, paid in cash. ``worth``: as ``back_of`` has it."""
        entry = self.recorded("refund")
        if entry is None:
            return
        name = self._register.name
        said = [(line["of"], line["qty"], line["ttc"]) for line in entry.body["lines"]]
        require(said == worth, "a refund gives back what was paid", name, said, worth)
        due = sum(ttc for _, _, ttc in worth)
        paid = [(payment["m"], payment["amt"]) for payment in entry.body["pay"]]
        require(paid == ([("cash", due)] if due else []), "it is paid as it was", name, paid, due)
        self._is_taxed(entry)

    def _is_taxed(self, entry: Entry) -> None:
        """Turnover is told from what is outside VAT, and each rate has the tax of its lines."""
        name, lines = self._register.name, entry.body["lines"]
        outside = sum(line["ttc"] for line in lines if line["vc"] == "O")
        parts = entry.body["ttc"], entry.body.get("oos", 0)
        expected = sum(line["ttc"] for line in lines) - outside, outside
        require(parts == expected, "deposits are no turnover", name, parts, expected)
        rates = {(row["vat"], row["vc"]): (row["ttc"], row["ht"], row["tva"]) for row in entry.body["vat"]}
        oracle = _vat(lines)
        require(rates == oracle, "VAT equals an oracle's", name, rates, oracle)
        for (rate, vat_class), (_, net, _) in oracle.items():
            taxed = [line for line in lines if (line["vat"], line["vc"]) == (rate, vat_class)]
            off = [abs(line["ht"] - Fraction(line["ttc"] * WHOLE, WHOLE + rate)) for line in taxed]
            is_shared = sum(line["ht"] for line in taxed) == net and max(off) <= 1
            require(
                is_shared, "lines have their share of the tax", name, rate, [line["ht"] for line in taxed]
            )

    def is_closed(self) -> bool:
        """Whether nothing was sold on this chain since its last day's closing, as far as that is known: not
        where it forked, or had another disk.
        """
        register = self._register
        if register.losses or register.name in register.shop.notebook.forked:
            return True
        own = sorted(filter(self._is_own, reading.entries_of(register.records())), key=lambda entry: entry.n)
        days = [at for at, entry in enumerate(own) if entry.body.get("level") == "day"]
        return not any(entry.is_ticket for entry in own[days[-1] if days else 0 :])

    def nothing(self) -> None:
        """Raise ``Broken`` if anything was recorded."""
        if not self._register.plate.is_off:
            kinds = [entry.body["kind"] for entry in self._new()]
            require(not kinds, "asking again records nothing", self._register.name, kinds)

    def noted(self, document: str, key: str, value: str) -> None:
        """Raise ``Broken`` unless that lies on the disk, in a document of one's own."""
        if self._register.plate.is_off:
            return
        records = (record for record in self._register.records() if record[:1] != b"E")
        own = [record for record in records if reading.update_of(record)[0] == document]
        found = contents_of(own).get(document, {}).get(key)
        require(found == value, "a change of a document is on the disk", self._register.name, key, found)

    def _new(self) -> list[Entry]:
        fresh = [record for record in self._register.records() if record not in self._before]
        return sorted(filter(self._is_own, reading.entries_of(fresh)), key=lambda entry: entry.n)

    def _is_own(self, entry: Entry) -> bool:
        return bool(entry.body.get("till") == self._register.identity.device.hex())

    def _last_day(self) -> str:
        for record in reversed(self._register.records()):
            entry = reading.entry_of(record)
            if entry is not None and self._is_own(entry):
                return str(entry.body["bd"])
        return ""


def lines_of(register: RegisterMachine, basket: Basket) -> list[dict[str, Any]] | None:
    """What a ticket of a basket must say, at the prices that the till shows; None where it shows none."""
    shown = {row.sku: row for row in register.register.products.list()}
    lines = []
    for line in basket.lines:
        assert isinstance(line, BasketLine | Line)
        if isinstance(line, Line):
            price, rate, vat_class = line.unit_price_minor, line.vat_rate, line.vat_class
        else:
            row = shown.get(line.sku)
            if row is None or row.price_minor is None or row.vat_rate is None:
                return None
            price, rate, vat_class = row.price_minor, row.vat_rate, str(row.vat_class)
        quantity = line.quantity_thousandths
        lines.append(
            {
                "sku": line.sku,
                "qty": quantity,
                "pu": price,
                "vat": rate,
                "vc": vat_class,
                "disc": line.discount_minor,
                "ttc": _half_up(price * quantity, 1000) - line.discount_minor,
            }
        )
    _reduce(lines, basket.ticket_discount_minor)
    return lines


def back_of(
    entries: Iterable[Entry], sale: Entry, quantities: Mapping[int, int] | None = None
) -> list[tuple[int, int, int]] | None:
    """What comes back of a sale after the refunds among ``entries``: (line, thousandths, cents) of each line.

    A line's part is worth its share of the line with all that went back before, less that. ``quantities`` by
    line, else all that is left. None where nothing is left, or not as much.
    """
    refunds = [one for one in entries if one.is_ticket and one.body.get("ref", {}).get("link") == sale.link]
    worth = []
    for line in sale.body["lines"]:
        given = [one for refund in refunds for one in refund.body["lines"] if one["of"] == line["i"]]
        before, paid_back = (-sum(int(one[name]) for one in given) for name in ("qty", "ttc"))
        sign = 1 if line["qty"] > 0 else -1
        left = sign * (line["qty"] - before)
        wanted = max(0, left) if quantities is None else quantities.get(line["i"], 0)
        if not wanted and line["i"] not in (quantities or ()):
            continue
        if not 0 < wanted <= left:
            return None
        share = _half_up(sign * line["ttc"] * (sign * before + wanted), sign * line["qty"])
        worth.append((line["i"], -sign * wanted, -sign * max(0, share - sign * paid_back)))
    return worth or None


def _reduce(lines: list[dict[str, Any]], discount_minor: int) -> None:
    """Spread a discount over what bears VAT: each its share rounded down, and a cent more to those that lost
    most by the rounding.
    """
    reduced = [line for line in lines if line["vc"] != "O"]
    whole = sum(line["ttc"] for line in reduced)
    shares = [Fraction(discount_minor * line["ttc"], whole) for line in reduced]
    cents = discount_minor - sum(map(int, shares))
    lost_most = sorted(range(len(shares)), key=lambda at: (int(shares[at]) - shares[at], at))[:cents]
    for at, line in enumerate(reduced):
        share = int(shares[at]) + (at in lost_most)
        line["disc"] += share
        line["ttc"] -= share


def _paid(due_minor: int, payments: Iterable[PaidBy]) -> list[tuple[str, int]]:
    """What a ticket must say of payments: an open one takes what is left, and too much makes change."""
    paid, left = [], due_minor
    for payment in payments:
        amount_minor = left if isinstance(payment, str) else payment.amount_minor
        means = payment if isinstance(payment, str) else payment.means
        left -= amount_minor
        if amount_minor:
            paid.append((means, amount_minor))
    return [*paid, ("change", left)] if left else paid


def _vat(lines: list[dict[str, Any]]) -> dict[tuple[int, str], tuple[int, int, int]]:
    """By rate and class: with the tax, without it, the tax. What is outside VAT is left out."""
    taken: dict[tuple[int, str], int] = defaultdict(int)
    for line in lines:
        if line["vc"] != "O":
            taken[line["vat"], line["vc"]] += line["ttc"]
    nets = {key: _half_up(ttc * WHOLE, WHOLE + key[0]) for key, ttc in taken.items()}
    return {key: (ttc, nets[key], ttc - nets[key]) for key, ttc in taken.items()}


def _half_up(dividend: int, divisor: int) -> int:
    """Halves away from zero."""
    half = (2 * abs(dividend) + divisor) // (2 * divisor)
    return half if dividend >= 0 else -half
