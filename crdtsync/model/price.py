"""Prices: a set of changes, of which the price at any moment is computed.

A change is made once and never altered: amount, VAT, the moment it is valid from, who made it and when, and
the changes that it replaces. Its name is the hash of all that, so two changes cannot replace each other.
The price at a moment is the *head* among the changes valid by then: one that no other valid change replaces.
Two heads that differ are a conflict: two people did not see each other. The later one (by clock, then
author, then name) is used, the other is shown. Because a head is found by what it replaces, a clock that is
years ahead does not win for ever: whoever sees such a change can replace it.
"""

from __future__ import annotations

import hashlib
import re
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from typing import Any, Final

from crdtsync.errors import InvalidProduct, UsageError
from crdtsync.model.money import shown
from crdtsync.model.product import check_price
from crdtsync.model.values import decode_to_compare, encode_value

TIME_MS_MAX: Final = 253_402_300_799_999
"""The end of the year 9999."""

REPLACES_MAX: Final = 64
OTHERS_MAX: Final = 16
"""How many heads that are not used are shown."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_AUTHOR: Final = re.compile(r"[\x21-\x7e]{1,64}")
_DOMAIN: Final = b"crdtsync/price/v1\0"


@dataclass(frozen=True)
class PriceChange:
    """One change of one product's price: ``amount_minor`` cents, tax included, with the VAT rate (1/100 %)
    and class, from ``valid_from_ms`` on. ``at_ms`` is when ``by`` made it; ``replaces`` are names of changes.
    """

    sku: str
    amount_minor: int
    vat_rate: int
    vat_class: str
    valid_from_ms: int
    at_ms: int
    by: str
    replaces: tuple[str, ...] = ()

    @cached_property
    def value(self) -> str:
        """As it stands in the catalogue, under ``<sku>/price/<id>``."""
        return str(
            encode_value(
                {
                    "amount": self.amount_minor,
                    "at": self.at_ms,
                    "by": self.by,
                    "from": self.valid_from_ms,
                    "replaces": list(self.replaces),
                    "vat": self.vat_rate,
                    "vc": self.vat_class,
                }
            )
        )

    @cached_property
    def id(self) -> str:
        """Its name: 128 bits of the hash of SKU and content, in hexadecimal."""
        return name_of_change(self.sku, self.value)

    @property
    def is_planned(self) -> bool:
        """Made for a day to come, as opposed to at once."""
        return self.valid_from_ms > self.at_ms

    @property
    def what(self) -> tuple[int, int, str]:
        """What it says of the price. Two heads that say the same are no conflict."""
        return self.amount_minor, self.vat_rate, self.vat_class


def name_of_change(sku: str, value: str) -> str:
    """The name of the change that stands in the catalogue as that text."""
    return hashlib.sha256(_DOMAIN + f"{sku}\0{value}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Price:
    """The price from ``from_ms`` on. ``others`` are heads that say something else and are not used."""

    from_ms: int
    change: PriceChange
    others: tuple[PriceChange, ...] = ()

    @property
    def is_disputed(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.others)


@dataclass(frozen=True, slots=True)
class WantedPrice:
    """A price as somebody asks for it: what is None stays as it is when the change begins, by default now."""

    amount_minor: int | None = None
    vat_rate: int | None = None
    vat_class: str | None = None
    valid_from_ms: int | None = None

    @property
    def says_anything(self) -> bool:
        """Whether anything but a moment is given."""
        return (self.amount_minor, self.vat_rate, self.vat_class) != (None, None, None)

    def on_top_of(self, sku: str, now: Price | None) -> tuple[int, int, str]:
        """Amount, rate and class, complete. Raises ``InvalidProduct``."""
        amount, rate, vat_class = self.amount_minor, self.vat_rate, self.vat_class
        if now is not None:
            amount = now.change.amount_minor if amount is None else amount
            rate = now.change.vat_rate if rate is None else rate
            if vat_class is None and rate == now.change.vat_rate:
                vat_class = now.change.vat_class
        if amount is None or rate is None:
            raise InvalidProduct(f"{sku} has no price yet: amount and VAT rate are expected")
        return amount, rate, check_price(amount, rate, vat_class)


def check_change(change: PriceChange) -> PriceChange:
    """The change, if it can be. Raises ``InvalidProduct`` naming field, value and rule."""
    if type(change.vat_class) is not str:
        raise InvalidProduct(f"vat_class {shown(change.vat_class)}: a change says its VAT class")
    check_price(change.amount_minor, change.vat_rate, change.vat_class)
    for name in ("valid_from_ms", "at_ms"):
        moment = getattr(change, name)
        if type(moment) is not int or not 0 <= moment <= TIME_MS_MAX:
            raise InvalidProduct(
                f"{name} {shown(moment)}: milliseconds from 1970 to the year 9999 are expected"
            )
    if type(change.by) is not str or not _AUTHOR.fullmatch(change.by):
        raise InvalidProduct(f"by {shown(change.by)}: 1 to 64 characters without spaces are expected")
    names = change.replaces
    if not all(type(name) is str and _ID.fullmatch(name) for name in names):
        raise InvalidProduct("replaces: names of price changes are expected")
    if len(names) > REPLACES_MAX or list(names) != sorted(set(names)):
        raise InvalidProduct(f"replaces: at most {REPLACES_MAX} names, each once and in order, are expected")
    return change


def read_change(sku: str, name: str, plain: Any) -> PriceChange:
    """Read what stands under ``<sku>/price/<name>``. Raises ``InvalidProduct`` when it is no change, or not
    the one of that name: nobody can alter a change in place.
    """
    try:
        content = decode_to_compare(plain, field="a price change")
        change = PriceChange(
            sku,
            content["amount"],
            content["vat"],
            content["vc"],
            content["from"],
            content["at"],
            content["by"],
            tuple(content["replaces"]),
        )
    except (UsageError, KeyError, TypeError) as error:
        raise InvalidProduct(f"the price change {name} cannot be read: {error}") from error
    if check_change(change).id != name or change.value != plain:
        raise InvalidProduct(f"the price change {name} is not what its name says")
    return change


class PriceHistory:
    """All changes of one product's price, by name. Immutable; ``with_changes`` gives another."""

    def __init__(self, changes: Iterable[PriceChange] = ()) -> None:
        self.changes: Mapping[str, PriceChange] = {change.id: change for change in changes}

    def with_changes(self, changes: Iterable[PriceChange]) -> PriceHistory:
        """The history and these."""
        return PriceHistory((*self.changes.values(), *changes))

    def heads(self, at_ms: int) -> list[PriceChange]:
        """The changes valid at that moment that no valid change replaces, the one that is used first."""
        valid = [change for change in self.changes.values() if change.valid_from_ms <= at_ms]
        replaced = {name for change in valid for name in change.replaces}
        return sorted((change for change in valid if change.id not in replaced), key=_rank, reverse=True)

    def at(self, at_ms: int) -> Price | None:
        """The price at that moment; None if no change is valid yet."""
        heads = self.heads(at_ms)
        return _price(heads[0].valid_from_ms, heads) if heads else None

    def timeline(self) -> Iterator[Price]:
        """The price from each moment on at which it becomes another, oldest first."""
        if len(self.changes) == 1:  # Of most products, one of thousands that a new register reads.
            (change,) = self.changes.values()
            yield Price(change.valid_from_ms, change)
            return
        before: Price | None = None
        for moment, heads in self.sweep():
            price = _price(moment, reversed(heads))
            if before is None or (price.change, price.others) != (before.change, before.others):
                before = price
                yield before

    def sweep(self) -> Iterator[tuple[int, list[PriceChange]]]:
        """Each moment at which a change becomes valid, and the heads from then on, the one used last.

        The list is the same each time: whoever keeps it copies it. O(n log n) over all moments.
        """
        heads: list[PriceChange] = []
        replaced: set[str] = set()
        ordered = sorted(self.changes.values(), key=lambda change: change.valid_from_ms)
        for moment, group in groupby(ordered, key=lambda change: change.valid_from_ms):
            starting = list(group)
            named = {name for change in starting for name in change.replaces} - replaced
            replaced |= named
            if named:
                heads[:] = [head for head in heads if head.id not in named]
            for change in starting:
                if change.id not in replaced:
                    insort(heads, change, key=_rank)
            yield moment, heads


