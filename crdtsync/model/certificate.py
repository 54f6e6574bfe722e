"""The owner's chain: who belongs to a shop.

The shop's owner key signs these kinds of entries::

    owner          the first: shop id and name, owner key, nonce
    certify        a device: id, name, role, key, series, shop; of a register that existed before also its
                   chain and the shop that it was made for; of one that replaces a lost one that one's device
                   and heads
    revoke         a device, and the heads of its chains known then
    owner-approve  entries that a revoked device made beyond those heads, by their links (see ``approval``)
    owner-key      the owner's next key, which signs from then on (see ``owner_key``)

``Directory`` is what a set of them says. It depends on the set alone, not on the order in which the entries
arrived, so that all replicas judge alike; where entries contradict one another the later in the chain counts
(of two with one number, after a fork, the one with the higher link).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Self

from crdtsync.errors import BadSignature, InvalidName, MalformedRecord, NotPermitted, RecordError
from crdtsync.model import approval, owner_key, sealed
from crdtsync.model.chain import Moment, common_fields
from crdtsync.model.entry import (
    SOFTWARE,
    Entry,
    Head,
    first_prev,
    is_owner_kind,
    is_series,
    read_heads,
    shop_id_of,
)
from crdtsync.model.owner_key import Keys, Rotation, Said

ROLES: Final = ("register", "backoffice", "display", "relay")

KINDS: Final = ("owner", "certify", "revoke", approval.KIND, owner_key.KIND)
"""Kinds of the owner's chain that mean something here. Others are carried."""


class NeverArrived(NamedTuple):
    """What a lost register had told its relay of, and the relay had not received when it was replaced:
    sales and refunds, what they come to, and when it told it (Unix milliseconds).
    """

    sales: int
    amount_minor: int
    told_at_ms: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """A lost register: its device, the heads of its chains that the relay held when it was replaced, and what
    is known not to be among them; None where it never told of anything more.
    """

    device: bytes
    heads: tuple[Head, ...]
    never_arrived: NeverArrived | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the owner says of a device. ``chain`` and ``original_shop`` only of a register that had a chain
    of its own before it joined; ``replaces`` only of one that takes the place of a lost one.
    """

    device: bytes
    name: str
    role: str
    public: bytes
    shop: bytes
    series: str | None = None
    chain: bytes | None = None
    original_shop: bytes | None = None
    replaces: Replaced | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """A device was cut off, when these heads of its chains were known: entries up to them stay good."""

    device: bytes
    heads: tuple[Head, ...]


def start_owner(
    public: bytes, shop_name: str, *, nonce: bytes, moment: Moment, software: str = SOFTWARE
) -> dict[str, Any]:
    """The body of an owner's chain's first entry. It fixes the shop's id, which follows from the key and
    the nonce (16 random bytes).
    """
    shop = shop_id_of(public, nonce)
    prev = first_prev(shop, owner=True)
    return common_fields("owner", shop, moment, n=1, prev=prev, software=software) | {
        "nonce": nonce.hex(),
        "shop": {"id": shop.hex(), "name": shop_name},
        "key": {"alg": "ES256", "pub": public.hex()},
    }


def build_certify(certificate: Certificate) -> dict[str, Any]:
    """The payload of a ``certify`` entry. Raises ``InvalidName`` for a certificate that nobody could use."""
    payload: dict[str, Any] = {
        "device": certificate.device.hex(),
        "name": certificate.name,
        "role": certificate.role,
        "key": {"alg": "ES256", "pub": certificate.public.hex()},
        "shop": certificate.shop.hex(),
    }
    if certificate.series is not None:
        payload["series"] = certificate.series
    if certificate.chain is not None:
        payload["of"] = certificate.chain.hex()
    if certificate.original_shop is not None:
        payload["from"] = certificate.original_shop.hex()
    if certificate.replaces is not None:
        payload["replaces"] = _replaced_to_json(certificate.replaces)
    try:
        read_certificate(payload)
    except MalformedRecord as error:
        raise InvalidName(str(error)) from error
    return payload


def build_revoke(device: bytes, heads: Sequence[Head], *, reason: str) -> dict[str, Any]:
    """The payload of a ``revoke`` entry. ``heads``: the last ones known of that device's chains."""
    return {"device": device.hex(), "heads": [head.to_json() for head in heads], "reason": reason}


