"""Hypothesis strategies of what happens in a shop, and of what should not.

They need the extra ``testing`` (``pip install crdtsync[testing]``).
"""

from crdtsync.testing.strategies.entries import HostileEntry, hostile_entries
from crdtsync.testing.strategies.shop import acts, carts, days, histories, products, shelves
from crdtsync.testing.strategies.updates import HostileUpdate, genuine_updates, hostile_updates

__all__ = [
    "HostileEntry",
    "HostileUpdate",
    "acts",
    "carts",
    "days",
    "genuine_updates",
    "histories",
    "hostile_entries",
    "hostile_updates",
    "products",
    "shelves",
]
