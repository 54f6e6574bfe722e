"""Several processes on one register, and processes that are killed in the middle of selling."""

import json
import signal
from pathlib import Path

import pytest

from crdtsync import Register
from tests import forked

SELLER = """
import sys
from crdtsync import Register

folder, label, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Register.open(folder) as till:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(count):
        ticket = till.sell(["CM-19"], ["card"], request_id=f"{label}-{n}")
        print(ticket.number, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Register.init(tmp_path / "till", name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
    return tmp_path / "till"


def seller(folder: Path, label: str, count: int) -> forked.Process:
    process = forked.Process(["-c", SELLER, folder, label, count], stdin=forked.PIPE, stdout=forked.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def start(*processes: forked.Process) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()


def told(process: forked.Process, *, exit_code: int = 0) -> str:
    """What a process printed from here on; it has ended."""
    assert process.stdout is not None
    printed = process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == exit_code
    return printed


def numbers(folder: Path) -> list[str]:
    with Register.open(folder) as till:
        assert till.verify().findings == ()
        return [row.number for row in reversed(till.sales(rows_max=10_000))]


def counters(found: list[str]) -> list[int]:
    return [int(number.rpartition("-")[2]) for number in found]


@pytest.mark.slow
def test_three_processes_sell_at_once_without_a_gap_or_a_double(folder: Path) -> None:
    processes = [seller(folder, label, 60) for label in "abc"]
    start(*processes)
    said = [told(process).split() for process in processes]
    found = numbers(folder)
    assert counters(found) == list(range(1, 181))
    assert sorted(number for each in said for number in each) == sorted(found)


def test_processes_that_make_the_same_requests_sell_each_once(folder: Path) -> None:
    processes = [seller(folder, "same", 40) for _ in range(2)]
    start(*processes)
    first, second = (told(process).split() for process in processes)
    assert first == second
    assert len(numbers(folder)) == 40


@pytest.mark.slow
@pytest.mark.parametrize("tickets_before_the_kill", [1, 2, 3, 7, 20, 55])
def test_no_sale_that_was_printed_is_lost_when_the_process_is_killed(
    folder: Path, tickets_before_the_kill: int
) -> None:
    process = seller(folder, "doomed", 100_000)
    start(process)
    assert process.stdout is not None
    printed = [process.stdout.readline().strip() for _ in range(tickets_before_the_kill)]
    process.send_signal(signal.SIGKILL)
    # What it still printed before it died was promised too; a last line may be cut short.
    rest = told(process, exit_code=-signal.SIGKILL)
    printed += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    promised = [number.strip() for number in printed]
    found = numbers(folder)
    assert found[: len(promised)] == promised
    assert counters(found) == list(range(1, len(found) + 1))
    with Register.open(folder) as till:
        again = till.sell(["CM-19"], ["card"], request_id=f"doomed-{len(promised) - 1}")
        assert (again.number, again.again) == (promised[-1], True)
        assert till.sell(["CM-19"], ["card"]).number not in found


@pytest.mark.slow
def test_a_set_up_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    script = (
        "import os, sys; from crdtsync import Register; from crdtsync.runtime.folder import setup\n"
        "setup.ViewTables = lambda *_: os.kill(os.getpid(), 9)\n"
        "Register.init(sys.argv[1], name='Caisse 1')"
    )
    killed = forked.run(["-c", script, tmp_path / "till"])
    assert killed.returncode == -signal.SIGKILL
    with Register.init(tmp_path / "till", name="Caisse 1") as till:
        assert till.verify().findings == ()


@pytest.mark.slow
def test_commands_work_beside_a_program_that_sells(folder: Path) -> None:
    process = seller(folder, "busy", 200)
    start(process)
    ran = [
        forked.run(["-m", "crdtsync", *command, "--data", folder, "--json"])
        for command in (["status"], ["sell", "CM-19", "--pay", "cash"], ["sales"], ["verify"])
    ]
    assert [done.returncode for done in ran] == [0] * 4
    said = told(process).split()
    by_command = json.loads(ran[1].stdout)["number"]
    found = numbers(folder)
    assert counters(found) == list(range(1, 202))
    assert set(said) | {by_command} == set(found)
