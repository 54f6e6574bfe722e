"""The back office of an old shop: how long each page takes, and what open dashboards cost the syncing."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Final

import httpx

from benchmarks.context import Bench, settle
from benchmarks.driver.chains import sealed_sales
from benchmarks.driver.flat_out import flat_out, under_way_of
from benchmarks.driver.history import copied, old_shop
from benchmarks.driver.light import Crowd, LightRegister, connect_all
from benchmarks.driver.processes import relay_process
from benchmarks.driver.shop import BenchShop, make_shop
from benchmarks.figures import COUNTING, Budget, Figure, Measured
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync_server.dashboard.accounts import hash_password
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.folder import DataFolder

PASSWORD: Final = "sept bouteilles de crozes"
DASHBOARDS: Final = 50
FILED_WITHIN_S: Final = 3600.0
FIRST_STATE_WITHIN_S: Final = 60.0
PAGES_PER_SESSION: Final = 8
REGISTERS: Final = 10
PAGE_MS_MAX: Final = 100.0
SLOWED_MAX: Final = 1.1


@dataclass(frozen=True, slots=True)
class Size:
    """Sales and products of the old shop, visits of each page, sales while dashboards are open, and how often
    four runs are made: without dashboards, twice with them, and without.
    """

    sales: int
    products: int
    visits: int
    pushed: int
    repeats: int


SIZES = {
    "full": Size(1_000_000, 10_000, 25, 10_000, 4),
    "quick": Size(10_000, 1_000, 10, 3_000, 1),
    "smallest": Size(200, 20, 2, 40, 1),
}


def run(bench: Bench) -> list[Figure]:
    """The median of each page, and the syncing with and without dashboards."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> list[Figure]:
    size = SIZES[bench.extent]
    shop = copied(old_shop(bench, size.sales, products=size.products), bench.folder / "relay")
    _let_in(shop)
    found: dict[str, list[float]] = {}
    async with relay_process(shop.folder, bench.folder / "relay.log") as relay:
        async with _browser(relay.port) as browser:
            await _sign_in(browser)
            filed_s = await _filed(browser)
            for name, address in (await _addresses(browser)).items():
                found[name] = [await _visit(browser, address) for _ in range(size.visits + 1)][1:]
    figures = [
        Figure(
            f"back office, {size.sales:,} sales: {name}",
            "ms",
            Measured.of(times),
            budget=Budget(PAGE_MS_MAX),
            size={"sales": size.sales, "products": size.products},
            note="one request of a person who is signed in, over loopback",
        )
        for name, times in found.items()
    ]
    figures.append(
        Figure(
            f"back office, {size.sales:,} sales: filed for the first time",
            "s",
            Measured.of([filed_s]),
            size={"sales": size.sales},
            note="beside the relay, which syncs meanwhile; once in the life of a shop",
        )
    )
    return [*figures, *await _dashboards(bench, size)]


def _let_in(shop: BenchShop) -> None:
    """An owner with a password."""
    books = Books(DataFolder(shop.folder), SystemClock(), system_random)
    try:
        _, token = books.accounts.create(shop.shop.id, "Marie", "owner")
        books.accounts.use_link(token, hash_password(PASSWORD))
    finally:
        books.close()


def _browser(port: int) -> httpx.AsyncClient:
    base = f"http://127.0.0.1:{port}"
    headers = {"accept": "text/html", "accept-language": "fr", "origin": base}
    return httpx.AsyncClient(base_url=base, headers=headers, timeout=600)


