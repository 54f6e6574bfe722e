"""Whether the other end of a connection is who its hello says."""

from __future__ import annotations

from crdtsync.errors import AccessDenied, WrongRelayKey
from crdtsync.model.certificate import Certificate
from crdtsync.model.signature import verify_with_purpose
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.session import Session
from crdtsync.runtime.syncing.refusal import ANOTHER_RELAY, KEY_NOT_PROVED


def by_its_key(hello: Hello, pinned: bytes) -> Certificate:
    """The certificate of a relay where it was lost with a damaged record: the key that the pairing code named
    says as much, and the certificate comes with the rest.
    """
    return Certificate(hello.device, "relay", "relay", pinned, hello.shop)


def check_proof(session: Session, hello: Hello, certificate: Certificate, pinned: bytes | None) -> None:
    """The peer has the key of its certificate and the role that it claims; a relay has the key that the
    pairing code named (``pinned``). Raises ``WrongRelayKey``, ``AccessDenied``.
    """
    if pinned is not None and certificate.public != pinned:
        raise WrongRelayKey("the relay is not the one that this register was paired with", hint=ANOTHER_RELAY)
    purpose, payload, signature = session.signed_by_peer()
    if not verify_with_purpose(certificate.public, purpose, payload, signature):
        if pinned is not None:
            what = "the relay did not prove the key that this register was paired with"
            raise WrongRelayKey(what, hint=ANOTHER_RELAY)
        raise AccessDenied(KEY_NOT_PROVED)
    if hello.is_relay != (certificate.role == "relay"):
        raise AccessDenied("the peer claims a role that its certificate does not give it")
