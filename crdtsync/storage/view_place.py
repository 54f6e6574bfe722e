"""Where a ticket stands in a list: a page of it is asked for by its place, never by how many stand before."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Placed(Protocol):
    """Whatever has a place: a row of the list, or the place alone."""

    @property
    def day(self) -> str:
        """The business day."""
        ...

    @property
    def seq(self) -> int:
        """The record of the log."""
        ...


class Place(NamedTuple):
    """Where a ticket stands."""

    day: str
    seq: int