def _rank(change: PriceChange) -> tuple[int, str, str]:
    return change.at_ms, change.by, change.id


def _price(from_ms: int, heads: Iterable[PriceChange]) -> Price:
    rest = iter(heads)
    used = next(rest)
    return Price(from_ms, used, tuple(islice((head for head in rest if head.what != used.what), OTHERS_MAX)))


def make_changes(history: PriceHistory, wanted: PriceChange) -> Sequence[PriceChange]:
    """The changes that set a price as ``wanted`` says, whose ``replaces`` is filled in here.

    It replaces every change in effect at its ``valid_from_ms`` and, later on, whatever was made at once
    elsewhere (by a clock that is ahead). What was *planned* for a later day stays planned: it is made again,
    because it must replace this one on its day. Setting a price for that same day replaces the plan. Raises
    ``InvalidProduct``.
    """
    begin = wanted.valid_from_ms
    seen = {head.id: head for head in history.heads(begin)}
    seen |= {head.id: head for moment, heads in history.sweep() if moment > begin for head in heads}
    plans = [head for head in seen.values() if head.is_planned and head.valid_from_ms > begin]
    replaced = [head for head in seen.values() if head not in plans]
    made = [check_change(replace(wanted, replaces=_names(replaced)))]
    for plan in sorted(plans, key=lambda plan: (plan.valid_from_ms, plan.at_ms, plan.id)):
        heads = history.with_changes(made).heads(plan.valid_from_ms)
        made.append(replace(plan, at_ms=wanted.at_ms, by=wanted.by, replaces=_names(heads)))
    return made


def _names(changes: Iterable[PriceChange]) -> tuple[str, ...]:
    newest = sorted(changes, key=lambda change: change.at_ms)[-REPLACES_MAX:]
    return tuple(sorted(change.id for change in newest))
