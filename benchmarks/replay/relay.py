"""The relay of the replay: the real command, as a process, killed and started again as the plan says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from benchmarks.replay.usage import Usage

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 30.0
BIN = Path(sys.executable).parent


class RelayFailed(Exception):
    """The relay, or a command, did not do what it should."""


class RelayProcess:
    """``crdtsync-relay serve`` on a folder and a fixed port."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.kills = 0
        self.usage = Usage()
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self._process is not None

    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it; returns when devices can connect. Raises ``RelayFailed``."""
        arguments = ("serve", "--data", str(self.folder), "--port", str(self.port), "--json")
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                BIN / "crdtsync-relay", *arguments, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S)
        if not line:
            raise RelayFailed(f"the relay ended with {await process.wait()}: see {self._log}")
        self._process = process

    async def kill(self) -> None:
        """End it as a power cut would."""
        process = self._process
        assert process is not None
        self.usage.add(process.pid)
        self._process = None
        process.kill()
        await process.wait()
        self.kills += 1

    async def stop(self) -> None:
        """End it as a person would. Raises ``RelayFailed`` if that is not what happens."""
        process = self._process
        assert process is not None
        self.usage.add(process.pid)
        self._process = None
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), STOPPED_WITHIN_S)
        if code:
            raise RelayFailed(f"the relay ended with {code} after SIGTERM: see {self._log}")

    def abandon(self) -> None:
        """Leave no process behind, whatever happened."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


async def command(name: str, *arguments: str) -> Any:
    """Run one of the product's commands with ``--json``; what it printed. Raises ``RelayFailed``."""
    process = await asyncio.create_subprocess_exec(
        BIN / name,
        *arguments,
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CRDTSYNC_DAY_STARTS": "04:00"},
    )
    out, err = await process.communicate()
    if process.returncode:
        said = (out + err).decode(errors="replace")
        raise RelayFailed(f"{name} {' '.join(arguments)} ended with {process.returncode}: {said}")
    return json.loads(out)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
