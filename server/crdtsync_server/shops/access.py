"""Who may come in: shops, their owners' keys, pairing codes, certificates.

The log decides. A certificate, the series that it allots and the fact that its pairing code is used up are
written in one transaction of the shop's log, so that two processes never give one series twice, a code
never lets two devices in, and a crash leaves all of it or nothing. ``access.sqlite`` only holds what is no
part of a log: codes not used yet, wrong attempts, and an index of the shops' names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crdtsync.errors import InvalidName, PairingRefused, SetupError, UnknownShop
from crdtsync.ids import ID_BYTES, LINK_BYTES
from crdtsync.model.approval import KIND as APPROVE
from crdtsync.model.approval import LINKS_MAX, build_approve
from crdtsync.model.certificate import Certificate, build_certify, build_revoke, start_owner
from crdtsync.model.entry import Entry, read_entry, shop_id_of
from crdtsync.model.naming import names_apart
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PUBLIC_BYTES
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.damage.quarantine import judge_again
from crdtsync.storage.log import ShopLog, Store
from crdtsync_server.backups.restored import Place, begin_generation, generation_of
from crdtsync_server.database import open_access_database
from crdtsync_server.folder import DataFolder
from crdtsync_server.keys import KeyFolder, relay_device_id
from crdtsync_server.shops.moved import Moved
from crdtsync_server.shops.owner import OwnerChain, heads_of, owner_item, owner_moment
from crdtsync_server.shops.pairing import VALID_MINUTES, Grant, IssuedCode, PairingCodes
from crdtsync_server.shops.replacing import REASON, lost_device, name_for, replaced
from crdtsync_server.shops.series import series_for
from crdtsync_server.shops.waiting import (
    note_used,
    promised_series,
    refuse_second_successor,
    used_key,
    waiting,
    write_waiting,
)

SHOP_NAME_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class ShopRow:
    """A shop of this relay."""

    id: bytes
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A device that was let in. ``sealed``: the owner's entries that prove it and the relay, oldest first.

    ``is_new`` is false when the same device had asked before with the same code (its answer was lost).
    """

    shop: bytes
    shop_name: str
    certificate: Certificate
    sealed: tuple[bytes, ...]
    is_new: bool


