"""What fuzzing has kept is played in every run: the corpus, and whatever was once a finding.

``make fuzz`` looks for more; ``docs/how-to/fuzz.md`` says how a finding comes here.
"""

from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.target import HERE, cpu_s_of, kept_inputs, memory_bytes_of

KEPT_BYTES_MAX = 200 << 10
FOUND = sorted((HERE / "found").glob("*/*"))


@pytest.mark.parametrize("name", targets.MODULES)
def test_every_kept_input_is_borne(name: str) -> None:
    target = targets.load(name)
    paths = kept_inputs(name)
    assert len(paths) > 10
    for path in paths:
        cpu_s_of(target, path.read_bytes())


@pytest.mark.parametrize("name", targets.MODULES)
def test_no_kept_input_takes_more_memory_than_it_may(name: str) -> None:
    target = targets.load(name)
    for path in kept_inputs(name):
        memory_bytes_of(target, path.read_bytes())


@pytest.mark.parametrize("name", targets.MODULES)
def test_every_seed_is_borne_and_changed_within_its_structure(name: str) -> None:
    target = targets.load(name)
    seeds = sorted(set(target.seeds()))
    assert len(seeds) >= 8
    for seed in seeds:
        target.run(seed)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_is_borne(path: Path) -> None:
    target = targets.load(path.parent.name)
    memory_bytes_of(target, path.read_bytes())


def test_what_is_kept_is_small() -> None:
    kept = [path for name in targets.MODULES for path in kept_inputs(name)]
    assert sum(path.stat().st_size for path in kept) < KEPT_BYTES_MAX


def test_nothing_is_kept_for_a_target_that_is_not_there() -> None:
    folders = {path.name for kind in ("corpus", "found") for path in (HERE / kind).iterdir()}
    assert folders <= set(targets.MODULES)
