"""One process that fuzzes one target until its time is over; started by ``tests.fuzz.run``.

The loop, the counters and the choice of what is worth keeping are libFuzzer's, by way of atheris. Here is
what is put beside them: what an input may cost, and the mutations within the structure. Ends with 77 at a
finding, which libFuzzer has written to a file by then.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from random import Random
from typing import Final

import atheris

from tests.fuzz import targets
from tests.fuzz.costs import Costs

ADDRESS_SPACE_BYTES: Final = 3 << 30
"""Beyond it an allocation fails: a finding, instead of a machine that swaps."""


def main(words: list[str]) -> None:
    """``worker TARGET COSTS_FILE LIBFUZZER_ARGUMENT…``"""
    name, costs_file, *arguments = words
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    with atheris.instrument_imports(include=list(targets.MODULES[name])):
        target = targets.load(name)
    costs = Costs(target, Path(costs_file))

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.random() < 0.5:
            mutated = target.mutate(data, rng)
            if len(mutated) <= size_max:
                return mutated
        changed: bytes = atheris.Mutate(data, size_max)
        return changed

    atheris.Setup([sys.argv[0], *arguments], costs.run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
