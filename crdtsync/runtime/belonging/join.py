"""Joining a shop, as far as the disk goes: a new register, or one that sold before it met a relay.

A register that sold before keeps its key, its chain and its numbers. In one transaction its entries enter
the log of the joined shop, under a new log id, so that all of them are news to the relay. The log of its own
shop stays in the file as it was; its catalogue is offered as an import, not merged: two shops may have used
one SKU for different things.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from crdtsync.errors import (
    AlreadyARegister,
    InvalidName,
    NoRegister,
    PairingRefused,
    RelayUnreachable,
    StillPending,
)
from crdtsync.ids import ID_BYTES
from crdtsync.model import chain as chains
from crdtsync.model.certificate import Certificate, Directory
from crdtsync.model.chain import Moment, Shop
from crdtsync.model.entry import Entry, Head, read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.enrolment import EnrolAnswer, EnrolRequest
from crdtsync.protocol.pairing import PairingCode
from crdtsync.runtime.belonging.enrol import Connect, ask_for_certificate
from crdtsync.runtime.belonging.rejoin import Believed, enrol_again, writes_after_copy
from crdtsync.runtime.belonging.replacing import heads_to_name, lost_of, save_lost
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.committing.writer import append_entry, local_date
from crdtsync.runtime.folder.identity import (
    HEAD,
    Identity,
    Relay,
    load_relay,
    present_shop,
    save_identity,
    save_relay,
)
from crdtsync.runtime.folder.keyfile import DEVICE_KEY
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.folder.setup import make_folder, take_key
from crdtsync.runtime.syncing.address import socket_url
from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.views import ViewTables

BEFORE = "before"
"""State key: the shop that the register worked for before it joined this one."""

_NOBODY_SELLS_YET: Final = (
    "there is no register in this folder yet; check the network and the relay's address, and try again"
)


def join_shop(
    folder: Path,
    url: str,
    code: str,
    *,
    name: str = "",
    clock: Clock,
    random_bytes: RandomBytes,
    day_starts_min: int = 0,
    tls_ca: str | None = None,
    connect: Connect | None = None,
) -> Identity:
    """Enrol the register in ``folder`` with a pairing code; durable on return. Blocks on the network. Only
    one that replaces a lost register can do without a ``name``: it takes that one's.

    Can be repeated after a failure: the same folder and code give the same certificate. Raises
    ``InvalidName`` for a mistyped code or address, ``PairingRefused``, ``RelayUnreachable``,
    ``WrongRelayKey``, ``AlreadyARegister``, ``StorageError``. Until it returns, a register that sold
    before goes on as it was. One whose data was put back or copied is enrolled again: see ``enrol_again``.
    """
    parsed = PairingCode.parse(code)
    socket_url(url, "")
    make_folder(folder)
    store = SqliteStore(folder / STORE)

    def ask(key: PrivateKey, before: tuple[ShopLog, Identity] | None = None) -> Believed:
        request = _request(parsed.secret, name, key, before)
        answer, relay_key = ask_for_certificate(
            url, parsed, request, key, random_bytes, tls_ca=tls_ca, connect=connect
        )
        directory, entries = believe(answer)
        certificate = directory.certificate(request.device)
        if certificate is None or certificate.public != key.public:
            raise PairingRefused("the relay's answer holds no certificate for this register")
        return identity_of(certificate, directory), certificate, directory, entries, Relay(url, relay_key)

    try:
        now_ms = clock.now_ms()
        offset_min = clock.utc_offset_min(now_ms)
        moment = Moment(now_ms, offset_min, local_date(now_ms, offset_min - day_starts_min))
        copied = _copied(store)
        if copied is not None:
            return enrol_again(folder, store, copied, ask, moment, random_bytes)
        before = _register_before(store, folder)
        key = take_key(folder / DEVICE_KEY, random_bytes)
        try:
            identity, certificate, directory, entries, relay = ask(key, before)
        except RelayUnreachable as error:
            if before is None:
                error.hint = _NOBODY_SELLS_YET
            raise
        with store.transaction():
            log = store.create_shop(identity.shop, random_bytes(ID_BYTES))
            heads = heads_to_name(certificate)
            enter_shop(log, identity, entries, key, relay, moment, random_bytes, before=before, heads=heads)
            if (lost := lost_of(certificate, directory)) is not None:
                save_lost(log, lost)
            ViewTables(store.database).prepare()
        return identity
    finally:
        store.close()


def enter_shop(
    log: ShopLog,
    identity: Identity,
    certificates: Sequence[Entry],
    key: PrivateKey,
    relay: Relay,
    moment: Moment,
    random_bytes: RandomBytes,
    *,
    before: tuple[ShopLog, Identity] | None = None,
    heads: Sequence[Head] = (),
) -> None:
    """Begin to work for a shop, inside a transaction of the store that ``log`` is in: with a chain of its
    own, whose first entry names ``heads``, or with the one that the register of ``before`` has already.
    """
    for entry in certificates:
        append_entry(log, entry)
    if before is None:
        _begin_chain(log, identity, key, moment, random_bytes, heads)
    else:
        _bring_along(before[0], log)
    save_identity(log, identity)
    save_relay(log, relay)


def device_id_of(public_key: bytes) -> bytes:
    """The id of a device that is new: it follows from its key, so that asking again names the same device."""
    return hashlib.sha256(b"crdtsync/device/v1\x00" + public_key).digest()[:ID_BYTES]


def _copied(store: Store) -> ShopLog | None:
    """The log of a register that must be enrolled again, because its data was put back or copied."""
    try:
        log, identity = present_shop(store)
    except NoRegister:
        return None
    return log if load_relay(log) is not None and writes_after_copy(log, identity) else None


def _register_before(store: Store, folder: Path) -> tuple[ShopLog, Identity] | None:
    try:
        log, identity = present_shop(store)
    except NoRegister:
        return None
    if load_relay(log) is not None:
        _refuse_second_shop(log, identity, folder)
    return log, identity


def _refuse_second_shop(log: ShopLog, identity: Identity, folder: Path) -> None:
    """A register works for one shop: raise what is in the way of another, and what to do."""
    from crdtsync.runtime.belonging.leaving import in_words, pending_of  # Late: joining seldom needs it.

    pending = pending_of(log)
    holds = f"{folder} holds the register {identity.device_name!r} of the shop {identity.shop_name!r}"
    if pending.records:
        raise StillPending(f"{holds}, and only it has {in_words(pending)}")
    raise AlreadyARegister(
        holds,
        hint="join from an empty folder, or leave that shop first with `crdtsync leave`: nothing is pending",
    )


def _request(
    secret: str, name: str, key: PrivateKey, before: tuple[ShopLog, Identity] | None
) -> EnrolRequest:
    if len(name) > 64 or not name.isprintable():
        raise InvalidName(f"the name {name!r} is not at most 64 characters of plain text")
    if before is None:
        return EnrolRequest(secret, device_id_of(key.public), name, key.public)
    log, identity = before
    chain = read_head(log).chain
    return EnrolRequest(secret, identity.device, name, key.public, chain, identity.shop, identity.series)


def believe(answer: EnrolAnswer) -> tuple[Directory, list[Entry]]:
    """The answer's certificates, each checked under the owner's key, which the shop's id follows from."""
    directory, entries = Directory(answer.shop), []
    for sealed in answer.sealed:
        entry = read_entry(sealed)
        directory = directory.with_entry(entry)
        entries.append(entry)
    if directory.genesis is None:
        raise PairingRefused("the relay's answer does not say who owns the shop")
    return directory, entries


