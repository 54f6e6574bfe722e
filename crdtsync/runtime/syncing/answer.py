"""The rows that a session asks for, from memory where they are new, from disk where they are not."""

from __future__ import annotations

from crdtsync.ids import CATALOGUE_DOCUMENT, OWNER_DOCUMENT, Origin, Position
from crdtsync.protocol.limits import FRAME_BYTES_MAX
from crdtsync.protocol.messages import RefusedRecord
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import ReadRequest
from crdtsync.runtime.syncing.tail import Tail
from crdtsync.storage.log import Batch, Refusal, ShopLog
from crdtsync.storage.pack import ROWS_MAX, encode_pack

PACKED_BYTES_MIN, PACKED_BYTES_MAX = 16 << 10, 512 << 10
"""What is read from disk for one peer is packed between these sizes: a fifth of the bytes for some processor
time, which must not keep others waiting. What is new goes to many peers at once, in a frame made once.
"""

STATE_PACKED_BYTES_MAX = 4 << 20
"""Of a single record, a compacted state: it cannot be divided, so that it is at least made smaller."""

PACKED_BATCHES = 4
"""So many times what a frame aims at is read for one such pack: packed, it is smaller than that, and larger
ones compress better and make fewer commits.
"""

LIVE_FRAMES = 4
"""Who lags by no more keeps up: two hundred busy registers bring more than one frame with a commit."""

PACK_BLOB_MAX = FRAME_BYTES_MAX - 256
"""A pack on disk that is larger than a frame is not sent as it lies there: a line that is cut in the midst
of it would carry all of it again. Its rows go in smaller ones. Large are packs of what nothing compresses;
making others of it costs little beside the carrying.
"""

_LEDGERS, _LEDGERS_END = "ledger/", "ledger0"
"""How the names of ledgers begin, and what follows the last of them: the digit after the stroke."""

PACK_LEVEL = 3
"""Quick: such a pack is sent once and not kept."""


def answer(session: Session, request: ReadRequest, log: ShopLog, tail: Tail | None) -> None:
    """Supply the session with what ``request`` asks for. May read from disk. Raises ``StorageError``."""
    peer = session.peer
    skip = None
    if request.skip_origin and peer is not None:
        # No further than the peer's log was stored from this connection: what came in under the same id
        # from elsewhere (its disk was copied) is news to it.
        skip = Origin(peer.log_id, session.inbound.stored.seq)
    batch = None
    if tail is not None and request.covered is None and request.until is None:
        batch = tail.read(request.after, bytes_max=request.bytes_max, skip_origin=skip)
    # What is new fits in a few frames: no pack has it, and the disk is not asked once for every peer.
    is_live = (
        batch is not None
        and tail is not None
        and tail.bytes_after(request.after) <= LIVE_FRAMES * request.bytes_max
    )
    in_large_pieces = request.packs and not is_live and not session.outbound.in_small_pieces
    if in_large_pieces:
        pack = log.pack_at(request.after + 1, skip_origin=skip)
        if (
            pack is not None
            and len(pack.blob) <= PACK_BLOB_MAX
            and (
                # Of an interval: the peer has no place yet for rows beyond what it was told of.
                pack.to.seq <= session.outbound.told.seq
                if request.until is not None
                else pack.to.seq - request.after > pack.rows // 2
            )
        ):
            session.supply_pack(pack.to, pack.blob, first=pack.start.seq + 1)
            return
    from_disk = batch is None
    if batch is None:
        bytes_max = request.bytes_max * (PACKED_BATCHES if in_large_pieces else 1)
        batch = log.read(request.after, bytes_max=bytes_max, skip_origin=skip, covered=request.covered)
    if request.until is not None and batch.to.seq > request.until:
        batch = _until(batch, request.until, log)
    if request.packs and from_disk and _is_worth_packing(batch):
        rows = list(batch.records)
        session.supply_pack(
            batch.to, encode_pack(rows, first=batch.start.seq + 1, last=batch.to.seq, level=PACK_LEVEL)
        )
        return
    session.supply(batch.to, batch.records, batch.records_bytes)


def refused(refusal: Refusal) -> RefusedRecord:
    """A refusal as it is told to a peer."""
    return RefusedRecord(refusal.seq, refusal.digest, refusal.code, refusal.reason, refusal.held)


def supply_cut(session: Session, log: ShopLog) -> None:
    """Supply the session with what goes first where a replica starts: certificates, the catalogue, today."""
    certificates = [(seq, record) for seq, record in log.document_records(OWNER_DOCUMENT)]
    first = [(seq, seq) for seq in log.document_seqs(CATALOGUE_DOCUMENT)]
    newest = _newest_ledgers(log)
    today = max((name.rsplit("/", 1)[1] for name in newest), default="")
    for name in newest:
        if name.endswith(f"/{today}"):
            first += [(seq, seq) for seq in log.document_seqs(name)]
    session.supply_cut(log.end, first, certificates)


def _newest_ledgers(log: ShopLog) -> list[str]:
    """The newest ledger of each device. There is one for each day of each device: not all are looked at."""
    newest = list[str]()
    name = log.document_before(_LEDGERS_END)
    while name is not None and name.startswith(_LEDGERS):
        newest.append(name)
        name = log.document_before(name.rsplit("/", 1)[0] + "/")
    return newest[::-1]


def _is_worth_packing(batch: Batch) -> bool:
    rows = batch.to.seq - batch.start.seq
    bytes_max = STATE_PACKED_BYTES_MAX if len(batch.records) == 1 else PACKED_BYTES_MAX
    return PACKED_BYTES_MIN <= batch.records_bytes <= bytes_max and rows <= ROWS_MAX


def _until(batch: Batch, until: int, log: ShopLog) -> Batch:
    records = tuple((seq, record) for seq, record in batch.records if seq <= until)
    h = log.hash_at(until)
    if h is None:
        raise AssertionError("an interval was asked for beyond the end of the log")
    return Batch(batch.start, Position(until, h), records, sum(len(record) for _, record in records))
