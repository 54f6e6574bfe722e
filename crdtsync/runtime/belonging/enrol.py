"""Joining a shop, as far as the network goes: a pairing code for a certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from crdtsync.errors import (
    CrdtsyncError,
    LinkClosed,
    PairingRefused,
    RelayUnreachable,
    TooManyAttempts,
    WrongRelayKey,
)
from crdtsync.model.signature import PrivateKey, sign_with_purpose, verify_with_purpose
from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.enrolment import OFFER_PURPOSE, DeviceEnd, EnrolAnswer, EnrolRequest
from crdtsync.protocol.messages import Enrolled, Offer
from crdtsync.protocol.pairing import PairingCode
from crdtsync.runtime.clock import RandomBytes
from crdtsync.runtime.syncing.address import ENROL_PATH
from crdtsync.runtime.syncing.link import open_link
from crdtsync.runtime.syncing.sockets import Socket

ANSWER_TIMEOUT_S = 20

Connect = Callable[[str], Awaitable[Socket]]


def ask_for_certificate(
    url: str,
    code: PairingCode,
    request: EnrolRequest,
    key: PrivateKey,
    random: RandomBytes,
    *,
    tls_ca: str | None = None,
    connect: Connect | None = None,
) -> tuple[EnrolAnswer, bytes]:
    """Enrol a device; (what the relay answered, the relay's public key). Blocks, at most some 30 s.

    Asking again with the same device key and code gives the same answer, so a lost answer costs nothing.
    Raises ``RelayUnreachable``, ``WrongRelayKey`` (before the code was shown to anybody), ``PairingRefused``,
    ``TooManyAttempts``.
    """
    opener: Any = connect or (lambda address: open_link(address, ENROL_PATH, tls_ca=tls_ca))
    return asyncio.run(_ask(url, code, request, key, random, opener))


async def _ask(
    url: str, code: PairingCode, request: EnrolRequest, key: PrivateKey, random: RandomBytes, connect: Connect
) -> tuple[EnrolAnswer, bytes]:
    socket = await connect(url)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            offer = decode(await socket.receive())
            if not isinstance(offer, Offer):
                raise LinkClosed(f"{url} does not answer as a relay does", code=4402)
            device_end = DeviceEnd(seed=random(32), offer=offer)
            signed = verify_with_purpose(
                offer.relay_key, OFFER_PURPOSE, device_end.offer_payload(), offer.signature
            )
            if not signed or not code.matches(offer.relay_key):
                raise WrongRelayKey(f"{url} is not the relay that gave this pairing code")
            message = device_end.request(request, lambda p, payload: sign_with_purpose(key, p, payload))
            await socket.send(encode(message))
            answer = decode(await socket.receive())
            if not isinstance(answer, Enrolled):
                raise LinkClosed(f"{url} does not answer as a relay does", code=4402)
            opened = device_end.open(answer)
    except TimeoutError as error:
        raise RelayUnreachable(f"{url} did not answer within {ANSWER_TIMEOUT_S} s") from error
    except LinkClosed as error:
        raise _explained(url, error) from error
    finally:
        await socket.close(1000, "")
    if opened.refusal and opened.retry_after_s:
        raise TooManyAttempts(opened.refusal, retry_after_s=opened.retry_after_s, hint=opened.hint or None)
    if opened.refusal:
        raise PairingRefused(opened.refusal, hint=opened.hint or None)
    return opened, offer.relay_key


def _explained(url: str, error: LinkClosed) -> CrdtsyncError:
    return RelayUnreachable(f"{url}: {error}")