class Access:
    """The relay's books. Use from one thread at a time; several processes may have the same folder open."""

    def __init__(
        self, folder: DataFolder, *, clock: Clock | None = None, random: RandomBytes = system_random
    ) -> None:
        self._clock = clock or SystemClock()
        self._random = random
        self._database = open_access_database(folder.access)
        self._place = Place(folder, self._database)
        self.keys = KeyFolder(folder.keys, random)
        self.relay_key = self.keys.relay_key()
        self.relay_device = relay_device_id(self.relay_key.public)
        self.moved = Moved(self._database)
        self.codes = PairingCodes(self._database, clock=self._clock, random=random)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @property
    def clock(self) -> Clock:
        """The time that entries of the owner's chain are given."""
        return self._clock

    # -- shops -----------------------------------------------------------------------------------------

    def create_shop(self, store: Store, name: str) -> ShopRow:
        """Make a shop with an owner key of its own, and certify this relay in it. Durable on return.

        Raises ``InvalidName`` for a name that cannot be, or that another shop of this relay has.
        """
        self.notice_restore(store)
        name = unicodedata.normalize("NFC", name.strip())
        if not 0 < len(name) <= SHOP_NAME_CHARACTERS_MAX or not name.isprintable():
            raise InvalidName(f"a shop has a name of 1 to {SHOP_NAME_CHARACTERS_MAX} characters on one line")
        db = self._database
        with db.whole_transaction():
            if db.row("SELECT 1 FROM shop WHERE folded = ?", (name.casefold(),)) is not None:
                raise InvalidName(
                    f"there is a shop {name!r} on this relay already", hint="choose another name"
                )
            row = ShopRow(self._start_shop(store, name), name, self._clock.now_ms())
            db.write("INSERT INTO shop VALUES (?, ?, ?, ?)", (row.id, name, name.casefold(), row.created_ms))
        return row

    def shops(self) -> list[ShopRow]:
        """All shops, oldest first."""
        rows = self._database.rows("SELECT id, name, created_ms FROM shop ORDER BY created_ms, folded")
        return [ShopRow(*row) for row in rows]

    def shops_here(self, store: Store) -> list[ShopRow]:
        """Those of which there is a log. An erasing that was interrupted leaves a name without one, and so
        does a store that was lost until registers come back.
        """
        here = set(store.shops())
        return [row for row in self.shops() if row.id in here]

    def find_shop(self, text: str) -> ShopRow:
        """The shop with that id or that name (in whatever case). Raises ``UnknownShop``."""
        name = folded_shop(text)
        row = self._database.row(
            "SELECT id, name, created_ms FROM shop WHERE folded = ? OR lower(hex(id)) = ?"
            " ORDER BY folded = ? DESC",
            (name, name, name),
        )
        if row is None:
            raise UnknownShop(f"there is no shop {text!r} on this relay")
        return ShopRow(*row)

    def index_shops(self, store: Store) -> None:
        """Enter shops that the log knows and the index does not (after a crash, or a lost index)."""
        known = {row.id for row in self.shops()}
        for shop in store.shops():
            if shop in known:
                continue
            chain = OwnerChain.read(store.shop(shop))
            if chain.directory.genesis is None:
                continue  # It was lost, and its registers have not filled it again yet.
            name, made_ms = chain.directory.shop_name, chain.directory.genesis.made_ms
            db = self._database
            with db.whole_transaction():
                folded = name.casefold()
                if db.row("SELECT 1 FROM shop WHERE folded = ?", (folded,)) is not None:
                    folded = shop.hex()
                db.write(
                    "INSERT INTO shop VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (shop, name, folded, made_ms),
                )

    def notice_restore(self, store: Store) -> list[bytes]:
        """Find out whether the folder was put back from a backup since it was last opened, and begin anew
        what must not be given out twice (see ``restored``). The shops concerned. Call it before anything is
        signed.
        """
        restored = self._place.restored_shops(store)
        for shop in restored:
            self.begin_generation(store, shop)
        # Last, so that a crash before it leaves the restore to be noticed again.
        self._place.note(store, restored=bool(restored))
        return restored

    def make_lost_shop(self, store: Store, shop: bytes) -> bool:
        """Make an empty log for a shop that this relay has the owner's key of and nothing else (its database
        was lost), so that the registers can fill it again. False for any other shop.
        """
        if not self.keys.has_owner_key(shop):
            return False
        with store.transaction():
            log = store.create_shop(shop, self._random(ID_BYTES))
            begin_generation(log, self._random, self._clock.now_ms())
        return True

    def begin_generation(self, store: Store, shop: bytes) -> None:
        """Give out nothing that the shop may have had after the backup that it was put back from."""
        with store.transaction():
            begin_generation(store.shop(shop), self._random, self._clock.now_ms())
        with self._database.whole_transaction():
            self.codes.end_open(shop)

    # -- pairing ---------------------------------------------------------------------------------------

    def issue_code(
        self, shop: bytes, role: str, *, valid_minutes: int = VALID_MINUTES, replaces: bytes | None = None
    ) -> IssuedCode:
        """A code that lets one device into the shop, once; with ``replaces`` in the place of that device,
        which is revoked when the code is used. Durable on return.
        """
        return self.codes.issue(
            shop, role, self.relay_key.public, valid_minutes=valid_minutes, replaces=replaces
        )

    def enrol(self, store: Store, request: EnrolRequest, address: str) -> Enrolment:
        """Let a device in, for a pairing code. Durable on return. Takes about 20 ms and one transaction.
        That the device has the private key of ``request.public_key`` was checked by the caller.

        The same device that asks again with the same code gets the same certificate. Raises
        ``PairingRefused``, ``TooManyAttempts``, ``InvalidName`` and ``StorageError``; then nothing was
        written, and the code is as good as before.
        """
        grant = self.codes.check(request.secret, address)
        log = store.shop(grant.shop)
        if not self.keys.has_owner_key(grant.shop) and not grant.has_expired:
            self._let_wait(store, log, grant, request)
        with store.transaction():
            chain = OwnerChain.read(log)
            used = log.state(used_key(grant.code_id))
            _refuse_second_chain(log, chain, request)
            if used is None:
                link, chain = self._certify(log, chain, grant, request)
                note_used(log, grant.code_id, request.device, request.public_key, link)
                if rows := waiting(log):
                    write_waiting(log, [one for one in rows if one["code"] != grant.code_id])
            elif used[: ID_BYTES + PUBLIC_BYTES] != request.device + request.public_key:
                raise PairingRefused("this pairing code was used already")
        self._place.note_signed(grant.shop, chain.entries[-1].facts.n)
        self.codes.mark_used(request.secret, request.device)
        certificate = chain.directory.certificate(request.device)
        assert certificate is not None
        return Enrolment(
            grant.shop,
            chain.directory.shop_name,
            certificate,
            chain.about(self.relay_device, request.device, *_replaced_by(certificate)),
            is_new=used is None,
        )

    def find_device(self, store: Store, shop: bytes, text: str) -> Certificate:
        """The device of a shop with that id or name. Raises ``InvalidName`` for none, and for several."""
        directory = OwnerChain.read(store.shop(shop)).directory
        newest = {certificate.device: certificate for certificate in directory.certificates()}
        apart = names_apart((one.device, one.name, one.series) for one in newest.values())
        found = [
            one
            for one in newest.values()
            if one.role != "relay"
            and (is_called(text, one.device, one.name) or is_called(text, one.device, apart[one.device]))
        ]
        # A register that was replaced has the name of its successor.
        found = [one for one in found if not directory.is_revoked(one.device)] or found
        if len(found) != 1:
            raise InvalidName(
                f"{len(found) or 'no'} devices of this shop are called {text!r}",
                hint="`crdtsync-relay status` shows their ids",
            )
        return found[0]

    def revoke(self, store: Store, shop: bytes, device: bytes, reason: str) -> bool:
        """Cut a device off: it may connect no more, what the log holds of it stays, and what others bring of
        it that was not known by now is held. Durable on return; False if it was cut off before.

        Raises ``SetupError`` when the owner's key is kept elsewhere.
        """
        self._refuse_without_key(shop, "--revoke")
        log = store.shop(shop)
        with store.transaction():
            chain = OwnerChain.read(log)
            if chain.directory.is_revoked(device):
                return False
            chain = self._revoke(log, chain, device, reason)
        self._place.note_signed(shop, chain.entries[-1].facts.n)
        return True

    def approve(
        self, store: Store, shop: bytes, links: Mapping[bytes, Sequence[bytes]], reason: str
    ) -> list[bytes]:
        """Let in entries that revoked devices made: by device, their links. Each approval is an entry that
        the owner's key signs; what it names is judged again in the same transaction. Durable on return. The
        links that are in the log now and were on hold before.

        Idempotent: what was approved before is not approved again. That the entries are on hold here, and
        signed by those devices, was checked by the caller. Raises ``SetupError`` when the owner's key is kept
        elsewhere.
        """
        self._refuse_without_key(shop, "--approve")
        log = store.shop(shop)
        with store.transaction():
            chain = OwnerChain.read(log)
            key = self.keys.owner_key_named(shop, chain.directory.owner_public)
            for device, named in sorted(links.items()):
                news = [link for link in named if not chain.directory.is_approved(link)]
                for first in range(0, len(news), LINKS_MAX):
                    payload = build_approve(device, news[first : first + LINKS_MAX], reason=reason)
                    entry = chain.next_entry(APPROVE, payload, key, self._clock)
                    log.append(owner_item(entry))
                    chain = chain.with_entry(entry)
            admitted = judge_again(log, [link for named in links.values() for link in named])
        self._place.note_signed(shop, chain.entries[-1].facts.n)
        return admitted

    def _refuse_without_key(self, shop: bytes, option: str) -> None:
        if not self.keys.has_owner_key(shop):
            raise SetupError(
                "the owner's key of this shop is kept elsewhere, or its file is gone from the keys folder",
                hint=f"`crdtsync-relay owner request SHOP FILE {option} DEVICE` writes what is to be signed",
            )

    def _revoke(self, log: ShopLog, chain: OwnerChain, device: bytes, reason: str) -> OwnerChain:
        payload = build_revoke(device, heads_of(log, device), reason=reason)
        key = self.keys.owner_key_named(log.shop, chain.directory.owner_public)
        entry = chain.next_entry("revoke", payload, key, self._clock)
        log.append(owner_item(entry))
        return chain.with_entry(entry)

    def _start_shop(self, store: Store, name: str) -> bytes:
        key, nonce = self.keys.new_key(), self._random(16)
        shop = shop_id_of(key.public, nonce)
        # The key first: an owner's entry whose key is lost could certify nobody, ever.
        self.keys.keep_owner_key(shop, key)
        body = start_owner(key.public, name, nonce=nonce, moment=owner_moment(self._clock))
        first = read_entry(seal(body, key))
        relay = Certificate(self.relay_device, "relay", "relay", self.relay_key.public, shop)
        with store.transaction():
            log = store.create_shop(shop, self._random(ID_BYTES))
            log.append(owner_item(first))
            chain = OwnerChain.read(log)
            log.append(owner_item(chain.next_entry("certify", build_certify(relay), key, self._clock)))
        return shop

    def note_signed(self, shop: bytes, store: Store) -> None:
        """The owner's chain of a shop has grown."""
        self._place.note_signed(shop, OwnerChain.read(store.shop(shop)).entries[-1].facts.n)

    def _let_wait(self, store: Store, log: ShopLog, grant: Grant, request: EnrolRequest) -> None:
        """Where the owner's key is kept elsewhere: write down what it is to sign. Raises ``PairingRefused``
        until that came back.
        """
        with store.transaction():
            if log.state(used_key(grant.code_id)) is not None:
                return
            chain, all_waiting = OwnerChain.read(log), waiting(log)
            known = [one for one in all_waiting if one["code"] == grant.code_id]
            if known and known[0]["device"] != request.device.hex():
                raise PairingRefused("this pairing code was used already")
            if not known:
                _refuse_second_chain(log, chain, request)
                refuse_second_successor(all_waiting, grant.replaces, request.device)
                certificate = _asked_for(log, chain, grant, request, promised_series(all_waiting))
                one = {
                    "code": grant.code_id,
                    "device": request.device.hex(),
                    "public": request.public_key.hex(),
                    "payload": build_certify(certificate),
                }
                write_waiting(log, [*all_waiting, one])
        raise PairingRefused(
            "the owner's key of this shop is kept elsewhere: the request waits for the owner's signature",
            hint="join again with the same code once the owner has signed",
        )

    def _certify(
        self, log: ShopLog, chain: OwnerChain, grant: Grant, request: EnrolRequest
    ) -> tuple[bytes, OwnerChain]:
        if grant.has_expired:
            raise PairingRefused("this pairing code has expired")
        certificate = _asked_for(log, chain, grant, request)
        if certificate.replaces is not None and not chain.directory.is_revoked(certificate.replaces.device):
            chain = self._revoke(log, chain, certificate.replaces.device, REASON)
        key = self.keys.owner_key_named(grant.shop, chain.directory.owner_public)
        entry: Entry = chain.next_entry("certify", build_certify(certificate), key, self._clock)
        log.append(owner_item(entry))
        return entry.link, chain.with_entry(entry)


