"""A simulated relay, and the owner of the shop who certifies and revokes devices."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from crdtsync.errors import CrdtsyncError, DamagedStore
from crdtsync.ids import Item, entry_record
from crdtsync.model.approval import KIND as APPROVE
from crdtsync.model.approval import build_approve
from crdtsync.model.certificate import Certificate, Directory, build_certify, build_revoke, start_owner
from crdtsync.model.entry import Entry, Head, read_entry, shop_id_of
from crdtsync.model.owner_key import KIND as OWNER_KEY
from crdtsync.model.owner_key import build_owner_key
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.protocol.session import Session
from crdtsync.runtime.damage.quarantine import judge_again
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.tail import Growth
from crdtsync.testing.simulation.machine import Machine, SimulatedCommitter, SimulatedReader, read_all
from crdtsync.testing.simulation.network import SimulatedConnection, was_meddled_with
from crdtsync.testing.simulation.plates import Plate
from crdtsync.testing.till import MemoryChain
from crdtsync_server.home import LOOK_EVERY_S, RelayHome, mend

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

LOOK_US = int(LOOK_EVERY_S * 1_000_000)
MEND_US = 20_000
AGAIN_US = 3_000_000


class Owner(MemoryChain):
    """The owner of the shop, with a key in a safe: what was signed is never lost."""

    def __init__(self, chance: Random, name: str) -> None:
        key = PrivateKey.from_seed(chance.randbytes(32))
        nonce = chance.randbytes(16)
        super().__init__(key, shop_id_of(key.public, nonce))
        self.shop_name = name
        self._is_first_key = True
        self.seal(start_owner(key.public, name, nonce=nonce, moment=self.moment))

    def append(self, kind: str, payload: Mapping[str, Any], **moment: Any) -> Entry:
        """See ``MemoryChain``: it says which key signs, but for the first."""
        by = {} if self._is_first_key else {"by": self.key.public.hex()}
        return super().append(kind, {**payload, **by}, **moment)

    def rotate(self, seed: bytes) -> list[Entry]:
        """Hand over to another key, which certifies the relay again; what was signed for that."""
        before, new = len(self.entries), PrivateKey.from_seed(seed)
        self.append(OWNER_KEY, build_owner_key(new, self.author, reason="it was seen on a screen"))
        self.key, self._is_first_key = new, False
        for certificate in {one.device: one for one in self.directory.certificates()}.values():
            if certificate.role == "relay":
                self.certify(certificate)
        return self.entries[before:]

    def proofs_of(self, *devices: bytes) -> list[Entry]:
        """What tells who these devices are, as a relay hands it out; all there is, after a rotation."""
        if not self._is_first_key:
            return list(self.entries)
        names = {device.hex() for device in devices}
        return [one for one in self.entries if one.kind == "owner" or one.body.get("device") in names]

    def certify(self, certificate: Certificate) -> Entry:
        """Let a device in."""
        return self.append("certify", build_certify(certificate))

    def revoke(self, device: bytes, heads: tuple[Head, ...]) -> Entry:
        """Cut a device off."""
        return self.append("revoke", build_revoke(device, heads, reason="stolen"))

    def revocation(self, device: bytes) -> str:
        """The link of the entry that cut a device off last; empty if none did."""
        revoked = {one.body["device"]: one.link.hex() for one in self.entries if one.kind == "revoke"}
        return revoked.get(device.hex(), "")

    def approve(self, device: bytes, links: list[bytes]) -> Entry:
        """Let in what a revoked device made."""
        return self.append(APPROVE, build_approve(device, links, reason="found again"))

    @property
    def directory(self) -> Directory:
        """Who belongs to the shop."""
        directory = Directory(self.author)
        for entry in self.entries:
            directory = directory.with_entry(entry, admitted=True)
        return directory


class RelayMachine(Machine):
    """A machine that relays."""

    def __init__(self, shop: Shop, name: str, plate: Plate, key: PrivateKey, device: bytes) -> None:
        super().__init__(shop, name, plate)
        self.key = key
        self.device = device
        self.home: SimulatedRelay | None = None

    @property
    def is_rotten(self) -> bool:
        """Whether a record on the disk is damaged and nobody has noticed yet."""
        return self.losses > 0 and self.plate.is_rotten(self.shop.shop_id)

    def start(self) -> None:
        """See ``Machine``."""
        super().start()
        self.work(self._start)

    def _start(self) -> None:
        try:
            self.home = SimulatedRelay(self)
        except CrdtsyncError as error:
            self.shop.story.tell(self.name, f"cannot start: {error}")
            self.later(1_000_000, self._start)

    def stop_processes(self) -> None:
        """See ``Machine``."""
        self.home = None

    def accept(self) -> SimulatedConnection | None:
        """The relay's end of a new connection."""
        home = self.home
        if home is None or not self.is_on:
            return None
        session = Session(
            connecting=False,
            nonce=self.random_bytes(16),
            sign=lambda purpose, payload: sign_with_purpose(self.key, purpose, payload),
            now_ms=home.now_ms(),
            exchange_seed=self.exchange_seed(),
        )
        return SimulatedConnection(home, session)

    def ended(self, connection: Connection) -> None:
        """See ``Machine``."""
        if self.home is not None:
            if connection.error is not None:
                self.home.store_failed(connection.error)
                is_meddled_with = was_meddled_with(connection)
                self.shop.saw_error(self, connection.error, is_meddled_with=is_meddled_with)
            self.home.gone(connection)

    def append(self, entries: list[Entry]) -> None:
        """Another process writes entries of the owner into the log; the relay notices some time later. Where
        the disk does not take them it is tried again.
        """
        try:
            self._append(entries)
        except CrdtsyncError as error:
            self.shop.story.tell("owner", f"cannot write to the relay: {error}")
            self.timeline.after_us(AGAIN_US, lambda: self.append(entries))

    def _append(self, entries: list[Entry]) -> None:
        store = self.plate.open()
        with store.transaction():
            log = store.create_shop(self.shop.shop_id, self.random_bytes(16))
            for entry in entries:
                facts = entry.facts
                log.append(Item(entry_record(entry.sealed), facts.document, entry.link, facts))
        store.close()
        self.look_later()

    def on_hold(self, device: bytes) -> list[bytes]:
        """The links of what a revoked device made and the relay holds apart."""
        store = self.plate.open()
        try:
            apart = [one for one in store.shop(self.shop.shop_id).apart() if one.code == "revoked"]
        finally:
            store.close()
        entries = [read_entry(one.record[1:]) for one in apart]
        return [entry.link for entry in entries if entry.author == device]

    def approve(self, approval: Entry) -> None:
        """Another process writes an approval into the log, and what it lets in, as `hold approve` does."""
        store = self.plate.open()
        try:
            with store.transaction():
                log = store.shop(self.shop.shop_id)
                facts = approval.facts
                log.append(Item(entry_record(approval.sealed), facts.document, approval.link, facts))
                judge_again(log)
        finally:
            store.close()
        self.look_later()

    def scrub(self) -> None:
        """See ``Machine``."""
        home = self.home
        if home is not None:
            read_all(home.store.shop(self.shop.shop_id), home.mend_now)

    def look_later(self) -> None:
        """Notice what other processes wrote, when it is time to look."""
        home = self.home
        if home is not None:
            self.later(LOOK_US, home.look)


