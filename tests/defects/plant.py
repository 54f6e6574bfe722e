"""Plants defects in clean copies of the code, one by one, and asks the test that was named beforehand.

Each ``*.patch`` beside this file is one mistake, as small as mistakes are, that breaks a promise. What stands
before the first ``diff --git`` are its headings::

    Planted: what is wrong now
    Breaks: the promise that does not hold with it
    Expected: the test, or the file of tests, that is to fail (named before it was first run)
    Missed at first: what was not enough, and what was done about it (only where that was so)

A defect counts as caught when that test fails by an assertion, or because the product refuses what it should
do (an error of ``crdtsync.errors``). An error of a fixture, an import or a name says that the patch is no
good, and a test that fails without the patch says nothing; neither counts. Run by `make defects`; the result
is the table in ``docs/explanation/planted-defects.md``.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

ROOT: Final = Path(__file__).resolve().parents[2]
DEFECTS: Final = Path(__file__).resolve().parent
PAGE: Final = ROOT / "docs/explanation/planted-defects.md"

LIMIT_S: Final = 180.0
"""A test that takes longer has not caught anything."""

FAST_S: Final = 3.0
"""What a sample is taken from, by the times in the table."""

BEGIN: Final = "<!-- What stands from here to the end was written by `make defects`. -->"

_HEADINGS: Final = ("Planted", "Breaks", "Expected")
_MISSED: Final = "Missed at first"
_ASSERTIONS: Final = ("assert", "AssertionError", "Failed: ")
_REFUSALS: Final = "crdtsync.errors."


class BadPatch(Exception):
    """A patch whose headings are not as they should be, or that no longer applies."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One patch, with what its headings say."""

    name: str
    path: Path
    planted: str
    breaks: str
    expected: str
    missed: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one run of pytest. ``failed``: the tests that failed by an assertion, first one first.
    ``problem``: why nothing can be concluded from the run, empty where something can.
    """

    seconds: float
    failed: tuple[str, ...] = ()
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether everything passed."""
        return not self.failed and not self.problem


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a defect was caught: by which test and how fast, or why not."""

    defect: Defect
    caught_by: str = ""
    seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the table says of a defect."""

    caught_by: str
    seconds: float


# -- patches -----------------------------------------------------------------------------------------------


def read_defect(path: Path) -> Defect:
    """Read the headings of a patch. Raises ``BadPatch``."""
    head, diff, _ = path.read_text(encoding="utf-8").partition("\ndiff --git ")
    found = {
        name: " ".join(text.split())
        for name, text in re.findall(r"^([A-Z][a-z ]+): (.+(?:\n[ \t]+.+)*)", head, re.MULTILINE)
    }
    if not diff or not set(_HEADINGS) <= found.keys() <= {*_HEADINGS, _MISSED}:
        raise BadPatch(f"{path.name}: {', '.join(_HEADINGS)}, and then a diff are expected")
    return Defect(
        path.stem, path, found["Planted"], found["Breaks"], found["Expected"], found.get(_MISSED, "")
    )


def read_defects(folder: Path = DEFECTS) -> list[Defect]:
    """All defects of a folder, by name. Raises ``BadPatch``."""
    return [read_defect(path) for path in sorted(folder.glob("*.patch"))]


def touched(defect: Defect) -> list[str]:
    """The files that a patch changes, as they are named in the repository."""
    return re.findall(r"^--- a/(\S+)", defect.path.read_text(encoding="utf-8"), re.MULTILINE)


def apply_patch(defect: Defect, tree: Path, *, only_check: bool = False) -> None:
    """Change the files of ``tree``, or only see whether they can be. Raises ``BadPatch``."""
    command = ["git", "apply", *(["--check"] if only_check else []), str(defect.path)]
    # In a folder of a repository git passes over what lies outside that folder, without a word.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BadPatch(f"{defect.name}: the patch no longer applies: {done.stderr.strip()}")


# -- copies ------------------------------------------------------------------------------------------------


