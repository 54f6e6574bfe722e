"""What the till keeps beside the ledger: the open basket and the parked ones, through a crash as well; and
what was noticed of the day.

One small file, written whole: a new one is on disk, with fsync, before it takes the place of the old one.
Nothing of it is a sale: it may be lost without any money being lost.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from crdtsync.errors import DiskFull, ReadOnlyStore
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.said import Said
from crdtsync.till.baskets import Basket, basket_from

FILE: Final = "till.json"
PARKED_MAX: Final = 50
FILE_BYTES_MAX: Final = 16 << 20


@dataclass(slots=True)
class Bench:
    """The open basket, and the parked ones."""

    current: Basket
    parked: list[Basket] = field(default_factory=list)


class Shelf:
    """The baskets of one register: ``live`` ones, and those of ``training``."""

    def __init__(self, folder: Path, clock: Clock, random: RandomBytes) -> None:
        """Read what is there. A file that cannot be read is put aside, and its name told as ``damaged``."""
        self._path, self._clock, self._random = folder / FILE, clock, random
        self.is_training = False
        self.damaged: Path | None = None
        self.notices: tuple[str, ...] = ()
        self.live, self.training = Bench(self.new_basket()), Bench(self.new_basket())
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        try:
            self._take(data)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.damaged = self._path.with_name(f"{FILE}.damaged-{clock.now_ms()}")
            self._path.replace(self.damaged)

    @property
    def bench(self) -> Bench:
        """Of the mode that the till is in."""
        return self.training if self.is_training else self.live

    def new_basket(self) -> Basket:
        """An empty one, with a name of its own."""
        return Basket(self._random(12).hex(), self._clock.now_ms())

    def new_id(self) -> str:
        """A name for a line."""
        return self._random(6).hex()

    def save(self) -> None:
        """Bring it to disk. Durable on return. Raises ``DiskFull``, ``ReadOnlyStore``."""
        facts = {
            "version": 1,
            "is_training": self.is_training,
            "live": asdict(self.live),
            "training": asdict(self.training),
            "notices": [_facts_of(one) for one in self.notices],
        }
        beside = self._path.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.write(orjson.dumps(facts))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            kind = DiskFull if error.errno in (28, 122) else ReadOnlyStore
            raise kind(f"{self._path} cannot be written: {error.strerror}") from error

    def _take(self, data: bytes) -> None:
        if len(data) > FILE_BYTES_MAX:
            raise ValueError("too large")
        facts = orjson.loads(data)
        benches = [
            Bench(basket_from(facts[name]["current"]), [basket_from(one) for one in facts[name]["parked"]])
            for name in ("live", "training")
        ]
        notices = tuple(_notice(one) for one in facts.get("notices", ()))
        self.live, self.training = benches
        self.notices = notices
        self.is_training = bool(facts["is_training"])


def _facts_of(notice: str) -> dict[str, object]:
    """A sentence with what it is made of: it is told in whatever language is chosen then."""
    if not isinstance(notice, Said):
        return {"text": str(notice)}
    values = {name: one if isinstance(one, int) else str(one) for name, one in notice.values.items()}
    return {"text": str(notice), "form": notice.form, "values": values}


def _notice(facts: dict[str, Any]) -> str:
    if "form" not in facts:
        return str(facts["text"])
    made = Said.standing_for(str(facts["text"]), str(facts["form"]))
    made.values = dict(facts["values"])
    return made
