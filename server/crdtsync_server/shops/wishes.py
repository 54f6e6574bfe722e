"""Wishes of people that a device synchronises: who asked and when, and what the device said to it.

A wish is small state beside the log of the shop: it waits there for a device that is away, also while the
relay is started again, until the device says that it is done, or until it is too old to mean anything. The
back office writes the wish, the relay's event loop what was said to it, each under a key of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

import orjson

from crdtsync.protocol.messages import SyncTold
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.storage.log import ShopLog

LASTS_MS: Final = 7 * 24 * 3_600_000
"""So long a wish waits for a device that is away."""

State = Literal["waits", "heard", "done", "expired"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked of a device. ``by``: their name. ``heard_ms``: when the device last said that it
    heard, ``done_ms``: that nothing was left to exchange. Times are Unix milliseconds by the relay's clock.
    """

    id: bytes
    by: str
    at_ms: int
    heard_ms: int | None = None
    done_ms: int | None = None

    def state(self, now_ms: int) -> State:
        """What has become of it."""
        if self.done_ms is not None:
            return "done"
        if now_ms - self.at_ms >= LASTS_MS:
            return "expired"
        return "waits" if self.heard_ms is None else "heard"

    def is_open(self, now_ms: int) -> bool:
        """Whether the device is still to be asked."""
        return self.state(now_ms) in ("waits", "heard")

    @property
    def until_ms(self) -> int:
        """How long it waits."""
        return self.at_ms + LASTS_MS

    def told(self, answer: SyncTold, now_ms: int) -> Wish:
        """The wish after what the device said."""
        return replace(
            self,
            heard_ms=self.heard_ms if answer.is_done and self.heard_ms is not None else now_ms,
            done_ms=now_ms if answer.is_done else None,
        )


def read_wish(log: ShopLog, device: bytes) -> Wish | None:
    """What was last asked of a device, and what it said to that. Raises ``StorageError``."""
    made = log.state(_wish_key(device))
    if made is None:
        return None
    facts = orjson.loads(made)
    wish = Wish(bytes.fromhex(facts["id"]), facts["by"], facts["at_ms"])
    said = orjson.loads(log.state(_answer_key(device)) or b"{}")
    if said.get("id") != facts["id"]:
        return wish
    return replace(wish, heard_ms=said["heard_ms"], done_ms=said["done_ms"])


def write_wish(log: ShopLog, device: bytes, wish: Wish) -> None:
    """Ask that of a device, in the place of what was asked before. Inside a transaction."""
    facts = {"id": wish.id.hex(), "by": wish.by, "at_ms": wish.at_ms}
    log.set_state(_wish_key(device), orjson.dumps(facts))


def _write_answer(log: ShopLog, device: bytes, wish: Wish) -> None:
    facts = {"id": wish.id.hex(), "heard_ms": wish.heard_ms, "done_ms": wish.done_ms}
    log.set_state(_answer_key(device), orjson.dumps(facts))


class Wishes:
    """The devices that are connected are asked, and what they say is written down. For the event loop."""

    def __init__(self, now_ms: Callable[[], int], shop_log: Callable[[bytes], ShopLog]) -> None:
        """``now_ms``: the wall clock."""
        self._now_ms, self._shop_log = now_ms, shop_log
        self._open: dict[tuple[bytes, bytes], Wish] = {}
        self._due: dict[bytes, dict[bytes, Wish]] = defaultdict(dict)

    def met(self, connection: Connection) -> None:
        """A device has proved who it is, or something was asked of it: ask it. Raises ``StorageError``."""
        peer = connection.session.peer
        if peer is None or connection.takes_only:
            return
        wish = read_wish(self._shop_log(peer.shop), peer.device)
        if wish is not None and wish.is_open(self._now_ms()) and connection.session.asking.can_ask:
            self._open[peer.shop, peer.device] = wish
            self._ask(connection, wish)

    def look(self, live: Iterable[Connection]) -> None:
        """Take what devices have said, and ask those that could not be asked before."""
        if not self._open:
            return
        for connection in live:
            self.listen(connection)
            peer = connection.session.peer
            wish = self._open.get((peer.shop, peer.device)) if peer is not None else None
            if wish is not None and self._ask(connection, wish):
                connection.pump()

    def _ask(self, connection: Connection, wish: Wish) -> bool:
        is_due = wish.is_open(self._now_ms()) and not connection.takes_only
        return is_due and connection.session.asking.ask(wish.id)

    def listen(self, connection: Connection) -> None:
        """Take what one device has said, which may be gone by now."""
        peer = connection.session.peer
        if peer is None:
            return
        place = peer.shop, peer.device
        for answer in connection.session.asking.take_answers():
            wish = self._open.get(place)
            if wish is not None and wish.id == answer.wish:
                self._open[place] = self._due[peer.shop][peer.device] = wish.told(answer, self._now_ms())
                if answer.is_done:
                    del self._open[place]

    def due(self) -> dict[bytes, Callable[[ShopLog], None]]:
        """By shop, what is to be written into the small state of its log now."""
        due, self._due = self._due, defaultdict(dict)
        return {shop: _writer(wishes) for shop, wishes in due.items()}


def _writer(wishes: dict[bytes, Wish]) -> Callable[[ShopLog], None]:
    def write(log: ShopLog) -> None:
        for device, wish in wishes.items():
            _write_answer(log, device, wish)

    return write


def _wish_key(device: bytes) -> str:
    return f"wish/{device.hex()}"


def _answer_key(device: bytes) -> str:
    return f"wish_answer/{device.hex()}"