def committed_copy(folder: Path) -> None:
    """Write the tree as it was last committed into an empty folder."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            tar.extractall(folder, filter="data")


def working_copy(folder: Path) -> None:
    """Write the tree as it is now into an empty folder: what git tracks, and what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def environment_of(tree: Path) -> dict[str, str]:
    """The environment in which this copy of the code is the one that is imported, also by its processes."""
    own = {
        "PYTHONPATH": os.pathsep.join((str(tree), str(tree / "server"))),
        "HYPOTHESIS_PROFILE": "test",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | own


def check_import(tree: Path) -> None:
    """Raises ``BadPatch`` where another copy than this one would be tested."""
    code = "import crdtsync, crdtsync_server; print(crdtsync.__file__); print(crdtsync_server.__file__)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, cwd=tree, env=environment_of(tree), check=True, capture_output=True, text=True
    )
    if not all(line.startswith(f"{tree}{os.sep}") for line in found.stdout.splitlines()):
        raise BadPatch(f"not the copy would be tested but {found.stdout}")


# -- running -----------------------------------------------------------------------------------------------


def run_test(tree: Path, node: str, limit_s: float = LIMIT_S) -> Run:
    """Run one test, or one file of tests up to the first that fails, in a copy of the tree."""
    report = tree / f"report-{threading.get_ident()}.xml"
    report.unlink(missing_ok=True)
    options = ["-x", "-q", "-p", "no:randomly", "-o", "junit_family=xunit1", f"--junitxml={report}"]
    began_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "-m", "not deep", node],
        cwd=tree,
        env=environment_of(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Run(time.monotonic() - began_s, problem=f"it did not end within {limit_s:g} s")
    seconds = time.monotonic() - began_s
    if process.returncode == 0:
        return Run(seconds)
    if process.returncode != 1 or not report.exists():
        last = output.strip().splitlines()[-1:] or [""]
        return Run(seconds, problem=f"pytest ended with {process.returncode}: {last[0]}")
    return _conclusion(tree, seconds, ElementTree.parse(report).iter("testcase"))


def _node(tree: Path, case: ElementTree.Element) -> str:
    """The name of a test in pytest's report (whose `file` may be where the test is inherited from)."""
    names = case.get("classname", "").split(".")
    for place in range(len(names), 0, -1):
        file = "/".join(names[:place]) + ".py"
        if (tree / file).is_file():
            return "::".join((file, *names[place:], case.get("name", "")))
    return "::".join((*names, case.get("name", "")))


def _says_something(message: str, text: str) -> bool:
    """Whether a failure is an assertion, or an error of the product's own where the test expects none. (Where
    Hypothesis has found several, one of them.)
    """
    if message.startswith("ExceptionGroup: Hypothesis found"):
        return "AssertionError" in text or _REFUSALS in text
    return message.startswith((*_ASSERTIONS, _REFUSALS))


def _conclusion(tree: Path, seconds: float, cases: Iterable[ElementTree.Element]) -> Run:
    """Which tests failed by an assertion, by what pytest reported. After one has, a fixture may fail too."""
    failed, problems = [], []
    for case in cases:
        for outcome in (*case.iter("failure"), *case.iter("error")):
            node, message = _node(tree, case), outcome.get("message", "")
            if outcome.tag == "failure" and _says_something(message, outcome.text or ""):
                failed.append(node)
            else:
                problems.append(f"{node}: {message.partition(chr(10))[0] or 'an error'}")
    if failed:
        return Run(seconds, tuple(failed))
    return Run(seconds, problem=problems[0] if problems else "pytest failed, and no test did")


def judge(defect: Defect, base: Path, without: Run, folder: Path) -> Verdict:
    """Plant one defect in a copy of ``base`` and ask its test. ``without``: the same test before."""
    if not without.passed:
        reason = without.problem or f"{without.failed[0]} fails"
        return Verdict(defect, problem=f"without the defect: {reason}")
    tree = folder / defect.name
    # With its times: compiled modules are used again, but for those that the patch changes.
    shutil.copytree(base, tree)
    try:
        apply_patch(defect, tree)
        run = run_test(tree, defect.expected)
    except BadPatch as error:
        return Verdict(defect, problem=str(error))
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    if run.problem:
        return Verdict(defect, seconds=run.seconds, problem=run.problem)
    if run.passed:
        return Verdict(defect, seconds=run.seconds, problem=f"not caught by {defect.expected}")
    return Verdict(defect, run.failed[0], run.seconds)


def plant(defects: Sequence[Defect], *, jobs: int, of_work_tree: bool) -> list[Verdict]:
    """Plant all of them, each in a copy of its own; the verdicts in that order. Tells them as they come."""
    with tempfile.TemporaryDirectory(prefix="defects-") as name, ThreadPoolExecutor(jobs) as pool:
        folder = Path(name).resolve()
        base = folder / "base"
        base.mkdir()
        (working_copy if of_work_tree else committed_copy)(base)
        check_import(base)
        nodes = sorted({defect.expected for defect in defects})
        without = dict(zip(nodes, pool.map(lambda node: run_test(base, node), nodes), strict=True))

        def one(defect: Defect) -> Verdict:
            verdict = judge(defect, base, without[defect.expected], folder)
            said = verdict.problem or f"caught by {verdict.caught_by}"
            print(
                f"{'FAILED' if verdict.problem else 'ok':6} {verdict.seconds:6.1f} s  {defect.name}: {said}"
            )
            sys.stdout.flush()
            return verdict

        return list(pool.map(one, defects))


# -- the page ----------------------------------------------------------------------------------------------


def read_table(page: str) -> dict[str, Told]:
    """What the table of the page says, by the name of the defect."""
    rows = re.findall(
        r"^\| \[([^]]+)\]\([^)]+\) \| .+ \| (?:`([^`]*)`|(—)) \| ([\d.]+) \|$", page, re.MULTILINE
    )
    return {name: Told(caught_by, float(seconds)) for name, caught_by, _, seconds in rows}


def write_table(page: str, defects: Sequence[Defect], told: dict[str, Told]) -> str:
    """The page with a table of these defects, by name, and with what was missed at first."""
    text = page.partition(BEGIN)[0] + BEGIN + "\n\n"
    text += f"{len(defects)} defects, {sum(one.name in told for one in defects)} caught.\n\n"
    text += "| defect | planted | breaks | expected | caught by | seconds |\n|---|---|---|---|---|---|\n"
    for defect in defects:
        found = told.get(defect.name, Told("", 0.0))
        caught_by = f"`{found.caught_by}`" if found.caught_by else "—"
        link = f"[{defect.name}](../../tests/defects/{defect.name}.patch)"
        cells = (
            link,
            defect.planted,
            defect.breaks,
            f"`{defect.expected}`",
            caught_by,
            f"{found.seconds:.1f}",
        )
        text += f"| {' | '.join(cells)} |\n"
    missed = [defect for defect in defects if defect.missed]
    text += "\n## Missed at first\n\n"
    text += "".join(f"- **{defect.name}**: {defect.missed}\n" for defect in missed) or "None.\n"
    return text


def tell(verdicts: Iterable[Verdict], page: Path = PAGE) -> None:
    """Write into the page what was found; what was not looked at now stays as it was told."""
    text = page.read_text(encoding="utf-8")
    told = read_table(text)
    for verdict in verdicts:
        told.pop(verdict.defect.name, None)
        if not verdict.problem:
            caught_by = verdict.caught_by
            told[verdict.defect.name] = Told(caught_by, round(verdict.seconds, 1))
    page.write_text(write_table(text, read_defects(), told), encoding="utf-8")


def sample(defects: Sequence[Defect], count: int, seed: int) -> list[Defect]:
    """Some of those that were caught fast when the table was written; the same for the same seed."""
    told = read_table(PAGE.read_text(encoding="utf-8"))
    fast = [one for one in defects if one.name in told and told[one.name].seconds <= FAST_S]
    return random.Random(seed).sample(fast, min(count, len(fast)))


def _some(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"1 or more is expected, not {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant what is asked for. 0 if every defect was caught, 1 if not."""
    parser = argparse.ArgumentParser(description="Plant defects in clean copies and see them caught.")
    parser.add_argument("--name", help="this defect alone")
    parser.add_argument("--jobs", type=_some, default=1, help="so many at a time, 1 or more")
    parser.add_argument("--sample", type=int, help="so many of the fast ones, and write nothing")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--from", dest="folder", type=Path, help="patches of another folder; write nothing")
    parser.add_argument("--work-tree", action="store_true", help="in copies of the tree as it is now")
    asked = parser.parse_args(arguments)
    try:
        defects = read_defects(asked.folder.resolve() if asked.folder else DEFECTS)
        if asked.name:
            defects = [defect for defect in defects if defect.name == asked.name]
        if asked.sample:
            defects = sample(defects, asked.sample, asked.seed)
        if not defects:
            raise BadPatch("there is no such defect")
        verdicts = plant(defects, jobs=asked.jobs, of_work_tree=asked.work_tree)
    except BadPatch as error:
        print(error, file=sys.stderr)
        return 1
    if not asked.folder and not asked.sample:
        tell(verdicts)
    missed = [verdict for verdict in verdicts if verdict.problem]
    print(f"{len(verdicts)} planted, {len(verdicts) - len(missed)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
