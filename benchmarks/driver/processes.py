"""The processes that are measured, and what the kernel says that they used, with those that they started."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.replay.relay import RelayFailed, RelayProcess

MIB = 1 << 20
OUTPUT_LINE_BYTES_MAX = 16 << 20
LOG_CHARACTERS_TOLD = 2000
PROFILE = "CRDTSYNC_BENCH_PROFILE"
"""Environment: where relays write what their processor time went to; see ``benchmarks.profiling``."""

PROFILING = Path(__file__).parents[1] / "profiling"


class Usage:
    """Processor time of processes over a stretch of time. ``marks``: name -> pid."""

    def __init__(self, **marks: int) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in marks.items()}
        self._before = {name: cpu_s(process) for name, process in self._processes.items()}
        self._began_s = time.perf_counter()

    def cpu_s(self, name: str) -> float:
        """Processor seconds that one used since the beginning."""
        return cpu_s(self._processes[name]) - self._before[name]

    def loads(self) -> dict[str, float]:
        """Cores used by each since the beginning; 1.0 is one core all the time."""
        elapsed_s = time.perf_counter() - self._began_s
        return {name: self.cpu_s(name) / elapsed_s for name in self._processes}


@asynccontextmanager
async def relay_process(folder: Path, log: Path) -> AsyncIterator[RelayProcess]:
    """``crdtsync-relay serve`` on a folder, ready; stopped as a person would at the end."""
    relay = RelayProcess(folder, log)
    try:
        try:
            with _profiled():
                await relay.start()
        except RelayFailed as error:
            said = _end_of(log)
            raise RelayFailed(f"{error}\n{said}") from None
        yield relay
        await relay.stop()
    finally:
        relay.abandon()


@contextmanager
def _profiled() -> Iterator[None]:
    """Have a process that is started meanwhile profile itself, if that is wanted."""
    if not os.environ.get(PROFILE):
        yield
        return
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROFILING), before)))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@asynccontextmanager
async def bare_relay(*, merge_ms: float = 0.0, answer: Path | None = None) -> AsyncIterator[tuple[int, int]]:
    """The bare relay: (port, pid)."""
    arguments = ["--merge-ms", str(merge_ms)] + (["--answer", str(answer)] if answer else [])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bounds.relay", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), process.pid
    finally:
        process.kill()
        await process.wait()


class FullRegister:
    """A register in a process of its own, see ``benchmarks.driver.full``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def heard(self) -> dict[str, Any]:
        """The next thing that it tells. Raises ``RegisterFailed``."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RegisterFailed(f"a register ended with {await self._process.wait()}")
        facts: dict[str, Any] = json.loads(line)
        return facts

    def go_on(self) -> None:
        """Let it take its next step."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go on\n")


class RegisterFailed(Exception):
    """A register's process ended early; what it said is on standard error."""


@asynccontextmanager
async def full_register(action: str, folder: Path, **options: object) -> AsyncIterator[FullRegister]:
    """Start one; it has ended, by itself, when the block is left."""
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    with _profiled():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.driver.full",
            action,
            str(folder),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=OUTPUT_LINE_BYTES_MAX,
        )
    register = FullRegister(process)
    try:
        yield register
        register.go_on()
        if code := await process.wait():
            raise RegisterFailed(f"a register ended with {code}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds of all threads, in the kernel and outside, and of what it has started."""
    times = process.cpu_times()
    ended = times.children_user + times.children_system if process.pid != os.getpid() else 0.0
    living = [one.cpu_times() for one in _started_by(process)]
    return float(times.user + times.system + ended + sum(one.user + one.system for one in living))


def rss_mib(pid: int) -> float:
    """Memory of a process and of what it has started, now."""
    process = psutil.Process(pid)
    return float(sum(one.memory_info().rss for one in (process, *_started_by(process))) / MIB)


def peak_mib(pid: int) -> float:
    """The most memory that a process ever had, and each that it has started; 0 if the kernel does not say."""
    return sum(map(_peak_mib, [pid, *(one.pid for one in _started_by(psutil.Process(pid)))]))


def _started_by(process: psutil.Process) -> list[psutil.Process]:
    """Not for this process itself: what the driver has started is what it measures."""
    return [] if process.pid == os.getpid() else list(process.children(recursive=True))


def _peak_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields.get("VmHWM", "0 kB").split()[0]) / 1024


async def metrics(port: int) -> dict[str, float]:
    """The relay's own counters, without labels and buckets."""

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    found = {}
    for line in (await asyncio.to_thread(read)).splitlines():
        if not line.startswith("#") and "{" not in line:
            name, value = line.split()
            found[name.removeprefix("crdtsync_relay_")] = float(value)
    return found


def this_process() -> int:
    """The driver's own pid."""
    return os.getpid()


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS_TOLD:]
