"""The owner's key handed over to a new one, and kept off the relay: requests go out to whoever has it, signed
entries come back.

A relay without the owner's key serves as ever; whoever presents a pairing code is let wait. A *request* is a
file with the owner's chain and what is to be signed; the *answer* is a file with the signed entries. Neither
is a secret, and neither has to be believed: the chain is verified where it is signed, the entries where they
come back.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from crdtsync.errors import InvalidName, MalformedRecord, RecordError, SetupError, StorageError
from crdtsync.ids import ID_BYTES
from crdtsync.model import owner_key
from crdtsync.model.admission import judge_entry
from crdtsync.model.approval import KIND as APPROVE
from crdtsync.model.approval import LINKS_MAX, build_approve, read_approve
from crdtsync.model.certificate import (
    Certificate,
    Directory,
    build_certify,
    build_revoke,
    read_certificate,
    read_revocation,
)
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.clock import Clock
from crdtsync.runtime.damage.quarantine import judge_again
from crdtsync.storage.log import ShopLog, Store
from crdtsync_server.backups.restored import restore_noticed_ms
from crdtsync_server.keys import TO_ROTATE
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.hold import VOUCHED, recorded_here, vouched_for
from crdtsync_server.shops.owner import OwnerChain, heads_of, owner_item
from crdtsync_server.shops.replacing import REASON
from crdtsync_server.shops.waiting import note_used, waiting, write_waiting

REQUEST: Final = "crdtsync-owner-request/1"
ANSWER: Final = "crdtsync-owner-answer/1"
FILE_BYTES_MAX: Final = 64 << 20
MEANWHILE: Final = "recorded before its revocation was signed"


@dataclass(frozen=True, slots=True)
class Rotated:
    """The owner's key before and now, and where the file of the one before is."""

    before: bytes
    public: bytes
    file_before: Path


@dataclass(frozen=True, slots=True)
class Signed:
    """An entry of the owner's chain, for showing. ``what``: ``certify``, ``revoke``, ``owner-approve`` or
    ``owner-key``. ``key``: the one that a device is certified with, or that is handed over to. ``replaces``:
    the lost register whose place it takes. ``heads``: up to where what a device made stays good, each as
    (chain, number). ``entries``: how many an approval lets in, ``links``: which.
    """

    what: str
    device: bytes | None
    name: str
    role: str | None
    series: str | None
    entries: int | None = None
    key: bytes | None = None
    replaces: bytes | None = None
    heads: tuple[tuple[bytes, int], ...] = ()
    links: tuple[bytes, ...] = ()


def rotate(access: Access, store: Store, shop: bytes, *, reason: str = "") -> Rotated:
    """Hand the owner's key over to a new one that is made here, and certify this relay with it. Durable on
    return. One that was interrupted is finished. Raises ``SetupError`` where the key is kept elsewhere.
    """
    log = store.shop(shop)
    prepared = access.keys.prepared_owner_key(shop)
    if prepared is None or OwnerChain.read(log).directory.owner_public != prepared.public:
        key = access.keys.owner_key(shop, TO_ROTATE)
        # The new key first: a chain whose key is lost could certify nobody, ever.
        new = access.keys.prepare_owner_key(shop, access.keys.new_key())
        with store.transaction():
            chain = OwnerChain.read(log)
            for entry in _handed_over(chain, key, new, access.clock, reason):
                log.append(owner_item(entry))
        access.note_signed(shop, store)
    file_before = access.keys.use_prepared_owner_key(shop)
    present = access.keys.owner_key(shop)
    return Rotated(PrivateKey.from_bytes(file_before.read_bytes()).public, present.public, file_before)


def request_for(
    access: Access,
    store: Store,
    shop: bytes,
    revoked: Sequence[tuple[bytes, str]],
    approved: Sequence[tuple[bytes, Sequence[bytes], str]] = (),
) -> bytes:
    """A file with everything that waits for the owner's signature, these revocations (device, reason) and
    approvals (device, links of entries on hold, reason). See ``came_meanwhile`` for what waits besides.
    """
    log = store.shop(shop)
    chain = OwnerChain.read(log)
    rows = waiting(log)
    asks: list[dict[str, Any]] = [{"kind": "certify", "payload": one["payload"]} for one in rows]
    # Whoever takes the place of a lost register has that one cut off.
    lost = [
        bytes.fromhex(one["payload"]["replaces"]["device"]) for one in rows if "replaces" in one["payload"]
    ]
    to_revoke = dict(revoked) | dict.fromkeys(lost, REASON)
    for device, reason in to_revoke.items():
        if chain.directory.is_revoked(device):
            continue
        payload = build_revoke(device, heads_of(log, device), reason=reason)
        asks.append({"kind": "revoke", "payload": payload})
    named: set[bytes] = set()
    for device, links, reason in (*approved, *came_meanwhile(log)):
        news = sorted(set(links) - named)
        named.update(news)
        for first in range(0, len(news), LINKS_MAX):
            payload = build_approve(device, news[first : first + LINKS_MAX], reason=reason)
            asks.append({"kind": APPROVE, "payload": payload})
    sealed = [b64encode(entry.sealed).decode() for entry in chain.entries]
    facts = {"format": REQUEST, "shop": shop.hex(), "chain": sealed, "asks": asks}
    return orjson.dumps(facts, option=orjson.OPT_INDENT_2)


