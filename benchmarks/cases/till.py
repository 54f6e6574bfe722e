"""The till of a register with years of sales: a search as one types, a sale, each page, and their weight."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Final

from benchmarks.context import Bench
from benchmarks.driver.joined import joined_pair
from benchmarks.driver.till import Clerk, till_process
from benchmarks.figures import Budget, Figure, Measured
from crdtsync import Register

PAGE_MS_MAX: Final = 100.0
PAGE_KB_MAX: Final = 300.0
WORDS: Final = ("chateau", "rouge 2019", "domaine blanc", "crozes", "vieilles vignes")
"""What is typed, letter by letter."""


@dataclass(frozen=True, slots=True)
class Size:
    """Sales on the register's disk, products, and visits of each page (sales, searches)."""

    sales: int
    products: int
    visits: int


SIZES = {
    "full": Size(1_000_000, 10_000, 25),
    "quick": Size(10_000, 2_000, 10),
    "smallest": Size(300, 20, 2),
}


def run(bench: Bench) -> list[Figure]:
    """The till is a process, as the shop has it; there is no relay, as on a bad day."""
    size = SIZES[bench.extent]
    pair = asyncio.run(joined_pair(bench, size.sales, products=size.products)).copied(bench.folder / "pair")
    _file(pair.till)
    with till_process(pair.till, bench.folder / "till.log") as clerk:
        typed = [ms for _ in range(max(1, size.visits // 5)) for ms in _type(clerk)]
        sales = [_sale(clerk) for _ in range(size.visits + 1)][1:]
        pages = {name: [visit() for _ in range(size.visits + 1)][1:] for name, visit in _pages(clerk).items()}
        weights = {address: clerk.weight_bytes(address) / 1000 for address in ("/", "/tickets", "/day")}
    return [*_times(size, typed, sales, pages), _weight(size, weights)]


def _file(folder: Path) -> None:
    """Have the past in the views, as a register has it some minutes after it has joined."""
    with Register.open(folder) as register:
        register.replica.file_catalogue()
        register.replica.views.catch_up()


def _times(
    size: Size, typed: list[float], sales: list[float], pages: dict[str, list[float]]
) -> Iterator[Figure]:
    sizes = {"sales": size.sales, "products": size.products}
    what = f"till, {size.sales:,} sales"
    measured = {
        f"{what}: a search in {size.products:,} products": typed,
        f"{what}: a sale, from the payment to its answer": sales,
        **{f"{what}: {name}": times for name, times in pages.items()},
    }
    for name, times in measured.items():
        yield Figure(
            name,
            "ms",
            Measured.of(times),
            budget=Budget(PAGE_MS_MAX),
            size=sizes,
            note="one request to `crdtsync till` over loopback, as its browser sends it",
        )


def _weight(size: Size, weights: dict[str, float]) -> Figure:
    return Figure(
        "till: the heaviest page",
        "kB",
        Measured.of([max(weights.values())]),
        budget=Budget(PAGE_KB_MAX),
        size={"products": size.products},
        note="a page with its styles, scripts and pictures, as they are sent, uncompressed",
    )


def _type(clerk: Clerk) -> Iterator[float]:
    """Each letter is a question, as a quick typist makes them."""
    for words in WORDS:
        for letters in range(1, len(words) + 1):
            yield clerk.visit(f"/found?q={words[:letters]}")[0]


def _sku(clerk: Clerk) -> str:
    return unescape(re.findall(r'name="sku" value="([^"]+)"', clerk.visit("/")[1].text)[0])


def _sale(clerk: Clerk) -> float:
    page = clerk.visit("/")[1].text
    clerk.send("/add", page, sku=_sku(clerk))
    took_ms, answer = clerk.send("/pay", clerk.visit("/pay")[1].text, means="card", amount="")
    assert answer.headers["location"].startswith("/ticket/"), answer.headers["location"]
    clerk.visit(answer.headers["location"])
    return took_ms


def _pages(clerk: Clerk) -> dict[str, Callable[[], float]]:
    """Every page that a person comes by, as the pages themselves lead to it."""
    tickets = clerk.visit("/tickets?all=1")[1].text
    found = [unescape(one) for one in re.findall(r'href="(/ticket/[^"]+)"', tickets)]
    older = [unescape(one) for one in re.findall(r'href="(/tickets\?older=[^"]+)"', tickets)]
    number = found[-1].partition("number=")[2]
    clerk.send("/add", clerk.visit("/")[1].text, sku=_sku(clerk))
    addresses = {
        "the page where one sells": "/",
        "the basket": "/basket",
        "taking the money": "/pay",
        "last tickets": "/tickets",
        "last tickets of the shop": "/tickets?all=1",
        **({"older tickets of the shop": older[0]} if older else {}),
        "a ticket by its number": f"/ticket/{found[-1].partition('/ticket/')[2]}",
        "giving back": f"{found[-1].partition('?')[0]}/refund?number={number}",
        "the day": "/day",
        "counting the drawer": "/day/close",
        "parked baskets": "/parked",
        "synchronising": "/sync",
    }
    return {name: _visiting(clerk, address) for name, address in addresses.items()}


def _visiting(clerk: Clerk, address: str) -> Callable[[], float]:
    return lambda: clerk.visit(address)[0]
