"""Making a register: a shop of one, with an owner key of its own, that sells before it ever met a relay."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from crdtsync.errors import AlreadyARegister, DiskFull, InvalidName, NoRegister, ReadOnlyStore
from crdtsync.model import chain as chains
from crdtsync.model.certificate import Certificate, build_certify, start_owner
from crdtsync.model.chain import ChainHead, Moment, Shop
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.writer import append_entry, local_date
from crdtsync.runtime.folder.identity import HEAD, OWNER_HEAD, Identity, present_shop, save_identity
from crdtsync.runtime.folder.keyfile import DEVICE_KEY, OWNER_KEY, private_key, write_key
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.folder.whose import refuse_half_salvaged, refuse_relays_folder
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.views import ViewTables


def make_register(
    folder: Path,
    *,
    name: str,
    shop_name: str,
    clock: Clock,
    random_bytes: RandomBytes,
    day_starts_min: int = 0,
) -> Identity:
    """Make a register in a folder, which is created if need be; durable on return.

    A set-up that was interrupted can be repeated. Raises ``AlreadyARegister``, ``InvalidName``,
    ``StorageError``.
    """
    for text in (name, shop_name):
        if not 0 < len(text) <= 64 or not text.isprintable():
            raise InvalidName(f"the name {text!r} is not 1 to 64 characters of plain text")
    make_folder(folder)
    store = SqliteStore(folder / STORE)
    try:
        _refuse_if_made(store, folder)
        owner, device = (take_key(folder / file, random_bytes) for file in (OWNER_KEY, DEVICE_KEY))
        now_ms = clock.now_ms()
        offset_min = clock.utc_offset_min(now_ms)
        moment = Moment(now_ms, offset_min, local_date(now_ms, offset_min - day_starts_min))
        return _begin(store, name, shop_name, owner, device, moment, random_bytes)
    finally:
        store.close()


def take_key(path: Path, random_bytes: RandomBytes) -> PrivateKey:
    """The key in a file; a new one is made and written first if there is none."""
    if path.exists():
        return private_key(path)
    key = PrivateKey.from_seed(random_bytes(32))
    write_key(path, key.to_bytes())
    return key


def make_folder(folder: Path) -> None:
    """Make a data folder that only its owner can read. Raises ``NotAStore`` where it is a relay's,
    ``NoRegister`` where a register in it is half salvaged, ``StorageError``.
    """
    refuse_relays_folder(folder)
    refuse_half_salvaged(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ReadOnlyStore(f"the folder {folder} cannot be written")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"the folder {folder} cannot be made: {error.strerror}") from error
        raise ReadOnlyStore(f"the folder {folder} cannot be made: {error.strerror}") from error


def _refuse_if_made(store: SqliteStore, folder: Path) -> None:
    try:
        _, identity = present_shop(store)
    except NoRegister:
        return
    raise AlreadyARegister(f"{folder} holds the register {identity.device_name!r} already")


def _begin(
    store: SqliteStore,
    name: str,
    shop_name: str,
    owner: PrivateKey,
    device: PrivateKey,
    moment: Moment,
    random_bytes: RandomBytes,
) -> Identity:
    """The three entries with which everything starts: the owner, the certificate, the register."""
    device_id = random_bytes(16)
    series = chains.series_of(device_id)
    first = read_entry(
        seal(start_owner(owner.public, shop_name, nonce=random_bytes(16), moment=moment), owner)
    )
    shop = Shop(first.author, shop_name)
    owner_head = chains.advance(None, first)
    certificate = Certificate(device_id, name, "register", device.public, shop.id, series)
    certify = _after(owner_head, "certify", build_certify(certificate), moment, owner)
    body = chains.start(device_id, device.public, shop, series=series, nonce=random_bytes(16), moment=moment)
    register = read_entry(seal(body, device))
    identity = Identity(device_id, name, "register", device.public, series, shop.id, shop_name)
    with store.transaction():
        log = store.create_shop(shop.id, random_bytes(16))
        for entry in (first, certify, register):
            append_entry(log, entry)
        log.set_state(OWNER_HEAD, chains.advance(owner_head, certify).to_bytes())
        log.set_state(HEAD, chains.advance(None, register).to_bytes())
        save_identity(log, identity)
        ViewTables(store.database).prepare()
    return identity


def _after(head: ChainHead, kind: str, payload: dict[str, object], moment: Moment, key: PrivateKey) -> Entry:
    return read_entry(seal(chains.next_body(head, kind, payload, moment), key))
