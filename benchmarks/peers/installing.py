"""Packages of the peers, by name, with the ordinary clients, into a folder of ours."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.peer import Peer

INSTALL_S_MAX: Final = 900
"""Something is compiled where no finished build is to be had."""

OUTPUT_TOLD: Final = 2000
_MARK: Final = "installed.json"


class NotInstalled(Exception):
    """A peer's packages could not be had; the text says why."""


async def install(peer: Peer, folder: Path) -> dict[str, str]:
    """Install into a folder of the peer's own; the versions that are there. What is there already, with the
    same pins, stays. Raises ``NotInstalled``.
    """
    told = folder / _MARK
    pins = {"packages": peer.pinned, "client": peer.client}
    if not told.exists() or json.loads(told.read_text(encoding="utf-8")) != pins:
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
        told.unlink(missing_ok=True)
        await (_with_npm if peer.client == "npm" else _with_pip)(peer, folder)
        told.write_text(json.dumps(pins), encoding="utf-8")
    return await (_npm_versions if peer.client == "npm" else _pip_versions)(peer, folder)


def package_file(peer: Peer) -> dict[str, Any]:
    """What npm is told: exact versions, also of what comes with them."""
    return {
        "private": True,
        "dependencies": dict(peer.packages) | ({"yjs": peer.beside["yjs"]} if "yjs" in peer.beside else {}),
        "overrides": {name: version for name, version in peer.beside.items() if name != "yjs"},
        "allowScripts": dict.fromkeys(peer.builds, True),
    }


def requirements(peer: Peer) -> list[str]:
    """What pip is told."""
    return [f"{name}=={version}" for name, version in peer.pinned.items()]


async def _with_npm(peer: Peer, folder: Path) -> None:
    (folder / "package.json").write_text(json.dumps(package_file(peer), indent=2), encoding="utf-8")
    await _run(("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"), folder)


async def _npm_versions(peer: Peer, folder: Path) -> dict[str, str]:
    versions = {"node": (await _run(("node", "--version"), folder)).strip().removeprefix("v")}
    for name in peer.pinned:
        file = folder / "node_modules" / name / "package.json"
        versions[name] = json.loads(file.read_text(encoding="utf-8"))["version"]
    return versions


async def _with_pip(peer: Peer, folder: Path) -> None:
    await _run((sys.executable, "-m", "venv", "--clear", str(folder)), folder)
    pip = (str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    await _run((*pip, *requirements(peer)), folder)


async def _pip_versions(peer: Peer, folder: Path) -> dict[str, str]:
    code = "import importlib.metadata as m, json, platform, sys; " + (
        "print(json.dumps({'python': platform.python_version(), **{n: m.version(n) for n in sys.argv[1:]}}))"
    )
    versions: dict[str, str] = json.loads(
        await _run((str(_python(folder)), "-c", code, *peer.pinned), folder)
    )
    return versions


def _python(folder: Path) -> Path:
    return folder / "bin" / Path(sys.executable).name


async def _run(arguments: Sequence[str], folder: Path) -> str:
    """In a session of its own, so that all that it starts can be ended with it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise NotInstalled(f"{arguments[0]} is not on this machine") from None
    try:
        async with asyncio.timeout(INSTALL_S_MAX):
            out, err = await process.communicate()
    except TimeoutError:
        raise NotInstalled(f"{arguments[0]} took more than {INSTALL_S_MAX} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        said = (err or out).decode(errors="replace")[-OUTPUT_TOLD:]
        raise NotInstalled(f"{' '.join(arguments[:3])} ended with {process.returncode}: {said}")
    return out.decode(errors="replace")
