"""What is kept of the signatures that were checked after the commit: how far, and which do not hold.

Apart from ``upkeep``, which checks them, because `status` reads it and needs no cryptography.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from crdtsync.storage.log import ShopLog

CHECKED: Final = "signatures_checked"
"""State of a log: the seq up to which every signature was verified here."""

BAD_SIGNATURES: Final = "signatures_bad"
"""State of a log: the seqs of entries that were stored and whose own signature does not hold."""

BAD_KEPT_MAX: Final = 1000


def checked_up_to(log: ShopLog) -> int:
    """The seq up to which every signature in the log was verified here, one by one."""
    return int.from_bytes(log.state(CHECKED) or b"", "big")


def bad_signatures(log: ShopLog) -> list[int]:
    """The seqs of entries that were stored on the word of a later one, and are not signed by their author."""
    data = log.state(BAD_SIGNATURES)
    return list(orjson.loads(data)) if data else []


def save_checks(log: ShopLog, checked: int, bad: Iterable[int]) -> None:
    """Inside a transaction: how far, together with what was found on the way."""
    log.set_state(CHECKED, checked.to_bytes(8, "big"))
    found = sorted({*bad_signatures(log), *bad})[:BAD_KEPT_MAX]
    if found:
        log.set_state(BAD_SIGNATURES, orjson.dumps(found))
