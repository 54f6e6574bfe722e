"""Play one input, or several: ``python -m tests.fuzz.play TARGET FILE…``. What it finds is raised.

Needs nothing beside what the tests need. Where an input ends the process, so does this.
"""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

from tests.fuzz import targets
from tests.fuzz.target import cpu_s_of, memory_bytes_of


def main(words: list[str]) -> None:
    """Play the files, and tell what each costs."""
    name, *files = words
    target = targets.load(name)
    for file in map(Path, files):
        data = file.read_bytes()
        print(f"{file}: {len(data)} bytes", flush=True)
        cpu_s = cpu_s_of(target, data)
        print(
            f"  {cpu_s * 1000:.1f} ms of processor time, {memory_bytes_of(target, data) >> 10} KB", flush=True
        )


if __name__ == "__main__":
    faulthandler.enable()
    main(sys.argv[1:])
