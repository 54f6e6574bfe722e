"""Bytes of a store change on the disk, anywhere. Whatever is asked of it then answers in words of ours and in
a moment, and nothing says that all is well while sales are on that disk alone.
"""

import json
import random
import shutil
import time
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from crdtsync.cli import main
from crdtsync.errors import CrdtsyncError
from crdtsync_server.cli import main as relay_main
from tests.integration.test_cut_stores import PAGE, ended, shop
from tests.till.conftest import Shop as TillShop

__all__ = ["shop"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

UNSENT = 10
ANSWERS_WITHIN_S = 30
"""Far more than any of them takes: only what hangs is found."""


def flip(data, pick):
    place = pick.randrange(len(data))
    data[place] ^= 1 << pick.randrange(8)


def scribble(data, pick):
    size = pick.choice([1, 4, 16, 200, 2000])
    place = pick.randrange(len(data) - size)
    data[place : place + size] = pick.randbytes(size)


def clear(data, pick):
    place = PAGE * pick.randrange(1, len(data) // PAGE)
    data[place : place + PAGE] = bytes(PAGE)


def exchange(data, pick):
    one, other = (PAGE * pick.randrange(1, len(data) // PAGE) for _ in range(2))
    data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]


def number(data, pick):
    """A length or a count in the head of a page becomes another one."""
    place = PAGE * pick.randrange(len(data) // PAGE) + pick.randrange(1, 12)
    data[place] = pick.choice([0, 1, 0x7F, 0x80, 0xFF])


HARMS = (flip, scribble, clear, exchange, number)


def harmed(original, to, store, seed):
    pick = random.Random(seed)
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(original, to)
    data = bytearray((to / store).read_bytes())
    for _ in range(pick.choice([1, 1, 2, 8])):
        pick.choice(HARMS)(data, pick)
    (to / store).write_bytes(data)
    return to


def answers(program, folder, *arguments):
    began_s = time.monotonic()
    found = ended(program, folder, *arguments)
    assert time.monotonic() - began_s < ANSWERS_WITHIN_S, arguments
    return found


def says_nothing_false(folder):
    """What `status` says of the ten sales that no relay has."""
    result = CliRunner().invoke(main, ["status", "--json", "--data", str(folder)])
    if result.exit_code:
        return
    facts = json.loads(result.stdout)
    if facts["pending_sales"] < UNSENT:
        told = (facts["concerns"], facts["findings"], facts["apart"])
        assert any(told), facts
        assert facts["state"] != "synced", facts
    text = answers(main, folder, "status")[1]
    assert facts["pending_records"] == 0 or "up to date" not in text


@pytest.mark.parametrize("part", range(6))
def test_a_register_whose_bytes_changed_says_nothing_false_and_does_not_hang(shop, tmp_path, part):
    for seed in range(part * 12, part * 12 + 12):
        folder = harmed(shop / "till", tmp_path / "till", "register.sqlite", seed)
        says_nothing_false(folder)
        for command in (("doctor",), ("verify",), ("report",), ("sales",), ("quarantine", "list")):
            answers(main, folder, *command)


@pytest.mark.parametrize("part", range(3))
def test_the_till_in_a_browser_on_such_a_store_answers_or_does_not_start(shop, tmp_path, part):
    for seed in range(part * 8, part * 8 + 8):
        folder = harmed(shop / "till", tmp_path / "till", "register.sqlite", seed)
        with ExitStack() as stack:
            try:
                clerk = TillShop(folder, stack).open_till(language="en")
            except CrdtsyncError:  # It says why, and `doctor` too.
                continue
            for page in ("/", "/tickets", "/day", "/sync"):
                shown = clerk.get(page)
                assert shown.status_code < 500 or "crdtsync" in shown.text, (seed, page, shown.status_code)
                assert "Traceback" not in shown.text
                assert "Everything is recorded at the office" not in shown.text


@pytest.mark.parametrize("part", range(3))
def test_a_relay_whose_bytes_changed_says_so_in_its_own_words(shop, tmp_path, part):
    for seed in range(part * 8, part * 8 + 8):
        folder = harmed(shop / "relay", tmp_path / "relay", "relay.sqlite", seed)
        for command in (("status",), ("doctor",), ("verify",), ("missing", "Cave du Port")):
            answers(relay_main, folder, *command)
        answers(relay_main, folder, "backup", str(tmp_path / f"{seed}.backup"))