def read_certificate(body: Mapping[str, Any], *, admitted: bool = False) -> Certificate:
    """Read the payload of a ``certify`` entry. ``admitted`` trusts that its key was found to be one before.

    Raises ``MalformedRecord``.
    """
    key, name, series = body.get("key"), body.get("name"), body.get("series")
    if type(name) is not str or not 0 < len(name) <= 64 or not name.isprintable():
        raise MalformedRecord("a certificate's device has a name of 1 to 64 characters")
    if body.get("role") not in ROLES:
        raise MalformedRecord(f"a device is one of {', '.join(ROLES)}")
    if type(key) is not dict or key.get("alg") != "ES256":
        raise MalformedRecord("a certificate holds an ES256 key")
    if series is not None and not is_series(series):
        raise MalformedRecord("a series is 1 to 12 capital letters and digits")
    public = _hex(key.get("pub"), 33)
    if not admitted and not _is_key(public):
        raise MalformedRecord("the certified key is no point of the curve")
    return Certificate(
        device=_hex(body.get("device"), 16),
        name=name,
        role=body["role"],
        public=public,
        shop=_hex(body.get("shop"), 16),
        series=series,
        chain=_hex(body["of"], 32) if "of" in body else None,
        original_shop=_hex(body["from"], 16) if "from" in body else None,
        replaces=_read_replaced(body["replaces"]) if "replaces" in body else None,
    )


def read_revocation(body: Mapping[str, Any]) -> Revocation:
    """Read the payload of a ``revoke`` entry. Raises ``MalformedRecord``."""
    return Revocation(_hex(body.get("device"), 16), read_heads(body.get("heads")))


_Place = tuple[int, bytes]
"""Number and link of an entry of the owner's chain: the later place counts."""