def identity_of(certificate: Certificate, directory: Directory) -> Identity:
    """Who a device is, as its shop's owner certified it. Raises ``PairingRefused`` for a relay."""
    role = certificate.role
    if role not in ("register", "backoffice", "display"):
        raise PairingRefused(f"a {role} is not enrolled in this way")
    return Identity(
        certificate.device,
        certificate.name,
        role,  # type: ignore[arg-type]
        certificate.public,
        certificate.series or "",
        directory.shop_id,
        directory.shop_name,
    )


def _begin_chain(
    log: ShopLog,
    identity: Identity,
    key: PrivateKey,
    moment: Moment,
    random_bytes: RandomBytes,
    heads: Sequence[Head],
) -> None:
    """A register or a back office has a chain of its own; a display makes no entries."""
    if identity.role == "display":
        return
    shop = Shop(identity.shop, identity.shop_name)
    body = chains.start(
        identity.device,
        key.public,
        shop,
        series=identity.series,
        nonce=random_bytes(16),
        moment=moment,
        heads=heads,
    )
    register = read_entry(seal(body, key))
    append_entry(log, register)
    log.set_state(HEAD, chains.advance(None, register).to_bytes())


def _bring_along(old: ShopLog, log: ShopLog) -> None:
    """Everything that the register's own chain holds enters the log of the joined shop."""
    head = read_head(old)
    last = max(run.hi for run in old.runs(head.chain))
    for _, sealed in old.chain_entries(head.chain, 1, last):
        entry = read_entry(sealed)
        seq = append_entry(log, entry)
        request_id = entry.body.get("req")
        if isinstance(request_id, str) and seq is not None:
            log.set_request(request_id, entry.link, seq)
    log.set_state(HEAD, head.to_bytes())
    log.set_state(BEFORE, old.shop)
    save_identity(old, None)
