"""A shop with a back office: a relay in this process, registers that sell, and somebody who visits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from crdtsync import Register
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync_server import LocalRelay
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import open_store
from crdtsync_server.shops.access import Access

PASSWORD = "sept bouteilles de crozes"
QUICK_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""How a password is chosen and kept is tested in test_sign_in. One that takes 64 MiB to make and to verify
costs each of the other tests more than what it is about. The relay verifies this one as any other: a hash
says how it was made.
"""
SHOP_NAME = "Cave du Port"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a relay of its own is left to `make test`: `make check` is to be over within a minute."""
    for item in items:
        if item.nodeid.startswith("tests/web/") and "make_shop" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def wait_until(condition: Callable[[], object], what: str = "it does not come") -> None:
    """Until something is so that another thread brings about. The pause decides nothing."""
    ends_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_s, what
        time.sleep(0.01)


def lines_of(stream: httpx.Response) -> Iterator[str]:
    """The lines of a live page. It goes on for ever, with a sign of life now and then: a test does not."""
    ends_s = time.monotonic() + 60
    for line in stream.iter_lines():
        assert time.monotonic() < ends_s, "it does not come"
        yield line


class Visitor:
    """A browser without a screen: it keeps cookies, says where it comes from, and fills in forms."""

    def __init__(self, base: str, *, language: str = "en", **headers: str) -> None:
        sent = {"accept": "text/html", "accept-language": language, "origin": base, **headers}
        # Without TLS, so that nobody reads the list of all authorities for each visitor.
        self.http = httpx.Client(base_url=base, headers=sent, timeout=60, verify=False)
        self.base = base

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers)

    def page(self, path: str) -> str:
        """The text of a page that is there."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def token(self, path: str) -> str:
        """What the forms of a page bring."""
        found = re.search(r'name="token" value="([^"]+)"', self.page(path))
        assert found, path
        return unescape(found[1])

    def post(self, path: str, *, on: str | None = None, files: Any = None, **fields: str) -> httpx.Response:
        """Send a form that stands on the page ``on``."""
        return self.http.post(path, data={"token": self.token(on or path), **fields}, files=files)

    def sign_in(self, name: str, password: str = PASSWORD, *, shop: str = SHOP_NAME) -> httpx.Response:
        """``shop`` is said where the page asks for it: people of several may come in."""
        asked = {"shop": shop} if 'name="shop"' in self.page("/sign-in") else {}
        return self.post("/sign-in", name=name, password=password, **asked)

    def shown(self, id_: str, path: str = "/today") -> str:
        """What an element of a page says."""
        found = re.search(rf'id="{id_}"[^>]*>(.*?)<', self.page(path), re.DOTALL)
        assert found, id_
        return unescape(found[1]).strip().replace("\u202f", " ").replace("\u00a0", " ")


class Shop:
    """One relay with one shop, an owner called Marie, and as many registers as a test wants."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.settings = folder, settings
        self._stack = ExitStack()
        self.relay = self._stack.enter_context(LocalRelay(folder / "relay", shop="Cave du Port", **settings))
        self.web = self.relay.url.replace("ws", "http", 1)
        self.data = DataFolder(folder / "relay")
        self.books = self._stack.enter_context(_closing(Books(self.data, SystemClock(), system_random)))
        self.store = self._stack.enter_context(_closing(open_store(self.data)))
        self.access = self._stack.enter_context(_closing(Access(self.data)))
        self.id = self.access.find_shop("Cave du Port").id
        self._registers = 0
        self._shops: dict[str, str] = {}
        """In which other shop a person is."""

    def register(self, name: str, **settings: Any) -> Register:
        """One more register of the shop, open."""
        self._registers += 1
        folder = self.folder / f"register-{self._registers}"
        joined = Register.join(folder, self.relay.url, self.relay.pairing_code(), name=name, **settings)
        return self._stack.enter_context(joined)

    def person(self, name: str, role: str = "owner", *, shop: bytes | None = None) -> None:
        """Somebody with a password."""
        _, token = self.books.accounts.create(shop or self.id, name, role)  # type: ignore[arg-type]
        if shop is not None:
            self._shops[name] = shop.hex()
        self.books.accounts.use_link(token, QUICK_HASH)

    def visitor(self, name: str | None = None, **headers: str) -> Visitor:
        """A browser, signed in as somebody or not."""
        visitor = Visitor(self.web, **headers)
        self._stack.callback(visitor.http.close)
        if name is not None:
            shop = self._shops.get(name, SHOP_NAME)
            assert visitor.sign_in(name, shop=shop).status_code == 303
        return visitor

    def start_again(self, **settings: Any) -> None:
        """Stop the relay, and start it on the same folder and at the same address, set otherwise."""
        self.relay.stop()
        port = int(self.web.rsplit(":", 1)[1])
        self.settings |= settings
        self.relay = self._stack.enter_context(LocalRelay(self.folder / "relay", port=port, **self.settings))

    def close(self) -> None:
        self._stack.close()


class _closing:  # contextlib.closing, which gives back what it was given, with its type.
    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __enter__(self) -> Any:
        return self.thing

    def __exit__(self, *_: object) -> None:
        self.thing.close()


@pytest.fixture
def make_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Shops of their own, for tests that change much."""
    made: list[Shop] = []

    def make(**settings: Any) -> Shop:
        made.append(Shop(tmp_path / f"shop-{len(made)}", **settings))
        return made[-1]

    yield make
    for shop in made:
        shop.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop for all tests of a file: an owner (Marie), staff (Paul), a till with a product, another shop."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    try:
        shop.person("Marie")
        shop.person("Paul", "staff")
        yield shop
    finally:
        shop.close()


@pytest.fixture(scope="module")
def marie(shop: Shop) -> Visitor:
    return shop.visitor("Marie")


@pytest.fixture(scope="module")
def paul(shop: Shop) -> Visitor:
    return shop.visitor("Paul")


@pytest.fixture(scope="module")
def till(shop: Shop) -> Register:
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
    till.sync(60)
    return till