def sign(
    request: bytes, key: PrivateKey, clock: Clock, *, new_key: PrivateKey | None = None
) -> tuple[bytes, list[Signed]]:
    """Sign what a request asks for; the answer, and what was signed, for a person to look at. With
    ``new_key`` the owner's key is handed over to it first. Needs no relay and no folder.

    Raises ``InvalidName`` for a file that is no request, ``SetupError`` for a key that is not the owner's,
    ``RecordError`` for a chain that does not hold.
    """
    facts = _read(request, REQUEST)
    chain = _chain(facts)
    if key.public != chain.directory.owner_public:
        raise SetupError("this key is not the present key of the shop's owner")
    entries: list[Entry] = []
    if new_key is not None:
        for entry in _handed_over(chain, key, new_key, clock, ""):
            entries.append(entry)
            chain = chain.with_entry(entry)
        key = new_key
    for ask in facts["asks"]:
        entry = chain.next_entry(*_asked(ask, chain), key, clock)
        chain = chain.with_entry(entry)
        entries.append(entry)
    answer = {
        "format": ANSWER,
        "shop": chain.directory.shop_id.hex(),
        "entries": [b64encode(entry.sealed).decode() for entry in entries],
    }
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2), [_shown(entry, chain) for entry in entries]


def _asked(ask: object, chain: OwnerChain) -> tuple[str, dict[str, Any]]:
    """Kind and payload of one entry that is asked for, made anew of what is understood of it: nothing else
    that a request says is signed. Raises ``InvalidName``.
    """
    payload = ask.get("payload") if isinstance(ask, dict) else None
    kind = ask.get("kind") if isinstance(ask, dict) else None
    if not isinstance(payload, dict) or kind not in ("certify", "revoke", APPROVE):
        raise InvalidName("a request asks for certificates, revocations and approvals")
    reason = payload.get("reason", "")
    if not isinstance(reason, str):
        raise InvalidName("the reason for what is asked for is no text")
    try:
        if kind == APPROVE:
            links = read_approve(payload)
            return kind, build_approve(bytes.fromhex(payload["device"]), links, reason=reason)
        if kind == "revoke":
            revocation = read_revocation(payload)
            return kind, build_revoke(revocation.device, revocation.heads, reason=reason)
        certificate = read_certificate(payload)
    except RecordError as error:
        raise InvalidName(f"what is asked for cannot be: {error}") from error
    if certificate.series is not None and _is_taken(chain, certificate):
        raise InvalidName(f"the series {certificate.series} of {certificate.name!r} is another's")
    return kind, build_certify(certificate)


def take_answer(access: Access, store: Store, shop: bytes, answer: bytes) -> list[Signed]:
    """Take signed entries into the owner's chain: all or none, durable on return. Idempotent. Who waited gets
    his certificate when he asks again. Raises ``InvalidName``, ``RecordError``, ``StorageError``.
    """
    facts = _read(answer, ANSWER)
    if facts.get("shop") != shop.hex():
        raise InvalidName("the answer is for another shop")
    log, taken = store.shop(shop), list[Entry]()
    with store.transaction():
        chain = OwnerChain.read(log)
        for sealed in _sealed(facts.get("entries")):
            judged = judge_entry(sealed, chain.directory)
            if not isinstance(judged, Entry):
                raise MalformedRecord(f"the answer does not hold: {judged.reason}")
            if log.append(owner_item(judged)) is not None:
                taken.append(judged)
                chain = chain.with_entry(judged)
        links = [link for one in taken if one.kind == APPROVE for link in read_approve(one.body)]
        if links:
            judge_again(log, links)
        left = []
        for one in waiting(log):
            certified = [entry for entry in taken if _answers(entry, one["payload"])]
            if certified:
                device, public = bytes.fromhex(one["device"]), bytes.fromhex(one["public"])
                note_used(log, one["code"], device, public, certified[0].link)
            else:
                left.append(one)
        write_waiting(log, left)
    access.note_signed(shop, store)
    return [_shown(entry, chain) for entry in taken]


