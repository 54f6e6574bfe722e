"""A process that may open no more files: who is connected is served, a sale is kept or refused in words."""

import json
import os
import resource
import socket
import time

import pytest

from crdtsync import Register
from tests import forked
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SPARE = 4


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture
def till(relay, tmp_path):
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.start_sync()
        wait_until(lambda: till.status().pending.records == 0, "the till is not in step")
        yield till


def test_a_relay_without_a_file_left_serves_who_is_connected_and_lets_others_in_again_later(
    relay, till, tmp_path
):
    code, pid = relay.code(), relay.process.pid
    most = open_files(pid) + SPARE
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
    began_s = time.monotonic()
    crowd = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(4 * SPARE)]
    try:
        wait_until(lambda: open_files(pid) >= most, "there are files left")
        for _ in range(20):
            till.sell(["CM-19"], ["card"])
        wait_until(lambda: till.status().pending.records == 0, "the connected till is not served")
        assert open_files(pid) >= most

        def failures():
            return [event for event in relay.log() if "out of system resource" in event["event"]]

        wait_until(failures, "it does not say that there are no files left")
        told = len(failures())
        assert told <= time.monotonic() - began_s + 2, "one a second"
    finally:
        for one in crowd:
            one.close()
    # They are gone: the relay takes connections again by itself, with no more files than before.
    with relay.join(tmp_path / "later", "Caisse 2", code) as later:
        later.sync(60)
        assert len(later.sales(rows_max=100)) == 20
    assert "defect" not in relay.command("verify")


A_TILL = """
import json, os, resource, sys
from crdtsync import Register
from crdtsync.errors import CrdtsyncError

def say(*facts):
    print(json.dumps(facts), flush=True)

def sell(till):
    try:
        say("sold", till.sell(["CM-19"], ["card"]).number)
    except CrdtsyncError as error:
        say("refused", str(error), error.hint)

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
with Register.open(sys.argv[1]) as till:
    sell(till)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # What is open stays open; nothing more may be.
    sell(till)
    sell(till)
    try:
        Register.open(sys.argv[1]).close()
        say("opened")
    except CrdtsyncError as error:
        say("not opened", str(error), error.hint)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    sell(till)
"""


def test_a_till_without_a_file_left_sells_on_or_says_why_not_and_loses_no_number(tmp_path):
    with Register.init(tmp_path / "till", name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
    run = forked.run(["-c", A_TILL, tmp_path / "till"])
    said = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(said) == 5, run.stderr
    assert (said[0][0], said[-1][0]) == ("sold", "sold")
    sold = [fact[1] for fact in said if fact[0] == "sold"]
    for refused in (fact for fact in said if fact[0] == "refused"):
        assert "too many files are open" in refused[1]
    (not_opened,) = (fact for fact in said if fact[0] == "not opened")
    assert "too many files are open" in not_opened[1]
    assert "close other programs, or let this one open more files" in not_opened[2]
    with Register.open(tmp_path / "till") as till:
        assert sorted(row.number for row in till.sales(rows_max=10)) == sorted(sold)
        assert [int(number.rsplit("-", 1)[1]) for number in sold] == list(range(1, len(sold) + 1))
        assert till.verify().findings == ()
