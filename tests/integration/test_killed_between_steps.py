"""A command is killed at each of its steps: nothing is lost, and repeating it ends well."""

import json
import shutil
from contextlib import suppress

import pytest

from crdtsync import Register
from crdtsync.errors import AccessDenied
from crdtsync.runtime.belonging.copies import begin_own_chain
from tests.integration import killed
from tests.integration.killed import KILLED

WINE = "CM-19"


def run(at, *arguments):
    return killed.run(at, "crdtsync", *arguments)


def tickets_in(folder):
    """The tickets in a register's folder, whoever has left it, moved it or neither."""
    found = [store.parent for store in folder.rglob("register.sqlite")]
    assert len(found) == 1, "one store, in one place"
    done = run(0, "sales", "--json", "--data", found[0])
    assert done.returncode == 0, done.stderr
    return len(json.loads(done.stdout))


@pytest.fixture
def relay_till(relay, tmp_path):
    """The folder of a register that was put back, whose relay has everything; and a code for its place."""
    folder = tmp_path / "till"
    with relay.join(folder, "Caisse 1", relay.first_code) as till:
        till.products.add(WINE, name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
        till.sell([WINE], ["card"])
        replica = till.replica
        with replica.store.transaction():
            begin_own_chain(replica.log, replica.identity, replica.key, replica.clock, replica.random_bytes)
        till.sync(60)
    code = json.loads(relay.command("restore", relay.shop.hex(), "Caisse 1", "--json"))["code"]
    return folder, code


def test_a_register_that_leaves_is_here_or_there_whenever_it_was_killed(tmp_path):
    whole = tmp_path / "whole"
    with Register.init(whole, name="Caisse 1") as till:
        till.products.add(WINE, name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
        till.sell([WINE], ["card"])
    file = tmp_path / "till.rescue"
    assert run(0, "rescue", file, "--data", whole).returncode == 0
    at = 1
    while True:
        folder = tmp_path / f"killed-at-{at}"
        shutil.copytree(whole, folder)
        leave = ("leave", "--rescued", file, "--data", folder)
        if run(at, *leave).returncode != KILLED:
            break
        assert tickets_in(folder) == 1
        again = run(0, *leave)
        assert again.returncode in (0, 21), again.stderr
        assert tickets_in(folder) == 1
        init = run(0, "init", "--name", "Caisse 2", "--data", folder)
        assert init.returncode == 0, init.stderr
        at += 1
    assert at > 2


def test_a_register_that_is_enrolled_again_ends_well_whenever_it_was_killed(relay, relay_till, tmp_path):
    """Each time on the same folder: what the relay said once it says again, for the same code."""
    folder, code = relay_till
    join = ("join", relay.url, code, "--data", folder)
    sold, at = 1, 1
    while True:
        done = run(at, *join)
        if done.returncode != KILLED:
            break
        with Register.open(folder) as till:
            till.sell([WINE], ["card"])
            sold += 1
            with suppress(AccessDenied):  # Its old key was revoked, and the new one is not in place yet.
                till.sync(60)
        at += 1
    assert at > 4
    assert done.returncode in (0, 22), done.stderr
    with Register.open(folder) as till:
        till.sell([WINE], ["card"])
        till.sync(60)
        till.sync(60)
        assert (till.status().pending.records, till.status().copied) == (0, ())
        assert till.verify().findings == ()
        assert len(till.sales()) == sold + 1
        assert len({row.number for row in till.sales()}) == sold + 1
    assert json.loads(relay.command("hold", "list", relay.shop.hex(), "--json")) == []
