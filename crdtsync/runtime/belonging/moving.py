"""A register goes over to another relay of its shop, with its key, its numbers and everything that it has.

The new relay is named by a pairing code, as at enrolment: the code pins its key before anything is sent. The
register accepts it only as a relay of the same shop, with a certificate of the same owner for its own key.
What the old relay has acknowledged counts no more: everything is pending until the new one has it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crdtsync.errors import PairingRefused, SetupError
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.protocol.pairing import PairingCode
from crdtsync.runtime.belonging.enrol import Connect, ask_for_certificate
from crdtsync.runtime.belonging.join import believe
from crdtsync.runtime.clock import RandomBytes
from crdtsync.runtime.committing.writer import append_entry, read_head
from crdtsync.runtime.folder.identity import Identity, Relay, load_relay, present_shop, save_relay
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, private_key
from crdtsync.runtime.folder.role import SYNC_LOCK, hold_role
from crdtsync.runtime.folder.whose import store_of_register
from crdtsync.runtime.syncing.address import socket_url
from crdtsync.storage.log import ShopLog
from crdtsync.storage.sqlite import SqliteStore


def move_register(
    folder: Path,
    url: str,
    code: str | None,
    *,
    random_bytes: RandomBytes,
    tls_ca: str | None = None,
    connect: Connect | None = None,
) -> Identity:
    """Point the register in ``folder`` to another relay of its shop; durable on return. Blocks on the
    network.

    Without ``code`` only the address changes: what answers there still has to prove the key that is known.
    Raises ``NoRegister``, ``SetupError`` (it has no relay yet), ``RoleTaken`` (a process synchronises it),
    ``InvalidName``, ``PairingRefused``, ``RelayUnreachable``, ``WrongRelayKey``, ``StorageError``; then it
    belongs to its relay as before.
    """
    socket_url(url, "")
    parsed = PairingCode.parse(code) if code is not None else None
    store = SqliteStore(store_of_register(folder), create=False)
    try:
        log, identity = present_shop(store)
        before = load_relay(log)
        if before is None:
            raise SetupError("this register has no relay yet", hint="enrol it with `crdtsync join`")
        with hold_role(
            folder / SYNC_LOCK,
            "another process synchronises this register with its present relay",
            hint="stop that one first (`crdtsync run`, or the till program)",
        ):
            if parsed is None:
                with store.transaction():
                    save_relay(log, replace(before, url=url))
                return identity
            key = private_key(folder / DEVICE_KEY)
            request = _request(parsed.secret, log, identity)
            answer, relay_key = ask_for_certificate(
                url, parsed, request, key, random_bytes, tls_ca=tls_ca, connect=connect
            )
            if answer.shop != identity.shop:
                raise PairingRefused(
                    "this code is for another shop",
                    hint="ask for a code of this register's shop, or join the other one from an empty folder",
                )
            directory, entries = believe(answer)
            certificate = directory.certificate(identity.device)
            if certificate is None or certificate.public != key.public:
                raise PairingRefused("the relay's answer holds no certificate for this register")
            if relay_key not in [one.public for one in directory.certificates() if one.role == "relay"]:
                raise PairingRefused("the owner of the shop has not certified this relay")
            if certificate.role != identity.role:
                raise PairingRefused(f"this code is for a {certificate.role}, and this is a {identity.role}")
            with store.transaction():
                for entry in entries:
                    append_entry(log, entry)
                save_relay(log, Relay(url, relay_key))
        return identity
    finally:
        store.close()


def _request(secret: str, log: ShopLog, identity: Identity) -> EnrolRequest:
    """What the register is already: whoever certifies it finds it in the shop."""
    name, public = identity.device_name, identity.public_key
    if identity.role == "display":
        return EnrolRequest(secret, identity.device, name, public)
    chain = read_head(log).chain
    return EnrolRequest(secret, identity.device, name, public, chain, identity.shop, identity.series)
