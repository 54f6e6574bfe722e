"""When to connect to the relay again, and when not: what trying again can mend, it is not for a person to
mend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from crdtsync.errors import (
    AccessDenied,
    CrdtsyncError,
    LinkClosed,
    NoRegister,
    NotAStore,
    StoreTooNew,
    UnsupportedVersion,
    UsageError,
    WrongRelayKey,
)
from crdtsync.protocol.backoff import delay_ms
from crdtsync.runtime.syncing.ending import REFUSED
from crdtsync.runtime.syncing.refusal import refusal_hint

STEADY_S: Final = 30.0
"""A connection that lasted so long was a good one: after it, waiting begins anew."""

HURRY_S: Final = 2.0
"""A sale ends the wait, but not earlier after an attempt than this (shortened at random by up to a half):
busy tills must not be what keeps an overloaded relay from coming back.
"""

LOOK_UP_EVERY_S: Final = 1.0
"""While waiting, how often one looks whether the machine has slept."""

AT_ONCE = 4512
"""The close code of an end whose log goes on under a new id: connect again at once."""

_FOR_A_PERSON = (
    AccessDenied,
    WrongRelayKey,
    UnsupportedVersion,
    NoRegister,
    UsageError,
    StoreTooNew,
    NotAStore,
)


def needs_person(error: CrdtsyncError) -> bool:
    """Whether synchronising ends with this error until somebody has acted: the relay refuses the device or is
    another one, or software has to be updated. Everything else may be gone the next time, a relay that speaks
    nonsense (it is being repaired) and a full disk included.
    """
    return isinstance(error, _FOR_A_PERSON)


def meaning(error: CrdtsyncError) -> CrdtsyncError:
    """What a close code of the relay means here. That it was the relay is proved: see ``ending``."""
    if not isinstance(error, LinkClosed):
        return error
    if error.code in REFUSED:
        why = error.reason or str(error)
        return AccessDenied(f"the relay refuses this register: {why}", hint=refusal_hint(error.reason))
    if error.code == UnsupportedVersion.close_code:
        return UnsupportedVersion(f"the relay and this register do not understand one another: {error}")
    return error


class Reconnecting:
    """The pauses between attempts. ``random`` in [0, 1) spreads them."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._attempt = 0
        self._was_at_once = False
        self._occasion = asyncio.Event()
        self._is_fresh = self._was_sold = False

    def pause_s(self, error: CrdtsyncError, lasted_s: float) -> float:
        """How long to wait after a connection (or an attempt at one) that ended with ``error``."""
        if lasted_s >= STEADY_S:
            self._attempt, self._was_at_once = 0, False
        if isinstance(error, LinkClosed) and error.code == AT_ONCE and not self._was_at_once:
            # Once: a peer that finds our log wrong each time must not make us spin.
            self._was_at_once = True
            return 0.0
        self._attempt += 1
        return delay_ms(self._attempt, self._random()) / 1000

    def succeeded(self) -> None:
        """There was nothing wrong with the last connection."""
        self._attempt, self._was_at_once = 0, False

    def sold(self) -> None:
        """There is something to send: wait no longer than need be. On the event loop."""
        self._was_sold = True
        self._occasion.set()

    def try_now(self) -> None:
        """Something has changed, or a person asks: what failed before says nothing. On the event loop."""
        self._attempt, self._is_fresh = 0, True
        self._occasion.set()

    async def wait(self, stop: asyncio.Event, pause_s: float, has_slept: Callable[[], bool]) -> None:
        """Wait for ``pause_s``, or for an occasion, or until ``stop``. What happened since the last wait,
        while it was tried, counts as an occasion; a sale does not: it was tried with it.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self._was_sold = False
        while not stop.is_set():
            if has_slept():
                self.try_now()
            if self._is_fresh:
                break
            if self._was_sold:
                self._was_sold = False
                pause_s = min(pause_s, HURRY_S * (1 - 0.5 * self._random()))
            left_s = began_s + pause_s - loop.time()
            if left_s <= 0:
                break
            self._occasion.clear()
            await _either(stop, self._occasion, min(left_s, LOOK_UP_EVERY_S))
        self._is_fresh = False


async def _either(first: asyncio.Event, second: asyncio.Event, timeout_s: float) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
