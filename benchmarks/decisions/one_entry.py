"""What is done with one entry, and what each step costs: figures of several pages of ``docs/decisions``.

    python -m benchmarks.decisions.one_entry

Entries are genuine sales of two lines. Medians over all of them, in one process.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from pycrdt import Doc

from crdtsync.model import ledger
from crdtsync.model.admission import judge_run
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import split
from crdtsync.model.signature import verify
from crdtsync.protocol.enrolment import DeviceEnd, EnrolRequest
from crdtsync.protocol.messages import Offer
from crdtsync.testing.till import TERRINE, WINE, MemoryOwner

SALES = 2000
RUN = 100


def main() -> None:
    """Measure and print."""
    owner = MemoryOwner()
    till = owner.enrol("Caisse 1")
    directory = owner.directory
    for _ in range(SALES):
        till.sell(WINE, TERRINE)
    entries = till.entries[-SALES:]
    sealed = [entry.sealed for entry in entries]
    size = statistics.mean(map(len, sealed))
    print(f"{SALES} sales, {size:.0f} bytes sealed each; µs of processor time, medians")
    tell("hash (link)", per_item(lambda data: hashlib.sha256(data).digest(), sealed))
    tell("read: canonical form, common fields, link", per_item(read_entry, sealed))
    tell("sign", per_item(lambda data: till.key.sign(split(data)[0]), sealed))
    tell("verify", per_item(lambda data: verify(till.key.public, *split(data)), sealed))
    tell("judge, one at a time", per_item(lambda data: judge_run([data], directory), sealed))
    runs = [sealed[at : at + RUN] for at in range(0, SALES, RUN)]
    in_run = per_item(lambda run: judge_run(run, directory), runs) / RUN
    tell(f"judge, {RUN} that follow one another", in_run)
    gone = MemoryOwner()
    lost = gone.enrol("Caisse 1")
    for _ in range(SALES):
        lost.sell(WINE, TERRINE)
    gone.revoke(lost, [lost.end.known])
    runs = [lost.sealed[-SALES:][at : at + RUN] for at in range(0, SALES, RUN)]
    in_run = per_item(lambda run: judge_run(run, gone.directory), runs) / RUN
    tell(f"judge, {RUN} of a register that was replaced", in_run)
    links = [entry.link for entry in entries]
    updates = [ledger.entry_update(link, data) for link, data in zip(links, sealed, strict=True)]
    tell(
        "make the Yjs update of one",
        per_item(lambda i: ledger.entry_update(links[i], sealed[i]), range(SALES)),
    )
    day: Doc[Any] = Doc()
    tell("apply it to the document of the day", per_item(day.apply_update, updates))
    extra = statistics.mean(map(len, updates)) - statistics.mean(map(len, sealed))
    print(f"  the Yjs update of one is {extra:.0f} bytes longer than its sealed bytes")
    tell("enrolment: key exchange and box, on the device", per_item(seal_a_box, range(50)))


def seal_a_box(number: int) -> None:
    """What a device does between the relay's offer and its own message, signatures aside."""
    seed = number.to_bytes(32, "big")
    offer = Offer(1, bytes(16), bytes(16), b"\2" + bytes(32), X25519, bytes(64))
    request = EnrolRequest("0" * 16, bytes(16), "Caisse 1", b"\2" + bytes(32))
    DeviceEnd(seed=seed, offer=offer).request(request, lambda _purpose, _payload: bytes(64))


X25519 = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
"""A public key: that of RFC 7748, section 6.1."""


def per_item(act: Callable[[Any], object], items: Sequence[Any]) -> float:
    """The median of the processor seconds that the calls take."""
    taken = []
    for item in items:
        began = time.process_time()
        act(item)
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def tell(what: str, seconds: float) -> None:
    """One line."""
    print(f"  {what:<46} {seconds * 1e6:7.1f}")


if __name__ == "__main__":
    main()