class SimulatedRelay(RelayHome):
    """The product's side of all connections of a relay."""

    def __init__(self, machine: RelayMachine) -> None:
        super().__init__(machine.plate.open(), machine.device, machine.clock, machine.random_bytes)
        self._machine = machine
        self._is_mending = False
        self.steps = SimulatedCommitter(machine, machine.plate.open, self.committer_admission, self)
        self.committer = self.steps
        self.documents = SimulatedReader(machine, machine.plate.open)

    def now_ms(self) -> int:
        """See ``RelayHome``."""
        return self._machine.timeline.now_ms

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """See ``RelayHome``. The product looks four times a second, and so finds what was written although
        the disk said that it was not.
        """
        super().committed(growths, seconds, error)
        if error is not None:
            self._machine.look_later()

    def look(self) -> None:
        """Notice what other processes wrote."""
        try:
            newest = {shop: self.store.shop(shop).end.seq for shop in self.store.shops()}
            if not self.look_for_others(newest, lambda _: self.steps.is_at_work):
                self._machine.look_later()
        except CrdtsyncError as error:
            self.store_failed(error)

    def mend_later(self, damage: DamagedStore) -> None:
        """See ``RelayHome``."""
        if not self._is_mending:
            self._is_mending = True
            self._machine.later(MEND_US, lambda: self._mend(damage))

    def _mend(self, damage: DamagedStore) -> None:
        self._is_mending = False
        self.mend_now(damage)

    def mend_now(self, damage: DamagedStore) -> bool:
        """Set a damaged record apart; whether that helped."""
        machine = self._machine
        store = machine.plate.open()
        try:
            if mend(store, damage, machine.clock.now_ms()):
                machine.losses += 1
                machine.shop.story.tell(machine.name, f"sets record {damage.seq} apart: it was damaged")
                self.was_mended(damage)
                return True
        except CrdtsyncError as error:
            machine.shop.story.tell(machine.name, f"cannot set a record apart: {error}")
        finally:
            store.close()
        return False
