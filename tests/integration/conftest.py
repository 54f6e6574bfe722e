"""A relay in a process of its own, that can be stopped, killed, restored and started again."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.cli.group import main as relay_main
from tests import forked


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes and sockets are left to `make test`: `make check` is to be over within a minute."""
    for item in items:
        if item.nodeid.startswith("tests/integration/"):
            item.add_marker(pytest.mark.slow)


def wait_until(condition: Callable[[], object], what: str = "it does not come") -> None:
    """Until something is so that another thread or process brings about and tells nobody of. It is asked for
    again after a pause, so that whoever brings it about gets the processor; the pause decides nothing.
    """
    ends_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_s, what
        time.sleep(0.01)


class RelayProcess:
    """`crdtsync-relay` on one folder with one shop. It always serves on the same port, once it has one."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder, self.settings, self.port = folder, settings, 0
        self.errors = folder.parent / "relay.log"
        made = json.loads(self.command("shop", "create", "Cave", "--json"))
        self.shop, self.first_code = bytes.fromhex(made["shop"]), str(made["code"])
        self.process: forked.Process | None = None

    def start(self) -> None:
        """Serve; returns when devices can connect."""
        serve = ["serve", "--data", str(self.folder), "--port", str(self.port), "--json", *self.settings]
        with self.errors.open("a") as errors:
            self.process = forked.Process(
                ["-m", "crdtsync_server", *serve], stdout=forked.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline() or self.errors.read_text())
        self.port, self.url, self.web = ready["port"], ready["url"], ready["web"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.process.wait(60)
        self.process.stdout.close()
        code, self.process = self.process.returncode, None
        return code

    def command(self, *arguments: str, check: bool = True) -> str:
        """What another command prints on the same folder. It is run in this process, not the relay's: to
        start a third one takes longer than most tests.
        """
        done = CliRunner().invoke(relay_main, [*arguments, "--data", str(self.folder)])
        assert not check or done.exit_code == 0, done.stderr
        return done.stdout

    def code(self) -> str:
        """One more pairing code."""
        return str(json.loads(self.command("pair", self.shop.hex(), "--json"))["code"])

    def join(self, folder: Path, name: str, code: str = "", **settings: Any) -> Register:
        """A register of the shop, open."""
        return Register.join(folder, self.url, code or self.code(), name=name, **settings)

    def status(self) -> dict[str, Any]:
        """The shop in `crdtsync-relay status`."""
        facts: dict[str, Any] = json.loads(self.command("status", "--json"))["shops"][0]
        return facts

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with urllib.request.urlopen(self.web + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels."""
        lines = self.get("/metrics")[1].splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def log(self) -> list[dict[str, Any]]:
        """The events that it has logged so far; a line that it is writing just now is none yet."""
        whole = self.errors.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def wait_for_event(self, name: str, said: str = "") -> dict[str, Any]:
        """The first event of that name that says so. It is logged after it is done: nobody waits for that."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [one for one in self.log() if one["event"] == name and said in json.dumps(one)]
            return bool(found)

        wait_until(is_there, f"{name} is not logged")
        return found[0]

    def open_store(self) -> SqliteStore:
        """Its store, to be closed by the caller."""
        return SqliteStore(self.folder / "relay.sqlite", create=False)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    """A relay that runs, with one shop."""
    relay = RelayProcess(tmp_path / "relay")
    relay.start()
    yield relay
    if relay.process is not None:
        relay.stop(signal.SIGKILL)


@pytest.fixture
def relay_of(tmp_path: Path) -> Iterator[Any]:
    """Makes relays with settings; they run."""
    made: list[RelayProcess] = []

    def make(*settings: str) -> RelayProcess:
        relay = RelayProcess(tmp_path / "relay", *settings)
        made.append(relay)
        relay.start()
        return relay

    yield make
    for relay in made:
        if relay.process is not None:
            relay.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def relay_process() -> type[RelayProcess]:
    """For relays that live longer than one test."""
    return RelayProcess


@pytest.fixture
def tills(tmp_path):
    """The registers by name, closed at the end."""
    with ExitStack() as stack:
        opened = {}

        def till(name, joined=None):
            if name not in opened:
                opened[name] = stack.enter_context(joined or Register.open(tmp_path / name))
            return opened[name]

        yield till
