"""What an entry says of itself that cannot be so: flags, never a reason to refuse it.

Each is found from the entry alone, so that views can show it as soon as the entry is there, on every replica
alike. What only the entries around it can tell (gaps, forks, numbers, grand totals, a clock that goes back)
is for ``verify``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

from crdtsync.model.arithmetic import RULE
from crdtsync.model.form import wrong_way
from crdtsync.model.ticket import amount_due, totals_of

FLAGS: Final = {
    "totals": "the totals do not follow from the lines",
    "payment": "the payments are not what was to be paid",
    "sign": "goods or money go the other way than in an entry of its kind",
    "clock": "the clock and the business day are more than a day apart",
}
"""Code -> what it means."""

_EPOCH: Final = date(1970, 1, 1).toordinal()
_MINUTE_MS: Final = 60_000
_DAY_MIN: Final = 24 * 60


def ticket_flags(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Code and sentence of all that is wrong with a sale, a refund or an abandoned sale.

    Its lines, rates and payments have their types. Totals by a rule that is not known here are not judged.
    """
    if body.get("rnd") == RULE and (problem := wrong_totals(body)):
        yield "totals", problem
    if "pay" in body and (problem := wrong_payments(body)):
        yield "payment", problem
    if problem := wrong_way(body):
        yield "sign", problem
    if problem := strange_clock(body):
        yield "clock", problem


def wrong_totals(body: Mapping[str, Any]) -> str | None:
    """Which totals of a ticket do not follow from its lines, as a sentence; None if all do."""
    expected = totals_of(body["lines"])
    wrong = [name for name, value in expected.items() if body.get(name) != value]
    wrong += ["oos"] if "oos" in body and "oos" not in expected else []
    return f"{', '.join(sorted(wrong))}: not what follows from the lines" if wrong else None


def wrong_payments(body: Mapping[str, Any]) -> str | None:
    """That a ticket was not paid as it should have been, as a sentence; None if it was."""
    due, paid = amount_due(body), sum(payment["amt"] for payment in body["pay"])
    return None if paid == due else f"{due} was to be paid, the payments come to {paid}"


def strange_clock(body: Mapping[str, Any]) -> str | None:
    """That clock and business day of an entry are more than a day apart, as a sentence; else None.

    A day may end after midnight, and it does not follow a clock that jumps: then this is how it shows.
    """
    clock_day = (body["ts"] // _MINUTE_MS + body["tz"]) // _DAY_MIN
    apart = clock_day - _days(body["bd"])
    if -1 <= apart <= 1:
        return None
    return f"the clock was {abs(apart)} days {'ahead of' if apart > 0 else 'behind'} the business day"


@lru_cache(maxsize=64)
def _days(business_day: str) -> int:
    """Days since 1970."""
    return date.fromisoformat(business_day).toordinal() - _EPOCH
