"""What goes wrong, and when: a seeded plan, counted in sales, not in seconds, so that it fits any machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

What = Literal["cut", "stall", "open", "kill", "kill relay", "start relay"]

WINDOWS_PER_TILL = 3
KILLS_PER_TILL = 2
RELAY_KILLS = 2
FORGOTTEN_DAYS = 0.1
"""How often nobody closes the day: the next one does it."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens when ``at`` baskets are sold: by the till, or, to the relay, by all of them."""

    at: int
    what: What


@dataclass(frozen=True, slots=True)
class Plan:
    """Per till its happenings, and those of the relay, each in order."""

    tills: tuple[tuple[Happening, ...], ...]
    relay: tuple[Happening, ...]


def make_plan(seed: int, baskets: Sequence[int]) -> Plan:
    """A plan for tills that sell so many baskets. Few baskets have fewer windows."""
    random = Random(seed)
    return Plan(tuple(_till(random, count) for count in baskets), _relay(random, sum(baskets)))


def forgets(seed: int, till: int, day: str) -> bool:
    """Whether nobody closes that day on that till."""
    return Random(f"{seed} {till} {day}").random() < FORGOTTEN_DAYS


def _till(random: Random, count: int) -> tuple[Happening, ...]:
    happenings = []
    windows = min(WINDOWS_PER_TILL, count // 4)
    marks = sorted(random.sample(range(1, max(2, count)), 2 * windows)) if windows else []
    for start, end in zip(marks[::2], marks[1::2], strict=True):
        happenings += [Happening(start, random.choice(("cut", "cut", "stall"))), Happening(end, "open")]
    for _ in range(min(KILLS_PER_TILL, count // 4)):
        happenings.append(Happening(random.randrange(1, count), "kill"))
    return tuple(sorted(happenings, key=lambda happening: happening.at))


def _relay(random: Random, count: int) -> tuple[Happening, ...]:
    kills = min(RELAY_KILLS, count // 8)
    marks = sorted(random.sample(range(1, max(2, count)), 2 * kills)) if kills else []
    whats: tuple[What, What] = ("kill relay", "start relay")
    return tuple(Happening(at, whats[number % 2]) for number, at in enumerate(marks))
