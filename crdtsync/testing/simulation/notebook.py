"""The paper beside the till: what people were told, written down as it was told, and never looked up.

It is the oracle of the checks: the product never sees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Told:
    """A ticket that somebody was told is paid."""

    at_us: int
    who: str
    number: str
    link: str
    amount_minor: int


@dataclass(slots=True)
class Notebook:
    """Tickets by their link; ``lost`` are those that lay only on a disk that is gone."""

    tickets: dict[str, Told] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    forked: set[str] = field(default_factory=set)
    """Machines of which an old copy was put back, or which were cloned: a number may be there twice."""
    requests: set[str] = field(default_factory=set)
    """What somebody asked to be sold, whatever became of it."""
    notes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Changes of a document that somebody was told are saved: by key, who made it and the value."""
    vouched: set[str] = field(default_factory=set)
    """Links of what a device had brought to the relay when it was cut off: that stays good for ever."""
    holed: set[str] = field(default_factory=set)
    """Machines of which an entry rotted that nobody else had: a number may be missing."""

    holed_authors: set[str] = field(default_factory=set)
    """The same of authors of chains: of the owner's, an entry may lie in his safe alone."""

    def note(self, told: Told) -> None:
        """Somebody was told that a ticket is paid."""
        self.tickets[told.link] = told

    def disk_gone(self, held: Iterable[str]) -> None:
        """A disk is gone, or what was on it. ``held``: links that are on some disk all the same."""
        self.lost |= self.tickets.keys() - set(held)

    @property
    def wanted(self) -> dict[str, Told]:
        """What must be there for ever."""
        return {link: told for link, told in self.tickets.items() if link not in self.lost}
