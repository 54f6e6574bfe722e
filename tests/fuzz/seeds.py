"""Write the seeds of a target into a folder: ``python -m tests.fuzz.seeds TARGET FOLDER``."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

from tests.fuzz import targets


def write(name: str, folder: Path) -> int:
    """One file for each seed, named by what is in it; how many there are."""
    seeds = set(targets.load(name).seeds())
    for seed in seeds:
        (folder / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    return len(seeds)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
