"""Admission: may these bytes be stored?

An entry is judged alone, by its bytes and by the shop's certificates, so that every replica comes to the
same judgement whatever it holds besides. Final refusals are few: size, form, signature (raised as
``RecordError``). An entry whose device is unknown, revoked or not entitled is *held*: kept apart, reported,
and judged again when certificates change. A gap, a fork, a wrong total or a strange clock refuses nothing;
``verify`` flags them. Otherwise one bad entry would block a till.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import BadSignature, NotPermitted, RecordError
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.model import sealed
from crdtsync.model.certificate import Certificate, Directory, read_certificate
from crdtsync.model.entry import Entry, is_owner_kind, read_entry
from crdtsync.model.owner_key import KIND as OWNER_KEY
from crdtsync.model.owner_key import read_owner_key, signed_by
from crdtsync.model.signature import verify

Known = AbstractSet[tuple[bytes, bytes]]
"""(Public key, sealed bytes): that key made the signature of these bytes, which was verified elsewhere."""

NOTHING_KNOWN: Final[Known] = frozenset()

CUT_OFF_ROLE: Final = "revoked"
"""In the place of the role of a device that was revoked, or of somebody unknown: they write no document."""


@dataclass(frozen=True, slots=True)
class Held:
    """An entry that is kept apart for now. ``code`` is for programs, ``reason`` a sentence for a person."""

    entry: Entry
    code: str
    reason: str


@dataclass(slots=True)
class Verdict:
    """The judgement of one entry of several.

    Admitted: ``entry`` is set and ``code`` empty; ``awaits_check`` says that only the entries after it vouch
    for it so far, and ``signature_holds`` is still to be asked. Held: ``entry`` and ``code`` are set. Refused
    for good: ``held`` is false and ``code`` set; ``entry`` is None where the bytes could not even be read.
    """

    entry: Entry | None
    code: str = ""
    reason: str = ""
    held: bool = False
    awaits_check: bool = False

    @property
    def admitted(self) -> bool:
        """Whether the entry may be stored in the log."""
        return not self.code


def judge_entry(data: bytes, directory: Directory) -> Entry | Held:
    """Judge sealed bytes: the entry when it may be stored, or why it is held. Raises ``RecordError``."""
    entry = read_entry(data)
    held = _standing(entry, directory)
    if held is not None:
        return held
    if not signature_holds(entry, directory):
        raise BadSignature(f"the signature of entry {entry.link.hex()[:8]} is not that of its author")
    if is_owner_kind(entry.kind):
        _check_form(entry, directory)
    return entry


def judge_run(
    entries: Sequence[bytes],
    directory: Directory,
    links: Sequence[bytes | None] | None = None,
    known: Known = NOTHING_KNOWN,
) -> list[Verdict]:
    """Judge sealed entries that arrived together; one verdict for each, in the same order.

    Where entries of one author follow one another without a gap, only the last one's signature is verified:
    its ``prev`` covers the others, which then await their own check. If it is bad, all are verified singly.
    Owner-chain entries among them count for those after them, and are always verified. ``links``: of those
    that were just put together of body and signature, see ``plain.read_plain``. ``known``: signatures that
    are not verified again, if the key is one of the author's; these await no check.
    """
    from crdtsync.model.plain import read_plain  # Late: whoever only sells reads nothing in bulk.

    verdicts: list[Verdict] = []
    runs: dict[bytes, list[int]] = {}
    finished: list[list[int]] = []
    clear = _ClearAuthors(directory)
    for i, data in enumerate(entries):
        plain = read_plain(data) if links is None else read_plain(data, links[i])
        if plain is not None and clear.has(plain):
            verdict = Verdict(plain, awaits_check=True)
        else:
            verdict, directory = _judge_unsigned(data, directory)
            clear.go_on_with(directory)
        verdicts.append(verdict)
        entry = verdict.entry
        if entry is None or not verdict.awaits_check:
            continue
        run = runs.get(entry.facts.chain)
        if run is not None and _follows(entry, verdicts[run[-1]].entry):
            run.append(i)
        else:
            finished.append([i])
            runs[entry.facts.chain] = finished[-1]
    for run in finished:
        unknown = [i for i in run if not _is_known(i, verdicts, directory, known)] if known else run
        # Where the last one's signature is known it vouches for the others.
        if unknown and unknown[-1] == run[-1]:
            _verify_run(unknown, verdicts, directory)
    return verdicts


def signature_holds(entry: Entry, directory: Directory) -> bool:
    """Whether an entry bears the signature of its author: the owner, or a certified key of its device."""
    body, text = sealed.split(entry.sealed)
    return any(verify(public, body, text) for public in _keys(entry, directory))


def judge_update(document: str, role: str) -> None:
    """Whether a device of that role may write Yjs bytes into a document. Raises ``NotPermitted``.

    The catalogue is written by registers and the back office, ``x/…`` by every device. Ledgers and the
    owner's chain consist of sealed entries, and never take Yjs bytes: their framing is not signed. A device
    that was revoked writes nothing.
    """
    if role == CUT_OFF_ROLE:
        raise NotPermitted(
            f"nobody vouches for this change of {document}: its device was cut off, or unknown"
        )
    if document.startswith("x/") or (document == CATALOGUE_DOCUMENT and role in ("register", "backoffice")):
        return
    if document == CATALOGUE_DOCUMENT:
        raise NotPermitted(f"a device enrolled as {role} does not write the catalogue")
    raise NotPermitted(f"{document} takes sealed entries only")


def _judge_unsigned(data: bytes, directory: Directory) -> tuple[Verdict, Directory]:
    """Judge everything but the signature of a device; the directory after the entry."""
    try:
        entry = read_entry(data)
    except RecordError as error:
        return Verdict(None, error.code, str(error)), directory
    try:
        if is_owner_kind(entry.kind):
            judged = judge_entry(data, directory)
            if isinstance(judged, Entry):
                return Verdict(judged), directory.with_entry(judged, admitted=True)
            return Verdict(entry, judged.code, judged.reason, held=True), directory
    except RecordError as error:
        return Verdict(entry, error.code, str(error)), directory
    held = _standing(entry, directory)
    if held is not None:
        return Verdict(entry, held.code, held.reason, held=True), directory
    return Verdict(entry, awaits_check=True), directory


def _check_form(entry: Entry, directory: Directory) -> None:
    """Refuse a certificate or revocation that is not of its form, for good. Raises ``MalformedRecord``."""
    if entry.kind == "certify":
        read_certificate(entry.body)
    if entry.kind == OWNER_KEY:
        read_owner_key(entry.body, directory.shop_id)
    directory.with_entry(entry, admitted=True)


def _verify_run(run: list[int], verdicts: list[Verdict], directory: Directory) -> None:
    *others, last = run
    if _verify_one(last, verdicts, directory):
        return
    for i in others:
        _verify_one(i, verdicts, directory)


def _is_known(i: int, verdicts: list[Verdict], directory: Directory, known: Known) -> bool:
    entry = verdicts[i].entry
    assert entry is not None
    if not any((public, entry.sealed) in known for public in _keys(entry, directory)):
        return False
    verdicts[i] = Verdict(entry)
    return True


def _verify_one(i: int, verdicts: list[Verdict], directory: Directory) -> bool:
    entry = verdicts[i].entry
    assert entry is not None
    if signature_holds(entry, directory):
        verdicts[i] = Verdict(entry)
        return True
    reason = f"the signature of entry {entry.link.hex()[:8]} is not that of its author"
    verdicts[i] = Verdict(entry, BadSignature.code, reason)
    return False


def _follows(entry: Entry, before: Entry | None) -> bool:
    return (
        before is not None
        and entry.facts.prev == before.link
        and entry.facts.n == before.facts.n + 1
        and entry.till == before.till
    )


class _ClearAuthors:
    """Whose tickets stand or fall by their signature alone, by the certificates that are known so far.

    Of a revoked device only those do that were known or let in. All below a head known then are, so that who
    takes a lost register's place reads what that one sold as quickly as the rest.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known: dict[str, bool | dict[bytes, int]] = {}

    def go_on_with(self, directory: Directory) -> None:
        if directory is not self._directory:
            self._directory = directory
            self._known.clear()

    def has(self, ticket: Entry) -> bool:
        found = self._known.get(ticket.till)
        if found is None:
            found = self._known[ticket.till] = self._ask(ticket)
        if isinstance(found, bool):
            return found
        facts = ticket.facts
        return facts.n < found.get(facts.chain, 0) or _standing(ticket, self._directory) is None

    def _ask(self, ticket: Entry) -> bool | dict[bytes, int]:
        """Of a revoked device, below which number entries of a chain were known."""
        directory, author = self._directory, ticket.author
        held = _standing(ticket, directory)
        if not directory.is_revoked(author) or (held is not None and held.code != "revoked"):
            return held is None
        below: dict[bytes, int] = {}
        for head in directory.heads_at_revocation(author):
            below[head.chain] = max(head.n, below.get(head.chain, 0))
        return below