async def _sign_in(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/sign-in")).text
    token = unescape(re.findall(r'name="token" value="([^"]+)"', page)[0])
    said = {"token": token, "name": "Marie", "password": PASSWORD}
    answer = await browser.post("/sign-in", data=said)
    assert answer.status_code == 303, answer.status_code


async def _filed(browser: httpx.AsyncClient) -> float:
    """Wait until the views have all of the past; how long it took."""
    began_s = time.perf_counter()
    while "encore en cours de classement" in (await browser.get("/sales")).text:
        assert time.perf_counter() - began_s < FILED_WITHIN_S
        await asyncio.sleep(0.5)
    return time.perf_counter() - began_s


async def _addresses(browser: httpx.AsyncClient) -> dict[str, str]:
    """Every page that a person comes by, as the pages themselves lead to it."""
    sales, stock = (await browser.get("/sales")).text, (await browser.get("/stock")).text
    tickets = [unescape(one) for one in re.findall(r'href="(/sales/ticket[^"]+)"', sales)]
    days = re.findall(r'href="(/days/[0-9-]+)"', (await browser.get("/days")).text)
    registers = re.findall(r'href="(/registers/[0-9a-f]{32})"', (await browser.get("/registers")).text)
    products = [unescape(one) for one in re.findall(r'href="(/stock/product[^"]+)"', stock)]
    number = tickets[0].split("number=")[1].split("&")[0]
    sku = products[0].split("sku=")[1]
    return {
        "Today": "/today",
        "a day of the past": f"/today?day={days[-1].rpartition('/')[2]}",
        "Sales": "/sales",
        "Sales, in the middle": f"/sales?older={days[-1].rpartition('/')[2]}.1",
        "Sales by number": f"/sales?q={number}",
        "Sales by amount": "/sales?q=18,50",
        "Sales by product": f"/sales?q={sku}",
        "Sales by a word of many products": "/sales?q=rouge",
        "Sales of one register": f"/sales?register={registers[0].rpartition('/')[2]}",
        "a ticket": tickets[0],
        "Days": "/days",
        "Months": "/days?by=month",
        "a day": days[0],
        "Registers": "/registers",
        "a register": registers[0],
        "Catalogue": "/catalogue",
        "a search in the catalogue": "/catalogue?q=rouge",
        "a product": f"/catalogue/product?sku={sku}",
        "Stock": "/stock",
        "the stock of a product": products[0],
        "Alerts": "/alerts",
        "People": "/people",
    }


async def _visit(browser: httpx.AsyncClient, address: str) -> float:
    began_s = time.perf_counter()
    answer = await browser.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return (time.perf_counter() - began_s) * 1000


# -- dashboards beside the syncing ---------------------------------------------------------------------------


async def _dashboards(bench: Bench, size: Size) -> list[Figure]:
    """How much longer it takes that all registers have all sales, with so many dashboards open; and how much
    two runs differ that are the same. In the order without, with, with, without, whatever becomes slower or
    quicker meanwhile is in both alike.
    """
    folder = bench.place("dashboards")
    shop = make_shop(folder / "relay", REGISTERS, bench.seed)
    _let_in(shop)
    chains = sealed_sales(shop.devices, -(-size.pushed // REGISTERS))
    ratios, noise = [], []
    for _ in range(size.repeats):
        seconds = []
        for open_pages in (0, DASHBOARDS, DASHBOARDS, 0):
            copy = folder / "run"
            shutil.copytree(shop.folder, copy)
            seconds.append(await _push(copy, folder, shop, chains, size.pushed, open_pages))
            shutil.rmtree(copy)
        first, *with_s, last = seconds
        ratios.append(sum(with_s) / (first + last))
        noise.append(max(first, last) / min(first, last))
    sizes = {"registers": REGISTERS, "sales": size.pushed}
    return [
        Figure(
            f"syncing with {DASHBOARDS} open dashboards, beside none",
            "times as long",
            Measured.of(ratios),
            budget=Budget(SLOWED_MAX),
            receivers=COUNTING,
            size={**sizes, "dashboards": DASHBOARDS},
            note="Today, live, from sessions of one person; sales as fast as it goes; two runs beside two",
        ),
        Figure(
            "syncing beside no dashboards, the slower of two runs",
            "times as long",
            Measured.of(noise),
            receivers=COUNTING,
            size={**sizes, "dashboards": 0},
            note="the same work twice: what is noise in the line above",
        ),
    ]


async def _push(
    copy: Path, folder: Path, shop: BenchShop, chains: list[list[bytes]], sales: int, open_pages: int
) -> float:
    crowd = Crowd()
    async with relay_process(copy, folder / "relay.log") as relay:
        browsers = [_browser(relay.port) for _ in range(-(-open_pages // PAGES_PER_SESSION))]
        for browser in browsers:
            await _sign_in(browser)
        is_open = [asyncio.Event() for _ in range(open_pages)]
        listening = [
            asyncio.create_task(_listen(browsers[place // PAGES_PER_SESSION], told))
            for place, told in enumerate(is_open)
        ]
        async with asyncio.timeout(FIRST_STATE_WITHIN_S):
            await asyncio.gather(*(told.wait() for told in is_open))
        try:
            registers = [
                LightRegister(crowd, shop, device, sealed)
                for device, sealed in zip(shop.devices, chains, strict=True)
            ]
            await connect_all(crowd, registers, relay.port, expected=2 + REGISTERS + REGISTERS - 1)
            settle()
            seconds = await flat_out(crowd, sales, under_way_of(REGISTERS))
            crowd.stop_ticking()
            for register in registers:
                register.close()
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            for browser in browsers:
                await browser.aclose()
    return seconds


async def _listen(browser: httpx.AsyncClient, is_open: asyncio.Event) -> None:
    async with browser.stream("GET", "/live/today") as answer:
        assert answer.status_code == 200, answer.status_code
        async for _ in answer.aiter_raw():
            is_open.set()
