"""Choosing what to keep: few and small inputs that go, together, wherever all of them go.

Greedy: again and again the input that brings most steps from line to line for its size.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.fuzz import targets
from tests.fuzz.target import HERE, Target

ROOT: Final = Path(__file__).parents[2]
KEPT_BYTES_MAX: Final = 24 << 10
"""Of one target's corpus: it is played in every run of the tests, and read by people who clone this."""

_FIXED_COST_BYTES: Final = 200
"""What a file costs besides its bytes."""

Step = tuple[str, int, int]


def keep(name: str, grown: Path) -> str:
    """Choose anew among what is kept and what was grown, in a process that no fuzzer has touched."""
    command = [sys.executable, "-m", "tests.fuzz.keep", name, str(grown)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def steps_of(target: Target, data: bytes, files: frozenset[str]) -> frozenset[Step]:
    """The steps from line to line within these files that an input takes."""
    found: set[Step] = set()

    def local(last: list[int], file: str) -> Callable[[FrameType, str, Any], Any]:
        def each(frame: FrameType, event: str, _: Any) -> Any:
            if event == "line":
                found.add((file, last[0], frame.f_lineno))
                last[0] = frame.f_lineno
            return each

        return each

    def begin(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        return local([-frame.f_code.co_firstlineno], file) if file in files else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        target.run(data)
    finally:
        sys.settrace(before)
    return frozenset(found)


def chosen(inputs: Iterable[bytes], steps: Callable[[bytes], frozenset[Step]]) -> list[bytes]:
    """The inputs to keep, the best first."""
    left = {data: set(steps(data)) for data in sorted(set(inputs), key=lambda data: (len(data), data))}
    taken: list[bytes] = []
    size = 0
    while left:
        best = max(left, key=lambda data: (len(left[data]) / (len(data) + _FIXED_COST_BYTES), -len(data)))
        new = left.pop(best)
        if not new:
            break
        if size + len(best) > KEPT_BYTES_MAX:
            continue
        taken.append(best)
        size += len(best)
        left = {data: rest for data, some in left.items() if (rest := some - new)}
    return taken


def _main(name: str, grown: Path) -> None:
    folder = HERE / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    target = targets.load(name)
    files = frozenset(
        file for module in targets.MODULES[name] if (file := sys.modules[module].__file__) is not None
    )
    inputs = [path.read_bytes() for place in (folder, grown) for path in sorted(place.iterdir())]
    taken = chosen(inputs, lambda data: steps_of(target, data, files))
    wanted = {sha256(data).hexdigest()[:16]: data for data in taken}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for file, data in wanted.items():
        (folder / file).write_bytes(data)
    print(f"{len(wanted)} inputs of {sum(map(len, taken)) / 1024:.1f} KB kept of {len(set(inputs))}")


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