@dataclass(frozen=True, slots=True)
class Genesis:
    """What is asked for of the ``owner`` entry: a relay keeps it for each shop with a device connected."""

    link: bytes
    public: bytes
    shop_name: str
    made_ms: int


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Directory:
    """Who belongs to the shop ``shop_id``: a fold of its owner's chain. Immutable.

    ``Directory(shop_id)`` is empty. As the shop's id follows from the owner's key, only the genuine
    ``owner`` entry fits, and only entries signed by its key count.
    """

    shop_id: bytes
    genesis: Genesis | None = None
    _certificates: Mapping[bytes, tuple[tuple[_Place, Certificate], ...]] = field(default_factory=dict)
    _revocations: Mapping[bytes, tuple[_Place, Revocation]] = field(default_factory=dict)
    _approved: frozenset[bytes] = frozenset()
    _said: Mapping[bytes, Said] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)

    @property
    def owner_public(self) -> bytes | None:
        """The owner's present key; None until the ``owner`` entry is known."""
        return None if self.genesis is None else self.public_of(self.keys.present)

    def public_of(self, by: bytes) -> bytes:
        """The key that an entry names as ``by``. Raises ``NotPermitted`` before the ``owner`` entry."""
        if by != owner_key.FIRST:
            return by
        if self.genesis is None:
            raise NotPermitted("the owner entry of the shop is not known yet")
        return self.genesis.public

    @property
    def shop_name(self) -> str:
        """The shop's name; empty until the ``owner`` entry is known."""
        return "" if self.genesis is None else self.genesis.shop_name

    def with_entry(self, entry: Entry, *, admitted: bool = False) -> Self:
        """The directory after one more entry of the owner's chain. Idempotent, in any order, except that
        the ``owner`` entry comes first. Entries of other chains and of other kinds change nothing.

        ``admitted`` skips the signature of an entry that this replica has admitted before; it counts although
        the ``owner`` entry is not there (it may have been lost since). Raises ``BadSignature``,
        ``MalformedRecord`` and, before the ``owner`` entry, ``NotPermitted``.
        """
        if entry.author != self.shop_id or entry.kind not in KINDS:
            return self
        if not admitted:
            body, text = sealed.split(entry.sealed)
            if not _verify(self._key_for(entry), body, text):
                raise BadSignature("the entry is not signed by the shop's owner")
        if entry.kind == "owner":
            if self.genesis is not None and self.genesis.link >= entry.link:
                return self
            key, name = bytes.fromhex(entry.body["key"]["pub"]), str(entry.body["shop"]["name"])
            after = replace(self, genesis=Genesis(entry.link, key, name, entry.body["ts"]))
            return after._begun_anew() if self.keys.present != owner_key.FIRST else after
        if entry.link in self._said:
            return self
        what = self._read(entry, admitted=admitted)
        said = Said((entry.facts.n, entry.link), entry.facts.prev, owner_key.signed_by(entry.body), what)
        after = replace(self, _said={**self._said, entry.link: said})
        if isinstance(what, Rotation) or said.by != self.keys.present:
            return after._begun_anew()
        return after._counting(said)

    def certificate(self, device: bytes) -> Certificate | None:
        """The newest certificate of a device, whether or not it was revoked."""
        rows = self._certificates.get(device)
        return rows[-1][1] if rows else None

    def certificates(self, device: bytes | None = None) -> list[Certificate]:
        """All certificates, of one device or of all, oldest first; one per key."""
        if device is not None:
            return [certificate for _, certificate in self._certificates.get(device, ())]
        rows = [row for rows in self._certificates.values() for row in rows]
        return [certificate for _, certificate in sorted(rows, key=lambda row: row[0])]

    def by_chain(self, chain: bytes) -> Certificate | None:
        """The newest certificate that names this chain (only those of registers that had one before do)."""
        found = [certificate for certificate in self.certificates() if certificate.chain == chain]
        return found[-1] if found else None

    @property
    def has_revoked(self) -> bool:
        """Whether any device was ever revoked."""
        return bool(self._revocations)

    def is_revoked(self, device: bytes) -> bool:
        """Whether the device was revoked and not certified again since."""
        return self._revocation(device) is not None

    def heads_at_revocation(self, device: bytes) -> tuple[Head, ...]:
        """The heads known when the device was revoked; empty when it is not revoked."""
        revocation = self._revocation(device)
        return () if revocation is None else revocation.heads

    def cuts_off_as(self, earlier: Directory) -> bool:
        """Whether nobody was cut off, and no key of the owner given up, since an earlier state: then what it
        admits is admitted.
        """
        if self is earlier:
            return True
        return self._revocations == earlier._revocations and self.keys == earlier.keys

    def is_approved(self, link: bytes) -> bool:
        """Whether the owner has let in the entry of that link, which a revoked device made."""
        return link in self._approved

    def _revocation(self, device: bytes) -> Revocation | None:
        revoked = self._revocations.get(device)
        if revoked is None:
            return None
        rows = self._certificates.get(device)
        return None if rows and rows[-1][0] > revoked[0] else revoked[1]

    def _key_for(self, entry: Entry) -> bytes:
        if entry.kind == "owner":
            return bytes.fromhex(entry.body["key"]["pub"])
        by = owner_key.signed_by(entry.body)
        if by not in self.keys.known:
            raise NotPermitted("no owner of the shop is known to have handed over to that key")
        return self.public_of(by)

    def _read(
        self, entry: Entry, *, admitted: bool
    ) -> Certificate | Revocation | Rotation | frozenset[bytes]:
        if entry.kind == owner_key.KIND:
            return owner_key.read_owner_key(entry.body, self.shop_id, admitted=admitted)
        if entry.kind == approval.KIND:
            return approval.read_approve(entry.body)
        if entry.kind == "revoke":
            return read_revocation(entry.body)
        certificate = read_certificate(entry.body, admitted=admitted)
        if certificate.shop != self.shop_id:
            raise MalformedRecord("a certificate of another shop in this shop's owner chain")
        return certificate

    def _begun_anew(self) -> Self:
        """What all entries say, once it is known which keys they may be signed with."""
        first = self.public_of(owner_key.FIRST) if self.genesis is not None else b""
        bare = replace(self, _certificates={}, _revocations={}, _approved=frozenset())
        directory = replace(bare, keys=Keys.of(self._said, first))
        for said in sorted(self._said.values(), key=lambda said: said.place):
            if directory.keys.is_good(said.by, said.place[1]):
                directory = directory._counting(said)
        return directory

    def _counting(self, said: Said) -> Self:
        if isinstance(said.what, Certificate):
            return self._with_certificate(said.what, said.place)
        if isinstance(said.what, Revocation):
            return self._with_revocation(said.what, said.place)
        if isinstance(said.what, frozenset):
            return replace(self, _approved=self._approved | said.what)
        return self

    def _with_certificate(self, certificate: Certificate, place: _Place) -> Self:
        rows = self._certificates.get(certificate.device, ())
        others = [row for row in rows if row[1].public != certificate.public]
        same = [row for row in rows if row[1].public == certificate.public]
        newest = max([*same, (place, certificate)], key=lambda row: row[0])
        merged = tuple(sorted([*others, newest], key=lambda row: row[0]))
        return replace(self, _certificates={**self._certificates, certificate.device: merged})

    def _with_revocation(self, revocation: Revocation, place: _Place) -> Self:
        known = self._revocations.get(revocation.device)
        if known is not None and known[0] >= place:
            return self
        return replace(self, _revocations={**self._revocations, revocation.device: (place, revocation)})


