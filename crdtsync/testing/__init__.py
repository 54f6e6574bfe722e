"""The test kit: for whoever builds a till or a document on crdtsync, and for crdtsync itself.

Public are the names listed in ``__all__``, and the strategies in ``crdtsync.testing.strategies``, which need
Hypothesis (the extra ``testing``). With pytest there are fixtures too: ``crdtsync.testing.pytest_plugin``.
What else lies here serves crdtsync's own tests, and changes without notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crdtsync.testing.acts import do, stock_shelf
    from crdtsync.testing.clock import ManualClock, seeded_bytes
    from crdtsync.testing.disk import SimulatedDisk
    from crdtsync.testing.faulty_store import FaultyStore, open_faulty
    from crdtsync.testing.line import FaultyLine
    from crdtsync.testing.pair import Pair, socket_pair
    from crdtsync.testing.signatures import fast_signatures
    from crdtsync.testing.simulation.plan import Plan
    from crdtsync.testing.simulation.run import play
    from crdtsync.testing.simulation.shop import Shop
    from crdtsync.testing.till import MemoryOwner, MemoryTill

__all__ = [
    "FaultyLine",
    "FaultyStore",
    "ManualClock",
    "MemoryOwner",
    "MemoryTill",
    "Pair",
    "Plan",
    "Shop",
    "SimulatedDisk",
    "do",
    "fast_signatures",
    "open_faulty",
    "play",
    "seeded_bytes",
    "socket_pair",
    "stock_shelf",
]

_HOME = {
    "FaultyLine": "line",
    "FaultyStore": "faulty_store",
    "ManualClock": "clock",
    "MemoryOwner": "till",
    "MemoryTill": "till",
    "Pair": "pair",
    "Plan": "simulation.plan",
    "Shop": "simulation.shop",
    "SimulatedDisk": "disk",
    "do": "acts",
    "fast_signatures": "signatures",
    "open_faulty": "faulty_store",
    "play": "simulation.run",
    "seeded_bytes": "clock",
    "socket_pair": "pair",
    "stock_shelf": "acts",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is asked for: nobody pays for what they do not use."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
