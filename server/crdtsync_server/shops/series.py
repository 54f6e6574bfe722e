"""Series of ticket numbers: which one a device has, so that no two devices of a shop ever share one."""

from __future__ import annotations

from itertools import count

from crdtsync.errors import InvalidName, PairingRefused
from crdtsync.model.certificate import Certificate
from crdtsync.model.entry import is_series
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync_server.shops.pairing import Grant

WITH_SERIES = ("register", "backoffice")
"""Roles that make entries of their own, and so need a series of numbers."""


def series_for(
    taken: frozenset[str], grant: Grant, request: EnrolRequest, known: Certificate | None, generation: str
) -> str | None:
    """The series that the device has, or the first that nobody ever had; None for a role without one. Raises
    ``InvalidName`` and ``PairingRefused``.
    """
    if known is not None and known.series is not None and request.series in ("", known.series):
        return known.series
    if request.series:
        if not is_series(request.series):
            raise InvalidName(f"{request.series!r} is no series: 1 to 12 capital letters and digits")
        if request.series in taken:
            raise PairingRefused(
                f"another device of this shop numbers its tickets with {request.series!r}",
                hint="set the device up in an empty folder: it gets a series of its own",
            )
        return request.series
    if grant.role not in WITH_SERIES:
        return None
    return next_series(taken, generation)


def next_series(taken: frozenset[str], generation: str) -> str:
    """The first series of a generation that is not taken."""
    return next(series for number in count(1) if (series := f"{generation}{number:02}") not in taken)
