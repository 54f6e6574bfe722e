"""Commands of `crdtsync`, each a process, timed from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def command(name: str, folder: Path | None = None) -> list[str]:
    """How to run it, on a register's folder."""
    where = ["--data", str(folder)] if folder is not None else []
    return [sys.executable, "-m", "crdtsync", name, *where]


def run(arguments: list[str]) -> None:
    """Raises ``CalledProcessError`` where it fails."""
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)


def timed_ms(act: Callable[[], object]) -> float:
    """How long that took."""
    began_s = time.perf_counter()
    act()
    return (time.perf_counter() - began_s) * 1000
