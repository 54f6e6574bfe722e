"""What the relay knows of each device beside its records: when it was last here, and how far it is.

It is kept as small state beside the log of the shop, a few seconds late, so that `crdtsync-relay status` can
tell it also when the relay does not run. Nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import orjson

from crdtsync.model.form import is_link_text
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.storage.log import ShopLog
from crdtsync_server.backups.restored import generation_of

SAVE_EVERY_MS: Final = 5_000
"""How late what is written may be, where it has changed."""

SAVE_MOVED_EVERY_MS: Final = 1_000
"""How late it may be written that a device came or left: people look at it, and wait for it."""

SAVE_SAME_EVERY_MS: Final = 60_000
"""How late the time of the last contact may be, where nothing else has changed."""

LAGGING_AFTER_MS: Final = 10_000
"""A connected device that has not caught up for so long lags: its disk or its line is slow."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A device as it was at ``at_ms`` (Unix milliseconds), when it was last heard of.

    ``log``: the id of its log. ``acknowledged``: the number in the relay's log up to which it has everything
    on its own disk. ``pending_sales`` and ``pending_amount_minor``: what it said that the relay has not
    acknowledged to it, of its log up to ``log_end``; None if it never said. ``own_sales`` and
    ``own_amount_minor``: those of them that it recorded itself, entries ``own_from`` to ``own_to`` of its
    chain ``own_chain`` (in hexadecimal digits). ``connected``: it was still here then; a relay that was
    killed cannot say that it left. ``slowed``: it sent faster than it may, and was read more slowly.
    ``hears_wishes``: it can be asked to synchronise. ``generation``: that of the shop's series when this was
    written, which another one follows when the relay is put back; None where an earlier version wrote it.
    """

    log: bytes
    at_ms: int
    acknowledged: int
    software: str
    pending_sales: int | None = None
    pending_amount_minor: int | None = None
    clock_offset_ms: int | None = None
    log_end: int | None = None
    connected: bool = False
    slowed: bool = False
    own_sales: int | None = None
    own_amount_minor: int | None = None
    own_chain: str | None = None
    own_from: int | None = None
    own_to: int | None = None
    hears_wishes: bool = False
    generation: str | None = None

    def to_bytes(self) -> bytes:
        """For a log's small state."""
        # A copy: what orjson gives takes 4 KB of memory, and logs keep what they wrote last.
        return memoryview(orjson.dumps(asdict(self) | {"log": self.log.hex()})).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Contact:
        """What ``to_bytes`` made, also by a version that knew more or less."""
        facts = orjson.loads(data)
        known = {field.name: facts[field.name] for field in fields(cls) if field.name in facts}
        return cls(**known | {"log": bytes.fromhex(facts["log"])})


def read_contact(log: ShopLog, device: bytes) -> Contact | None:
    """When and how the device was last here; None if it never was (or that was lost)."""
    data = log.state(_key(device))
    return None if data is None else Contact.from_bytes(data)


def was_here_since(log: ShopLog, contact: Contact | None, put_back_ms: int) -> bool:
    """Whether a device was here since the relay was put back at that time. The clock is asked only where
    nothing else tells: it may have been wrong then, or at the contact.
    """
    if contact is None or contact.generation is None:
        return contact is not None and contact.at_ms >= put_back_ms
    return contact.generation == generation_of(log)


