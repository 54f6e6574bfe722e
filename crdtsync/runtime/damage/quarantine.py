"""The quarantine: records that were refused, held or found damaged, with their bytes, and what the relay
refused of this register. Everything after them flows.

Nothing in it is ever deleted: what is admitted after all moves into the log, the rest stays to be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from crdtsync.errors import InvalidName
from crdtsync.ids import ENTRY, Item, record_digest
from crdtsync.runtime.belonging.revoked import other_version
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.damage.not_back import readable_body
from crdtsync.storage.log import DAMAGED, Apart, Refusal, ShopLog, Store

if TYPE_CHECKING:
    from crdtsync.runtime.folder.replica import Replica

_ADVICE: Final = {
    DAMAGED: "whoever has it is asked for it again; `verify` names what has not come back",
    "malformed": "whoever made it did not write a record: look which program or version did, and update it",
    "bad-signature": "it was changed on its way, or forged: compare with the register that is said to have "
    "made it",
    "too-big": "split what is written over several changes",
    "unsafe-update": "update the program that wrote it, then `quarantine retry`",
    "not-permitted": "let a device write it that has the right to, or enrol this one in another role",
    "revoked": "its register was cut off before: a person decides with `crdtsync-relay hold approve`",
    "other-shop": "it belongs to another shop: nothing has to be done",
    "unknown-key": "it waits for the certificate of its register, which comes with the next synchronising",
    "retired-key": "it was signed with an owner key that has been given up: if it is genuine, let the owner "
    "sign it again",
    "no-owner": "it waits for the shop's owner entry, which comes with the next synchronising",
}
_NO_ADVICE: Final = "keep it, and show it to whoever looks after the software"

DIGEST_CHARACTERS_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One record in quarantine.

    ``by``: who did not take it, this replica or its relay. ``what`` names it for a person. ``held``: it is
    judged again by itself when certificates change. ``at_ms`` and ``record`` (its bytes) are as they were
    kept here; of what the relay refused the time is not known. ``author``, ``body`` and ``amount_minor`` are
    what it says of itself: nobody vouches for them.
    """

    digest: bytes
    by: Literal["here", "relay"]
    kind: Literal["entry", "update"]
    what: str
    code: str
    reason: str
    held: bool
    advice: str
    at_ms: int | None
    amount_minor: int | None
    author: bytes | None
    body: dict[str, Any] | None
    record: bytes


