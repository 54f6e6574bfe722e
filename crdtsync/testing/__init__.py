"""The test kit: for whoever builds a till or a document on crdtsync, and for crdtsync itself.

Public are the names listed in ``__all__``, and the strategies in ``crdtsync.testing.strategies``, which need
Hypothesis (the extra ``testing``). With pytest there are fixtures too: ``crdtsync.testing.pytest_plugin``.
What else lies here serves crdtsync's own tests, and changes without notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crdtsync.model.product import Product
    from crdtsync.testing.acts import (
        Abandon,
        CloseDay,
        Count,
        Delivery,
        Drawer,
        NewPrice,
        OpenDay,
        Refund,
        Sale,
        Scan,
        do,
        stock_shelf,
    )
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
    from crdtsync.testing.wine import Cart

__all__ = [
    "Abandon",
    "Cart",
    "CloseDay",
    "Count",
    "Delivery",
    "Drawer",
    "FaultyLine",
    "FaultyStore",
    "ManualClock",
    "MemoryOwner",
    "MemoryTill",
    "NewPrice",
    "OpenDay",
    "Pair",
    "Plan",
    "Product",
    "Refund",
    "Sale",
    "Scan",
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
    "Abandon": "crdtsync.testing.acts",
    "Cart": "crdtsync.testing.wine",
    "CloseDay": "crdtsync.testing.acts",
    "Count": "crdtsync.testing.acts",
    "Delivery": "crdtsync.testing.acts",
    "Drawer": "crdtsync.testing.acts",
    "FaultyLine": "crdtsync.testing.line",
    "FaultyStore": "crdtsync.testing.faulty_store",
    "ManualClock": "crdtsync.testing.clock",
    "MemoryOwner": "crdtsync.testing.till",
    "MemoryTill": "crdtsync.testing.till",
    "NewPrice": "crdtsync.testing.acts",
    "OpenDay": "crdtsync.testing.acts",
    "Pair": "crdtsync.testing.pair",
    "Plan": "crdtsync.testing.simulation.plan",
    "Product": "crdtsync.model.product",
    "Refund": "crdtsync.testing.acts",
    "Sale": "crdtsync.testing.acts",
    "Scan": "crdtsync.testing.acts",
    "Shop": "crdtsync.testing.simulation.shop",
    "SimulatedDisk": "crdtsync.testing.disk",
    "do": "crdtsync.testing.acts",
    "fast_signatures": "crdtsync.testing.signatures",
    "open_faulty": "crdtsync.testing.faulty_store",
    "play": "crdtsync.testing.simulation.run",
    "seeded_bytes": "crdtsync.testing.clock",
    "socket_pair": "crdtsync.testing.pair",
    "stock_shelf": "crdtsync.testing.acts",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is asked for: nobody pays for what they do not use."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
