"""What connections ask a committer to bring to disk, and what became of it. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from crdtsync.errors import CrdtsyncError
from crdtsync.ids import Position
from crdtsync.protocol.messages import Refused, RefusedRecord
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.syncing.tail import Growth
from crdtsync.storage.log import ShopLog

if TYPE_CHECKING:
    from crdtsync.runtime.committing.ahead import Ahead

OUT_OF_STEP, NEW_LOG = 4513, 4512
"""Close codes: a connection's hello was overtaken, or said another log id than there is. Connect again."""


@dataclass(slots=True)
class Outcome:
    """What became of a piece of work: the deliveries now on disk with what was refused of them, or the error
    that kept all of it from being stored.
    """

    stored: list[tuple[int, tuple[RefusedRecord, ...]]] = field(default_factory=list)
    error: CrdtsyncError | None = None


@dataclass(slots=True)
class Work:
    """What one connection wants on disk. ``role`` is the peer's, by its certificate, ``device`` who it is
    (empty: nobody knows, it is out of a file). ``also`` runs inside the transaction, for small state.
    ``done`` is called on the event loop. ``our_log``: the id that our hello said; nothing of the connection
    counts once the log has another (None: whatever it is). ``sender``: whose work it is; when some of it was
    not stored, nothing that was submitted after it is. ``key``: the public key of that device, by which its
    signatures may be verified ``ahead``; it decides nothing.
    """

    shop: bytes
    peer_log: bytes
    role: str
    done: Callable[[Outcome], None]
    deliveries: list[Delivery] = field(default_factory=list)
    acknowledged: Position | None = None
    refused: list[Refused] = field(default_factory=list)
    also: Callable[[ShopLog], object] | None = None
    our_log: bytes | None = None
    sender: object | None = None
    device: bytes = b""
    key: bytes = b""
    ahead: Ahead | None = None


class CommitObserver(Protocol):
    """Told of every commit, on the event loop, after the outcomes were handed back: a session that knows how
    far its peer's log is stored does not send the peer's own records back to it.
    """

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None: ...
