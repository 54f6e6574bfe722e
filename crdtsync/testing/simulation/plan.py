"""A day of a shop with its faults, drawn from a seed before anything happens.

A plan is plain data: what people do and what goes wrong, each with its time. Leaving out any part of it gives
another plan that can be played, so that a failing one can be made smaller.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Final, Self

from crdtsync.errors import UsageError
from crdtsync.testing.simulation.plates import Trouble

PEOPLE: Final = (
    "open",
    "sell",
    "sell reduced",
    "refund",
    "refund part",
    "price",
    "product",
    "count",
    "deliver",
    "cash",
    "look",
    "note",
    "abandon",
    "later kind",
    "close",
    "close period",
    "evening",
    "morning",
)
"""What people do."""

IN_BETWEEN: Final = "somebody in between"

FAULTS: Final = (
    "crash",
    "crash unheard",
    "blackout",
    "power goes in a write",
    "sync is killed",
    "cut",
    "half open",
    "stall one way",
    "burst",
    "slow network",
    "late frames",
    "split frames",
    "partition",
    "disk full",
    "disk read-only",
    "slow disk",
    "commit fails",
    "commit fails but is written",
    "record rots",
    "old copy put back",
    "cloned",
    "relay's old copy put back",
    "relay's disk lost",
    "clock jumps",
    "clock set back",
    "clock drifts",
    "enrol",
    "replace",
    "revoke",
    "other version",
    "lost and restored",
    "owner key rotated",
    IN_BETWEEN,
)
"""What goes wrong, or changes."""

TICKETS: Final = {"sell": 60, "sell reduced": 28, "refund": 7, "refund part": 5}
"""How often each is done, of a hundred tickets."""

OPEN_LINES: Final = 0.25
MEDDLED_WITH: Final = 0.7
"""The share of histories on wires without TLS; and of those in which anything goes wrong, that of histories
with somebody in between.
"""

HOUR_MS: Final = 3_600_000
OPENING_MS: Final = 600_000
"""From the beginning of a history to the first day's opening."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that somebody does or that goes wrong. ``who`` and ``pick`` choose among what is there then,
    so that the same action means something in every plan.
    """

    at_ms: int
    what: str
    who: int = 0
    pick: int = 0

    def __str__(self) -> str:
        return f"{self.at_ms / 1000:.1f} s: {self.what} ({self.who}, {self.pick})"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a history is. Minutes are those in which people work, each day."""

    registers: int = 3
    tickets: int = 60
    minutes: int = 120
    days: int = 1
    faults: int = 25


