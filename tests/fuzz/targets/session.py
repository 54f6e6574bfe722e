"""A session, from the first byte of a connection on: whatever a peer sends, in any order, with any answers.

An input is a list of steps, each behind its length. A step is a frame as it is, a message made of what would
be right at that moment (positions of this log and of the peer's) and of what would not, or one of the things
that a driver does; the driver here keeps its contract, the peer does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from crdtsync.errors import LinkClosed, RemoteProtocolError
from crdtsync.protocol.codec import frames
from crdtsync.testing.messages import one_of_each
from tests.fuzz.driver import FRAME, SETUP, STEPS, Driver
from tests.fuzz.mutation import with_pieces_changed
from tests.fuzz.target import Target

INPUT_BYTES_MAX: Final = 1 << 10
STEP_BYTES_MAX: Final = 255


def _run(data: bytes) -> None:
    steps = _steps(data)
    driver = Driver(steps[0] if steps else b"")
    try:
        for step in steps[1:]:
            driver.step(step)
    except (RemoteProtocolError, LinkClosed):
        driver.ended()


def _steps(data: bytes) -> list[bytes]:
    found = []
    place = 0
    while place < len(data):
        size = data[place]
        found.append(data[place + 1 : place + 1 + size])
        place += 1 + size
    return found


def _joined(steps: list[bytes]) -> bytes:
    return b"".join(bytes((len(step[:STEP_BYTES_MAX]),)) + step[:STEP_BYTES_MAX] for step in steps)


def _seeds() -> Iterator[bytes]:
    for setup in SETUP:
        begun = [setup, *STEPS["hello"]]
        yield _joined(begun)
        for name in STEPS:
            yield _joined([*begun, *STEPS[name]])
        yield _joined([*begun, *(step for steps in STEPS.values() for step in steps)])
    for message in one_of_each():
        for frame in frames(message):
            yield _joined([SETUP[0], *STEPS["hello"], FRAME + frame])
            yield _joined([SETUP[1], FRAME + frame])


def _mutate(data: bytes, rng: Random) -> bytes:
    steps = _steps(data) or [SETUP[0]]
    if rng.random() < 0.1:
        return _joined([rng.choice(SETUP), *steps[1:]])
    return _joined([steps[0], *with_pieces_changed(steps[1:], rng, _step)])


def _step(rng: Random) -> bytes:
    if rng.random() < 0.5:
        return rng.choice(rng.choice(list(STEPS.values())))
    return rng.randbytes(rng.choice((2, 3, 4, 6, 9, 14)))


TARGET = Target("session", _run, _seeds, _mutate, INPUT_BYTES_MAX, memory_bytes_max=64 << 20)
"""A message of 16 MB in parts is held as parts, as a whole and decoded, beside what waits to be stored."""
