"""How much of a relay one shop may fill. Apart, so that a command which shows its help loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one shop may fill: records and bytes in all documents, and documents."""

    records_max: int = 50_000_000
    bytes_max: int = 64 << 30
    documents_max: int = 250_000
