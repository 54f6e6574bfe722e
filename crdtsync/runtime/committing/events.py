"""What happened to a register that none of its entries says yet: technical events (``jet``), recorded before
its next entry, whichever process makes it.

Looked for when a process makes its first entry, when the chain is another one, and now and then: a sale costs
nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from crdtsync.model import jet
from crdtsync.model.chain import ChainHead
from crdtsync.model.entry import SOFTWARE, Entry, read_entry
from crdtsync.storage.log import ShopLog

LOOK_EVERY_MS: Final = 10 * 60 * 1000
UNREACHABLE_AFTER_MS: Final = 24 * 3600 * 1000

Event = tuple[int, Mapping[str, Any]]
"""The code of a technical event and its data."""


def unrecorded_events(log: ShopLog, head: ChainHead, now_ms: int) -> Iterator[Event]:
    """What is to be recorded after ``head``, in this order. Raises ``DamagedStore``."""
    versions = map(read_entry, log.entry(head.chain, head.n))
    for last in (entry for entry in versions if entry.link == head.link):
        yield from _chain_begun(log, last)
        if last.body["sw"] != SOFTWARE:
            yield jet.SOFTWARE_CHANGED, {"before": last.body["sw"]}
    yield from _relay_unreachable(log, now_ms)


def _chain_begun(log: ShopLog, first: Entry) -> Iterator[Event]:
    """Why a chain begins that follows another one, as its first entry names it."""
    from crdtsync.runtime.belonging.copies import follows_of, forks_at

    left = follows_of(first)
    if left is None:
        return
    data = {"chain": left.chain.hex(), "seq": left.n}
    before = [read_entry(sealed) for sealed in log.entry(left.chain, 1)]
    if any(entry.author != first.author for entry in before):
        yield jet.KEY_CHANGED, data
    else:
        is_forked = forks_at(log.runs(left.chain)) is not None
        yield (jet.FORK if is_forked else jet.RESTORED), data


def _relay_unreachable(log: ShopLog, now_ms: int) -> Iterator[Event]:
    """Said once of each time that it is so."""
    from crdtsync.runtime.folder.identity import load_relay
    from crdtsync.runtime.syncing.link_trouble import load_link_trouble

    relay = load_relay(log)
    trouble = load_link_trouble(log, relay.public_key) if relay is not None else None
    if trouble is None or now_ms - trouble.since_ms < UNREACHABLE_AFTER_MS:
        return
    if log.request(unreachable_request(trouble.since_ms)) is None:
        yield jet.RELAY_UNREACHABLE, {"since": trouble.since_ms}


def unreachable_request(since_ms: int) -> str:
    """The name under which the entry is remembered that says so. No request of a person has a line break."""
    return f"unreachable\n{since_ms}"
