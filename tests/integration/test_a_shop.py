"""A shop as its people meet it: real relay, real registers, real sockets."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdtsync import Register
from crdtsync.errors import PairingRefused
from crdtsync.runtime.belonging.join import join_shop
from crdtsync.runtime.clock import SystemClock, system_random
from tests import forked


class Relay:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = json.loads(self.command("shop", "create", "Cave", "--data", str(folder), "--json"))
        self.shop, self.first_code = made["shop"], made["code"]
        serve = ["serve", "--data", str(folder), "--port", "0", "--json", "--log-level", "error"]
        self.process = forked.Process(["-m", "crdtsync_server", *serve], stdout=forked.PIPE)
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]

    def command(self, *arguments: str) -> str:
        done = forked.run(["-m", "crdtsync_server", *arguments])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def code(self) -> str:
        made = self.command("pair", self.shop, "--data", str(self.folder), "--role", "register", "--json")
        return str(json.loads(made)["code"])

    def join(self, folder: Path, name: str, code: str = "") -> None:
        join_shop(
            folder, self.url, code or self.code(), name=name, clock=SystemClock(), random_bytes=system_random
        )

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(tmp_path / "relay")
    yield relay
    relay.stop()


def test_a_sale_on_one_register_is_seen_on_another(relay: Relay, tmp_path: Path) -> None:
    relay.join(tmp_path / "a", "Caisse 1", relay.first_code)
    relay.join(tmp_path / "b", "Caisse 2")
    with Register.open(tmp_path / "a") as a, Register.open(tmp_path / "b") as b:
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        number = a.sell(["CM-19"], ["card"]).number
        assert a.status().pending.sales == 1
        a.sync(timeout_s=60)
        assert a.status().pending.records == 0
        b.sync(timeout_s=60)
        assert [row.number for row in b.sales()] == [number]
        price = b.products.get("CM-19").price_minor
        assert price == 1850


@pytest.mark.slow
def test_all_that_was_sold_before_joining_is_in_the_shop(relay: Relay, tmp_path: Path) -> None:
    with Register.init(tmp_path / "a", name="Caisse 1") as alone:
        alone.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        number = alone.sell(["CM-19"], ["cash"]).number
        assert alone.status().pending.sales == 1
    relay.join(tmp_path / "a", "Caisse 1", relay.first_code)
    relay.join(tmp_path / "b", "Caisse 2")
    with Register.open(tmp_path / "a") as a, Register.open(tmp_path / "b") as b:
        a.sync(timeout_s=60)
        b.sync(timeout_s=60)
        assert [row.number for row in b.sales()] == [number]


def test_a_pairing_code_lets_one_device_in(relay: Relay, tmp_path: Path) -> None:
    relay.join(tmp_path / "a", "Caisse 1", relay.first_code)
    with pytest.raises(PairingRefused):
        relay.join(tmp_path / "b", "Caisse 2", relay.first_code)


@pytest.mark.slow
def test_two_prices_at_once_are_both_kept_and_shown_as_disputed(relay: Relay, tmp_path: Path) -> None:
    relay.join(tmp_path / "a", "Caisse 1", relay.first_code)
    relay.join(tmp_path / "b", "Caisse 2")
    with Register.open(tmp_path / "a") as a, Register.open(tmp_path / "b") as b:
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        a.sync(timeout_s=60)
        b.sync(timeout_s=60)
        a.products.set("CM-19", price_minor=1900)
        b.products.set("CM-19", price_minor=2000)
        for register in (a, b, a):
            register.sync(timeout_s=60)
        here, there = a.products.get("CM-19"), b.products.get("CM-19")
        assert here == there
        assert here.disputed