def _asked_for(
    log: ShopLog,
    chain: OwnerChain,
    grant: Grant,
    request: EnrolRequest,
    promised: frozenset[str] = frozenset(),
) -> Certificate:
    """As ``_certificate``, also of a register that takes the place of a lost one."""
    lost = lost_device(chain.directory, grant.replaces, request) if grant.replaces is not None else None
    name, generation = name_for(request, lost), generation_of(log)
    certificate = _certificate(chain, grant, request, name, generation, promised)
    return certificate if lost is None else replace(certificate, replaces=replaced(log, lost.device))


def _refuse_second_chain(log: ShopLog, chain: OwnerChain, request: EnrolRequest) -> None:
    """A device that says that it has no entries yet, and of which there are some here: its store was emptied,
    and its key was not. It would begin its numbers anew, in the series that it had.
    """
    known = chain.directory.certificate(request.device)
    if known is not None and not request.chain and heads_of(log, request.device):
        raise PairingRefused(
            f"this key belongs to {known.name!r}, whose tickets are here already",
            hint="move device.key out of the folder and join again: a new register with numbers of its own",
        )


def _replaced_by(certificate: Certificate) -> tuple[bytes, ...]:
    return () if certificate.replaces is None else (certificate.replaces.device,)


def _certificate(
    chain: OwnerChain,
    grant: Grant,
    request: EnrolRequest,
    name: str,
    generation: str,
    promised: frozenset[str],
) -> Certificate:
    """What the owner says of a device that presents this code. ``promised``: series that wait for him."""
    known = chain.directory.certificate(request.device)
    if known is not None and known.public != request.public_key:
        # Whoever has a code may add a device, but not take the name of one that is there.
        raise PairingRefused(
            "this device id belongs to another key", hint="set the device up in an empty folder"
        )
    if len(request.chain) not in (0, LINK_BYTES) or len(request.shop) not in (0, ID_BYTES):
        raise InvalidName("the device names no chain and shop that could be")
    named = chain.directory.by_chain(request.chain)
    if named is not None and named.device != request.device:
        raise PairingRefused("this chain of entries belongs to another device")
    return Certificate(
        device=request.device,
        name=unicodedata.normalize("NFC", name),
        role=grant.role,
        public=request.public_key,
        shop=grant.shop,
        series=series_for(chain.series | promised, grant, request, known, generation),
        chain=request.chain or None,
        original_shop=request.shop or None,
    )


def folded_shop(text: str) -> str:
    """Names and ids of a shop that are the same for whoever types them."""
    return unicodedata.normalize("NFC", text.strip()).casefold()


def is_called(text: str, device: bytes, name: str | None) -> bool:
    """Whether whoever types ``text`` means this device: its id, or its name however accents are typed."""
    typed = unicodedata.normalize("NFC", text.strip())
    return typed.lower() == device.hex() or (name is not None and typed == name.strip())
