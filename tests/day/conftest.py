"""A day in a real browser: a relay with its back office, and tills, all of them real, at a set hour.

The clock of the day is moved by hand, from nine in the morning to the closing. The tills are
processes, `crdtsync till`, that look at the same clock (`at_hour.py`); the relay is in this one, on a thread
of its own. What registers have is looked at from here, as by other programs of their machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import started
from tests.day.shop import Shop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A day takes its time: it is left to `make test`."""
    for item in items:
        if item.nodeid.startswith("tests/day/"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A wine shop on a Tuesday morning, with a week behind it."""
    with ExitStack() as stack:
        yield Shop(tmp_path, stack)


@pytest.fixture
def browser(shop: Shop) -> Iterator[Browser]:
    """After the shop: while Playwright runs, no other event loop begins in this thread."""
    with started("--force-color-profile=srgb", "--font-render-hinting=none") as browser:
        yield browser
