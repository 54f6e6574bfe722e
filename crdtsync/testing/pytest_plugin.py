"""Fixtures for whoever tests a till or a document built on crdtsync. There once it is installed.

What a fixture needs is imported when a test asks for it: a test run that uses none of them is not slowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from crdtsync import Register
    from crdtsync.testing.clock import ManualClock
    from crdtsync.testing.pair import Pair
    from crdtsync.testing.simulation.shop import Shop
    from crdtsync_server import LocalRelay


@pytest.fixture
def crdtsync_clock() -> ManualClock:
    """A clock that stands still until the test moves it (``crdtsync.testing.ManualClock``)."""
    from crdtsync.testing.clock import ManualClock

    return ManualClock()


@pytest.fixture
def crdtsync_register(tmp_path: Path, crdtsync_clock: ManualClock) -> Iterator[Register]:
    """A real register on a real disk, alone in its shop, with the clock of ``crdtsync_clock``. Its catalogue
    has ``VIN`` (18.50, VAT 20 %, by the bottle) and ``MIEL`` (8.70, VAT 5.5 %).
    """
    from crdtsync import Register
    from crdtsync.testing.clock import seeded_bytes

    with Register.init(
        tmp_path / "crdtsync-register",
        name="Caisse 1",
        shop_name="Cave du Port",
        clock=crdtsync_clock,
        random_bytes=seeded_bytes(1),
    ) as register:
        register.products.add(
            "VIN", name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000, unit="btl"
        )
        register.products.add("MIEL", name="Miel de châtaignier 250 g", price_minor=870, vat_rate=550)
        yield register


@pytest.fixture
def crdtsync_relay(tmp_path: Path) -> Iterator[LocalRelay]:
    """A relay that runs in this process with one shop: ``url``, ``pairing_code()``."""
    from crdtsync_server import LocalRelay

    with LocalRelay(tmp_path / "crdtsync-relay", shop="Cave du Port") as relay:
        yield relay


@pytest.fixture
def crdtsync_pair(tmp_path: Path) -> Iterator[Pair]:
    """Two registers in step through a relay, over real sockets and lines that can be made to fail
    (``crdtsync.testing.Pair``). For tests with a loop and without.
    """
    from crdtsync.testing.pair import Pair

    with Pair(tmp_path / "crdtsync-pair") as pair:
        yield pair


@pytest.fixture
def crdtsync_shop() -> Iterator[Shop]:
    """A simulated shop with two registers, in virtual time (``crdtsync.testing.Shop``). For other seeds, and
    in state machines, make one: ``Shop(registers=3, seed=7)``.
    """
    from crdtsync.testing.simulation.shop import Shop

    with Shop(registers=2, seed=1) as shop:
        yield shop