class Quarantine:
    """The quarantine of one register."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def rows(self) -> list[Quarantined]:
        """See ``quarantined``."""
        relay = self._replica.relay
        return self._replica.mending(
            lambda: quarantined(self._replica.log, relay.log_id if relay is not None else None)
        )

    def find(self, digest: str) -> Quarantined:
        """The one whose digest begins so. Raises ``InvalidName``, ``StorageError``."""
        return find(self.rows(), digest)

    def retry(self, digest: str | None = None) -> list[bytes]:
        """See ``retry``: all, or the one whose digest begins so. Raises ``InvalidName``, ``StorageError``."""
        chosen = [self.find(digest).digest] if digest is not None else []
        admitted = retry(self._replica.store, self._replica.log, chosen)
        if admitted:
            self._replica.wrote()
        return admitted


def quarantined(log: ShopLog, relay_log: bytes | None) -> list[Quarantined]:
    """All that is in quarantine, oldest first: what was set apart here, then what that relay refused of this
    log. Raises ``StorageError``.
    """
    found = [_here(apart) for apart in log.apart()]
    refusals = [] if relay_log is None else log.refusals_received(relay_log)
    pending = dict(log.unacknowledged(relay_log)) if refusals else {}
    return found + [_refused(refusal, pending.get(refusal.seq, b"")) for refusal in refusals]


def find(rows: Sequence[Quarantined], digest: str) -> Quarantined:
    """The one whose digest begins so. Raises ``InvalidName`` where that is none, or several."""
    wanted = digest.strip().lower()
    found = [row for row in rows if row.digest.hex().startswith(wanted)]
    if len(wanted) < DIGEST_CHARACTERS_MIN or len({row.digest for row in found}) != 1:
        raise InvalidName(
            f"{digest!r} is not the beginning of the digest of one record in quarantine",
            hint=f"`quarantine list` shows them; at least {DIGEST_CHARACTERS_MIN} characters are needed",
        )
    return found[0]


def retry(store: Store, log: ShopLog, digests: Sequence[bytes] = ()) -> list[bytes]:
    """Judge records in quarantine again (all, or those), by the certificates and the rules of now: this
    version of the program may admit what another refused. What is admitted goes into the log, durably on
    return; its sender is told at the next connection. The digests of those. Idempotent.

    A damaged record is fetched, not judged, and rights are not judged anew: which device brought a change is
    not kept. Raises ``StorageError``.
    """
    with store.transaction():
        return judge_again(log, digests)


def judge_again(log: ShopLog, digests: Sequence[bytes] = ()) -> list[bytes]:
    """See ``retry``; inside a transaction."""
    admission = Admission(log.shop)
    admission.refresh(log)
    admitted = []
    rows = [row for row in log.apart() if _may_be_judged(row) and (not digests or row.digest in digests)]
    verdicts = admission.judge([row.record for row in rows], "register")
    for row, verdict in zip(rows, verdicts, strict=True):
        if isinstance(verdict, Item) and other_version(log, verdict, admission.directory) is None:
            origins = log.settle_refusals(row.digest)
            origin = origins[0] if origins else None
            log.append(Item(verdict.record, verdict.document, verdict.digest, verdict.entry, origin))
            admitted.append(row.digest)
    return admitted


def _may_be_judged(row: Apart) -> bool:
    return bool(row.record) and row.code not in (DAMAGED, "not-permitted")


def _here(apart: Apart) -> Quarantined:
    digest = record_digest(apart.record) if apart.record and apart.code != DAMAGED else apart.digest
    return _row(digest, "here", apart.record, apart.code, apart.reason, held=apart.held, at_ms=apart.at_ms)


def _refused(refusal: Refusal, record: bytes) -> Quarantined:
    return _row(refusal.digest, "relay", record, refusal.code, refusal.reason, held=refusal.held, at_ms=None)


def _row(
    digest: bytes,
    by: Literal["here", "relay"],
    record: bytes,
    code: str,
    reason: str,
    *,
    held: bool,
    at_ms: int | None,
) -> Quarantined:
    body = readable_body(record)
    return Quarantined(
        digest=digest,
        by=by,
        kind="entry" if record[:1] in (ENTRY, b"") else "update",
        what=_name(record, body),
        code=code,
        reason=reason,
        held=held,
        advice=_ADVICE.get(code, _NO_ADVICE),
        at_ms=at_ms,
        amount_minor=_amount(body),
        author=_author(body),
        body=body,
        record=record,
    )


def _amount(body: dict[str, Any] | None) -> int | None:
    amount = body.get("ttc") if body else None
    return amount if type(amount) is int else None


def _author(body: dict[str, Any] | None) -> bytes | None:
    till = body.get("till") if body else None
    try:
        return bytes.fromhex(till) if isinstance(till, str) else None
    except ValueError:
        return None


def _name(record: bytes, body: dict[str, Any] | None) -> str:
    if not record:
        return "a record"
    if record[:1] != ENTRY:
        size = int.from_bytes(record[1:3], "big")
        document = record[3 : 3 + size].decode(errors="replace")[:80]
        return f"a change of {document}" if document.isprintable() and document else "a change"
    if body is None:
        return "an entry that cannot be read"
    kind, number = body.get("kind"), body.get("num") or body.get("seq")
    words = [str(word)[:40] for word in (kind, number) if isinstance(word, str | int)]
    return " ".join(words) if "".join(words).isprintable() and words else "an entry"
