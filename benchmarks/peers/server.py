"""A server as a process: the product's relay or a peer, started, killed, and started again on its data."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

from benchmarks.driver.processes import cpu_s
from benchmarks.peers.peer import Command, environment

READY_S_MAX: Final = 60.0
STOPPED_S_MAX: Final = 30.0
LOOK_EVERY_S: Final = 0.02
IDLE_LOAD: Final = 0.02
IDLE_LOOKS: Final = 3
IDLE_LOOK_S: Final = 1.0
IDLE_S_MAX: Final = 240.0
LOG_CHARACTERS_TOLD: Final = 1500


class ServerFailed(Exception):
    """A server did not start, or ended."""


class Server:
    """One life of a server's process. It is in a session of its own: a Ctrl-C is for the driver alone, which
    then ends it.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.pid = process.pid
        self.port = port

    def kill(self) -> None:
        """``kill -9``, at once."""
        if self._process.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until it is gone."""
        await self._process.wait()

    async def stop(self) -> None:
        """As a person would; killed when it does not end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOPPED_S_MAX):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    async def until_idle(self) -> None:
        """Wait until it has used next to no processor time for three seconds: what it stores behind its
        relaying is stored then. No server says when that is. Raises ``TimeoutError``.
        """
        process, looks = psutil.Process(self.pid), 0
        async with asyncio.timeout(IDLE_S_MAX):
            while looks < IDLE_LOOKS:
                before_s = cpu_s(process)
                await asyncio.sleep(IDLE_LOOK_S)
                looks = looks + 1 if cpu_s(process) - before_s < IDLE_LOAD * IDLE_LOOK_S else 0

    async def until_ready(self, log: Path) -> None:
        """Wait until it takes connections. Raises ``ServerFailed``."""
        async with asyncio.timeout(READY_S_MAX):
            while True:
                if self._process.returncode is not None:
                    raise ServerFailed(f"it ended with {self._process.returncode}: {_end_of(log)}")
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(LOOK_EVERY_S)
                    continue
                writer.close()
                return


@asynccontextmanager
async def serving(command: Command, port: int, log: Path) -> AsyncIterator[Server]:
    """Run it, ready; it is gone when the block is left. Raises ``ServerFailed``, ``TimeoutError``."""
    with log.open("ab") as out:
        try:
            process = await asyncio.create_subprocess_exec(
                *command.arguments,
                cwd=log.parent,
                env=environment(command.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ServerFailed(str(error)) from None
    server = Server(process, port)
    try:
        await server.until_ready(log)
        yield server
    finally:
        server.kill()
        await server.ended()


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS_TOLD:]


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