class Contacts:
    """The devices that are or were connected since the start. For the event loop."""

    def __init__(
        self, now_ms: Callable[[], int], is_slowed: Callable[[Connection], bool] = lambda connection: False
    ) -> None:
        self._now_ms = now_ms
        self._is_slowed = is_slowed
        self._saved: dict[tuple[bytes, bytes], Contact] = {}
        self._gone: dict[tuple[bytes, bytes], Contact] = {}
        self._behind_since_ms: dict[Connection, int] = {}
        self._came_ms: dict[Connection, int] = {}
        self._looked_ms = 0

    def came(self, connection: Connection) -> None:
        """A device has proved who it is. What it has it says in the next moment, or never."""
        self._came_ms[connection] = self._now_ms()

    def gone(self, connection: Connection) -> None:
        """A device has left."""
        self._behind_since_ms.pop(connection, None)
        self._came_ms.pop(connection, None)
        found = self._contact(connection)
        if found is not None:
            self._gone[found[0]] = replace(found[1], connected=False, slowed=False)

    def look(self, live: Iterable[Connection]) -> int:
        """How many of the connected devices lag."""
        now_ms = self._now_ms()
        for connection in live:
            outbound = connection.session.outbound
            if outbound.acked.seq >= outbound.end.seq:
                self._behind_since_ms.pop(connection, None)
            else:
                self._behind_since_ms.setdefault(connection, now_ms)
        return sum(now_ms - since_ms >= LAGGING_AFTER_MS for since_ms in self._behind_since_ms.values())

    def due(
        self, live: Iterable[Connection], *, at_once: bool = False
    ) -> dict[bytes, Callable[[ShopLog], None]]:
        """By shop, what is to be written into the small state of its log now."""
        now_ms = self._now_ms()
        late_ms = SAVE_MOVED_EVERY_MS if self._gone or self._came_ms else SAVE_EVERY_MS
        if not at_once and now_ms - self._looked_ms < late_ms:
            return {}
        self._looked_ms = now_ms
        self._came_ms = {
            connection: came_ms
            for connection, came_ms in self._came_ms.items()
            if not connection.presence and now_ms - came_ms < SAVE_EVERY_MS
        }
        found = self._gone | dict(filter(None, map(self._contact, live)))
        self._gone = {}
        changed: dict[bytes, dict[bytes, Contact]] = {}
        for (shop, device), contact in found.items():
            if at_once or self._is_news(self._saved.get((shop, device)), contact):
                self._saved[shop, device] = contact
                changed.setdefault(shop, {})[device] = contact
        return {shop: _writer(contacts) for shop, contacts in changed.items()}

    def _is_news(self, known: Contact | None, contact: Contact) -> bool:
        return (
            known is None
            or contact.at_ms - known.at_ms >= SAVE_SAME_EVERY_MS
            or replace(contact, at_ms=0) != replace(known, at_ms=0)
        )

    def _contact(self, connection: Connection) -> tuple[tuple[bytes, bytes], Contact] | None:
        peer, told = connection.session.peer, connection.presence
        if peer is None or not connection.session.is_live:
            return None
        contact = Contact(
            peer.log_id,
            self._now_ms(),
            connection.session.outbound.acked.seq,
            peer.software[:64],
            _whole_number(told, "pending_sales"),
            _whole_number(told, "pending_amount_minor"),
            _whole_number(told, "clock_offset_ms"),
            _whole_number(told, "log_end"),
            connected=True,
            slowed=self._is_slowed(connection),
            own_sales=_whole_number(told, "own_sales"),
            own_amount_minor=_whole_number(told, "own_amount_minor"),
            own_chain=_link(told, "own_chain"),
            own_from=_whole_number(told, "own_from"),
            own_to=_whole_number(told, "own_to"),
            hears_wishes=connection.session.asking.can_ask,
        )
        return (peer.shop, peer.device), contact


def _writer(contacts: dict[bytes, Contact]) -> Callable[[ShopLog], None]:
    def write(log: ShopLog) -> None:
        for device, contact in contacts.items():
            log.set_state(_key(device), replace(contact, generation=generation_of(log)).to_bytes())

    return write


def _whole_number(facts: dict[str, Any], name: str) -> int | None:
    value = facts.get(name)
    return value if type(value) is int and abs(value) < 1 << 53 else None


def _link(facts: dict[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return value if is_link_text(value) else None


def _key(device: bytes) -> str:
    return f"contact/{device.hex()}"
