"""Tries mutants of one module against its tests, many a second.

The tests are collected once. Then each mutant gets a forked process, in which the function that it is in is
given the changed code, and those tests run that reach its lines. What runs at import (a table, a constant)
cannot be changed afterwards: there the forked process collects the tests anew, with the changed source in the
module's place.
"""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NoReturn

import pytest

from tests.mutants.planting import Mutant

SURVIVED, KILLED, UNFIT = 0, 1, 3
"""How the process of a mutant ends; ``UNFIT``: the change is not to a function that can be given new code."""

MEMORY_BYTES_MAX = 4 << 30
WALL_S_MAX = 120.0
"""For a mutant whose tests wait for something that never comes. What computes for ever is ended sooner."""

# What the tests import sooner or later is imported once, before the processes of the mutants are forked.
for _library in ("asyncio", "apsw", "cryptography.x509", "msgpack", "orjson", "ssl"):
    importlib.import_module(_library)

Verdict = str  # "killed", "survived" or "timed out"


class TestsFail(Exception):
    """The tests fail, or cannot be collected, without any mutant. The message is what pytest said."""

    __test__ = False


@dataclass
class Reached:
    """What the tests reach without a mutant. ``tests`` are (seconds of the processor, lines) by node id,
    ``at_import`` the lines that ran before any test did.
    """

    tests: dict[str, tuple[float, set[int]]] = field(default_factory=dict)
    at_import: set[int] = field(default_factory=set)


def try_mutants(
    module: str, path: Path, tests: list[str], mutants: list[Mutant], tell: Callable[[Mutant, Verdict], bool]
) -> None:
    """Try each mutant and tell its verdict; ends early when ``tell`` answers False. Raises ``TestsFail``.

    ``module`` must not have been imported in this process. Nothing is written to the source.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            os.close(reading)
            _collector(module, path, tests, mutants, os.fdopen(writing, "w", buffering=1), said.fileno())
        os.close(writing)
        slow: list[Mutant] = []
        stopped = False
        reached: Reached | None = None
        with os.fdopen(reading) as results:
            for line in results:
                result = json.loads(line)
                if isinstance(result, dict):
                    reached = Reached({}, set(result["at_import"]))
                    reached.tests = {name: (s, set()) for name, s in result["seconds"].items()}
                    continue
                number, verdict = result
                if verdict is None:
                    slow.append(mutants[number])
                elif not tell(mutants[number], verdict):
                    stopped = True
                    os.kill(child, signal.SIGTERM)
                    break
        os.waitpid(child, 0)
        if reached is None:
            said.seek(0)
            raise TestsFail(said.read())
    for mutant in () if stopped else slow:
        if not tell(mutant, _try_at_import(module, path, tests, mutant, reached)):
            return


# -- what is collected once ----------------------------------------------------------------------------------


def _collector(
    module: str, path: Path, tests: list[str], mutants: list[Mutant], results: Any, said: int
) -> NoReturn:
    """The forked process that collects the tests and forks again for each mutant."""
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 1
    try:
        code = pytest.main(_arguments(tests), plugins=[_Trials(module, path, mutants, results)])
    except BaseException:  # whatever it is, this process must not return into its parent's work
        traceback.print_exc()
    finally:
        results.flush()
        os._exit(int(code))


def _arguments(tests: list[str]) -> list[str]:
    # Plain asserts, as pytest's rewriting would load the modules of the test kit's own package past us.
    off = ("randomly", "xdist", "cacheprovider")
    return [
        *tests,
        "-q",
        "-x",
        "-s",
        "--no-header",
        "--assert=plain",
        *(word for name in off for word in ("-p", f"no:{name}")),
    ]


class _Trials:
    """In the place of pytest's own loop over the tests."""

    def __init__(self, module: str, path: Path, mutants: list[Mutant], results: Any) -> None:
        self._module, self._path, self._mutants, self._results = module, path, mutants, results
        self._lines = _Lines(path)
        self._lines.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Without a mutant first, then with each."""
        self._lines.stop()
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        reached = _reached(session, self._lines)
        if reached is None:
            raise session.Interrupted("the tests fail without a mutant")
        seconds = {name: s for name, (s, _) in reached.tests.items()}
        print(json.dumps({"at_import": sorted(reached.at_import), "seconds": seconds}), file=self._results)
        source = self._path.read_bytes()
        functions = _Functions(source, self._path)
        for number, mutant in enumerate(self._mutants):
            print(
                json.dumps([number, self._try(session, mutant, source, functions, reached)]),
                file=self._results,
            )
        return True

    def _try(
        self, session: pytest.Session, mutant: Mutant, source: bytes, functions: _Functions, reached: Reached
    ) -> Verdict | None:
        lines = set(range(mutant.lines[0], mutant.lines[1] + 1))
        if not mutant.called or lines & reached.at_import:
            return None
        chosen = [
            item for item in session.items if lines & reached.tests[item.nodeid][1] or _is_traced_badly(item)
        ]
        if not chosen:
            return "survived"
        chosen.sort(key=lambda item: reached.tests[item.nodeid][0])
        limits = {item.nodeid: 1 + 10 * reached.tests[item.nodeid][0] for item in chosen}

        def work() -> int:
            if not functions.plant(mutant.apply(source)):
                return UNFIT
            return _run(session, chosen, limits)

        code = _forked(work)
        return None if code == UNFIT else _verdict(code)


def _is_traced_badly(item: pytest.Item) -> bool:
    """Hypothesis traces by itself and ends our tracing with its own: such a test may reach any line."""
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def _reached(session: pytest.Session, lines: _Lines) -> Reached | None:
    """Run all tests twice: for their time, then for their lines, which takes longer. None if one fails."""
    at_import = lines.seen
    seconds = _measured(session, _seconds)
    found = _measured(session, partial(_lines, lines=lines))
    if seconds is None or found is None:
        return None
    return Reached({name: (seconds[name], set(found[name])) for name in seconds}, at_import)


def _seconds(run: Callable[[], None]) -> float:
    begin_s = time.process_time()
    run()
    return time.process_time() - begin_s


def _lines(run: Callable[[], None], lines: _Lines) -> list[int]:
    lines.seen = set()
    lines.start()
    run()
    lines.stop()
    return sorted(lines.seen)


def _measured(session: pytest.Session, measure: Callable[[Callable[[], None]], Any]) -> dict[str, Any] | None:
    """What is measured of each test, by node id. In its own process, as tests may change what they share."""
    with tempfile.TemporaryFile("w+") as report:

        def work() -> int:
            found = {}
            for item, following in _with_next(session.items):
                protocol = item.config.hook.pytest_runtest_protocol
                found[item.nodeid] = measure(partial(protocol, item=item, nextitem=following))
                if session.testsfailed:
                    print(f"{item.nodeid} fails")
                    return KILLED
            json.dump(found, report)
            report.flush()
            return SURVIVED

        if _forked(work, quiet=False) != SURVIVED:
            return None
        report.seek(0)
        return dict(json.load(report))


class _Lines:
    """Which lines of a file run."""

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        self.seen: set[int] = set()

    def start(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def stop(self) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename == self._name else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.seen.add(frame.f_lineno)
        return self._line


# -- one mutant ----------------------------------------------------------------------------------------------


class _Functions:
    """The functions of an imported module, which can be given other code."""

    def __init__(self, source: bytes, path: Path) -> None:
        self._path = path
        self._codes = list(_function_codes(compile(source, str(path), "exec", dont_inherit=True)))
        self._live: dict[CodeType, list[FunctionType]] = {}
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType) and thing.__code__.co_filename == str(path):
                self._live.setdefault(thing.__code__, []).append(thing)

    def plant(self, changed: bytes) -> bool:
        """Whether every function that differs now has the changed code, and nothing else differs."""
        codes = list(_function_codes(compile(changed, str(self._path), "exec", dont_inherit=True)))
        if len(codes) != len(self._codes):
            return False
        planted = False
        for old, new in zip(self._codes, codes, strict=True):
            if old.co_code == new.co_code and _same(old, new):
                continue
            live = self._live.get(old, [])
            if not live or any(
                len(function.__code__.co_freevars) != len(new.co_freevars) for function in live
            ):
                return False
            for function in live:
                function.__code__ = new
            planted = True
        return planted


def _same(old: CodeType, new: CodeType) -> bool:
    """Whether two pieces of code do the same, wherever in the file they stand."""
    if old.co_names != new.co_names or len(old.co_consts) != len(new.co_consts):
        return False
    for one, other in zip(old.co_consts, new.co_consts, strict=True):
        if isinstance(one, CodeType) and isinstance(other, CodeType):
            if one.co_code != other.co_code or not _same(one, other):
                return False
        elif type(one) is not type(other) or repr(one) != repr(other):
            return False
    return True


def _function_codes(code: CodeType) -> Iterator[CodeType]:
    """Functions at the top of a module and of its classes, in the order of the text."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & inspect.CO_NEWLOCALS:
                yield constant
            else:
                yield from _function_codes(constant)


