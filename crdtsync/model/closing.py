"""Closings (Z) and readings (X) of one register.

A ``close`` entry covers the entries ``from`` to ``to`` of its chain. Intervals of one level follow one
another without a gap; the closing entry itself belongs to the interval after it. Fields::

    level z    day, month or year, and the number of the closing in its level
    from to    the interval
    counts     entries per kind
    first last ticket numbers, absent when there was none
    vat pay    totals per rate and per means of payment
    total      turnover (ttc); oos outside the scope of VAT; disc discounts
    refunds    {n, ttc}; abandons {n, amt}; prints: copies printed
    cash       of a day: {expected, counted, gap}; the last two absent when nobody counted
    auto       true when the register closed by itself, because the next day's first sale came
    plink wit  link of the closing before it in its level; last head that the relay confirmed
    gt         the grand totals, added by ``chain.next_body``
"""

from __future__ import annotations

from typing import Any, Final

from crdtsync.errors import UsageError
from crdtsync.model import money
from crdtsync.model.chain import ChainHead
from crdtsync.model.entry import Head
from crdtsync.model.period import COUNTED_KINDS, DRAWER_KINDS, Level, Period

_DAY_KINDS: Final = COUNTED_KINDS | DRAWER_KINDS | {"abandon"}
"""Kinds that leave something to close."""


def reading(head: ChainHead, level: Level = "day") -> dict[str, Any]:
    """What a closing of that level would say now: the X reading, which records nothing and has no effect."""
    return _fields(head.period(level), level, end=head.n)


def build_close(
    head: ChainHead,
    *,
    level: Level = "day",
    counted_minor: int | None = None,
    auto: bool = False,
    witness: Head | None = None,
) -> dict[str, Any]:
    """The payload of the closing that follows ``head``.

    ``counted_minor`` is the cash found in the drawer, for a day only. Raises ``UsageError`` when a month
    (year) is to be closed while a day (month) is open or when none was closed, ``InvalidAmount``.
    """
    if level != "day":
        _refuse_open(head, level, counted_minor)
    payload = closing_fields(head, level)
    if counted_minor is not None:
        counted = money.check_amount(counted_minor)
        payload["cash"] |= {"counted": counted, "gap": counted - payload["cash"]["expected"]}
    if auto:
        payload["auto"] = True
    if witness is not None:
        payload["wit"] = witness.to_json()
    return payload


def closing_fields(head: ChainHead, level: Level) -> dict[str, Any]:
    """Those fields of a closing that follow from the entries before it, so that a verifier can compare."""
    payload = reading(head, level)
    before = head.closings.get(level)
    payload["z"] = 1 if before is None else before[1] + 1
    return payload if before is None else payload | {"plink": before[0].hex()}


def closing_due(head: ChainHead, business_day: str) -> bool:
    """Whether the day that ``head`` is in must be closed before an entry of ``business_day``: something was
    recorded since the last closing, and it was on an earlier business day.
    """
    return head.bd < business_day and has_anything(head)


def has_anything(head: ChainHead) -> bool:
    """Whether anything that a closing sums up was recorded since the last one."""
    return not _DAY_KINDS.isdisjoint(head.day.counts)


def _refuse_open(head: ChainHead, level: Level, counted_minor: int | None) -> None:
    below: Level = "day" if level == "month" else "month"
    if not _DAY_KINDS.isdisjoint(head.day.counts) or (level == "year" and head.month.end):
        raise UsageError(f"close the {below} before the {level}")
    if not head.period(level).end:
        raise UsageError(f"no {below} was closed since the last {level}'s closing")
    if counted_minor is not None:
        raise UsageError("cash is counted when a day is closed")


def _fields(period: Period, level: Level, *, end: int) -> dict[str, Any]:
    counts = period.counts
    fields: dict[str, Any] = {
        "level": level,
        "from": period.start,
        "to": end if level == "day" else period.end,
        "counts": dict(counts),
        "vat": [
            {"vat": rate, "vc": vat_class, "ttc": ttc, "ht": ht, "tva": tva}
            for (rate, vat_class), (ttc, ht, tva) in sorted(
                period.rates.items(), key=lambda item: (-item[0][0], item[0][1])
            )
        ],
        "pay": [{"m": means, "amt": amount} for means, amount in sorted(period.means.items())],
        "refunds": {"n": counts.get("refund", 0), "ttc": period.refunds_ttc},
        "abandons": {"n": counts.get("abandon", 0), "amt": period.abandoned},
        "prints": counts.get("print", 0),
        "disc": period.discounts,
        "oos": period.oos,
        "total": period.ttc,
    }
    if period.first_num is not None and period.last_num is not None:
        fields |= {"first": period.first_num, "last": period.last_num}
    if level == "day":
        fields["cash"] = {"expected": period.drawer}
    return fields
