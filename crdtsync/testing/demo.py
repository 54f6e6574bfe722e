"""What `make demo` shows: a relay and three registers that sell live and take turns being cut off.

Everything is real: the relay is a process of its own, the registers are folders on disk that synchronise over
sockets. At the end every copy must give the same totals, or the demonstration fails.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crdtsync.runtime.belonging.join import join_shop
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.register.tickets import BasketLine

WINES = (
    ("CH-19", "Crozes-Hermitage 2019", 1850),
    ("SAN-21", "Sancerre 2021", 2190),
    ("MOR-22", "Morgon 2022", 1390),
    ("CAH-18", "Cahors 2018", 1180),
)
REGISTERS = 3
ROUNDS = 12
SALES_PER_ROUND = 5
SETTLE_S = 20.0


def main() -> int:
    """Run the demonstration; 0 when every copy is equal. ``--keep`` stays up until interrupted."""
    keep = "--keep" in sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="crdtsync-demo-"))
    made = _relay_command("shop", "create", "Cave des Lilas", "--data", str(folder / "relay"), "--json")
    shop = json.loads(made)
    codes = [shop["code"]]
    for _ in range(REGISTERS - 1):
        made = _relay_command(
            "pair", shop["shop"], "--data", str(folder / "relay"), "--role", "register", "--json"
        )
        codes.append(json.loads(made)["code"])
    command = [
        sys.executable,
        "-m",
        "crdtsync_server",
        "serve",
        "--data",
        str(folder / "relay"),
        "--port",
        "0",
    ]
    with subprocess.Popen(
        [*command, "--json", "--log-level", "warning"], stdout=subprocess.PIPE, text=True
    ) as relay:
        try:
            url = json.loads(relay.stdout.readline() if relay.stdout else "{}")["url"]
            return _run(folder, url, codes, keep=keep)
        finally:
            relay.terminate()
            relay.wait(15)
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, url: str, codes: list[str], *, keep: bool) -> int:
    registers = []
    for number, code in enumerate(codes, 1):
        place = folder / f"caisse-{number}"
        join_shop(place, url, code, name=f"Caisse {number}", clock=SystemClock(), random_bytes=system_random)
        registers.append(Register.open(place))
    try:
        _print(f"A relay at {url}, {REGISTERS} registers in {folder}\n")
        for sku, name, price_minor in WINES:
            registers[0].products.add(sku, name=name, price_minor=price_minor, vat_rate=2000)
        for register in registers:
            register.open_day(10_000)
            register.start_sync()
        _until(lambda: all(register.products.find(WINES[-1][0]) for register in registers))
        _sell(registers)
        settled = _until(lambda: all(register.status().pending.records == 0 for register in registers))
        equal = _until(lambda: len({_totals(register) for register in registers}) == 1)
        _print("")
        for register in registers:
            tickets, total_minor = _totals(register)
            name, pending = register.identity.device_name, register.status().pending.sales
            _print(f"  {name} knows {tickets} tickets, {_euros(total_minor)}, {pending} pending")
        expected = REGISTERS * ROUNDS * SALES_PER_ROUND
        right = settled and equal and _totals(registers[0])[0] == expected
        _print(
            f"\n{expected} tickets were sold. " + ("Every copy is equal." if right else "The copies DIFFER.")
        )
        if keep:
            _print(
                f"It stays up: relay {url}; stop with Ctrl-C. Look: crdtsync status --data {folder}/caisse-1"
            )
            _wait_for_interrupt()
        return 0 if right else 1
    finally:
        for register in registers:
            register.close()


def _sell(registers: list[Register]) -> None:
    chance = random.Random(7)
    for round_number in range(ROUNDS):
        cut = registers[round_number % REGISTERS] if round_number % 2 else None
        if cut is not None:
            cut.stop_sync()
        for _ in range(SALES_PER_ROUND):
            for register in registers:
                sku = chance.choice(WINES)[0]
                line = BasketLine(sku, quantity_thousandths=1000 * chance.randint(1, 6))
                register.sell([line], [chance.choice(("cash", "card"))])
        told = "  ".join(
            f"{register.identity.device_name}: {register.status().pending.sales:2d} pending"
            + (" (cut off)" if register is cut else "")
            for register in registers
        )
        _print(told)
        if cut is not None:
            cut.start_sync()


def _totals(register: Register) -> tuple[int, int]:
    rows = register.sales(rows_max=100_000)
    return len(rows), sum(row.total for row in rows)


def _until(condition: object) -> bool:
    end_s = time.monotonic() + SETTLE_S
    while time.monotonic() < end_s:
        if callable(condition) and condition():
            return True
        time.sleep(0.02)
    return False


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        _print("")


def _relay_command(*arguments: str) -> str:
    command = [sys.executable, "-m", "crdtsync_server", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _euros(amount_minor: int) -> str:
    return f"{amount_minor // 100}.{amount_minor % 100:02d} €"


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
