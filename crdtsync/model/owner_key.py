"""Rotation: the owner's key hands over to a new one, in an entry of the owner's chain.

An ``owner-key`` entry is signed with the key before it and names the next, which proves in it that somebody
has it. Entries of the owner's chain that a later key signs say by which (``by``). From a rotation on the old
key signs nothing more: of its entries those count that the rotation follows, over ``prev``, or that come
before one of the heads that it names. So what it signed in its time stays good, and what somebody signs who
has found the old key does not count, whatever number and time he gives it.

Of two rotations of one key the first that a replica knows counts there: the other one is held, and shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from crdtsync.errors import InvalidName, MalformedRecord
from crdtsync.model.entry import Head, read_heads

if TYPE_CHECKING:
    from crdtsync.model.signature import PrivateKey

KIND: Final = "owner-key"
PURPOSE: Final = "owner-key"
FIRST: Final = b""
"""Stands for the key that the shop's first entry names."""

Place = tuple[int, bytes]
"""Number and link of an entry of the owner's chain."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The next key, and the ends of further branches of the chain that are good."""

    public: bytes
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """An entry of the owner's chain, as far as keys are concerned. ``by``: the key that it says signed it.
    ``what``: a ``Rotation``, or whatever else it says.
    """

    place: Place
    prev: bytes
    by: bytes
    what: object


def build_owner_key(
    key: PrivateKey, shop: bytes, heads: Sequence[Head] = (), *, reason: str
) -> dict[str, Any]:
    """The payload of a rotation to ``key``. ``heads``: the ends of all branches but the continued one.

    Raises ``InvalidName`` for a reason of more than 500 characters.
    """
    from crdtsync.model.signature import sign_with_purpose  # Late: cryptography is slow to import.

    if len(reason) > 500:
        raise InvalidName("a reason has 500 characters at most")
    return {
        "key": {"alg": "ES256", "pub": key.public.hex()},
        "proof": sign_with_purpose(key, PURPOSE, shop).hex(),
        "heads": [head.to_json() for head in heads],
        "reason": reason,
    }


def read_owner_key(body: Mapping[str, Any], shop: bytes, *, admitted: bool = False) -> Rotation:
    """Read a rotation. ``admitted``: its proof was found good before. Raises ``MalformedRecord``."""
    key, proof = body.get("key"), _hex(body.get("proof"))
    public = _hex(key.get("pub")) if type(key) is dict and key.get("alg") == "ES256" else b""
    if len(public) != 33:
        raise MalformedRecord("a rotation holds an ES256 key")
    if not admitted and not _is_proved(public, shop, proof):
        raise MalformedRecord("the new owner key of a rotation has not proved itself")
    return Rotation(public, read_heads(body.get("heads")))


def signed_by(body: Mapping[str, Any]) -> bytes:
    """The key that an entry of the owner's chain says that it is signed with. Raises ``MalformedRecord``."""
    if "by" not in body:
        return FIRST
    public = _hex(body["by"])
    if len(public) != 33:
        raise MalformedRecord("the field 'by' is a public key")
    return public


@dataclass(frozen=True, slots=True)
class Keys:
    """The owner's keys, one after the other, ``FIRST`` the first. ``retired``: by key that a rotation ended,
    the links of its entries that are good, as far as they can be followed.
    """

    known: tuple[bytes, ...] = (FIRST,)
    retired: Mapping[bytes, frozenset[bytes]] | None = None

    @property
    def present(self) -> bytes:
        """The key that signs now."""
        return self.known[-1]

    def is_good(self, by: bytes, link: bytes) -> bool:
        """Whether an entry that this key signed counts."""
        if by not in self.known:
            return False
        return by == self.present or link in (self.retired or {}).get(by, ())

    @classmethod
    def of(cls, entries: Mapping[bytes, Said], first: bytes) -> Keys:
        """What the rotations among the entries, by link, make of the keys. ``first``: the first one, empty
        where it is not known. O(entries).
        """
        rotations = sorted((said.place, said) for said in entries.values() if isinstance(said.what, Rotation))
        known, retired = [FIRST], dict[bytes, frozenset[bytes]]()
        while found := next((said for _, said in rotations if said.by == known[-1]), None):
            rotation = found.what
            assert isinstance(rotation, Rotation)
            if rotation.public in (*known, first):
                break
            ends = (found.prev, *(head.link for head in rotation.heads))
            retired[known[-1]] = frozenset((found.place[1], *_before(entries, ends)))
            known.append(rotation.public)
        return cls(tuple(known), retired)


def _before(entries: Mapping[bytes, Said], ends: Iterable[bytes]) -> set[bytes]:
    """The links that lead to these ends, they included; the first that is not there too."""
    reached: set[bytes] = set()
    ahead = list(ends)
    while ahead:
        link = ahead.pop()
        if link not in reached:
            reached.add(link)
            if link in entries:
                ahead.append(entries[link].prev)
    return reached


def _is_proved(public: bytes, shop: bytes, proof: bytes) -> bool:
    from crdtsync.model.signature import verify_with_purpose  # Late, as above.

    return verify_with_purpose(public, PURPOSE, shop, proof)


def _hex(text: object) -> bytes:
    try:
        value = bytes.fromhex(text) if type(text) is str else b""
    except ValueError:
        return b""
    return value if value.hex() == text else b""
