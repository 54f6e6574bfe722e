"""How fast one device may fill a relay that many share: a rate, and how much may come before it counts.

Who is faster is read more slowly; what it sends waits in its own store until it is read, as with a slow line.
Nothing is refused for it, and nobody else waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from crdtsync.protocol.work import Delivery
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.storage.pack import unpacked_size

Device = tuple[bytes, bytes]
"""Shop and device."""

BURST_RECORDS: Final = 250_000
"""Records of one device that are taken as fast as they come: what a shop sells in a year, brought back to a
relay that has lost them.
"""

BURST_BYTES: Final = 256 << 20
"""The same in bytes."""

SLOWED_FOR_MS: Final = 10_000
"""How long after the last pause a device still counts as one that is slowed."""


def device_of(connection: Connection) -> Device:
    """Whose connection it is; nobody's before its hello, who sends nothing that counts."""
    peer = connection.session.peer
    return (b"", b"") if peer is None else (peer.shop, peer.device)


class Allowance:
    """What may be spent: it grows by ``per_s`` up to ``most``; what came in one go may overdraw it."""

    def __init__(self, per_s: float, most: float, now_ms: int) -> None:
        self._per_ms = per_s / 1000
        self._most = most
        self._left = most
        self._at_ms = now_ms

    def spend(self, amount: float, now_ms: int) -> None:
        """Something came."""
        self._left = self._now(now_ms) - amount
        self._at_ms = now_ms

    def wait_ms(self, now_ms: int) -> float:
        """Until it is not overdrawn any more."""
        return max(0.0, -self._now(now_ms) / self._per_ms)

    @property
    def is_overdrawn(self) -> bool:
        """Whether more was spent than there was, when something last came."""
        return self._left < 0

    def is_whole(self, now_ms: int) -> bool:
        """Whether it is as if nothing had ever come."""
        return self._now(now_ms) >= self._most

    def _now(self, now_ms: int) -> float:
        return min(self._most, self._left + (now_ms - self._at_ms) * self._per_ms)


class Pace:
    """The allowances of all devices of a relay: a device has one, however often it connects.

    For the event loop. ``now_ms`` is a clock that is never set.
    """

    def __init__(self, now_ms: Callable[[], int], *, records_per_s: float, bytes_per_s: float) -> None:
        self._now_ms = now_ms
        self._rates = (records_per_s, BURST_RECORDS), (bytes_per_s, BURST_BYTES)
        self._allowances: dict[Device, list[Allowance]] = {}
        self._overdrawn: set[Device] = set()
        self._slowed_ms: dict[Device, int] = {}

    def came(self, who: Device, deliveries: Iterable[Delivery]) -> None:
        """A device has sent this. Of a pack counts what it says to hold; no more is taken of it."""
        records = size = 0
        for delivery in deliveries:
            rows, rows_bytes = unpacked_size(delivery.blob) if delivery.blob else (0, 0)
            records += len(delivery.records) + rows
            size += max(delivery.size, rows_bytes)
        if not records and not size:
            return
        now_ms = self._now_ms()
        if who not in self._allowances:
            self._allowances[who] = [Allowance(*rate, now_ms) for rate in self._rates]
        of_records, of_bytes = self._allowances[who]
        of_records.spend(records, now_ms)
        of_bytes.spend(size, now_ms)
        if of_records.is_overdrawn or of_bytes.is_overdrawn:
            self._overdrawn.add(who)

    def pause_s(self, who: Device) -> float:
        """How long to wait before this device is read again; 0 most often."""
        if who not in self._overdrawn:
            return 0.0
        now_ms = self._now_ms()
        wait_ms = max(allowance.wait_ms(now_ms) for allowance in self._allowances[who])
        if wait_ms <= 0:
            self._overdrawn.discard(who)
            return 0.0
        self._slowed_ms[who] = now_ms
        return wait_ms / 1000

    def is_slowed(self, who: Device) -> bool:
        """Whether this device had to wait just now."""
        slowed_ms = self._slowed_ms.get(who)
        return slowed_ms is not None and self._now_ms() - slowed_ms < SLOWED_FOR_MS

    def forget_idle(self) -> None:
        """Let go of those whose allowance is whole again."""
        now_ms = self._now_ms()
        for who, allowances in list(self._allowances.items()):
            if all(allowance.is_whole(now_ms) for allowance in allowances) and not self.is_slowed(who):
                del self._allowances[who]
                self._slowed_ms.pop(who, None)
                self._overdrawn.discard(who)
