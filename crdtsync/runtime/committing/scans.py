"""What the scanner found in the newest updates.

Whether an update may be taken, and what it builds on, is a fact about its bytes. It is asked when they are
admitted, and again by whoever reads the document then: of 10,000 products that is a quarter of a second of
computing each time, while somebody waits to sell them.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from crdtsync.ids import STATE, split_update_record
from crdtsync.protocol.scanner import Scan, scan_document

KEPT_MAX: Final = 1024
PARTS_MAX: Final = 64
"""Scans that name more clients and deletions are not kept; those of new products name a few."""

_kept: dict[bytes, Scan] = {}
_lock = Lock()


def scan_record(record: bytes, digest: bytes) -> Scan:
    """What ``scan_document`` finds in an update record; ``digest`` is the record's own. May be called from
    any thread. Raises ``RecordError``.
    """
    found = _kept.get(digest)
    if found is None:
        document, update = split_update_record(record)
        found = scan_document(document, update, state=record[:1] == STATE)
        if len(found.clients) + len(found.deleted) + len(found.needs) <= PARTS_MAX:
            with _lock:
                _kept[digest] = found
                if len(_kept) > KEPT_MAX:
                    del _kept[next(iter(_kept))]
    return found
