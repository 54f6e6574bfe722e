"""What can be looked at without the network: the doctor's first half, and what `status` shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crdtsync.errors import RoleTaken
from crdtsync.runtime.doctor.disk import look_at_disk
from crdtsync.runtime.doctor.finding import Finding
from crdtsync.runtime.doctor.register import (
    look_at_certificate,
    look_at_clock,
    look_at_records,
    look_at_syncing,
)
from crdtsync.runtime.register_status import CLOCK_OFFSET_MAX_MS, Status

_TOLD_BY_STATUS: Final = frozenset(("quarantine", "pending"))


def look_locally(status: Status, folder: Path, now_ms: int) -> list[Finding]:
    """Folder, drive, space, key, clock, who synchronises, certificate, quarantine, pending. Milliseconds;
    raises nothing for what is wrong.
    """
    return [
        *look_at_disk(folder),
        look_at_clock(status, now_ms, None),
        look_at_syncing(status, folder),
        look_at_certificate(status),
        *look_at_records(status),
    ]


def beyond_status(findings: list[Finding], status: Status) -> Iterator[Finding]:
    """Those of them that somebody must know and that a status does not tell in its own words."""
    is_offset_told = abs(status.clock_offset_ms or 0) > CLOCK_OFFSET_MAX_MS
    for found in findings:
        if found.state not in ("wrong", "notice") or found.check in _TOLD_BY_STATUS:
            continue
        if found.check == "syncing" and found.exit_code != RoleTaken.exit_code:
            continue
        if found.check == "clock" and is_offset_told:
            continue
        yield found
