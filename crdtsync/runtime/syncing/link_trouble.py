"""What is wrong between a register and its relay, kept on disk: `status` is another process, and must not
have to guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from crdtsync import errors
from crdtsync.errors import CrdtsyncError, LinkError
from crdtsync.runtime.syncing.refusal import CUT_OFF
from crdtsync.storage.log import ShopLog

_KEY: Final = "link_trouble"
_UNMENDED: Final = "documents_unmended"
_SLOWED: Final = "slowed_since_ms"

SLOWED: Final = "slowed"
"""What a relay tells of a register in a presence message: whether it reads it more slowly than it sends."""

RELAY_PUT_BACK: Final = "relay_put_back_ms"
"""State key, see ``load_relay_put_back``."""


@dataclass(frozen=True, slots=True)
class LinkTrouble:
    """The last failure to synchronise, if none has succeeded since: what it was, since when (Unix
    milliseconds), and whether synchronising has ended until a person acts. ``relay_key`` is that of the relay
    it was about, ``code`` the name of the error's class (empty where an earlier version noted it).
    """

    message: str
    hint: str
    since_ms: int
    is_over: bool
    relay_key: str
    code: str = ""

    @classmethod
    def of(cls, error: CrdtsyncError, *, now_ms: int, is_over: bool, relay_key: bytes) -> LinkTrouble:
        """What there is to say of an error."""
        return cls(str(error), error.hint or "", now_ms, is_over, relay_key.hex(), type(error).__name__)

    @property
    def kind(self) -> type[CrdtsyncError]:
        """The class of the error; ``LinkError`` where it is not known."""
        found = getattr(errors, self.code, None)
        return found if isinstance(found, type) and issubclass(found, CrdtsyncError) else LinkError

    @property
    def is_cut_off(self) -> bool:
        """Whether the relay said that this register was revoked."""
        return self.is_over and CUT_OFF in self.message

    def is_same(self, other: LinkTrouble | None) -> bool:
        """Whether there is nothing new to write down."""
        return other is not None and (self.message, self.hint, self.is_over, self.relay_key) == (
            other.message,
            other.hint,
            other.is_over,
            other.relay_key,
        )


def load_link_trouble(log: ShopLog, relay_key: bytes) -> LinkTrouble | None:
    """What is wrong with the link to that relay; None while nothing is known to be. What another version of
    this program wrote down, and this one cannot read, counts as nothing.
    """
    data = log.state(_KEY)
    if not data:
        return None
    try:
        trouble = LinkTrouble(**orjson.loads(data))
    except (TypeError, ValueError):
        return None
    return trouble if trouble.relay_key == relay_key.hex() else None


def save_link_trouble(log: ShopLog, trouble: LinkTrouble | None) -> None:
    """Inside a transaction."""
    log.set_state(_KEY, orjson.dumps(asdict(trouble)) if trouble else None)


def load_unmended(log: ShopLog) -> list[str]:
    """Documents that differ from the relay's although both ends have sent again all that they have of
    them.
    """
    data = log.state(_UNMENDED)
    return list(orjson.loads(data)) if data else []


def save_unmended(log: ShopLog, documents: Iterable[str]) -> None:
    """Inside a transaction."""
    names = sorted(documents)
    log.set_state(_UNMENDED, orjson.dumps(names) if names else None)


def load_slowed(log: ShopLog) -> int | None:
    """Since when (Unix milliseconds) the relay has read this register more slowly than it sends; None if it
    does not.
    """
    data = log.state(_SLOWED)
    return int.from_bytes(data, "big") if data else None


def save_slowed(log: ShopLog, since_ms: int | None) -> None:
    """Inside a transaction."""
    log.set_state(_SLOWED, None if since_ms is None else since_ms.to_bytes(8, "big"))


def load_relay_put_back(log: ShopLog) -> int | None:
    """When it was last noticed that the relay held less than before, or began anew (ms since 1970, UTC)."""
    data = log.state(RELAY_PUT_BACK)
    return None if data is None else int.from_bytes(data, "big")


def save_relay_put_back(log: ShopLog, at_ms: int) -> None:
    """Inside a transaction."""
    log.set_state(RELAY_PUT_BACK, at_ms.to_bytes(8, "big"))
