"""How hard Hypothesis looks: little in `make check`, ``HYPOTHESIS_PROFILE=test`` in `make test`, ``deep`` for
long searches. All but that are repeatable.
"""

import os
import signal
import time

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
