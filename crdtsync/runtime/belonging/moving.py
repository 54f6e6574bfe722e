"""A register goes over to another relay of its shop, with its key, its numbers and everything that it has.

The new relay is named by a pairing code, as at enrolment: the code pins its key before anything is sent. The
register accepts it only as a relay of the same shop, with a certificate of the same owner for its own key.
What the old relay has acknowledged counts no more: everything is pending until the new one has it.

Where only the address changes, what answers there has to prove the key that is known before the address is
kept: with a wrong one nobody would be synchronised with any more, and the right one would be forgotten.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from crdtsync.errors import (
    CrdtsyncError,
    InvalidName,
    PairingRefused,
    RelayUnreachable,
    SetupError,
    UnsupportedVersion,
    UsageError,
    WrongRelayKey,
)
from crdtsync.protocol.about import About
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.protocol.pairing import PairingCode
from crdtsync.runtime.belonging.enrol import Connect, ask_for_certificate
from crdtsync.runtime.belonging.join import believe
from crdtsync.runtime.clock import RandomBytes
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.committing.writer import append_entry
from crdtsync.runtime.doctor.finding import Finding
from crdtsync.runtime.doctor.network import look_at_relay
from crdtsync.runtime.folder.identity import Identity, Relay, load_relay, present_shop, save_relay
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, private_key
from crdtsync.runtime.folder.role import SYNC_LOCK, hold_role
from crdtsync.runtime.folder.whose import store_of_register
from crdtsync.runtime.syncing.address import socket_url
from crdtsync.storage.log import ShopLog
from crdtsync.storage.sqlite import SqliteStore

PROOF_WITHIN_S: Final = 10.0
"""For so long is waited for what answers at a new address."""

_AS_BEFORE: Final = "this register belongs to its relay as before"


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

    Without ``code`` only the address changes, and only if what answers there proves the key that is known.
    Raises ``NoRegister``, ``SetupError`` (it has no relay yet), ``RoleTaken`` (a process synchronises it),
    ``InvalidName``, ``PairingRefused``, ``RelayUnreachable``, ``WrongRelayKey``, ``UnsupportedVersion``,
    ``StorageError``; then it belongs to its relay as before.
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
                _check_who_answers(replace(before, url=url), tls_ca)
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


def _check_who_answers(relay: Relay, tls_ca: str | None) -> None:
    """Raises unless what answers at its address proves the relay's key, as of now."""
    said: list[About] = []
    for found in look_at_relay(relay, tls_ca, said.append, PROOF_WITHIN_S):
        if found.state == "wrong":
            raise _error_of(found, relay)
    if not said:
        what = f"{relay.url} was not proved to be this register's relay within {PROOF_WITHIN_S:g} s"
        raise RelayUnreachable(what, hint=f"try again, or with a pairing code; {_AS_BEFORE}")


def _error_of(found: Finding, relay: Relay) -> CrdtsyncError:
    kinds = (InvalidName, UsageError, WrongRelayKey, UnsupportedVersion)
    kind = next((one for one in kinds if one.exit_code == found.exit_code), RelayUnreachable)
    hint = f"check that the address is right and the relay runs there; {_AS_BEFORE}"
    if kind is WrongRelayKey:
        hint = f"with a pairing code of that one, `crdtsync move URL CODE` goes over to it; {_AS_BEFORE}"
    elif kind is not RelayUnreachable:
        hint = f"{found.advice}; {_AS_BEFORE}" if found.advice else _AS_BEFORE
    return kind(found.says if relay.url in found.says else f"{relay.url}: {found.says}", hint=hint)


def _request(secret: str, log: ShopLog, identity: Identity) -> EnrolRequest:
    """What the register is already: whoever certifies it finds it in the shop."""
    name, public = identity.device_name, identity.public_key
    if identity.role == "display":
        return EnrolRequest(secret, identity.device, name, public)
    chain = read_head(log).chain
    return EnrolRequest(secret, identity.device, name, public, chain, identity.shop, identity.series)
