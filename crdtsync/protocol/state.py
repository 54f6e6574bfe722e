"""Where a session stands."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a session stands. Only ``LIVE`` moves records."""

    __hash__ = object.__hash__  # Of an enumeration it is made of the name each time; this is asked for often.

    AWAIT_CHALLENGE = "await challenge"
    AWAIT_HELLO = "await hello"
    JUDGING = "judging"
    LIVE = "live"
    PARTING = "parting"
    """Our log is about to get a new id, and the connection to end: nothing that arrives counts."""
