"""Processes of the product that are at work at once: forked from one that has imported everything already.

To start `crdtsync-relay serve` costs half a second of a processor and more, nearly all of it for imports, and
tests that kill and start again do so many hundred times. What is forked here is a process like any other: it
has its own number, memory, files and environment, runs the same command from its first line, takes signals
and dies of them. What a fresh interpreter does, and how long it takes, is tested where one is started:
tests/cli, tests/docs, tests/day.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]

PIPE: Final = subprocess.PIPE
DEVNULL: Final = subprocess.DEVNULL

_LATE: Final = (
    "apsw.ext",
    "argon2",
    "asyncio",
    "multiprocessing.connection",
    "concurrent.futures.thread",
)
"""What the product imports late, and not by one of its own modules."""

_ERRORS: Final = ("strict", "strict", "backslashreplace")
"""Of the three standard streams: what cannot be said."""

_LEFT_OUT: Final = ("crdtsync.testing", "__main__", "gather_words")


# -- the side of a test --------------------------------------------------------------------------------------


class Process:
    """As ``subprocess.Popen`` of a Python program, with text in its pipes."""

    def __init__(
        self,
        command: Sequence[object],
        *,
        stdin: IO[Any] | int | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        """``command``: ``-m``, a module and its arguments, or ``-c``, a program and its arguments."""
        self.args = [*map(str, command)]
        self.returncode: int | None = None
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        told, telling = os.pipe()
        self._told = os.fdopen(told, encoding="ascii")
        given, ours = [telling], []
        for name, number, what in (("stdin", 0, stdin), ("stdout", 1, stdout), ("stderr", 2, stderr)):
            if what == PIPE:
                reads, writes = os.pipe()
                theirs, mine = (reads, writes) if number == 0 else (writes, reads)
                setattr(self, name, os.fdopen(mine, "w" if number == 0 else "r", encoding="utf-8"))
                ours.append(theirs)
            elif what == DEVNULL:
                ours.append(theirs := os.open(os.devnull, os.O_RDWR))
            else:
                theirs = number if what is None else what if isinstance(what, int) else what.fileno()
            given.append(theirs)
        asked = {"command": self.args, "cwd": str(cwd or Path.cwd()), "env": env or dict(os.environ)}
        try:
            socket.send_fds(_forking(), [json.dumps(asked).encode()], given)
        finally:
            for number in (telling, *ours):
                os.close(number)
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._note_end()
        return self.returncode

    def wait(self, timeout_s: float | None = None) -> int:
        """Its exit code, as soon as it has ended."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout_s)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout_s or 0)
            self._note_end()
        assert self.returncode is not None
        return self.returncode

    def _note_end(self) -> None:
        self.returncode = int(self._told.readline())
        self._told.close()

    def send_signal(self, number: int) -> None:
        """Nothing to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it says on standard output and on standard error until it ends."""
        if self.stdin is not None:
            self.stdin.close()
        ends_s = None if timeout is None else time.monotonic() + timeout
        said: dict[IO[str], list[bytes]] = {
            pipe: [] for pipe in (self.stdout, self.stderr) if pipe is not None
        }
        open_pipes = list(said)
        while open_pipes:
            left_s = None if ends_s is None else max(0.0, ends_s - time.monotonic())
            ready = select.select(open_pipes, [], [], left_s)[0]
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            for pipe in ready:
                if data := os.read(pipe.fileno(), 1 << 16):
                    said[pipe].append(data)
                else:
                    open_pipes.remove(pipe)
        out, err = (
            b"".join(said.get(pipe, [])).decode() if pipe else "" for pipe in (self.stdout, self.stderr)
        )
        self.wait(None if ends_s is None else max(0.0, ends_s - time.monotonic()))
        self._close()
        return out, err

    def _close(self) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self.wait()


def run(command: Sequence[object], *, timeout: float = 60, **how: Any) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` with its output captured; what does not end in time is killed."""
    process = Process(command, stdout=PIPE, stderr=PIPE, **how)
    try:
        out, err = process.communicate(timeout)
    except BaseException:
        process.kill()
        process.communicate(60)
        raise
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


_lines: dict[int, socket.socket] = {}


def _forking() -> socket.socket:
    """The line to the process that forks for this one; it is made when it is first asked for."""
    line = _lines.get(os.getpid())
    if line is None:
        line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            command = [sys.executable, "-m", "tests.forked", str(other.fileno())]
            one_thread = {
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
            }  # Of numpy, which openpyxl imports if it is there.
            forking = subprocess.Popen(command, cwd=ROOT, pass_fds=[other.fileno()], env=one_thread)
        _lines[os.getpid()] = line

        def end() -> None:
            line.close()
            forking.wait(60)

        atexit.register(end)
    return line


# -- the side that forks -------------------------------------------------------------------------------------


def _import_everything() -> None:
    for package in ("crdtsync", "crdtsync_server"):
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not any(part in module.name for part in _LEFT_OUT):
                importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)


def _serve(line: socket.socket) -> dict[str, Any]:
    """Fork for whoever asks, until nobody is there. Returns in each forked process: what that is to be."""
    tells: dict[int, int] = {}
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests.
    while True:
        ready = select.select([line, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 1 << 12)
            while tells:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                _tell(tells[pid], os.waitstatus_to_exitcode(status))
                os.close(tells.pop(pid))
        if line in ready:
            asked, given, _, _ = socket.recv_fds(line, 1 << 20, 4)
            if not asked:
                raise SystemExit
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for number in (0, 1, 2):
                    os.dup2(given[1 + number], number)
                line.close()
                for number in {*given, woken, wakes, *tells.values()}:
                    os.close(number)
                facts: dict[str, Any] = json.loads(asked)
                return facts
            tells[pid] = given[0]
            _tell(given[0], pid)
            for number in given[1:]:
                os.close(number)


def _tell(to: int, number: int) -> None:
    try:
        os.write(to, b"%d\n" % number)
    except BrokenPipeError:  # Whoever asked for it is not interested any more.
        pass


def _become(asked: dict[str, Any]) -> None:
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    for number, name in enumerate(
        ("stdin", "stdout", "stderr")
    ):  # Those there are were made for other files.
        made = open(  # noqa: SIM115
            number, "w" if number else "r", encoding="utf-8", errors=_ERRORS[number], closefd=False
        )
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    how, what, *arguments = asked["command"]
    sys.argv = [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def _end_of(asked: dict[str, Any]) -> int:
    """Run it; the exit code that Python gives it."""
    try:
        _become(asked)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _end(code: int) -> None:
    """End as Python does, but without taking a hundred modules apart, which costs more than all the rest."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    _import_everything()
    assert len(os.listdir("/proc/self/task")) == 1, "whoever has threads must not fork"
    gc.freeze()
    _end(_end_of(_serve(socket.socket(fileno=int(sys.argv[1])))))
