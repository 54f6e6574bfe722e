"""What a live session hears and one of its parts deals with, by message."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from crdtsync.protocol.asking import Asking
from crdtsync.protocol.comparing import Comparing
from crdtsync.protocol.inbound import Inbound
from crdtsync.protocol.messages import (
    Cut,
    Digest,
    Documents,
    DocumentsDigest,
    Heads,
    HeadsWanted,
    Pack,
    Records,
    SyncTold,
    Want,
)
from crdtsync.protocol.outbound import Outbound
from crdtsync.protocol.state import State

Handler = Callable[[Any, Any], object]
"""Of a session or one of its parts, and a message."""


def _of(part: str, handle: Handler) -> Handler:
    get = attrgetter(part)
    return lambda session, message: handle(get(session), message)


HEARD_BY_PARTS: Final[dict[tuple[State, type], Handler]] = {
    (State.LIVE, Records): _of("inbound", Inbound.on_records),
    (State.LIVE, Pack): _of("inbound", Inbound.on_pack),
    (State.LIVE, Cut): _of("inbound", Inbound.on_cut),
    (State.LIVE, Want): _of("outbound", Outbound.on_want),
    (State.LIVE, HeadsWanted): _of("comparing", Comparing.on_heads_wanted),
    (State.LIVE, Heads): _of("comparing", Comparing.on_heads),
    (State.LIVE, Digest): _of("comparing", Comparing.on_digest),
    (State.LIVE, DocumentsDigest): _of("comparing", Comparing.on_documents_digest),
    (State.LIVE, Documents): _of("comparing", Comparing.on_documents),
    (State.LIVE, SyncTold): _of("asking", Asking.on_sync_told),
}
