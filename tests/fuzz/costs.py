"""Running inputs by the ten thousand within their bounds, and remembering the worst of them."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from tests.fuzz.target import CPU_S_MAX, Target, TooSlow, cpu_s_of, memory_bytes_of

GROWTH_BYTES: Final = 4 << 20
"""An input that makes the process grow by so much is measured to the byte."""

SAMPLED_EVERY: Final = 2048
"""Also every so many executions, whatever they do."""


class Costs:
    """Runs inputs within their bounds, and keeps the worst of each in a file."""

    def __init__(self, target: Target, file: Path, *, cpu_s_max: float = CPU_S_MAX) -> None:
        self._target = target
        self._file = file
        self._cpu_s_max = cpu_s_max
        self._count = 0
        self.slowest_cpu_s = 0.0
        self.largest_bytes = 0
        self._resident_kb = 0
        signal.signal(signal.SIGVTALRM, _stop)

    def run(self, data: bytes) -> None:
        """One execution."""
        self._count += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, self._cpu_s_max)
        try:
            cpu_s = cpu_s_of(self._target, data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resident_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        has_grown = (resident_kb - self._resident_kb) << 10 > GROWTH_BYTES
        if cpu_s > self.slowest_cpu_s:
            self.slowest_cpu_s = cpu_s
            self._tell()
        if has_grown or self._count % SAMPLED_EVERY == 0:
            self._resident_kb = resident_kb
            found_bytes = memory_bytes_of(self._target, data)
            if found_bytes > self.largest_bytes:
                self.largest_bytes = found_bytes
                self._tell()

    def _tell(self) -> None:
        said = {"slowest_cpu_s": self.slowest_cpu_s, "largest_bytes": self.largest_bytes}
        self._file.write_text(json.dumps(said))


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise TooSlow("not done within its processor time")