def _run(session: pytest.Session, items: list[pytest.Item], limits_s: dict[str, float]) -> int:
    for item, following in _with_next(items):
        signal.setitimer(signal.ITIMER_PROF, limits_s[item.nodeid])
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return KILLED
    return SURVIVED


def _with_next(items: list[pytest.Item]) -> Iterable[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, (*items[1:], None), strict=True)


def _try_at_import(module: str, path: Path, tests: list[str], mutant: Mutant, reached: Reached) -> Verdict:
    changed = mutant.apply(path.read_bytes())
    limit_s = 10 + 5 * sum(s for s, _ in reached.tests.values())

    def work() -> int:
        sys.meta_path.insert(0, _Changed(module, path, changed))
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        code = pytest.main(_arguments(tests))
        loaded = sys.modules.get(module)
        if loaded is not None and not isinstance(loaded.__loader__, _Changed):
            return UNFIT
        return SURVIVED if code == pytest.ExitCode.OK else KILLED

    code = _forked(work)
    if code == UNFIT:
        raise AssertionError(f"something imported {module} past the changed source")
    return _verdict(code)


class _Changed(importlib.machinery.SourceFileLoader):
    """Finds and loads one module, from other source than its file has."""

    def __init__(self, module: str, path: Path, source: bytes) -> None:
        super().__init__(module, str(path))
        self._changed = source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Of that one module alone."""
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        """Never from a file of compiled code, and never written to one."""
        return compile(self._changed, self.path, "exec", dont_inherit=True)


def _forked(work: Callable[[], int], *, quiet: bool = True) -> int:
    """The wait status of a process that does this work and ends with its answer."""
    child = os.fork()
    if child == 0:
        code = KILLED
        try:
            if quiet:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
            code = work()
        except BaseException:  # a mutant may raise anything, anywhere: it was noticed
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    ends = os.pidfd_open(child)
    try:
        if quiet and not select.select([ends], [], [], WALL_S_MAX)[0]:
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(ends)


def _verdict(code: int) -> Verdict:
    if code in (-signal.SIGPROF, -signal.SIGKILL):
        return "timed out"
    return "survived" if code == SURVIVED else "killed"
