"""Registers of a shop whose data was put back from an old copy, or copied: as the relay's log tells it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from crdtsync.ids import ENTRY
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import read_entry
from crdtsync.model.naming import short_id
from crdtsync.runtime.belonging.copies import Copied, CopiedTold, copied_registers, copied_says, follows_of
from crdtsync.storage.log import ShopLog
from crdtsync_server.shops.devices import device_names

FOLLOWS: Final = b'"follows":{'
"""Where an entry may say that its chain goes on where a register left another one."""


def copied_in(log: ShopLog, directory: Directory) -> list[CopiedTold]:
    """All that must be enrolled again, the one found out first first. O(chains). Raises ``StorageError``."""
    told, names = [], device_names(directory)
    for one in copied_registers(log):
        if not directory.is_revoked(one.device):
            name = names.get(one.device) or short_id(one.device)
            told.append(copied_says(name, one, is_own=False))
    return told


def chains_that_follow(records: Iterable[bytes]) -> set[bytes]:
    """The chains that begin in these records where a register left another one. O(records)."""
    entries = [read_entry(record[1:]) for record in records if record[:1] == ENTRY and FOLLOWS in record]
    return {
        entry.facts.chain for entry in entries if entry.kind == "register" and follows_of(entry) is not None
    }


def newly_copied(log: ShopLog, begun: Collection[bytes]) -> list[Copied]:
    """The registers that say with these chains that they were put back or copied. O(chains), and nothing
    where none begins so: a device may write what looks like it into each of its sales. Raises
    ``StorageError``.
    """
    return [one for one in copied_registers(log) if one.goes_on in begun] if begun else []
