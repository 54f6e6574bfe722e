"""A register on a real disk, with a clock that the test moves."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crdtsync.runtime.committing.upkeep import Change, Upkeep, UpkeepLimits
from crdtsync.runtime.register.register import Register
from crdtsync.storage.log import Store
from crdtsync.testing.clock import ManualClock, seeded_bytes


@pytest.fixture
def upkeep_of() -> Callable[..., Upkeep]:
    """Makes the upkeep of a store whose changes are made at once, or fail while ``fails()`` is true.
    ``reading``: the store that it reads, if it is another handle.
    """

    def make(
        store: Store,
        *,
        reading: Store | None = None,
        fails: Callable[[], bool] = lambda: False,
        **limits: int,
    ) -> Upkeep:
        def submit(shop: bytes, change: Change, done: Callable[[bool], None]) -> None:
            if fails():
                done(False)
                return
            with store.transaction():
                change(store.shop(shop))
            done(True)

        return Upkeep(reading or store, submit, limits=UpkeepLimits(**limits))

    return make


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def new_register(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a register with two products that nobody has opened since. To be copied, never used."""
    folder = tmp_path_factory.mktemp("new-register")
    with Register.init(
        folder, name="Caisse 1", shop_name="Cave du Port", clock=ManualClock(), random_bytes=seeded_bytes(1)
    ) as till:
        till.products.add("CM-19", name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000, unit="btl")
        till.products.add("TER-01", name="Terrine de campagne", price_minor=695, vat_rate=550)
    return folder


@pytest.fixture
def folder(tmp_path: Path, new_register: Path) -> Path:
    """A register's folder with two products."""
    return shutil.copytree(new_register, tmp_path / "till-1")


@pytest.fixture
def till(folder: Path, clock: ManualClock) -> Iterator[Register]:
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(2), operator="u-lea") as till:
        yield till


@pytest.fixture
def same_till(folder: Path, clock: ManualClock) -> Iterator[Register]:
    """The same register, as another process has it."""
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(3)) as till:
        yield till
