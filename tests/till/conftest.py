"""A till in this process, somebody who uses it without a screen, and a relay where a test wants one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from crdtsync import Register
from crdtsync.model.product import Product
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.testing import wine
from crdtsync.till.app import Till
from crdtsync.till.printing import PrinterAddress
from crdtsync_server import LocalRelay


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a relay, a browser or many tills is left to `make test`: `make check` is to be over soon."""
    for item in items:
        if item.nodeid.startswith("tests/till/") and item.path.name not in (
            "test_parts.py",
            "test_troubles.py",
        ):
            item.add_marker(pytest.mark.slow)


def wait_until(condition: Callable[[], object], what: str = "it does not come") -> None:
    """Until something is so that another thread brings about. The pause decides nothing."""
    ends_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_s, what
        time.sleep(0.01)


class Clerk:
    """Whoever stands at the till, with a browser that has no screen."""

    def __init__(self, till: Till, *, language: str = "en") -> None:
        headers = {"accept-language": language, "origin": till.base}
        self.http = httpx.Client(base_url=till.base, headers=headers, timeout=60, verify=False)
        self.till = till
        assert self.http.get(till.address).status_code == 303

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers)

    def page(self, path: str = "/") -> str:
        answer = self.http.get(path, follow_redirects=True)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.text

    @property
    def token(self) -> str:
        return self.hidden("token")

    def hidden(self, name: str, path: str = "/") -> str:
        """What a form of a page brings along."""
        found = re.search(rf'name="{name}" value="([^"]+)"', self.page(path))
        assert found, (name, path)
        return unescape(found[1])

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of the till."""
        return self.http.post(path, data={"token": self.token, **self._brought(path), **fields})

    def _brought(self, path: str) -> dict[str, str]:
        """What the form brings along, beside the token, if it stands on its page now."""
        place = {"/discount": ("basket", "/basket"), "/park": ("basket", "/basket")} | {
            "/day/cash": ("request", "/day")
        }
        if path not in place:
            return {}
        name, page = place[path]
        found = re.search(rf'name="{name}" value="([^"]+)"', self.page(page))
        return {name: unescape(found[1])} if found else {}

    def take(self, text: str) -> httpx.Response:
        """Scan something, or type it and press Enter."""
        return self.post("/take", q=text)

    def pay(self, means: str = "card", amount: str = "", **more: str) -> httpx.Response:
        page = self.page("/pay")
        fields = {
            name: unescape(re.search(rf'name="{name}" value="([^"]+)"', page)[1])  # type: ignore[index]
            for name in ("basket", "step", "due")
        }
        return self.post("/pay", means=means, amount=amount, **{**fields, **more})

    def lines(self) -> list[str]:
        """The labels of the open basket."""
        return [
            unescape(one) for one in re.findall(r'<span class="label">(.*?)</span>', self.page("/basket"))
        ]

    def due(self) -> str:
        return self.shown("due", "/basket")

    def item(self, place: int = 0) -> str:
        return re.findall(r'name="item" value="(\w+)"', self.page("/basket"))[place]

    def shown(self, id_: str, path: str) -> str:
        """What an element of a page says."""
        found = re.search(rf'id="{id_}"[^>]*>(.*?)</', self.page(path), re.DOTALL)
        assert found, id_
        return plain(found[1])

    def safety(self) -> str:
        """The line of safety of a page that is opened now."""
        found = re.search(r'id="safety"[^>]*>(.*?)</div>', self.page("/sync"), re.DOTALL)
        assert found
        return plain(found[1])


def plain(html: str) -> str:
    """The text of a piece of a page."""
    text = unescape(re.sub(r"<[^>]+>", " ", html))
    return " ".join(text.replace("\u202f", " ").replace("\u00a0", " ").split())


WINES = (
    ("CM-19", "Crozes-Hermitage 2019", 1850, 2000, {"vintage": 2019, "colour": "red", "abv": 1300}),
    ("CM-20", "Crozes-Hermitage 2020", 1950, 2000, {"vintage": 2020, "colour": "red", "abv": 1300}),
    ("ROSE-22", "Rosé d'été", 990, 2000, {"vintage": 2022, "colour": "rose", "abv": 1250}),
    ("TER-1", "Terrine de campagne 180 g", 695, 550, {"category": "Épicerie"}),
    ("EAU", "Eau de source", 120, 550, {"category": "Épicerie"}),
)
SHARED = wine.barcode(90_007)
"""The barcode of both vintages."""
TERRINE = wine.barcode(90_008)


def stock_up(register: Register) -> None:
    """The products of these tests."""
    codes = {
        "CM-19": [SHARED],
        "CM-20": [SHARED],
        "TER-1": [TERRINE],
        "EAU": [],
        "ROSE-22": [wine.barcode(90_009)],
    }
    for sku, name, price, rate, more in WINES:
        fields = {"category": "Vin", **more}
        register.products.add(sku, name=name, price_minor=price, vat_rate=rate, barcodes=codes[sku], **fields)


def many_products(register: Register, count: int, seed: int = 1) -> list[Product]:
    """A large catalogue, from a seed."""
    made = wine.products(Random(seed), count)
    catalogue = register.products._fresh()
    catalogue.write(
        catalogue.view.draft_add(product, by=register.replica.author, at_ms=register.replica.clock.now_ms())
        for product in made
    )
    return made


class Shop:
    """A folder with a register, its till, and its clerk."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack

    def open_till(self, *, language: str = "en", **settings: Any) -> Clerk:
        """Start the till, and have somebody come to it."""
        self.till = self._stack.enter_context(Till(self.folder, **settings))
        return self.clerk(language=language)

    def clerk(self, **settings: Any) -> Clerk:
        """One more browser."""
        clerk = Clerk(self.till, **settings)
        self._stack.callback(clerk.http.close)
        return clerk

    def register(self) -> Register:
        """The same register, as another program has it open."""
        return self._stack.enter_context(Register.open(self.folder))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A register of its own, with products; no relay."""
    folder = tmp_path / "till"
    with Register.init(folder, name="Caisse 1", shop_name="Cave du Port") as register:
        stock_up(register)
    with ExitStack() as stack:
        yield Shop(folder, stack)


@pytest.fixture
def clerk(shop: Shop) -> Clerk:
    """Somebody at an open till."""
    return shop.open_till()


@pytest.fixture
def paper(tmp_path: Path) -> PrinterAddress:
    """A printer that is a file."""
    return PrinterAddress("file", str(tmp_path / "paper"))


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[LocalRelay]:
    """A relay with one shop."""
    with LocalRelay(tmp_path / "relay", shop="Cave du Port") as relay:
        yield relay


def tickets(register: Register) -> list[Ticket]:
    """All tickets of a register, the newest first."""
    return [register.ticket(row.link.hex()) for row in register.sales()]
