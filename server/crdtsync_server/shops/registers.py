"""What is to be done about a device, and what all devices of a shop have in common: for the back office."""

from __future__ import annotations

from typing import Final, Literal

from crdtsync.model.entry import read_entry
from crdtsync.runtime.folder.identity import CLOCK_OFFSET_MAX_MS
from crdtsync.storage.log import ShopLog
from crdtsync_server.diagnosis import UNHEARD_MS
from crdtsync_server.shops.devices import DeviceState

Advice = Literal["revoked", "never", "unheard", "clock", "refused", "held", "pending", "slowed", "away"]

PENDING_AWAY_MS: Final = 15 * 60_000
"""What a register that is away has on its own disk alone is told after so long."""

DEFAULT_CURRENCY: Final = "EUR"


def advice_about(state: DeviceState, now_ms: int) -> tuple[Advice, ...]:
    """What somebody should know of a device, the gravest first; nothing where all is well."""
    contact = state.contact
    if state.revoked:
        return ("revoked",)
    if contact is None:
        return ("never",)
    found: list[Advice] = []
    if state.refused:
        found.append("refused")
    if abs(contact.clock_offset_ms or 0) > CLOCK_OFFSET_MAX_MS:
        found.append("clock")
    if state.held:
        found.append("held")
    if not state.connected and now_ms - contact.at_ms > UNHEARD_MS:
        found.append("unheard")
    elif not state.connected and now_ms - contact.at_ms > PENDING_AWAY_MS:
        found.append("away")
    if state.pending_sales:
        found.append("pending")
    if state.slowed:
        found.append("slowed")
    return tuple(found)


def currency_of(log: ShopLog) -> str:
    """The currency of the shop's registers, as their first entries say it."""
    for run in log.runs():
        for sealed in log.entry(run.chain, 1) if run.lo == 1 else ():
            body = read_entry(sealed).body
            if body["kind"] == "register":
                return str(body.get("cur", DEFAULT_CURRENCY))
    return DEFAULT_CURRENCY
