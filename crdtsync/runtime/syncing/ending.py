"""With what error and close code a connection ends, and whom one believes that he was refused.

Whoever sits on a line can close a connection with any code and any words. That a register was cut off, or
that its relay does not know it, is believed only where the relay's signed hello says that it refuses;
everything else is a connection that broke, and is tried again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from crdtsync.errors import (
    AccessDenied,
    CrdtsyncError,
    LinkClosed,
    RecordError,
    RemoteProtocolError,
    StorageError,
    WrongRelayKey,
)
from crdtsync.protocol.messages import REFUSALS, REFUSES, TAKES_ONLY, Hello
from crdtsync.protocol.session import Session, State
from crdtsync.protocol.work import Me
from crdtsync.runtime.belonging.revoked import HANDED_OVER
from crdtsync.runtime.syncing.refusal import CUT_OFF, KEY_NOT_PROVED, NOT_OF_THE_SHOP, refusal_hint

DENIED: Final = 4403
"""Close code of an end that knows the other one and refuses it."""

REFUSED: Final = (HANDED_OVER, DENIED)
"""Close codes after which a person must act, where they are proved."""

UNPROVED: Final = 4503
"""The code of a refusal that is not proved: it may be gone the next time."""

_HARMLESS: Final = (KEY_NOT_PROVED, NOT_OF_THE_SHOP)
"""What a relay says and cannot prove, because whoever spoils a hello on its way has it say so; to follow the
advice hurts nobody.
"""

_WHO_IS_IT: Final = "`crdtsync doctor` looks who answers there; unsent sales stay on this register"


def ending(error: Exception, session: Session, *, is_proved: bool) -> tuple[CrdtsyncError, int]:
    """The error that a connection ends with, and the code that is told. ``is_proved``: the other end has
    proved the key of its certificate.
    """
    if isinstance(error, RemoteProtocolError):
        return error, error.close_code
    if isinstance(error, AccessDenied | WrongRelayKey):
        return error, DENIED
    if isinstance(error, LinkClosed):
        return _believed(error, session, is_proved=is_proved), error.code
    if isinstance(error, StorageError):
        return error, 4503
    if isinstance(error, RecordError):  # Of a single record its sender is told; this is a whole pack.
        return error, 4400
    # A fault of ours: this connection ends, the others go on; the home reports it.
    return CrdtsyncError(f"an internal error: {error!r}"), 1011


def say_who_refuses(session: Session, hello: Hello, me: Me | None) -> list[bytes]:
    """What goes out before the connection is closed in the face of a peer: our hello, which proves that it is
    we who refuse. Nothing to one that does not understand it, or who was told who we are.
    """
    if me is None or REFUSALS not in hello.capabilities or session.state is not State.JUDGING:
        return []
    session.refuse(me)
    return session.take_ready().to_send


def _believed(error: LinkClosed, session: Session, *, is_proved: bool) -> LinkClosed:
    if not session.connecting or error.code not in REFUSED:
        return error
    said = session.peer.capabilities if is_proved and session.peer is not None else ()
    is_cut_off = error.code == HANDED_OVER or error.reason == CUT_OFF
    if (TAKES_ONLY if is_cut_off else REFUSES) in said:
        return error
    why = f": {error.reason}" if error.reason else ""
    what = f"what answers at its address refuses this register ({error.code}{why})"
    hint = refusal_hint(error.reason) if error.reason in _HARMLESS else None
    return LinkClosed(f"{what}, and has not proved it", code=UNPROVED, hint=hint or _WHO_IS_IT)


def come_to_end(ended: asyncio.Future[None]) -> None:
    """Let whoever waits for the end of a connection go on. Apart from the connection: what is to be called
    later would keep one that has ended since, with all that it has in memory.
    """
    if not ended.done():
        ended.set_result(None)
