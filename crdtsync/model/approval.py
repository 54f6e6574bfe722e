"""Approvals: what the owner lets in of a device that was cut off.

After a revocation, what the device made beyond the heads that were known then is held. A person decides, and
the owner's key signs that decision: an entry ``owner-approve`` of the owner's chain that names the links.
Every verifier admits exactly these entries, whoever brings them, before or after the approval; whoever does
not approve leaves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from crdtsync.errors import InvalidName, MalformedRecord
from crdtsync.ids import LINK_BYTES

KIND: Final = "owner-approve"

LINKS_MAX: Final = 512
"""Links in one approval: 34 KB of the 64 KB that an entry may have. More are named in several."""


def build_approve(device: bytes, links: Iterable[bytes], *, reason: str) -> dict[str, Any]:
    """The payload of an approval of entries that ``device`` made. Raises ``InvalidName`` for none, and for
    more than ``LINKS_MAX``.
    """
    named = sorted({link.hex() for link in links})
    payload = {"device": device.hex(), "links": named, "reason": reason}
    try:
        read_approve(payload)
    except MalformedRecord as error:
        raise InvalidName(str(error)) from error
    return payload


def read_approve(body: Mapping[str, Any]) -> frozenset[bytes]:
    """The links that an approval names. Raises ``MalformedRecord``."""
    device, links = body.get("device"), body.get("links")
    if not _is_hex(device, 16):
        raise MalformedRecord("an approval names a device by 16 bytes in hexadecimal digits")
    if type(links) is not list or not 0 < len(links) <= LINKS_MAX:
        raise MalformedRecord(f"an approval names 1 to {LINKS_MAX} entries")
    if not all(_is_hex(link, LINK_BYTES) for link in links):
        raise MalformedRecord("an approval names entries by their links")
    if links != sorted(set(links)):
        raise MalformedRecord("an approval names each entry once, in ascending order")
    return frozenset(map(bytes.fromhex, links))


def _is_hex(text: object, length: int) -> bool:
    try:
        return type(text) is str and len(text) == 2 * length and bytes.fromhex(text).hex() == text
    except ValueError:
        return False