def read_file(path: Path) -> bytes:
    """A request or an answer. Raises ``StorageError``, ``InvalidName`` for one that is too large."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidName(f"{path} is too large to be a request or an answer")
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def came_meanwhile(log: ShopLog) -> list[tuple[bytes, list[bytes], str]]:
    """What the owner need not be asked to decide, but has to sign: by device that was cut off, links and why.

    What it recorded here between the request for its revocation and the answer: other replicas would hold it.
    Not what a relay took that had been put back, and had lost the revocation: that is a person's to decide.
    And what it recorded after the answer and before it was enrolled again in the same folder, which its new
    key vouches for (``hold.vouched_for``): that is on hold here too.
    """
    vouched: dict[bytes, list[bytes]] = defaultdict(list)
    for one in vouched_for(log):
        vouched[one.entry.author].append(one.entry.link)
    rows = [(device, sorted(links), VOUCHED) for device, links in sorted(vouched.items())]
    chain, put_back_ms = OwnerChain.read(log), restore_noticed_ms(log)
    cut_off_ms = {one.body["device"]: one.body["ts"] for one in chain.entries if one.kind == "revoke"}
    meanwhile: dict[bytes, list[bytes]] = defaultdict(list)
    for entry in recorded_here(log, chain.directory):
        if put_back_ms is None or cut_off_ms[entry.author.hex()] >= put_back_ms:
            meanwhile[entry.author].append(entry.link)
    return [*((device, sorted(links), MEANWHILE) for device, links in sorted(meanwhile.items())), *rows]


def _handed_over(
    chain: OwnerChain, key: PrivateKey, new: PrivateKey, clock: Clock, reason: str
) -> list[Entry]:
    """The rotation, and the certificates of the shop's relays by the new key."""
    payload = owner_key.build_owner_key(new, chain.directory.shop_id, chain.branches(), reason=reason)
    entries = [chain.next_entry(owner_key.KIND, payload, key, clock)]
    chain = chain.with_entry(entries[0])
    relays = {one.device: one for one in chain.directory.certificates() if one.role == "relay"}
    for certificate in relays.values():
        if not chain.directory.is_revoked(certificate.device):
            entries.append(chain.next_entry("certify", build_certify(certificate), new, clock))
            chain = chain.with_entry(entries[-1])
    return entries


def _read(data: bytes, form: str) -> dict[str, Any]:
    try:
        facts = orjson.loads(data)
        if facts["format"] == form:
            return dict(facts)
    except (ValueError, KeyError, TypeError):
        pass
    raise InvalidName(f"this file is none of the form {form}")


def _sealed(texts: object) -> list[bytes]:
    try:
        return [b64decode(text, validate=True) for text in texts]  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise InvalidName("the entries in the file cannot be read") from error


def _chain(facts: dict[str, Any]) -> OwnerChain:
    try:
        shop = bytes.fromhex(facts["shop"])
        if len(shop) != ID_BYTES or type(facts["asks"]) is not list:
            raise ValueError
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidName("the request cannot be read") from error
    entries = tuple(
        sorted(map(read_entry, _sealed(facts.get("chain"))), key=lambda one: (one.facts.n, one.link))
    )
    directory = Directory(shop)
    for entry in entries:
        directory = directory.with_entry(entry)
    if directory.genesis is None:
        raise SetupError("the request does not say who owns the shop")
    return OwnerChain(entries, directory)


def _is_taken(chain: OwnerChain, certificate: Certificate) -> bool:
    known = chain.directory.certificate(certificate.device)
    return certificate.series in chain.series and (known is None or known.series != certificate.series)


def _answers(entry: Entry, payload: dict[str, Any]) -> bool:
    return entry.kind == "certify" and all(entry.body.get(name) == value for name, value in payload.items())


def _shown(entry: Entry, chain: OwnerChain) -> Signed:
    body = entry.body
    if entry.kind not in ("certify", "revoke", APPROVE):
        key = bytes.fromhex(body["key"]["pub"])
        return Signed(entry.kind, None, key.hex()[:16], None, None, key=key)
    device = bytes.fromhex(body["device"])
    known = chain.directory.certificate(device)
    shown = Signed(entry.kind, device, known.name if known is not None else device.hex(), None, None)
    if entry.kind == APPROVE:
        links = tuple(sorted(read_approve(body)))
        return replace(shown, entries=len(links), links=links)
    if entry.kind == "revoke":
        return replace(shown, heads=tuple((head.chain, head.n) for head in read_revocation(body).heads))
    certificate = read_certificate(body)
    return replace(
        shown,
        name=certificate.name,
        role=certificate.role,
        series=certificate.series,
        key=certificate.public,
        replaces=certificate.replaces.device if certificate.replaces is not None else None,
    )
