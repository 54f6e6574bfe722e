"""What can be looked at without the network: the doctor's first half, and what `status` shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crdtsync.errors import RoleTaken
from crdtsync.runtime.doctor.disk import look_at_disk
from crdtsync.runtime.doctor.finding import Finding
from crdtsync.runtime.doctor.register import look_at_store
from crdtsync.runtime.register.status import Status

_TOLD_BY_STATUS: Final = frozenset(("copies", "quarantine", "pending"))


LOOK_AT_DISK_EVERY_MS: Final = 10_000
"""How old what is said of folder, drive, space and key may be, where it is asked for every second."""


class LocalLook:
    """What the doctor finds without the network, again and again: a status is asked for each second, and the
    disk, which costs more, now and then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk: tuple[int, list[Finding]] | None = None

    def findings(self, status: Status, now_ms: int) -> list[Finding]:
        """Folder, drive, space, key, clock, who synchronises, certificate, quarantine, pending. Milliseconds;
        raises nothing for what is wrong. ``now_ms`` is the clock's; where it steps, all is looked at again.
        """
        if self._disk is None or not 0 <= now_ms - self._disk[0] < LOOK_AT_DISK_EVERY_MS:
            self._disk = now_ms, list(look_at_disk(self._folder))
        return [*self._disk[1], *look_at_store(status, self._folder, now_ms)]


def beyond_status(findings: list[Finding], status: Status) -> Iterator[Finding]:
    """Those of them that somebody must know and that a status does not tell in its own words."""
    is_stop_told = status.link_trouble is not None and status.link_trouble.is_over
    for found in findings:
        if found.state not in ("wrong", "notice") or found.check in _TOLD_BY_STATUS:
            continue
        if found.check == "syncing" and found.exit_code != RoleTaken.exit_code:
            continue
        if found.check == "certificate" and is_stop_told:
            continue
        if found.check == "clock" and any(concern.startswith(found.says) for concern in status.concerns):
            continue
        yield found
