"""``make mutants``: plant every mutant, resume where the last run stopped, and tell what survived.

Ends with 1 if a mutant survived that is not in ``equivalent.toml``, or if that names what is no survivor.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from tests.mutants.planting import Mutant, mutants_of
from tests.mutants.survivors import Name, read_list
from tests.mutants.trial import TestsFail, Verdict, try_mutants

HERE = Path(__file__).parent
LAYERS = {
    "crdtsync/model/*.py": ["tests/unit/model"],
    "crdtsync/protocol/*.py": ["tests/unit/protocol"],
    "crdtsync/storage/[!v]*.py": ["tests/contract", "tests/unit/storage"],
    "crdtsync/storage/v*.py": [
        "tests/unit/runtime/test_filing_beside.py",
        "tests/unit/runtime/test_register_*.py",
    ],
}
"""For the sample: what the tests of a layer are. Views are tested by what a register shows of them."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module and the tests that its mutants are tried against; all paths are from the root."""

    root: Path
    name: str
    path: str
    tests: tuple[str, ...]

    @property
    def dotted(self) -> str:
        """As it is imported."""
        return self.path.removesuffix(".py").replace("/", ".")

    @property
    def source(self) -> bytes:
        """Its text, without a mutant."""
        return (self.root / self.path).read_bytes()

    def key(self) -> str:
        """Changes with the source, with the tests, and with what is planted."""
        digest = hashlib.sha256()
        files = [self.root / self.path, HERE / "planting.py", HERE / "trial.py"]
        for test in self.tests:
            place = self.root / test
            files += sorted(place.rglob("*.py")) if place.is_dir() else [place, place.parent / "conftest.py"]
        for file in files:
            if file.exists():
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()


class Record:
    """Verdicts of one module, kept on disk after each."""

    def __init__(self, module: Module, key: str) -> None:
        self._path = module.root / ".make" / "mutants" / module.name
        self.verdicts: dict[str, Verdict] = {}
        if self._path.exists():
            lines = self._path.read_text().splitlines()
            if lines and lines[0] == key:
                for line in lines[1:]:
                    mutant, _, verdict = line.partition(" ")
                    self.verdicts[mutant] = verdict
                return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(key + "\n")

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        """Keep a verdict."""
        self.verdicts[_id(mutant)] = verdict
        with self._path.open("a") as file:
            file.write(f"{_id(mutant)} {verdict}\n")


def _id(mutant: Mutant) -> str:
    return f"{mutant.start}-{mutant.end}-{hashlib.sha256(mutant.text.encode()).hexdigest()[:8]}"


@dataclass
class Outcome:
    """What is known of the mutants of a module."""

    module: Module
    mutants: list[Mutant]
    verdicts: dict[str, Verdict]

    def with_verdict(self, verdict: Verdict | None) -> list[Mutant]:
        """The mutants that came out like this; None: not tried yet."""
        return [mutant for mutant in self.mutants if self.verdicts.get(_id(mutant)) == verdict]


def main(words: list[str] | None = None) -> int:
    """Run, print, and answer the exit status."""
    options = _options(words)
    modules = _modules(options.root)
    if options.sample:
        chosen: dict[Module, list[Mutant] | None] = _sample(
            options.root, modules, options.sample, options.seed
        )
    elif options.module:
        chosen = {module: None for module in modules if module.name in options.module.split(",")}
        if not chosen:
            print(f"no module {options.module}: {', '.join(module.name for module in modules)}")
            return 2
    else:
        chosen = dict.fromkeys(modules)
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    listed = read_list(options.root / "tests" / "mutants" / "equivalent.toml")
    outcomes = []
    for module, some in chosen.items():
        begin_s = time.monotonic()
        try:
            outcome = _try(module, some, until)
        except TestsFail as failure:
            print(f"{module.name}: its tests fail without a mutant\n{failure}")
            return 2
        outcomes.append(outcome)
        _print_line(outcome, listed, time.monotonic() - begin_s)
    return _judge(outcomes, listed)


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=HERE.parents[1], help=argparse.SUPPRESS)
    parser.add_argument("--module", default="", help="one module, or several with commas between them")
    parser.add_argument("--sample", type=int, default=0, help="that many mutants of all other modules")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="stop after that time; the next run goes on")
    return parser.parse_args(words)


