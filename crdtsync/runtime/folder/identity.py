"""Who this replica is, and which relay it belongs to: small values kept beside the log.

=============  ======================================================================================
state key      value
=============  ======================================================================================
``identity``   ``Identity``, as JSON. A store may hold several shops after a register joined one: the
               shop that the register works for is the one whose log has this key.
``relay``      ``Relay``, as JSON; absent while the register never met one
``head``       the head of the register's own chain, written by ``runtime.committing.writer`` with every entry
``left``       the head as it was when the register left the shop, in the place of ``head``: it records
               nothing more
``owner-head`` the head of the owner's chain, where the owner's key lies with this register
``clock``      ``ClockOffset``, as JSON: how far the wall clock is from the relay's
``replacing``  the lost register that this one replaces, see ``runtime.belonging.replacing``
=============  ======================================================================================

Private keys are not here, see ``runtime.folder.keyfile``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar

import orjson

from crdtsync.errors import DamagedStore, NoRegister
from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.sqlite_errors import SALVAGE

IDENTITY, RELAY, HEAD, OWNER_HEAD, CLOCK = "identity", "relay", "head", "owner-head", "clock"
LEFT = "left"
REPLACING = "replacing"

Role = Literal["register", "backoffice", "display"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What is fixed for one enrolment: device and shop, their names, the public key, the ticket series."""

    device: bytes
    device_name: str
    role: Role
    public_key: bytes
    series: str
    shop: bytes
    shop_name: str


@dataclass(frozen=True, slots=True)
class Relay:
    """The relay whose acknowledgement makes a record safe. ``log_id`` is known once it was met."""

    url: str
    public_key: bytes
    log_id: bytes | None = None


CLOCK_OFFSET_MAX_MS: Final = 120_000
"""A clock that is further from the relay's is wrong."""

MEASURE_LASTS_MS: Final = 24 * 3_600_000
"""For so long a clock that was compared is believed to have gone on as it was."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The clock of the machine minus the relay's, as measured when it showed ``measured_at_ms``."""

    offset_ms: int
    measured_at_ms: int

    @property
    def relay_time_ms(self) -> int:
        """What the relay's clock showed then: the last time that this register knows from elsewhere."""
        return self.measured_at_ms - self.offset_ms

    def offset_at(self, now_ms: int) -> int | None:
        """What it still says of a clock that shows ``now_ms``: its offset from the relay's, or at least so
        much, where the clock shows less than the relay's did then. None where the clock may have been set
        since: it shows less than it did, or so much more that nobody knows whether that time has passed.
        """
        since_ms = now_ms - self.measured_at_ms
        if -CLOCK_OFFSET_MAX_MS <= since_ms < MEASURE_LASTS_MS:
            return self.offset_ms
        least_ms = now_ms - self.relay_time_ms
        return least_ms if least_ms < -CLOCK_OFFSET_MAX_MS else None


_Value = TypeVar("_Value", Identity, Relay, ClockOffset)


def load_identity(log: ShopLog) -> Identity | None:
    """The register that works in this shop, or None."""
    return _load(log, IDENTITY, Identity)


def read_identity(data: bytes) -> Identity:
    """What the state ``identity`` says. Raises ``DamagedStore``."""
    return _read(data, IDENTITY, Identity)


def save_identity(log: ShopLog, identity: Identity | None) -> None:
    """Inside a transaction. None: the register works for this shop no longer."""
    _save(log, IDENTITY, identity)


def load_relay(log: ShopLog) -> Relay | None:
    """The present relay, or None."""
    return _load(log, RELAY, Relay)


def save_relay(log: ShopLog, relay: Relay | None) -> None:
    """Inside a transaction."""
    _save(log, RELAY, relay)


def load_clock_offset(log: ShopLog) -> ClockOffset | None:
    """The clock's offset as last measured, or None."""
    data = log.state(CLOCK)
    return None if data is None else _clock_offset(data)


def save_clock_offset(log: ShopLog, offset: ClockOffset | None) -> None:
    """Inside a transaction."""
    _save(log, CLOCK, offset)


def has_left(log: ShopLog) -> bool:
    """Whether the register has left the shop of that log: then it writes nothing into it any more."""
    return log.state(LEFT) is not None


def refuse_left(log: ShopLog) -> None:
    """Raise ``NoRegister`` where the register has left the shop of that log."""
    if has_left(log):
        raise NoRegister(
            "this register has left its shop, and records nothing more",
            hint="make one with `crdtsync init`, or enrol it with `crdtsync join`; what it recorded is here",
        )


def present_shop(store: Store) -> tuple[ShopLog, Identity]:
    """The log of the shop that this register works for. Raises ``NoRegister``, ``DamagedStore``."""
    for shop in reversed(store.shops()):
        try:
            log = store.shop(shop)
        except (KeyError, AttributeError) as error:
            raise DamagedStore("the table of shops is damaged", hint=SALVAGE) from error
        identity = load_identity(log)
        if identity is not None:
            return log, identity
    raise nobodys_store()


def nobodys_store() -> NoRegister:
    """What is told of a store without a register, also of one that was emptied."""
    return NoRegister(
        "the store belongs to no register",
        hint="`crdtsync salvage` finds out whose it was, if one was here; else make one with "
        "`crdtsync init`, or enrol it with `crdtsync join`",
    )


def _save(log: ShopLog, key: str, value: Identity | Relay | ClockOffset | None) -> None:
    if value is None:
        log.set_state(key, None)
        return
    plain = {field.name: getattr(value, field.name) for field in fields(value)}
    log.set_state(key, orjson.dumps(plain, default=bytes.hex))


def _load(log: ShopLog, key: str, kind: type[_Value]) -> _Value | None:
    data = log.state(key)
    return None if data is None else _read(data, key, kind)


@lru_cache(maxsize=8)
def _clock_offset(data: bytes) -> ClockOffset:
    # Every sale asks for it, and it changes once an hour.
    return _read(data, CLOCK, ClockOffset)


def _read(data: bytes, key: str, kind: type[_Value]) -> _Value:
    try:
        plain: dict[str, Any] = orjson.loads(data)
        binary = {field.name for field in fields(kind) if "bytes" in str(field.type)}
        values: dict[str, Any] = {
            name: bytes.fromhex(value) if name in binary and value is not None else value
            for name, value in plain.items()
        }
        return kind(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedStore(f"the register's {key!r} on disk cannot be read", hint=SALVAGE) from error
