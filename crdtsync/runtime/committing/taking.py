"""Taking records that no connection brings: those of a rescue file. They are judged, bounded, stored, held
and refused by the same code as what a connection brings, one transaction at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crdtsync.ids import START, record_digest
from crdtsync.protocol.messages import RefusedRecord
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.shop_commit import ShopCommit
from crdtsync.runtime.committing.work import Outcome, Work
from crdtsync.storage.log import Store


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of records: ``new`` are digests of those that are in the log now and were not before (also
    of such that had been held), ``refused`` those that are kept apart, held or refused for good.
    """

    new: frozenset[bytes]
    refused: tuple[RefusedRecord, ...]


def take_records(
    store: Store,
    admission: Admission,
    source: bytes,
    role: str,
    records: Sequence[tuple[int, bytes]],
    now_ms: int,
) -> Taken:
    """Take numbered records that somebody with that role brings; durable on return. ``source`` stands for
    the log that they came from: what is not admitted is kept under it and the numbers.

    Nothing that is in the log already is taken again. Raises ``LinkClosed`` where more would be kept apart
    than may be, ``StorageError``; then nothing of it was stored.
    """
    shop = admission.directory.shop_id
    log = store.shop(shop)
    commit = ShopCommit(log, admission, now_ms)
    known = log.cursor(source)
    place = known.position if known is not None else START
    work = Work(shop, source, role, _nobody_waits, [Delivery(1, place, place, tuple(records))])
    admission.is_stale = True
    commit.judge([work], each=True)
    with store.transaction():
        commit.begin(store)
        outcome = commit.apply(work)
        growth = commit.finish()
    if outcome.error is not None:
        raise outcome.error
    commit.leave_out_admitted(work, outcome)
    refused = tuple(one for _, told in outcome.stored for one in told)
    return Taken(frozenset(record_digest(row.record) for row in growth.rows), refused)


def _nobody_waits(_: Outcome) -> None:
    """Whoever takes records in this way waits for the transaction itself."""