def _modules(root: Path) -> list[Module]:
    rows = tomllib.loads((root / "tests" / "mutants" / "modules.toml").read_text())
    return [Module(root, name, row["path"], _files(root, row["tests"])) for name, row in rows.items()]


def _files(root: Path, patterns: list[str]) -> tuple[str, ...]:
    found = (sorted(root.glob(pattern)) for pattern in patterns)
    return tuple(str(file.relative_to(root)) for files in found for file in files)


def _sample(root: Path, modules: list[Module], size: int, seed: int) -> dict[Module, list[Mutant] | None]:
    """Mutants of the modules that are not in ``modules.toml``, against the tests of their layer."""
    named = {module.path for module in modules}
    every: list[tuple[Module, Mutant]] = []
    for layer, tests in LAYERS.items():
        for path in _files(root, [layer]):
            if path not in named:
                file = root / path
                module = Module(root, f"{file.parent.name}-{file.stem}", path, _files(root, tests))
                every += [(module, mutant) for mutant in mutants_of(file.read_bytes())]
    chosen: dict[Module, list[Mutant]] = {}
    for place in sorted(random.Random(seed).sample(range(len(every)), min(size, len(every)))):
        module, mutant = every[place]
        chosen.setdefault(module, []).append(mutant)
    return dict(chosen)


def _try(module: Module, some: list[Mutant] | None, until: float) -> Outcome:
    mutants = mutants_of(module.source) if some is None else some
    record = Record(module, module.key())
    outcome = Outcome(module, mutants, record.verdicts)
    todo = outcome.with_verdict(None)

    def tell(mutant: Mutant, verdict: Verdict) -> bool:
        record.add(mutant, verdict)
        return time.monotonic() < until

    if todo and time.monotonic() < until:
        tests = [str(module.root / test) for test in module.tests]
        try_mutants(module.dotted, module.root / module.path, tests, todo, tell)
    return outcome


def _print_line(outcome: Outcome, listed: dict[Name, str], seconds: float) -> None:
    survived = outcome.with_verdict("survived")
    known = sum(Name.of(outcome.module.name, mutant) in listed for mutant in survived)
    counts = Counter(outcome.verdicts.get(_id(mutant), "not tried") for mutant in outcome.mutants)
    print(
        f"{outcome.module.name:12} {len(outcome.mutants):5} mutants: {counts['killed']:5} killed, "
        f"{counts['timed out']:3} timed out, {known:3} equivalent, {len(survived) - known:3} survived"
        + (f", {counts['not tried']} not tried yet" if counts["not tried"] else "")
        + f"  ({seconds:.0f} s)",
        flush=True,
    )


def _judge(outcomes: list[Outcome], listed: dict[Name, str]) -> int:
    """Print the survivors that are not on the list, and what is wrongly on it."""
    unknown = 0
    wrong = []
    for outcome in outcomes:
        source = outcome.module.source
        survived = outcome.with_verdict("survived")
        names = {Name.of(outcome.module.name, mutant) for mutant in survived}
        for mutant in survived:
            name = Name.of(outcome.module.name, mutant)
            if name not in listed:
                unknown += 1
                print(f"\n{_diff(source, mutant, outcome.module.path)}\n{name.as_toml()}")
        if not outcome.with_verdict(None) and outcome.mutants == mutants_of(source):
            wrong += [name for name in listed if name.module == outcome.module.name and name not in names]
    for name in wrong:
        print(f"\nnot among the survivors, though it is in equivalent.toml:\n{name.as_toml()}")
    return 1 if unknown or wrong else 0


def _diff(source: bytes, mutant: Mutant, path: str) -> str:
    before, after = source.decode().splitlines(), mutant.apply(source).decode().splitlines()
    return "\n".join(
        unified_diff(before, after, path, f"{path}, in {mutant.function or 'the module'}", "", "", 1, "")
    )


if __name__ == "__main__":
    sys.exit(main())
