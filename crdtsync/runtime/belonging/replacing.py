"""A register that took the place of a lost one: what it knows of that one, and how much of it has come back.

The certificate by which it came in says which register it replaces, which heads of its chains the relay held,
and what the relay knew of and had not received. That is kept beside the log, for `status`: it is told from
the first moment, while the history is still on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from crdtsync.errors import DamagedStore
from crdtsync.model.certificate import Certificate, Directory
from crdtsync.model.entry import Head
from crdtsync.runtime.filing.completeness import complete_to
from crdtsync.runtime.folder.identity import REPLACING
from crdtsync.runtime.folder.replica import Replica
from crdtsync.storage.log import ShopLog


@dataclass(frozen=True, slots=True)
class Lost:
    """The lost register. ``heads``: where its chains ended as far as the relay had them, each as (chain in
    hexadecimal digits, number). What ``never_arrived`` it had told of, when it told it (Unix milliseconds).
    """

    device: str
    name: str
    heads: tuple[tuple[str, int], ...]
    never_arrived_sales: int = 0
    never_arrived_amount_minor: int = 0
    told_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CameBack:
    """How much of a lost register's records is here. ``is_complete``: all that the relay had of it.
    ``number`` and ``at_ms``: its last ticket up to which nothing is missing, and when its last entry up to
    there was made; None while there is none. ``tickets`` and ``amount_minor``: what can be looked at so far.
    """

    device: bytes
    name: str
    is_complete: bool
    number: str | None
    at_ms: int | None
    tickets: int
    amount_minor: int
    never_arrived_sales: int
    never_arrived_amount_minor: int
    told_at_ms: int | None


def lost_of(certificate: Certificate, directory: Directory) -> Lost | None:
    """The register that a certificate says is replaced."""
    replaced = certificate.replaces
    if replaced is None:
        return None
    known = directory.certificate(replaced.device)
    told = replaced.never_arrived
    return Lost(
        replaced.device.hex(),
        known.name if known is not None else certificate.name,
        tuple((head.chain.hex(), head.n) for head in replaced.heads),
        told.sales if told else 0,
        told.amount_minor if told else 0,
        told.told_at_ms if told else None,
    )


def heads_to_name(certificate: Certificate) -> Sequence[Head]:
    """What the first entry of the new chain names: the last heads known of the lost one."""
    return () if certificate.replaces is None else certificate.replaces.heads


def save_lost(log: ShopLog, lost: Lost) -> None:
    """Inside a transaction."""
    log.set_state(REPLACING, orjson.dumps(asdict(lost)))


def load_lost(log: ShopLog) -> Lost | None:
    """The register that this one replaces, or None. Raises ``DamagedStore``."""
    data = log.state(REPLACING)
    if data is None:
        return None
    try:
        facts = orjson.loads(data)
        return Lost(**facts | {"heads": tuple((chain, n) for chain, n in facts["heads"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedStore("what this register replaces cannot be read") from error


def came_back(replica: Replica) -> CameBack | None:
    """What is here of the register that this one replaces; None if it replaces none. O(chains)."""
    lost = load_lost(replica.log)
    if lost is None:
        return None
    log, device = replica.log, bytes.fromhex(lost.device)
    complete = complete_to(log).get(device)
    totals = [row for row in replica.queries.totals() if row.device == device]
    return CameBack(
        device=device,
        name=lost.name,
        is_complete=all(_is_here(log, bytes.fromhex(chain), n) for chain, n in lost.heads),
        number=complete.number if complete else None,
        at_ms=complete.at_ms if complete else None,
        tickets=sum(row.tickets for row in totals),
        amount_minor=sum(row.amount for row in totals),
        never_arrived_sales=lost.never_arrived_sales,
        never_arrived_amount_minor=lost.never_arrived_amount_minor,
        told_at_ms=lost.told_at_ms,
    )


def _is_here(log: ShopLog, chain: bytes, n: int) -> bool:
    """Whether a chain is held from its beginning up to number ``n``. Of a fork: up to where it forks too."""
    reached = 0
    for run in sorted(log.runs(chain), key=lambda run: run.lo):
        if run.lo > reached + 1:
            return False
        reached = max(reached, run.hi)
        if reached >= n:
            return True
    return False
