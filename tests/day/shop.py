"""The shop of these tests: who is there, what was sold before, and what happens beside what is looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from random import Random

import httpx

from crdtsync import Register
from crdtsync.model.movement import Moved
from crdtsync.model.product import Product
from crdtsync.runtime.clock import RandomBytes
from crdtsync.testing import wine
from crdtsync.testing.clock import DAY_MS, HOUR_MS, OPENING_MS, seeded_bytes
from crdtsync_server import LocalRelay
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.folder import DataFolder
from crdtsync_server.shops.access import Access
from tests.browser import aside
from tests.day.at_hour import ClockForAll
from tests.till.conftest import TERRINE, stock_up, wait_until
from tests.web.conftest import PASSWORD

NAME = "Cave du Port"
MINUTE_MS = 60_000
PRODUCTS = 160
WATER = "EAU"
HERMITAGE = "CM-20"

__all__ = ["HERMITAGE", "MINUTE_MS", "TERRINE", "WATER", "Shop", "wait_until"]


def in_french(product: Product) -> Product:
    """With the kind that a French shop would write."""
    kinds = {"Food": "Épicerie", "Accessories": "Accessoires"}
    return replace(product, category=kinds.get(product.category or "", "Vin"))


ROOT = Path(__file__).parents[2]
STOP_S = 30


@dataclass(frozen=True)
class TillProcess:
    """`crdtsync till` of a register. ``address`` is the link of this start."""

    process: subprocess.Popen[str]
    address: str

    @property
    def base(self) -> str:
        return self.address.partition("/enter/")[0]

    def stop(self) -> None:
        """As a machine that is switched off: it is not asked."""
        self.process.kill()
        self.process.wait(STOP_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Shop:
    """Three tills and a relay with a back office, whose owner is Marie. The clock of all is ``clock``."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.clock = ClockForAll(folder / "hour", OPENING_MS - 7 * DAY_MS)
        self._chance = Random(7)
        self._seeds = count(1)
        self.port = 0
        self.tills: dict[str, TillProcess] = {}
        self.registers: dict[str, Register] = {}
        self.open_relay()
        self.web = self.relay.url.replace("ws", "http", 1)
        self._welcome("Marie")
        for name in ("Caisse 1", "Caisse 2", "Caisse mobile"):
            self.join(name, folder / name, self.relay.pairing_code())
        self._fill_the_shelves()
        self._sell_for_a_week()
        self.clock.set_ms(OPENING_MS)

    def _random(self) -> RandomBytes:
        """Chance that is the same in every run, and never twice in one."""
        return seeded_bytes(next(self._seeds))

    # -- the relay ----------------------------------------------------------------------------------------

    def open_relay(self) -> None:
        """Start it; a second time at the address that the registers know."""
        self.relay = LocalRelay(
            self.folder / "relay", shop=NAME, port=self.port, clock=self.clock, random=self._random()
        ).start()
        self._stack.callback(self.relay.stop)
        self.port = int(self.relay.url.rpartition(":")[2])

    def cut_relay(self) -> None:
        """It is gone, with all its connections."""
        self.relay.stop()

    def _welcome(self, name: str) -> None:
        data = DataFolder(self.folder / "relay")
        with closing(Access(data)) as access, closing(Books(data, self.clock, self._random())) as books:
            _, token = books.accounts.create(access.find_shop(NAME).id, name, "owner")
        with httpx.Client(
            base_url=self.web, headers={"origin": self.web}, timeout=60, verify=False
        ) as visitor:
            page = visitor.get(f"/welcome/{token}").text
            form_token = page.partition('name="token" value="')[2].partition('"')[0]
            fields = {"token": form_token, "password": PASSWORD, "again": PASSWORD}
            assert visitor.post(f"/welcome/{token}", data=fields).status_code == 303

    # -- registers ----------------------------------------------------------------------------------------

    def join(self, name: str, folder: Path, code: str) -> Register:
        """A register with a pairing code or a restore code, as `crdtsync join` makes it."""
        url = self.relay.url

        def join() -> None:
            Register.join(folder, url, code, name=name, clock=self.clock, random_bytes=self._random()).close()

        aside(join)
        register = self._stack.enter_context(
            Register.open(folder, clock=self.clock, random_bytes=self._random())
        )
        self.registers[name] = register
        return register

    def open_till(self, name: str) -> TillProcess:
        """The till of a register: `crdtsync till`, as the shop starts it."""
        folder = self.registers[name].replica.folder
        program = [sys.executable, "-m", "tests.day.at_hour", str(self.clock.file), "crdtsync", "till"]
        process = subprocess.Popen(
            [*program, "--data", str(folder), "--port", "0", "--no-browser", "--json"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TZ": "CET-1"},
        )
        self._stack.callback(process.kill)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        till = self.tills[name] = TillProcess(process, told["address"])
        self._stack.callback(till.stop)
        return till

    def lose(self, name: str) -> None:
        """The machine is gone, and its disk with it."""
        self.tills.pop(name).stop()
        self.registers.pop(name).close()

    def newest(self, name: str):
        """The newest ticket of a register, from its own ledger."""
        register = self.registers[name]
        return register.ticket(register.sales(device=register.identity.device, rows_max=1)[0].link.hex())

    # -- what was before, and what happens meanwhile ------------------------------------------------------

    def _fill_the_shelves(self) -> None:
        register = self.registers["Caisse 1"]
        stock_up(register)
        self.products = [in_french(one) for one in wine.products(Random(5), PRODUCTS)]
        catalogue = register.products._fresh()
        author = register.replica.author
        catalogue.write(
            catalogue.view.draft_add(one, by=author, at_ms=self.clock.now_ms()) for one in self.products
        )
        register.stock.move(
            [
                Moved(sku, self._chance.randrange(24, 150) * 1000, "delivery", "BL 2071")
                for sku in (WATER, "TER-1", "ROSE-22", HERMITAGE, *(one.sku for one in self.products))
            ]
        )
        self.sync()

    def _sell_for_a_week(self) -> None:
        for day in range(7):
            if day == 5:
                continue  # Closed on Sundays.
            for name in ("Caisse 1", "Caisse 2"):
                self.clock.set_ms(OPENING_MS - (7 - day) * DAY_MS)
                self.registers[name].open_day(15_000)
                self.sell(name, 18, over_ms=9 * HOUR_MS)
                self.registers[name].close_day()
        self.sync()

    def sell(self, name: str, customers: int, *, over_ms: int) -> None:
        """Customers who nobody looks at."""
        register = self.registers[name]
        for cart in wine.carts(self._chance, self.products, customers):
            self.clock.pass_ms(over_ms // customers)
            register.sell(cart.lines, cart.payments)

    def sync(self) -> None:
        """Have every register bring what it has, and fetch what the others brought."""
        for _ in range(2):
            for register in self.registers.values():
                folder = register.replica.folder

                def bring(folder: Path = folder) -> None:
                    with Register.open(folder, clock=self.clock) as other:
                        other.sync(60)

                aside(bring)
