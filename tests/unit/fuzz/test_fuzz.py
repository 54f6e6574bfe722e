"""The fuzzing tools: bounds that hold, mutations within a structure, a choice that keeps enough."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import targets
from tests.fuzz.costs import Costs
from tests.fuzz.figures import measure
from tests.fuzz.keep import chosen, steps_of
from tests.fuzz.mutation import with_byte_changed, with_pieces_changed, with_tree_changed
from tests.fuzz.target import Broken, Target, TooLarge, TooSlow, memory_bytes_of

ROOT = Path(__file__).parents[3]


def victim(data: bytes) -> None:
    """Bears most things."""
    if data[:1] == b"L":
        while True:
            pass
    if data[:1] == b"M":
        bytes(4 << 20)
    if data[:1] == b"B":
        raise Broken("as it was asked to")


def target(memory_bytes_max: int = 1 << 20) -> Target:
    def seeds() -> Iterator[bytes]:
        yield b"x"

    return Target("victim", victim, seeds, with_byte_changed, 16, memory_bytes_max)


def test_an_input_that_never_ends_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(TooSlow):
        Costs(target(), tmp_path / "costs.json", cpu_s_max=0.05).run(b"L")


def test_an_input_that_takes_too_much_memory_is_named() -> None:
    with pytest.raises(TooLarge):
        memory_bytes_of(target(), b"M")
    assert memory_bytes_of(target(memory_bytes_max=8 << 20), b"M") >= 4 << 20


def test_the_first_input_is_measured_to_the_byte(tmp_path: Path) -> None:
    costs = Costs(target(memory_bytes_max=8 << 20), tmp_path / "costs.json")
    costs.run(b"M")
    assert costs.largest_bytes >= 4 << 20
    assert (tmp_path / "costs.json").exists()


def test_a_finding_goes_through(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        Costs(target(), tmp_path / "costs.json").run(b"B")


@pytest.mark.slow
def test_an_input_that_was_found_can_be_played_again(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"\4" + bytes(20))
    command = [sys.executable, "-m", "tests.fuzz.play", "pack", str(bad)]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert played.returncode == 0, played.stderr
    assert "21 bytes" in played.stdout
    assert "ms of processor time" in played.stdout


@pytest.mark.slow
def test_the_coverage_of_some_inputs_is_told_by_module(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"")
    little = measure("codec", [nothing])
    more = measure("codec", sorted(path for path in (ROOT / "tests/fuzz/corpus/codec").iterdir()))
    assert list(more.modules) == ["crdtsync/protocol/codec.py", "crdtsync/protocol/fields.py"]
    assert share(little.together) < 70 < 85 < share(more.together)


def share(sentence: str) -> int:
    return int(sentence.split("(")[1].rstrip("%)"))


def test_few_and_small_inputs_are_kept_that_go_everywhere() -> None:
    way = {b"aaaa": {1, 2, 3}, b"b": {1, 2}, b"c" * 900: {1, 2, 3, 4}, b"d" * 999: {4}, b"e": {1}}
    taken = chosen(way, lambda data: frozenset(("", 0, line) for line in way[data]))
    assert taken == [b"aaaa", b"c" * 900]


def test_the_steps_of_an_input_are_those_of_the_files_that_were_asked_for() -> None:
    found = steps_of(target(), b"x", frozenset((__file__,)))
    assert found == steps_of(target(), b"y", frozenset((__file__,)))
    assert {file for file, _, _ in found} == {__file__}
    assert len(found) == 3
    assert steps_of(target(), b"x", frozenset(("another.py",))) == frozenset()


def test_pieces_are_taken_away_doubled_moved_and_made() -> None:
    changed = [with_pieces_changed([b"one", b"two"], Random(seed), lambda rng: b"new") for seed in range(200)]
    assert [b"two"] in changed
    assert [b"two", b"one"] in changed
    assert [b"one", b"two", b"one"] in changed
    assert any(b"new" in pieces for pieces in changed)
    assert with_pieces_changed([], Random(1), lambda rng: b"new")[0] == b"new"


def test_a_tree_stays_a_tree() -> None:
    tree = {"a": [1, {"b": b"x", "c": "yz", "d": True}]}
    changed = [with_tree_changed(tree, Random(seed), (None, 7)) for seed in range(200)]
    assert {} in changed
    assert {"a": [2, {"b": b"x", "c": "yz", "d": True}]} in changed
    assert {"a": 7} in changed
    assert tree == {"a": [1, {"b": b"x", "c": "yz", "d": True}]}
    assert with_tree_changed([], Random(1), (None,)) is None


@pytest.mark.parametrize("name", targets.MODULES)
def test_mutations_of_seeds_are_repeatable_and_mostly_new(name: str) -> None:
    found = targets.load(name)
    seeds = sorted(set(found.seeds()))[:20]
    mutants = [found.mutate(seed, Random(place)) for place, seed in enumerate(seeds)]
    assert mutants == [found.mutate(seed, Random(place)) for place, seed in enumerate(seeds)]
    assert sum(mutant != seed for mutant, seed in zip(mutants, seeds, strict=True)) > len(seeds) // 2
    for mutant in mutants:
        found.run(mutant)
