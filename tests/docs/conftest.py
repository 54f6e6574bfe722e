"""Shell sessions in Markdown pages, executed as they stand.

A page shows a session as a person has it: ``$`` before what is typed, below it what is printed. Here the
commands are run in order, in one shell, in an empty folder, and what they print must be what the page shows.

What differs each time (``VARYING``) is told apart by its form. A value on the page stands for one real value:
the pairing code that a page shows is replaced by the one that was really printed wherever the page uses it
again, and two values that differ on the page must differ. Times need only have the form of a time.

Words after ``console`` at the head of a block: the name of another terminal, in which one program runs until
the page shows ``^C``; ``soon``, where the page says that it takes a moment: the block, which must only read,
is then repeated until it is true.

Why not a library: sybil and pytest-codeblocks find blocks but leave running and comparing to us; prysk and
byexample compare, but what varies is either matched by a wildcard, which would let a page lie, or captured by
markers inside the commands that the reader is to copy; none of them keeps a relay running beside the session.
"""

import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOON_S = 60

VARYING = {
    "code": r"(?:[0-9A-HJKMNP-TV-Z]{5}-){7}[0-9A-HJKMNP-TV-Z]{5}",
    "id": r"\b[0-9a-f]{32}\b",
    "moment": r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "time": r"\b\d\d/\d\d/\d{4} \d\d:\d\d\b",
    "day": r"\b\d\d/\d\d/\d{4}\b|\b\d{4}-\d\d-\d\d\b",
    "series": r"\b[A-Z2-7]{6}(?=-\d\d-\d{6}\b|-…)",
    "year": r"(?<=-)\d\d(?=-\d{6}\b)",
    "link": r"(?m:^[0-9a-f]{8}$)",
    "size": r"(?<=store {11})\d\.\d MB",
    "port": r"(?<=127\.0\.0\.1:)\d+|(?<=--port )\d+|(?<='127\.0\.0\.1', )\d+",
}
FREE = {"moment", "time", "day", "size"}
"""Only their form is compared."""

_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in VARYING.items()))
_BLOCK = re.compile(r"^```console *([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Step:
    """One command and what it prints. ``^C`` as a command stops the program of its terminal."""

    command: str
    terminal: str = ""
    soon: bool = False
    lines: list[str] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return "\n".join(self.lines).rstrip()


def steps_of(page: str) -> list[Step]:
    steps: list[Step] = []
    for words, block in _BLOCK.findall(page):
        terminal = " ".join(word for word in words.split() if word != "soon")
        begins = len(steps)
        for line in block.splitlines():
            if line.startswith("$ ") or line == "^C":
                steps.append(Step(line.removeprefix("$ "), terminal, "soon" in words.split()))
            elif line.startswith("> ") and steps[-1].command.endswith("\\"):
                steps[-1].command += "\n" + line[2:]
            elif len(steps) == begins:
                raise AssertionError(f"a block begins with output: {line!r}")
            else:
                steps[-1].lines.append(line)
    return steps


class Names:
    """Which real value each value on the page stands for."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], str] = {}
        self._real: dict[tuple[str, str], str] = {}

    def bind(self, kind: str, shown: str, real: str) -> None:
        self._shown[kind, real] = shown
        self._real[kind, shown] = real

    def as_typed(self, command: str) -> str:
        """A command of the page with the real values."""

        def real(found: re.Match[str]) -> str:
            kind = found.lastgroup or ""
            return found[0] if kind in FREE else self._real.get((kind, found[0]), found[0])

        return _TOKEN.sub(real, command)

    def as_shown(self, printed: str, shown: str) -> str:
        """What was printed, with the values that stand on the page for the real ones."""
        expected = iter([(found.lastgroup or "", found[0]) for found in _TOKEN.finditer(shown)])

        def on_page(found: re.Match[str]) -> str:
            kind, real = found.lastgroup or "", found[0]
            kind_there, there = next(expected, ("", ""))
            if kind in FREE:
                return there if kind == kind_there else real
            if (kind, real) not in self._shown and kind == kind_there and (kind, there) not in self._real:
                self.bind(kind, there, real)
            return self._shown.get((kind, real), real)

        return _TOKEN.sub(on_page, printed)


ON_A_DISK = re.compile(r"^  ! .* lies in memory \(.*\n    move the data folder.*\n", re.MULTILINE)
"""What `status` says where this machine keeps its temporary files in memory: a page is read on a till."""


class Session:
    """A shell, and the programs that run in other terminals."""

    def __init__(self, folder: Path) -> None:
        self.names = Names()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.names.bind("port", "8765", str(free.getsockname()[1]))
        self._folder = folder
        self._environment = {
            "PATH": sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "TZ": os.environ["TZ"],  # Noon, so that no business day ends while the page is executed.
            "COLUMNS": "100",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        self._others: dict[str, subprocess.Popen[str]] = {}
        self._shell = self._start(["bash", "--norc"])

    def run(self, page: str) -> None:
        """Execute all sessions of a page in order. Raises ``AssertionError`` where the page is not true."""
        steps = steps_of(page)
        assert steps, "the page has no session"
        for step, after in zip(steps, [*steps[1:], Step("")], strict=True):
            if step.command == "^C":
                self._interrupt(step)
            elif step.terminal:
                self._begin(step)
            else:
                self._type(step, may_fail=after.command == "echo $?")
        assert not self._others, f"the page leaves {', '.join(self._others)} running"

    def close(self) -> None:
        for process in (self._shell, *self._others.values()):
            process.kill()
            process.communicate()

    def _type(self, step: Step, *, may_fail: bool) -> None:
        ends = time.monotonic() + (SOON_S if step.soon else 0)
        while True:
            code, printed = self._in_shell(self.names.as_typed(step.command))
            told = self.names.as_shown(ON_A_DISK.sub("", printed).rstrip(), step.shown)
            if told == step.shown or time.monotonic() >= ends:
                break
        assert f"$ {step.command}\n{told}" == f"$ {step.command}\n{step.shown}"
        assert code == 0 or may_fail, f"`{step.command}` ends with {code}, and the page does not say so"

    def _in_shell(self, command: str) -> tuple[int, str]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        # `$?` of the command is there for the next one, as it is for a person.
        told = 'code=$?; printf "\\001%s\\n" $code; (exit $code)'
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null\n{told}\n")
        self._shell.stdin.flush()
        printed = ""
        while "\1" not in printed:
            line = self._shell.stdout.readline()
            assert line, f"the shell ended in `{command}`"
            printed += line
        printed, code = printed.rsplit("\1", 1)
        return int(code), printed

    def _begin(self, step: Step) -> None:
        assert step.terminal not in self._others, f"a program runs in terminal {step.terminal} already"
        process = self._start(["bash", "-c", f"exec {self.names.as_typed(step.command)}"])
        self._others[step.terminal] = process
        assert process.stdout is not None
        printed = "".join(process.stdout.readline() for _ in step.shown.splitlines())
        told = self.names.as_shown(printed.rstrip(), step.shown)
        assert f"$ {step.command}\n{told}" == f"$ {step.command}\n{step.shown}"

    def _interrupt(self, step: Step) -> None:
        process = self._others[step.terminal]
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
        del self._others[step.terminal]  # Not before: one that does not end is ended with the session.
        assert (printed.rstrip(), process.returncode) == (step.shown, 0)

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.close()