SHORT: Final = Size(registers=3, tickets=15, minutes=12, faults=12)
DAY: Final = Size()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run depends on."""

    seed: int
    size: Size = DAY
    is_sqlite: bool = False
    small_bounds: bool = False
    """Bounds of the protocol and of upkeep that a short history reaches."""
    is_open_line: bool = False
    """Wires have no TLS: frames are bound to the hellos."""
    faults: tuple[str, ...] = ()
    """The kinds of faults that exist in this history at all."""
    actions: tuple[Action, ...] = field(default=(), repr=False)

    def to_json(self) -> str:
        """All of it, to be kept."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """See ``to_json``. Raises ``UsageError`` for what is no plan."""
        try:
            fields = json.loads(text)
            size, actions = Size(**fields.pop("size")), fields.pop("actions")
            faults = tuple(fields.pop("faults"))
            plan = cls(size=size, faults=faults, actions=tuple(Action(**one) for one in actions), **fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"this is no history that was kept: {type(error).__name__}: {error}") from error
        for action in plan.actions:
            if action.what not in (*PEOPLE, *FAULTS):
                raise UsageError(f"a history has no action {action.what!r}")
            if not all(type(number) is int for number in (action.at_ms, action.who, action.pick)):
                raise UsageError(f"{action!r}: integers are expected")
        return plan

    def without(self, actions: tuple[Action, ...]) -> Plan:
        """The plan with these actions only."""
        return replace(self, actions=actions)


def draw_plan(seed: int, size: Size = DAY, *, sqlite_share: float = 0.1) -> Plan:
    """The plan of a seed. Which faults exist at all is drawn first: a history in which everything goes wrong
    at once never gets anywhere (swarm testing, Groce et al. 2012).
    """
    chance = Random(f"plan/{seed}")
    is_sqlite = chance.random() < sqlite_share
    share = chance.choice((0.0, 0.15, 0.15, 0.3, 0.3, 0.5))
    faults = tuple(kind for kind in FAULTS if kind != IN_BETWEEN and chance.random() < share)
    # Drawn beside the rest, so that a seed is otherwise the history that it was.
    line = Random(f"plan/{seed}/line")
    is_open_line = line.random() < OPEN_LINES
    is_meddled_with = is_open_line and bool(faults) and line.random() < MEDDLED_WITH
    actions: list[Action] = []
    for day in range(size.days):
        begin_ms = day * 24 * HOUR_MS + OPENING_MS
        actions += _people(chance, size, begin_ms)
        if day:
            actions.append(Action(begin_ms - OPENING_MS, "morning"))
        if day < size.days - 1:
            actions.append(Action(begin_ms + size.minutes * 60_000 + 120_000, "evening"))
        if faults:
            count = chance.randint(1, size.faults)
            actions += _faults(chance, faults, count, begin_ms, size.minutes * 60_000)
        if is_meddled_with:
            actions += _faults(line, (IN_BETWEEN,), line.randint(1, 6), begin_ms, size.minutes * 60_000)
    actions.sort(key=lambda action: action.at_ms)
    faults += (IN_BETWEEN,) if is_meddled_with else ()
    return Plan(seed, size, is_sqlite, chance.random() < 0.5, is_open_line, faults, tuple(actions))


def _people(chance: Random, size: Size, begin_ms: int) -> list[Action]:
    length_ms = size.minutes * 60_000
    actions = []

    def some(what: str, at_ms: int, who: int | None = None) -> None:
        register = chance.randrange(64) if who is None else who
        actions.append(Action(at_ms, what, register, chance.getrandbits(32)))

    some("product", begin_ms - 120_000)
    for who in range(size.registers):
        if chance.random() < 0.9:
            some("open", begin_ms + chance.randrange(60_000), who)
        if chance.random() < 0.8:  # Else it is forgotten.
            some("close", begin_ms + length_ms + chance.randrange(60_000), who)
        if chance.random() < 0.2:
            some("close period", begin_ms + length_ms + 60_000 + chance.randrange(50_000), who)
    at_ms = begin_ms
    for _ in range(size.tickets):
        # Now and then there is a queue, and at other times nobody.
        at_ms += int(chance.expovariate(1.0) * length_ms / size.tickets * chance.choice((0.02, 0.5, 1.5)))
        what = chance.choices(tuple(TICKETS), tuple(TICKETS.values()))[0]
        some(what, begin_ms + (at_ms - begin_ms) % length_ms)
    weights = {"price": 6, "product": 3, "count": 4, "deliver": 4, "cash": 3, "look": 8, "note": 4}
    weights |= {"abandon": 1, "later kind": 1}
    for what in chance.choices(list(weights), list(weights.values()), k=size.tickets // 2):
        some(what, begin_ms + chance.randrange(length_ms))
    if chance.random() < 0.5:  # One price, from three places at once.
        at_ms = begin_ms + chance.randrange(length_ms)
        actions += [Action(at_ms, "price", who, 7 + who * 64) for who in range(3)]
    return actions


def _faults(
    chance: Random, kinds: tuple[str, ...], count: int, begin_ms: int, length_ms: int
) -> list[Action]:
    return [
        Action(
            begin_ms + chance.randrange(length_ms),
            chance.choice(kinds),
            chance.randrange(64),
            chance.getrandbits(32),
        )
        for _ in range(count)
    ]


TROUBLES: Final[dict[str, Trouble]] = {"disk full": "full", "disk read-only": "read-only"}
