"""Registers of a shop whose data was put back from an old copy, or copied: as the relay's log tells it."""

from __future__ import annotations

from crdtsync.model.certificate import Directory
from crdtsync.runtime.copies import CopiedTold, copied_registers, copied_says
from crdtsync.storage.log import ShopLog


def copied_in(log: ShopLog, directory: Directory) -> list[CopiedTold]:
    """All that must be enrolled again, the one found out first first. O(chains). Raises ``StorageError``."""
    told = []
    for one in copied_registers(log):
        certificate = directory.certificate(one.device)
        if not directory.is_revoked(one.device):
            name = certificate.name if certificate is not None else one.device.hex()[:8]
            told.append(copied_says(name, one, is_own=False))
    return told
