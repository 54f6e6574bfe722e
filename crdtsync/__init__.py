"""Registers of a shop that keep catalogue and ledger as CRDT documents and stay in step through a relay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crdtsync.runtime.register.register import Register

__all__ = ["Register"]


def __getattr__(name: str) -> Any:
    """Import the library when it is asked for: the command line starts without it."""
    if name == "Register":
        from crdtsync.runtime.register.register import Register

        return Register
    raise AttributeError(f"module 'crdtsync' has no attribute {name!r}")
