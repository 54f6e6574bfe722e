"""The till as a shop starts it: `crdtsync till`, a process that is stopped, killed and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from crdtsync import Register
from tests.browser import open_page, press, started
from tests.till.conftest import Clerk, stock_up, tickets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

STOP_S = 30


@contextmanager
def till_of(folder, *settings):
    """`crdtsync till` on a folder: its process and its address."""
    command = [sys.executable, "-m", "crdtsync", "till", "--data", str(folder), "--port", "0", "--no-browser"]
    process = subprocess.Popen([*command, "--json", *settings], stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(process.stdout.readline())
        base = told["address"].partition("/enter/")[0]
        yield SimpleNamespace(process=process, address=told["address"], base=base)
    finally:
        process.kill()
        process.wait(STOP_S)
        process.stdout.close()


@pytest.fixture
def folder(tmp_path):
    with Register.init(tmp_path / "till", name="Caisse 1", shop_name="Cave du Port") as register:
        stock_up(register)
    return tmp_path / "till"


def test_it_is_stopped_while_pages_are_open(folder):
    with till_of(folder) as till:
        clerk = Clerk(till)
        with clerk.http.stream("GET", "/live", timeout=60) as news:
            next(news.iter_lines())
            till.process.send_signal(signal.SIGTERM)
            assert till.process.wait(STOP_S) == 0
        clerk.http.close()


def test_a_basket_and_its_sale_survive_a_kill(folder):
    with till_of(folder) as till:
        clerk = Clerk(till)
        clerk.take("CM-19")
        clerk.pay("card")
        clerk.take("EAU")
        till.process.kill()
        till.process.wait(STOP_S)
        clerk.http.close()
    with till_of(folder) as till:
        clerk = Clerk(till)
        assert clerk.lines() == ["Eau de source"]
        clerk.pay("card")
        clerk.http.close()
    with Register.open(folder) as register:
        assert [one.total_minor for one in tickets(register)] == [120, 1850]


@pytest.mark.parametrize("kind", ["fifo", "network"])
def test_a_printer_that_hangs_keeps_it_neither_from_selling_nor_from_ending(folder, tmp_path, kind):
    if kind == "fifo":
        os.mkfifo(tmp_path / "printer")  # Nobody reads it: who opens it waits for ever.
        where = f"file:{tmp_path / 'printer'}"
        silent = None
    else:
        silent = socket.create_server(("127.0.0.1", 0), backlog=1)
        where = f"network:127.0.0.1:{silent.getsockname()[1]}"
    with till_of(folder, "--printer", where) as till:
        clerk = Clerk(till)
        clerk.take("EAU")
        answer = clerk.pay("card", delivered="print")
        assert "said=paid" in answer.headers["location"]
        clerk.http.close()
        till.process.send_signal(signal.SIGTERM)
        assert till.process.wait(STOP_S) == 0
    if silent is not None:
        silent.close()


def test_in_a_browser_it_sells_and_says_when_it_is_gone(folder):
    with till_of(folder) as till, started() as browser:
        page = open_page(browser, locale="fr")
        page.goto(till.address)
        page.locator("#q").fill("EAU")
        page.keyboard.press("Enter")
        page.locator("#basket .label").wait_for()
        press(page, "F2")
        page.locator("#amount").wait_for()
        press(page, "F4")
        page.get_by_role("heading", name="Payé").wait_for()
        assert page.problems == []
        till.process.send_signal(signal.SIGTERM)
        assert till.process.wait(STOP_S) == 0
        page.get_by_text("État inconnu").wait_for()
    with Register.open(folder) as register:
        assert tickets(register)[0].total_minor == 120