def _standing(entry: Entry, directory: Directory) -> Held | None:
    """Why an entry is held whatever its signature; None when only the signature decides."""
    if is_owner_kind(entry.kind):
        return _owner_standing(entry, directory)
    certificate = directory.certificate(entry.author)
    if certificate is None:
        return Held(entry, "unknown-device", f"no certificate admits the device {entry.author.hex()[:8]}")
    name = f"{certificate.name} ({certificate.role})"
    if certificate.role == "display":
        return Held(entry, "role", f"{name} is enrolled to look on, not to record anything")
    if directory.is_revoked(entry.author) and not _is_let_in(entry, directory):
        return Held(entry, "revoked", f"{name} was revoked before this entry of it was known")
    if entry.kind == "register":
        return _first_standing(entry, directory)
    return None


def _owner_standing(entry: Entry, directory: Directory) -> Held | None:
    if entry.author != directory.shop_id:
        return Held(entry, "other-shop", f"it belongs to the owner of another shop, {entry.author.hex()[:8]}")
    if entry.kind == "owner":
        return None
    if directory.owner_public is None:
        return Held(entry, "no-owner", "the owner entry of the shop has not arrived yet")
    by = signed_by(entry.body)
    if by not in directory.keys.known:
        return Held(entry, "unknown-key", "the owner has not handed over to the key that signed it, as yet")
    if not directory.keys.is_good(by, entry.link):
        return Held(entry, "retired-key", "it is signed with an owner key that was given up before")
    return None