def _replaced_to_json(replaced: Replaced) -> dict[str, Any]:
    told, lost = replaced.never_arrived, replaced.device.hex()
    payload: dict[str, Any] = {"device": lost, "heads": [head.to_json() for head in replaced.heads]}
    if told is not None:
        payload["told"] = {"sales": told.sales, "amt": told.amount_minor, "at": told.told_at_ms}
    return payload


def _read_replaced(value: object) -> Replaced:
    if type(value) is not dict:
        raise MalformedRecord("what a certificate replaces is an object of device and heads")
    told = _read_told(value["told"]) if "told" in value else None
    return Replaced(_hex(value.get("device"), 16), read_heads(value.get("heads")), told)


def _read_told(value: object) -> NeverArrived:
    numbers: list[Any] = [value.get(name) for name in ("sales", "amt", "at")] if type(value) is dict else []
    if not numbers or any(type(number) is not int for number in numbers):
        raise MalformedRecord("what a lost register had told is an object of three numbers")
    return NeverArrived(*numbers)


def directory_of_what_is_left(shop: bytes, entries: Iterable[Entry]) -> Directory:
    """Who belongs to a shop, by those entries of a damaged store that its owner signed. What cannot be
    judged, as what comes before it is lost, is left out. Others' entries change nothing.
    """
    directory = Directory(shop)
    owners = [entry for entry in entries if is_owner_kind(entry.kind)]
    for entry in sorted(owners, key=lambda one: one.facts.n):
        with suppress(RecordError):
            directory = directory.with_entry(entry)
    return directory


def _is_key(public: bytes) -> bool:
    from crdtsync.model.signature import is_public_key  # Late: cryptography is slow to import.

    return is_public_key(public)


def _verify(public: bytes, body: bytes, text: str) -> bool:
    from crdtsync.model.signature import verify  # Late, as above.

    return verify(public, body, text)


def _hex(text: object, length: int) -> bytes:
    try:
        value = bytes.fromhex(text) if type(text) is str else b""
    except ValueError:
        value = b""
    if len(value) != length or value.hex() != text:
        raise MalformedRecord(f"{text!r} is not {length} bytes in hexadecimal digits")
    return value
