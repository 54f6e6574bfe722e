"""Enrolling a register again that was put back from an old copy, or copied: a new key in the same folder.

Everything recorded stays where it is. The new key's chain names where the register left the one that it wrote
meanwhile, so that nobody asks for it any more. The key of before is kept beside the new one: it is another
machine's too.

Another program may sell on this folder while the certificate is on its way, with the key that is being
revoked. The head that is named is the one of the transaction that changes the key, so that these sales lie
below it, and the relay takes them off its hold: the key that the owner has just certified vouches for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crdtsync.errors import AlreadyARegister, StillPending
from crdtsync.ids import record_digest
from crdtsync.model import chain as chains
from crdtsync.model.certificate import Certificate, Directory
from crdtsync.model.chain import Moment, Shop
from crdtsync.model.entry import Entry, Head, read_entry, seal_entry
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.belonging.copies import follows_of
from crdtsync.runtime.belonging.replacing import heads_to_name, lost_of, save_lost
from crdtsync.runtime.clock import RandomBytes
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.committing.writer import append_entry
from crdtsync.runtime.folder.identity import HEAD, Identity, Relay, load_relay, save_identity, save_relay
from crdtsync.runtime.folder.keyfile import NEXT_KEY, take_next_key
from crdtsync.runtime.folder.role import SYNC_LOCK, hold_role
from crdtsync.runtime.folder.setup import take_key
from crdtsync.storage.log import ShopLog, Store

Believed = tuple[Identity, Certificate, Directory, list[Entry], Relay]
"""What the relay answered, checked: who this register is now, and what proves it."""


def writes_after_copy(log: ShopLog, identity: Identity) -> bool:
    """Whether the register goes on in a chain that it began because its data was put back or copied, and was
    not enrolled again since: then the chain that it left is another device's.
    """
    if identity.role == "display":
        return False
    head = read_head(log)
    firsts = [read_entry(sealed) for sealed in log.entry(head.chain, 1)]

    def is_own(left: Head) -> bool:
        begun = [read_entry(sealed).author for sealed in log.entry(left.chain, 1)]
        return not begun or identity.device in begun

    return any(
        first.author == identity.device and (left := follows_of(first)) is not None and is_own(left)
        for first in firsts
    )


def enrol_again(
    folder: Path,
    store: Store,
    log: ShopLog,
    ask: Callable[[PrivateKey], Believed],
    moment: Moment,
    random_bytes: RandomBytes,
) -> Identity:
    """Take a new key, have it certified by ``ask``, and go on with it; durable on return, and repeatable.

    Raises ``StillPending`` while there is something that the relay never saw (what the key of before signed
    must be known before that key may be revoked; what it put on hold it has), ``RoleTaken`` while another
    process synchronises, ``AlreadyARegister`` for another shop's code, and what ``ask`` raises: then nothing
    has changed.
    """
    relay = load_relay(log)
    with hold_role(folder / SYNC_LOCK, "another process synchronises this register", hint="stop it first"):
        if relay is None or has_what_the_relay_never_saw(log, relay):
            raise StillPending("the relay has not everything that this register recorded yet")
        key = take_key(folder / NEXT_KEY, random_bytes)
        identity, certificate, directory, entries, met = ask(key)
        if identity.shop != log.shop:
            raise AlreadyARegister(f"the pairing code is of another shop, {identity.shop_name!r}")
        known_log = relay.log_id if relay.public_key == met.public_key else None
        with store.transaction():
            for entry in entries:
                append_entry(log, entry)
            left = read_head(log)
            body = chains.start(
                identity.device,
                key.public,
                Shop(identity.shop, identity.shop_name),
                series=identity.series,
                nonce=random_bytes(16),
                moment=Moment(moment.ts_ms, moment.tz_min, left.bd),
                heads=[left.known, *heads_to_name(certificate)],
                follows=left.known,
            )
            first = seal_entry(body, key)
            append_entry(log, first)
            log.set_state(HEAD, chains.advance(None, first).to_bytes())
            save_identity(log, identity)
            save_relay(log, Relay(met.url, met.public_key, known_log))
            if (lost := lost_of(certificate, directory)) is not None:
                save_lost(log, lost)
        take_next_key(folder, key.public)
    return identity


def has_what_the_relay_never_saw(log: ShopLog, relay: Relay) -> bool:
    """Whether synchronising could bring the relay more. After a crash in ``enrol_again`` the key in the
    folder may be revoked already: what it signs then is on hold there, and whoever waited until it is not
    would wait for ever.
    """
    answered = {refusal.digest for refusal in log.refusals_received(relay.log_id or b"")}
    return any(record_digest(record) not in answered for _, record in log.unacknowledged(relay.log_id))
