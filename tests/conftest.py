"""How hard Hypothesis looks: little in `make check`, ``HYPOTHESIS_PROFILE=test`` in `make test`, ``deep`` for
long searches. All but that are repeatable.
"""

import gc
import os
import signal
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

quiet = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("check", derandomize=True, max_examples=25, **quiet)
settings.register_profile("test", derandomize=True, max_examples=100, **quiet)
settings.register_profile("deep", max_examples=10_000, print_blob=True, **quiet)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))

# A shell that starts something in the background has it ignore Ctrl-C, and all that it starts too: then tests
# of Ctrl-C would say nothing of the product.
signal.signal(signal.SIGINT, signal.default_int_handler)


def zone_of_noon(hour_utc: int) -> str:
    """A time zone in which it is now between twelve and one: a run in the night would cross the hour at which
    business days begin, and a ticket of its own day would be yesterday's.
    """
    ahead = 12 - hour_utc
    return f"NOON{-ahead:+d}"


if "PYTEST_XDIST_WORKER" not in os.environ:  # Workers have it from whoever starts them.
    os.environ["TZ"] = zone_of_noon(time.gmtime().tm_hour)
    time.tzset()


def pytest_collection_finish() -> None:
    """The collector of garbage need not go through ten thousand tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def guessing_costs_little() -> Iterator[None]:
    """Codes and passphrases cost next to nothing to make and to try, in this process. As they are they take
    most of the time of tests of something else; what they cost is tested in
    unit/server/test_cost_of_guessing. Whatever another process made, or is to read, needs the real cost.
    """
    from crdtsync_server.backups import keys
    from crdtsync_server.shops import pairing

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(keys._SCRYPT, "n", 2)
        patch.setitem(pairing._SCRYPT, "n", 2)
        yield
