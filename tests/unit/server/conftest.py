import pytest

from crdtsync.testing.clock import ManualClock, seeded_bytes


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def seeded():
    """Random bytes that are the same in every run."""
    return seeded_bytes(7)
