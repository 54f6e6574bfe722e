"""Alerts: what somebody of the shop should know, the gravest first. Each is found by the same questions that
`crdtsync-relay doctor` asks; nothing is decided by it, and none goes away by being looked at.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from crdtsync.model.certificate import Directory
from crdtsync.model.entry import read_entry
from crdtsync.runtime.belonging.copies import forks_at
from crdtsync.runtime.doctor.disk import FREE_BYTES_GOOD
from crdtsync.runtime.folder.identity import CLOCK_OFFSET_MAX_MS
from crdtsync.storage.log import ApartRow, Run, ShopLog
from crdtsync.storage.view_alerts import disputed_prices, flagged_days, overpaid
from crdtsync_server.backups.missing import holes, untold
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.diagnosis import UNHEARD_MS
from crdtsync_server.shops.contacts import read_contact
from crdtsync_server.shops.copied import copied_in
from crdtsync_server.shops.devices import device_names, machines_of
from crdtsync_server.shops.hold import recorded_here
from crdtsync_server.shops.owner import OwnerChain
from crdtsync_server.shops.waiting import waiting

Code = Literal[
    "fork",
    "copied",
    "missing",
    "untold",
    "damaged",
    "refused",
    "hold",
    "held",
    "disk",
    "clock",
    "unheard",
    "overpaid",
    "flags",
    "waiting",
    "prices",
]

GRAVE: Final[frozenset[Code]] = frozenset(
    ("fork", "copied", "missing", "damaged", "refused", "disk", "clock", "overpaid", "flags")
)
"""These concern whether the books are right, or are about to; the others wait for somebody."""

REFUNDS_SHOWN_MAX: Final = 50
FLAG_DAYS: Final = 31
DAY_MS: Final = 24 * 3_600_000
FILED_FIRST_MAX: Final = 200
"""So many rows that came in are filed before alerts are looked for."""

FOUND_FOR_MS: Final = 2_000
"""So long what was found is told again without looking."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to know. ``name`` is whose it is, ``device`` its id; ``number`` how many, or a ticket's
    counter; ``ticket`` a ticket's number with its ``link``; ``at_ms`` since when; ``amount_minor`` of what.
    """

    code: Code
    name: str = ""
    device: bytes | None = None
    number: int = 0
    ticket: str = ""
    link: bytes | None = None
    at_ms: int | None = None
    amount_minor: int | None = None
    day: str = ""

    @property
    def is_grave(self) -> bool:
        """Whether it concerns the books themselves."""
        return self.code in GRAVE


class Alerts:
    """The alerts of one shop, looked for anew when they are asked for and some seconds old. For the thread of
    the office.
    """

    def __init__(self, shop: OfficeShop) -> None:
        self._shop = shop
        self._found: tuple[Alert, ...] = ()
        self._found_ms: int | None = None
        self._refunds: tuple[int, tuple[Alert, ...]] = (-1, ())

    def now(self) -> tuple[Alert, ...]:
        """All of them. Raises ``StorageError``."""
        now_ms = self._shop.clock.now_ms()
        if self._found_ms is None or not 0 <= now_ms - self._found_ms < FOUND_FOR_MS:
            self._found = tuple(sorted(self._look(now_ms), key=lambda alert: not alert.is_grave))
            self._found_ms = now_ms
        return self._found

    def _look(self, now_ms: int) -> Iterator[Alert]:
        shop, log = self._shop, self._shop.log
        # What else there is to file the office files, while others are answered.
        shop.views.catch_up_a_little(lag_rows_max=FILED_FIRST_MAX)
        directory = OwnerChain.read(log).directory
        copied = copied_in(log, directory)
        names = device_names(directory)
        for told in copied:
            yield Alert("copied", told.name, told.device, told.forks_at or 0, at_ms=told.at_ms)
        yield from _forks(log, names, {told.device for told in copied})
        for hole in holes(log):
            count = (hole.last or 0) - (hole.first or 0) + 1
            yield Alert("missing", hole.name, hole.device, count, ticket=hole.after or "")
        for away in untold(log):
            yield Alert("untold", away.name, away.device, away.sales or 0, amount_minor=away.amount_minor)
        yield from _apart(log, directory, now_ms)
        with suppress(OSError):
            free = shutil.disk_usage(shop.folder).free
            if free < FREE_BYTES_GOOD:
                yield Alert("disk", number=free >> 20)
        yield from self._overpaid()
        yield from self._flags(now_ms)
        yield from _devices(shop, directory, names, now_ms)
        if wait := len(waiting(log)):
            yield Alert("waiting", number=wait)
        if disputed := disputed_prices(shop.queries, now_ms):
            yield Alert("prices", number=disputed)

    def _overpaid(self) -> tuple[Alert, ...]:
        """Looked for when something was filed since: it costs the refunds of all years."""
        seq = self._shop.tables.seq(self._shop.log.shop)
        if self._refunds[0] != seq:
            rows = overpaid(self._shop.queries, rows_max=REFUNDS_SHOWN_MAX)
            found = tuple(
                Alert("overpaid", ticket=row.number, link=row.link, amount_minor=-(row.total + row.refunded))
                for row in rows
            )
            self._refunds = seq, found
        return self._refunds[1]

    def _flags(self, now_ms: int) -> Iterator[Alert]:
        clock = self._shop.clock
        today = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(minutes=clock.utc_offset_min(now_ms))
        since = (today - timedelta(days=FLAG_DAYS)).date().isoformat()
        for day, count in flagged_days(self._shop.queries, since):
            yield Alert("flags", number=count, day=day)


def _forks(log: ShopLog, names: dict[bytes, str], told: set[bytes]) -> Iterator[Alert]:
    """Chains of registers that have two versions, where nobody has said yet that it was copied."""
    runs: dict[bytes, list[Run]] = defaultdict(list)
    for run in log.runs():
        runs[run.chain].append(run)
    for chain, of_chain in runs.items():
        at = forks_at(of_chain) if len(of_chain) > 1 else None
        if at is None:
            continue
        authors = {author for run in of_chain for author in _authors(log, chain, run.lo)}
        if log.shop in authors or authors & told:
            continue  # Branches of the owner's chain all count; a copy that found itself out is told so.
        device = min(authors, default=None)
        name = names.get(device) if device is not None else None
        yield Alert("fork", name or chain.hex()[:8], device, at)


def _authors(log: ShopLog, chain: bytes, n: int) -> Iterator[bytes]:
    for sealed in log.entry(chain, n):
        yield read_entry(sealed).author


def _apart(log: ShopLog, directory: Directory, now_ms: int) -> Iterator[Alert]:
    counts = counts_apart(log, now_ms)
    if here := len(recorded_here(log, directory)):  # Other devices keep it apart: it waits for a person too.
        counts["hold"] = counts.get("hold", 0) + here
    for code, count in counts.items():
        yield Alert(code, number=count)


def counts_apart(log: ShopLog, now_ms: int) -> dict[Code, int]:
    """What is kept apart and concerns somebody now. What is damaged does so until it has come again; what was
    refused for good cannot be mended, and is told as long as flags are. Raises ``StorageError``.
    """
    counts: dict[Code, int] = defaultdict(int)
    # Most often there is nothing, which costs one look.
    for one in log.apart_rows() if log.apart_counts() else ():
        if one.held:
            counts["hold" if one.code == "revoked" else "held"] += 1
        elif one.code == "damaged":
            # Of what only the relay had nobody can bring anything again.
            is_recent = one.origin is not None or now_ms - one.at_ms < FLAG_DAYS * DAY_MS
            counts["damaged"] += is_recent and not _has_come_again(log, one)
        else:
            counts["refused"] += now_ms - one.at_ms < FLAG_DAYS * DAY_MS
    return {code: count for code, count in counts.items() if count}


def _has_come_again(log: ShopLog, damaged: ApartRow) -> bool:
    """Damage rewinds the cursor of the log that a record came from: beyond it again, everything is here."""
    cursor = log.cursor(damaged.origin.log_id) if damaged.origin is not None else None
    return cursor is not None and damaged.origin is not None and cursor.position.seq >= damaged.origin.seq


def _devices(shop: OfficeShop, directory: Directory, names: dict[bytes, str], now_ms: int) -> Iterator[Alert]:
    unheard = set()
    for certificate in machines_of(directory):
        contact = read_contact(shop.log, certificate.device)
        if contact is None or directory.is_revoked(certificate.device):
            continue
        if abs(contact.clock_offset_ms or 0) > CLOCK_OFFSET_MAX_MS:
            offset_s = abs(contact.clock_offset_ms or 0) // 1000
            yield Alert("clock", names[certificate.device], certificate.device, offset_s)
        if not contact.connected and now_ms - contact.at_ms > UNHEARD_MS:
            unheard.add(certificate.device)
    # What one has pending costs a look into its chain: only where it is told.
    for state in shop.device_states() if unheard else ():
        certificate, contact = state.certificate, state.contact
        if certificate.device in unheard and contact is not None:
            yield Alert(
                "unheard",
                names[certificate.device],
                certificate.device,
                state.pending_sales or 0,
                at_ms=contact.at_ms,
                amount_minor=state.pending_amount_minor,
            )
