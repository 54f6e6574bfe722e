"""A register and its relay, killed in the middle of work two hundred times, keep what they promised."""

import json
import random
import signal
import socket
from pathlib import Path

import pytest

from crdtsync import Register
from crdtsync.ids import ENTRY, record_digest
from crdtsync.model.entry import read_entry
from crdtsync.runtime.belonging.join import join_shop
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.folder.identity import load_relay
from crdtsync.storage.sqlite import SqliteStore
from tests import forked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KILLS = 50
"""In each of four histories."""

SELLER = """
import sys
from crdtsync import Register

with Register.open(sys.argv[1]) as till:
    till.start_sync()
    while True:
        print(till.sell(["CM-19"], ["card"]).number, flush=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class History:
    """One shop of one register, one relay, and what was promised so far."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.relay_folder, self.till_folder = folder / "relay", folder / "till"
        made = self._relay("shop", "create", "Cave", "--data", str(self.relay_folder), "--json")
        shop = json.loads(made.communicate()[0])
        self.shop = bytes.fromhex(shop["shop"])
        self.relay = self.start_relay()
        join_shop(
            self.till_folder,
            f"http://127.0.0.1:{self.port}",
            shop["code"],
            name="Caisse 1",
            clock=SystemClock(),
            random_bytes=system_random,
        )
        with Register.open(self.till_folder) as till:
            till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        self.promised: list[str] = []
        self.found: dict[str, int] = {}
        self.checked_seq = 0

    def start_relay(self) -> forked.Process:
        serve = ["serve", "--data", str(self.relay_folder), "--port", str(self.port), "--log-level", "error"]
        relay = self._relay(*serve)
        assert relay.stdout is not None
        assert relay.stdout.readline()
        return relay

    def sell_until_killed(self, tickets: int, *, relay_too: bool) -> None:
        """Sell, kill after so many tickets were reported, and note what was reported until the end."""
        seller = forked.Process(["-c", SELLER, self.till_folder], stdout=forked.PIPE)
        assert seller.stdout is not None
        lines = [seller.stdout.readline() for _ in range(tickets)]
        if relay_too:
            self.kill_relay()
        seller.send_signal(signal.SIGKILL)
        lines += seller.stdout.readlines()
        seller.stdout.close()
        assert seller.wait(60) == -signal.SIGKILL
        # A last line may be cut short.
        self.promised += [line.strip() for line in lines if line.endswith("\n")]
        if relay_too:
            self.relay = self.start_relay()

    def kill_relay(self) -> None:
        self.relay.kill()
        self.relay.wait(60)
        if self.relay.stdout is not None:
            self.relay.stdout.close()

    def check(self) -> int:
        """Reported: on the register's disk. Acknowledged: on the relay's. How much was acknowledged."""
        mine = SqliteStore(self.till_folder / "register.sqlite")
        theirs = SqliteStore(self.relay_folder / "relay.sqlite")
        try:
            log, held = mine.shop(self.shop), theirs.shop(self.shop)
            relay = load_relay(log)
            assert relay is not None
            known = log.acknowledged(relay.log_id) if relay.log_id else None
            acknowledged = known.position.seq if known else 0
            seq = self.checked_seq
            while seq < log.end.seq:
                batch = log.read(seq, bytes_max=1 << 20)
                for at, record in batch.records:
                    if record[:1] == ENTRY:
                        entry = read_entry(record[1:])
                        if "num" in entry.body:
                            assert self.found.setdefault(entry.body["num"], at) == at, "a number twice"
                        is_held = held.holds(entry.link, entry.facts.chain, entry.facts.n)
                    else:
                        is_held = held.holds(record_digest(record))
                    assert is_held or at > acknowledged, f"record {at} was acknowledged and is not there"
                seq = batch.to.seq
            assert self.found.keys() >= set(self.promised)
            # What is not acknowledged yet is looked at again.
            self.checked_seq = min(acknowledged, log.end.seq)
            return acknowledged
        finally:
            mine.close()
            theirs.close()

    def _relay(self, *arguments: str) -> forked.Process:
        return forked.Process(["-m", "crdtsync_server", *arguments], stdout=forked.PIPE)


@pytest.mark.parametrize("seed", range(4))
def test_killed_fifty_times_nothing_promised_is_lost(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    history = History(tmp_path)
    try:
        acknowledged = 0
        for _ in range(KILLS):
            history.sell_until_killed(chance.randint(1, 40), relay_too=chance.random() < 0.3)
            acknowledged = max(acknowledged, history.check())
        assert acknowledged > 0, "nothing was ever acknowledged: this history shows nothing"
        with Register.open(history.till_folder) as till:
            till.sync(timeout_s=60)
            assert till.status().pending.records == 0
            assert till.verify().findings == ()
            sold = [row.number for row in reversed(till.sales(rows_max=1_000_000))]
        assert [int(number.rpartition("-")[2]) for number in sold] == list(range(1, len(sold) + 1))
        assert set(history.promised) <= set(sold)
        history.check()
        # What the views show is what the log holds, no ticket more or less.
        assert set(sold) == history.found.keys()
    finally:
        history.kill_relay()
