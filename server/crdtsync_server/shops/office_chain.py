"""The chain of a shop's back office: deliveries, losses, counts and copies that a person records at a desk.

The back office is a device like a register. Its entries are numbered, signed and linked by the same pen
(``runtime.committing.writer``), into the relay's log, from where registers get them like any other. It sells
nothing: an entry of it moves stock, or says that a ticket was printed again.

The chain has one writer, as a register's has. A relay that was put back from a backup may have written more
since, which registers bring back; therefore a restore makes the back office another device, with a key, a
series and a chain of its own (``enrol_office``). Where it finds out itself that its chain went on
without it, or that the note of its end is gone, that is taken for a restore that nobody has noticed yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crdtsync.errors import AccessDenied, CrdtsyncError, DamagedStore, InvalidSale, SetupError
from crdtsync.model import chain as chains
from crdtsync.model.certificate import Certificate, build_certify
from crdtsync.model.chain import ChainHead, Moment, Shop
from crdtsync.model.entry import Head, read_entry, seal_entry
from crdtsync.model.form import payload_problem
from crdtsync.runtime.belonging.copies import is_contested, own_ends
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.committing.writer import (
    Payload,
    Session,
    Writer,
    Written,
    append_entry,
    local_date,
)
from crdtsync.runtime.folder.identity import HEAD
from crdtsync.storage.log import Store
from crdtsync_server.backups.restored import generation_of
from crdtsync_server.keys import office_device_id
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.owner import OwnerChain, owner_item
from crdtsync_server.shops.series import next_series
from crdtsync_server.shops.waiting import promised_series, waiting, write_waiting

KINDS: Final = ("move", "count", "print", "jet")
"""What a back office records: deliveries and losses, counts, copies of tickets, and who sells."""

_TRIES_MAX: Final = 3


OFFICE_NAME: Final = "Back office"


def enrol_office(access: Access, store: Store, shop: bytes) -> Certificate:
    """The certificate of the device as which this relay's back office writes into a shop; made the first
    time, and again for a shop whose log was lost. After a restore it is another device: what the one before
    wrote since the backup may still come back, and no number of it is given again. Durable on return.

    Raises ``SetupError`` when the owner's key is kept elsewhere (then the request waits for the owner's
    signature, as those of devices do), ``AccessDenied`` when it was revoked.
    """
    log = store.shop(shop)
    generation = generation_of(log)
    public = access.keys.office_key(shop, generation).public
    device = office_device_id(public)
    has_key = access.keys.has_owner_key(shop)
    with store.transaction():
        chain = OwnerChain.read(log)
        known = chain.directory.certificate(device)
        if chain.directory.is_revoked(device):
            raise AccessDenied("the back office of this relay was revoked in this shop")
        if known is not None:
            return known
        rows = waiting(log)
        series = next_series(chain.series | promised_series(rows), generation)
        certificate = Certificate(device, OFFICE_NAME, "backoffice", public, shop, series)
        payload = build_certify(certificate)
        if has_key:
            key = access.keys.owner_key_named(shop, chain.directory.owner_public)
            log.append(owner_item(chain.next_entry("certify", payload, key, access.clock)))
        elif all(one["device"] != device.hex() for one in rows):
            code = f"office {device.hex()}"
            one = {"code": code, "device": device.hex(), "public": public.hex(), "payload": payload}
            write_waiting(log, [*rows, one])
    if not has_key:
        raise SetupError(
            "the owner's key of this shop is kept elsewhere: the back office waits for its signature",
            hint="`crdtsync-relay owner request` writes what is to be signed",
        )
    access.note_signed(shop, store)
    return certificate


class _WrittenElsewhere(CrdtsyncError):
    """Somebody else wrote into the chain: it is left alone, and nothing was recorded."""


class OfficeChain:
    """The pen of the back office of one shop. Blocks on the disk; not for more than one thread."""

    def __init__(
        self, access: Access, store: Store, shop: bytes, clock: Clock, random_bytes: RandomBytes
    ) -> None:
        """Nothing is written yet. Raises ``KeyError`` for a shop that is not in the store."""
        self._access, self._store, self._log = access, store, store.shop(shop)
        self._clock, self._random = clock, random_bytes

    def record(
        self,
        kind: str,
        payload: Payload | Callable[[Session], Payload],
        *,
        by: str,
        request_id: str | None = None,
        business_day: str | None = None,
    ) -> Written:
        """Make one entry of ``KINDS``; it is on the relay's disk when this returns, or an error says that it
        is not. ``payload`` and ``request_id`` as ``Writer.write`` takes them. ``by``: who did it, a name of
        1 to 64 characters. ``business_day``: the day that this person said it is.

        Raises ``InvalidSale`` (what was to be recorded is not of its form), ``SetupError`` (the owner's key
        is kept elsewhere, and has not certified the back office), ``AccessDenied`` (it was revoked),
        ``StorageError``.
        """
        if kind not in KINDS:
            raise InvalidSale(f"a back office records {', '.join(KINDS)}, not {kind!r}")

        def checked(session: Session) -> Payload:
            made = payload(session) if callable(payload) else payload
            if (problem := payload_problem({**made, "kind": kind})) is not None:
                raise InvalidSale(problem)
            return made

        tries = 0
        while True:
            try:
                writer = self._writer(by)
                return writer.write(kind, checked, request_id=request_id, business_day=business_day)
            except _WrittenElsewhere:
                tries += 1
                if tries == _TRIES_MAX:
                    raise
                self._access.begin_generation(self._store, self._log.shop)

    def cut(self) -> dict[bytes, int]:
        """What a count includes that is made now: of each chain the last number that is here."""
        known: dict[bytes, int] = {}
        for run in self._log.runs():
            known[run.chain] = max(run.hi, known.get(run.chain, 0))
        return known

    def _writer(self, by: str) -> Writer:
        certificate = enrol_office(self._access, self._store, self._log.shop)
        with self._store.transaction():
            if self._must_begin(certificate):
                self._begin(certificate, by)
        key = self._access.keys.office_key(self._log.shop, generation_of(self._log))
        return Writer(
            self._store,
            self._log,
            key,
            self._clock,
            device=certificate.device,
            operator=by,
            leave=self._refuse_contested,
        )

    def _must_begin(self, certificate: Certificate) -> bool:
        """Whether the chain of this device is still to be begun. Raises ``_WrittenElsewhere``."""
        try:
            if self._log.state(HEAD) is not None and read_head(self._log).author == certificate.device:
                return False
        except DamagedStore:
            pass  # Its end is not known any more: what follows finds out whether there is one.
        if own_ends(self._log, certificate.device) or self._has_entries(certificate.device):
            raise _WrittenElsewhere("the back office has written more than this relay knows of")
        return True

    def _has_entries(self, device: bytes) -> bool:
        """Whether there are entries of it without the one that begins them. O(chains)."""
        return any(
            read_entry(sealed).author == device
            for run in self._log.runs()
            for sealed in self._log.entry(run.chain, run.hi)
        )

    def _begin(self, certificate: Certificate, by: str) -> None:
        """The first entry of the chain; inside a transaction. It names where those before it ended."""
        ts_ms = self._clock.now_ms()
        offset_min = self._clock.utc_offset_min(ts_ms)
        body = chains.start(
            certificate.device,
            certificate.public,
            Shop(self._log.shop, self._shop_name()),
            series=certificate.series or "",
            nonce=self._random(16),
            moment=Moment(ts_ms, offset_min, local_date(ts_ms, offset_min), by),
            heads=self._before(),
        )
        key = self._access.keys.office_key(self._log.shop, generation_of(self._log))
        first = seal_entry(body, key)
        append_entry(self._log, first)
        self._log.set_state(HEAD, chains.advance(None, first).to_bytes())

    def _before(self) -> list[Head]:
        """The ends of the chains that back offices of this shop had before."""
        directory = OwnerChain.read(self._log).directory
        return [
            Head(run.chain, run.hi_link, run.hi)
            for one in directory.certificates()
            if one.device == office_device_id(one.public)
            for run in own_ends(self._log, one.device)
        ]

    def _shop_name(self) -> str:
        return OwnerChain.read(self._log).directory.shop_name

    def _refuse_contested(self, head: ChainHead) -> None:
        if is_contested(self._log, head):
            raise _WrittenElsewhere("somebody else has written into the chain of the back office")
