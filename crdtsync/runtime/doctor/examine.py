"""The whole examination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from crdtsync.config import RegisterConfig
from crdtsync.errors import CrdtsyncError
from crdtsync.protocol.about import About
from crdtsync.runtime.doctor.disk import look_at_disk, look_at_lock
from crdtsync.runtime.doctor.finding import CHECKS, Finding, notice, well, wrong
from crdtsync.runtime.doctor.network import look_at_relay
from crdtsync.runtime.doctor.register import look_at_store
from crdtsync.runtime.folder.replica import STORE

if TYPE_CHECKING:
    from crdtsync.runtime.register.register import Register

ON_THE_WAY: Final = ("name", "address", "tls", "relay", "version")
"""What is looked at between this machine and the relay."""


def examine(config: RegisterConfig, open_register: Callable[[], Register]) -> list[Finding]:
    """Look at everything that there is between a register's disk and its relay; in the order of ``CHECKS``.

    Blocks for less than a second, whatever the network does. Never raises for what is wrong. Changes nothing,
    but for what opening a register sets apart as damaged.
    """
    order, findings = list(CHECKS), list(_findings(config, open_register))
    # A key may be there, and be another device's: what is wrong is told, and nothing beside it.
    not_well = {found.check for found in findings if found.state == "wrong"}
    told = [found for found in findings if found.state != "well" or found.check not in not_well]
    # What was noticed when it stopped is as it was: the way to the relay, looked at now, says it better.
    on_the_way = {found.exit_code for found in told if found.check in ON_THE_WAY and found.state == "wrong"}
    told = [one for one in told if one.check != "syncing" or one.exit_code not in on_the_way]
    return sorted(told, key=lambda found: order.index(found.check))


def _findings(config: RegisterConfig, open_register: Callable[[], Register]) -> Iterator[Finding]:
    found = list(look_at_disk(config.data))
    yield from found
    if found[0].state == "wrong" and len(found) == 1:
        return
    try:
        with open_register() as register:
            yield from _look_at_whose_key_it_is(register, found)
            status, relay = register.status(with_documents=False), register.replica.relay
            now_ms = register.replica.clock.now_ms
            locked = look_at_lock(config.data / STORE)
            yield locked or well("store", f"{register.identity.device_name} of {register.identity.shop_name}")
            said: list[About] = []
            if relay is None:
                yield notice("relay", "this register belongs to no relay", "enrol it with `crdtsync join`")
            else:
                yield from look_at_relay(relay, config.tls_ca, said.append)
            yield from look_at_store(status, config.data, now_ms(), said[0].now_ms if said else None)
    except CrdtsyncError as error:
        yield wrong("store", error)


def _look_at_whose_key_it_is(register: Register, found: list[Finding]) -> Iterator[Finding]:
    """Only where it is another device's, or cannot be read: that it is there was looked at."""
    if any(one.check == "key" and one.state == "wrong" for one in found):
        return
    try:
        register.replica.key  # noqa: B018
    except CrdtsyncError as error:
        yield wrong("key", error)
