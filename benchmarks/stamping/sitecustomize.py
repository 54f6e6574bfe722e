"""When what happens in a relay and in full registers: moments of named methods, written when they end.

Python loads this file at its start if its folder is on ``PYTHONPATH``, where
``benchmarks.decisions.hops_of_a_sale`` puts it. Methods are wrapped when the first thread starts: by then
their modules are loaded.
"""

import atexit
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = os.environ.get("CRDTSYNC_BENCH_STAMPS")

METHODS = {
    "sell": ("crdtsync.runtime.register.register", "Register", "sell"),
    "begin": ("crdtsync.storage.database", "Database", "begin"),
    "commit": ("crdtsync.storage.database", "Database", "commit"),
    "sign": ("crdtsync.model.signature", "PrivateKey", "sign_text"),
    "look": ("crdtsync.runtime.syncing.syncer", "Syncer", "_look"),
    "grew": ("crdtsync.runtime.syncing.connection", "Connection", "log_grew"),
    "flush": ("crdtsync.runtime.syncing.connection", "Connection", "_flush"),
    "take": ("crdtsync.runtime.syncing.connection", "Connection", "_take"),
    "submit": ("crdtsync.runtime.committing.committer", "Committer", "submit"),
    "work": ("crdtsync.runtime.committing.committer", "Committer", "_commit"),
    "judge": ("crdtsync.runtime.committing.shop_commit", "ShopCommit", "judge"),
    "told": ("crdtsync_server.home", "RelayHome", "committed"),
    "send": ("crdtsync_server.serving.sockets", "WebSocketEnd", "send_now"),
    "next": ("crdtsync.runtime.register.changes", "Changes", "_next"),
}

stamps: list[tuple[int, str]] = []
_wrapped: set[str] = set()


def wrap(cls: type, method: str, name: str) -> None:
    """Stamp the beginning (``name>``) and the end (``name<``) of each call."""
    call: Callable[..., Any] = getattr(cls, method)
    begins, ends, now_ns = f"{name}>", f"{name}<", time.monotonic_ns

    def stamped(*arguments: Any, **named: Any) -> Any:
        stamps.append((now_ns(), begins))
        try:
            return call(*arguments, **named)
        finally:
            stamps.append((now_ns(), ends))

    setattr(cls, method, stamped)


def wrap_all() -> None:
    """Whatever is loaded by now."""
    for name, (module, cls, method) in METHODS.items():
        if name not in _wrapped and hasattr(sys.modules.get(module), cls):
            _wrapped.add(name)
            wrap(getattr(sys.modules[module], cls), method, name)


def start(folder: Path) -> None:
    """Wrap before each thread that starts, and write at the end."""
    begin = threading.Thread.start

    def stamped(thread: threading.Thread) -> None:
        wrap_all()
        begin(thread)

    threading.Thread.start = stamped  # type: ignore[method-assign]

    def write() -> None:
        with (folder / f"{os.getpid()}.json").open("w", encoding="utf-8") as out:
            json.dump({"arguments": sys.argv, "stamps": stamps}, out)

    atexit.register(write)


if FOLDER:
    start(Path(FOLDER))
