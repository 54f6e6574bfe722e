"""A peer: its packages, how it is started with its durable storage on, how it is spoken to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from benchmarks.peers.frames import Dialect

DOCUMENT: Final = "shop"
STARTS: Final = Path(__file__).parent / "start"


@dataclass(frozen=True, slots=True)
class Command:
    """A process: its arguments, and what is added to its environment."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


Start = Callable[[Path, Path, int], Command]
"""The command for a folder that the packages are installed in, a folder for its data, and a port."""


@dataclass(frozen=True, slots=True)
class Peer:
    """``packages``: what is installed, by name and version. ``beside``: versions of what those ask for, where
    it matters. ``builds``: packages that may compile something when they are installed. ``settings``: all
    that differs from the peer's own defaults, and what its storage does, for people.
    """

    name: str
    client: Literal["npm", "pip"]
    packages: Mapping[str, str]
    dialect: Dialect
    start: Start
    settings: tuple[str, ...]
    beside: Mapping[str, str] = field(default_factory=dict)
    builds: tuple[str, ...] = ()

    @property
    def pinned(self) -> dict[str, str]:
        """All versions that are asked for."""
        return {**self.packages, **self.beside}


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process' environment, and more."""
    return {**os.environ, **more}
