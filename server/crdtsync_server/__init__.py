"""The relay through which the registers of a shop stay in step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crdtsync_server.local import LocalRelay

__all__ = ["LocalRelay"]


def __getattr__(name: str) -> Any:
    """Import the relay when it is asked for: the command line starts without it."""
    if name == "LocalRelay":
        from crdtsync_server.local import LocalRelay

        return LocalRelay
    raise AttributeError(f"module 'crdtsync_server' has no attribute {name!r}")
