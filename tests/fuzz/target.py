"""What a target is, and what one input may cost."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

HERE: Final = Path(__file__).parent
CPU_S_MAX: Final = 2.0
"""Of this process, for one input: a hundred times what the slowest kept input takes."""

MEMORY_BYTES_MAX: Final = 8 << 20
"""What one input may take at its worst, beyond what was there before, unless a target says otherwise."""


@dataclass(frozen=True, slots=True)
class Target:
    """A part of the product that reads bytes which it did not write.

    ``run`` takes any bytes. What the product may refuse with is caught in there; whatever it raises is a
    finding, and so is more than ``CPU_S_MAX`` or ``memory_bytes_max``. ``seeds`` are valid examples;
    ``mutate`` changes an input within its structure, where flipped bytes would be refused at the door.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    input_bytes_max: int
    memory_bytes_max: int = MEMORY_BYTES_MAX


class Broken(AssertionError):
    """The product answered, and the answer is wrong."""


class TooSlow(BaseException):
    """An input took more processor time than it may. No ``Exception``: nobody is to catch it on the way."""


class TooLarge(BaseException):
    """An input took more memory than it may."""


def require(holds: bool, what: str) -> None:
    """Raise ``Broken`` unless it holds."""
    if not holds:
        raise Broken(what)


def cpu_s_of(target: Target, data: bytes) -> float:
    """Run an input; the processor time that it took, in seconds. Raises ``TooSlow`` and what is found."""
    begin_s = time.process_time()
    target.run(data)
    cpu_s = time.process_time() - begin_s
    if cpu_s > CPU_S_MAX:
        raise TooSlow(f"{cpu_s:.1f} s of processor time; {CPU_S_MAX} are allowed")
    return cpu_s


def memory_bytes_of(target: Target, data: bytes) -> int:
    """Run an input; the most that it held at a time, in bytes. Raises ``TooLarge`` and what is found.

    Counts what Python allocates. Slow: for one input in many, and for those that are kept.
    """
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        target.run(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if not was_tracing:
            tracemalloc.stop()
    if peak - before > target.memory_bytes_max:
        raise TooLarge(f"{(peak - before) >> 20} MB at a time; {target.memory_bytes_max >> 20} are allowed")
    return peak - before


def kept_inputs(name: str) -> list[Path]:
    """The files of a target that are kept: its corpus, and what was found."""
    return [path for kind in ("corpus", "found") for path in sorted((HERE / kind / name).glob("*"))]
