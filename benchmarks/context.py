"""What a case is given: a folder, a size, a seed."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Extent = Literal["full", "quick", "smallest", "long"]
EXTENTS: Final[tuple[Extent, ...]] = ("full", "quick", "smallest")
"""What every case has. `make bench-long` asks one of them, ``growth``, for ``long``."""


@dataclass(frozen=True, slots=True)
class Bench:
    """``extent``: ``full``, ``quick`` (about a minute in all), or ``smallest`` (that it runs at all).

    ``folder`` is empty at the beginning and the case's own; ``shared`` is kept from case to case of one run.
    """

    folder: Path
    shared: Path
    extent: Extent
    seed: int

    def place(self, name: str) -> Path:
        """A folder inside, made."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def settle() -> None:
    """Before a measurement: collect what was left by preparing, and look at it no more."""
    gc.collect()
    gc.freeze()