def _first_standing(entry: Entry, directory: Directory) -> Held | None:
    """Check that the first entry of a chain names a certified key, and this shop or the one it came from."""
    named = bytes.fromhex(entry.body["key"]["pub"])
    of_key = [known for known in directory.certificates(entry.author) if known.public == named]
    if not of_key:
        return Held(entry, "unknown-key", f"no certificate names the key of chain {entry.link.hex()[:8]}")
    if bytes.fromhex(entry.body["shop"]["id"]) not in (directory.shop_id, of_key[-1].original_shop):
        return Held(entry, "other-shop", "the register was made for another shop")
    return None


def _is_let_in(entry: Entry, directory: Directory) -> bool:
    """Whether an entry of a revoked device is good all the same."""
    return directory.is_approved(entry.link) or _known_at_revocation(entry, directory)


def _known_at_revocation(entry: Entry, directory: Directory) -> bool:
    facts = entry.facts
    return any(
        head.chain == facts.chain and (facts.n < head.n or facts.link == head.link)
        for head in directory.heads_at_revocation(entry.author)
    )


def _keys(entry: Entry, directory: Directory) -> list[bytes]:
    if entry.kind in ("owner", "register"):
        # A first entry names its own key; that the key is the owner's or certified was checked before.
        named = bytes.fromhex(entry.body["key"]["pub"])
        if entry.kind == "owner" or named in _certified(entry, directory):
            return [named]
        return []
    if is_owner_kind(entry.kind):
        if directory.genesis is None:
            return []
        by = signed_by(entry.body)
        return [directory.public_of(by)] if by in directory.keys.known else []
    return _certified(entry, directory)


def _certified(entry: Entry, directory: Directory) -> list[bytes]:
    certificates: list[Certificate] = directory.certificates(entry.author)
    return [certificate.public for certificate in reversed(certificates)]
