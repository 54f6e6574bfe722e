"""Verifying everything in a relay's store, beside whoever serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crdtsync.errors import CrdtsyncError, DamagedStore
from crdtsync.ids import OWNER_DOCUMENT
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import read_entry
from crdtsync.runtime.register.verify import Finding, Verification, verify_log
from crdtsync.storage.log import ShopLog
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.shops.devices import device_names

OWNER = "owner"


@dataclass(frozen=True, slots=True)
class ShopReport:
    """What was verified of one shop; ``notes`` are no defects, see ``Verification``."""

    shop: bytes
    name: str
    records: int
    entries: int
    chains: int
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def shop_names(store: SqliteStore) -> dict[bytes, str]:
    """The shops of a store, with their names (or their ids, where the names are lost)."""
    return {shop: _directory(store.shop(shop)).shop_name or shop.hex() for shop in store.shops()}


def verify_shop(
    store: SqliteStore, shop: bytes, name: str, progress: Callable[[int, int], None] = lambda *_: None
) -> ShopReport:
    """Every record, chain, certificate and signature of a shop. Reads only; O(everything).

    Raises ``DamagedStore`` only where so much is damaged that nothing can be verified.
    """
    log = store.shop(shop)
    names = device_names(_directory(log))
    found: Verification = verify_log(log, lambda chain: _place(log, chain, names), progress)
    return ShopReport(shop, name, found.records, found.entries, found.chains, found.findings, found.notes)


def _directory(log: ShopLog) -> Directory:
    """As far as it can be read; what cannot is found by the verification itself."""
    directory = Directory(log.shop)
    try:
        for _, record in log.document_records(OWNER_DOCUMENT):
            directory = directory.with_entry(read_entry(record[1:]))
    except CrdtsyncError:
        return directory
    return directory


def _place(log: ShopLog, chain: bytes, names: dict[bytes, str]) -> str:
    """Whose chain it is: the device's name, ``owner``, or the device's id."""
    for run in log.runs(chain):
        try:
            [author, *_] = [read_entry(sealed).author for sealed in log.entry(chain, run.lo)]
        except (DamagedStore, ValueError):
            continue
        if author == log.shop:
            return OWNER
        return names.get(author, author.hex())
    return chain.hex()
