"""The shop of these tests: folders, and the commands that people type. Nothing of the product is imported."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests import forked

SELLER = """
import sys
import time
from crdtsync import Register

with Register.open(sys.argv[1]) as till:
    till.start_sync()
    for _ in range(int(sys.argv[2])):
        ticket = till.sell(["CM-19"], ["card"])
        print(ticket.link.hex(), ticket.total_minor, flush=True)
"""
"""Whoever sells in a loop, and synchronises meanwhile."""


class Speaker:
    """A program that answers one line of JSON with one."""

    def __init__(self, process: forked.Process | subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, question: Any) -> Any:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()


class Desk:
    """The two programs beside the shop: the one that works it, and the one that judges."""

    def __init__(self) -> None:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._hands = Speaker(forked.Process(["-m", "tests.integration.copies.hands"], **pipes))
        # Not forked: it has nothing of the product in it.
        judge = [sys.executable, "-m", "tests.integration.copies.check"]
        self._checker = Speaker(subprocess.Popen(judge, text=True, **pipes))

    def close(self) -> None:
        """Let them end."""
        self._hands.close()
        self._checker.close()

    def run(self, program: str, *arguments: str, code: int = 0) -> Any:
        """What a command says as JSON; on standard error if it is to be refused with ``code``."""
        said = self._hands.ask([program, [*arguments, "--json"]])
        assert said["code"] == code, (arguments, said)
        return said["err"] if code else json.loads(said["out"])

    def doctor(self, program: str, folder: Path) -> dict[str, dict[str, Any]]:
        """What a doctor finds, by what it looked at; the first that is not well counts."""
        said = self._hands.ask([program, ["doctor", "--data", str(folder), "--json"]])
        by_check: dict[str, dict[str, Any]] = {}
        for one in json.loads(said["out"])["findings"]:
            if by_check.get(one["check"], {"state": "well"})["state"] == "well":
                by_check[one["check"]] = one
        return by_check

    def check(self, *places: Relay | Till) -> list[dict[str, Any]]:
        """What lies on their disks, and what is wrong with it."""
        folders = [str(place.folder) for place in places]
        said = self._checker.ask(folders)
        return [said[folder] for folder in folders]

    def pending(self, till: Till, relay: Relay) -> int:
        """What a register says is pending; if that is nothing, all that it holds lies on the relay's disk.

        What it holds is looked at before, what the relay holds after: no moment in between excuses a 0.
        """
        (held,) = self.check(till)
        pending = int(till.status()["pending_records"])
        if pending == 0:
            (there,) = self.check(relay)
            missing = set(held["links"]) - set(there["links"])
            assert not missing, f"pending 0, and the relay lacks {len(missing)} entries"
        return pending


class Relay:
    """`crdtsync-relay` on a folder; always on the same port, once it has one."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        self.folder, self.port, self._desk = folder, 0, desk
        self.process: forked.Process | None = None
        self.log = folder.parent / "relay.log"
        self.url = ""

    def start(self) -> None:
        """Serve; returns when registers can connect."""
        command = ["-m", "crdtsync_server", "serve", "--json", "--port", self.port]
        with self.log.open("a") as log:
            self.process = forked.Process([*command, "--data", self.folder], stdout=forked.PIPE, stderr=log)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.port, self.url = ready["port"], ready["url"]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self.process is not None and self.process.stdout is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process.stdout.close()
            self.process = None

    def say(self, *arguments: str) -> Any:
        """What a command on its folder says."""
        return self._desk.run("crdtsync_server", *arguments, "--data", str(self.folder))

    def shop(self) -> dict[str, Any]:
        """The shop in `crdtsync-relay status`."""
        shop: dict[str, Any] = self.say("status")["shops"][0]
        return shop

    def doctor(self) -> dict[str, dict[str, Any]]:
        """`crdtsync-relay doctor`."""
        return self._desk.doctor("crdtsync_server", self.folder)

    def events(self) -> list[str]:
        """What it has logged; a line that it is writing just now is none yet."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line)["event"] for line in whole.splitlines()]

    def has_logged(self, event: str) -> bool:
        """Whether it logs that within a minute: it does so after it is done, and nobody waits for that."""
        ends_s = time.monotonic() + 60
        while event not in self.events():
            if time.monotonic() > ends_s:
                return False
            time.sleep(0.01)
        return True


class Till:
    """A register's folder."""

    def __init__(self, folder: Path, desk: Desk) -> None:
        self.folder, self._desk = folder, desk

    def say(self, *arguments: str) -> Any:
        """What a command on its folder says."""
        return self._desk.run("crdtsync", *arguments, "--data", str(self.folder))

    def sell(self, tickets: int = 1) -> dict[str, int]:
        """Sell, without the network: link -> amount of what was told to be paid."""
        told = [self.say("sell", "CM-19", "--pay", "card") for _ in range(tickets)]
        return {ticket["link"]: ticket["total_minor"] for ticket in told}

    def sync(self) -> None:
        """Done means: the relay has everything."""
        self.say("sync")

    def status(self) -> dict[str, Any]:
        """`crdtsync status`."""
        status: dict[str, Any] = self.say("status")
        return status

    def doctor(self) -> dict[str, dict[str, Any]]:
        """`crdtsync doctor`."""
        return self._desk.doctor("crdtsync", self.folder)

    def seller(self, tickets: int) -> forked.Process:
        """A process that sells in a loop."""
        return forked.Process(["-c", SELLER, self.folder, tickets], stdout=forked.PIPE)

    def copy_to(self, folder: Path) -> Till:
        """All files as they lie there at this moment."""
        shutil.copytree(self.folder, folder)
        return Till(folder, self._desk)

    def put_back(self, copy: Path) -> None:
        """The folder becomes what a copy of it is."""
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
