import random

import pytest


class ManualClock:
    """Stands still until it is set."""

    def __init__(self):
        self.ms = 1_795_507_200_000

    def now_ms(self):
        return self.ms

    def utc_offset_min(self, at_ms):
        return 60


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def seeded():
    """Random bytes that are the same in every run."""
    return random.Random(7).randbytes
