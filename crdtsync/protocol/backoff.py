"""When to connect again: exponential, with jitter, so that a shop of registers does not come back at once."""

from __future__ import annotations

FIRST_MS = 250
MAX_MS = 15_000
"""A relay that is back has the whole shop back in this time without anybody's doing. Two hundred tills that
try every 11 s on average are 18 attempts a second, each some milliseconds of the relay's time."""

JITTER = 0.5

RETRY_CODES = frozenset({1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014})
"""Standard close codes after which the same thing may work later."""


def delay_ms(attempt: int, random: float) -> int:
    """The pause before attempt number ``attempt`` (from 1). ``random`` in [0, 1) spreads it by half."""
    base = min(MAX_MS, FIRST_MS * 2 ** min(attempt - 1, 20))
    return int(base * (1 - JITTER * random))


def may_retry(close_code: int) -> bool:
    """Whether to connect again after a close code: 4500 to 4599 yes, 4400 to 4499 no."""
    return close_code in RETRY_CODES or 4500 <= close_code <= 4599
