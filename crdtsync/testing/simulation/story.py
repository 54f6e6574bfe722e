"""What happened, in words: who did what, when, and what the network and the disks did to it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from crdtsync.testing.simulation.clock import UTC_OFFSET_MIN
from crdtsync.testing.simulation.timeline import Timeline


class Story:
    """Lines with the true time. ``digest`` tells two runs apart, to the letter."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.folder = ""
        """Where the disks are: another place in every run, and left out of what is told."""
        self._told: list[tuple[int, str, str]] = []
        self._digest = hashlib.sha256()

    def tell(self, who: str, what: str) -> None:
        """One more line."""
        at_us, what = self._timeline.now_us, self._without_folder(what)
        self._told.append((at_us, who, what))
        self._digest.update(f"{at_us} {who} {what}\n".encode())

    def trace(self, *what: object) -> None:
        """Something too small to tell, by which two runs could differ all the same."""
        self._digest.update(self._without_folder(repr((self._timeline.now_us, *what))).encode())

    def _without_folder(self, text: str) -> str:
        return text.replace(f"{self.folder}/", "") if self.folder else text

    @property
    def digest(self) -> str:
        """Equal for two runs in which the same happened at the same times."""
        return self._digest.hexdigest()[:16]

    def lines(self) -> list[str]:
        """The story, with the local time of the shop."""
        return [f"{_time(at_us)}  {who:<12} {what}" for at_us, who, what in self._told]


def _time(at_us: int) -> str:
    at = datetime.fromtimestamp(at_us / 1_000_000, UTC) + timedelta(minutes=UTC_OFFSET_MIN)
    return at.strftime("%d %H:%M:%S.%f")[:-3]
