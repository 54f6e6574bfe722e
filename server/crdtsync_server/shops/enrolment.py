"""The desk where pairing codes are presented, beside the event loop and beside the sales.

One thread with connections of its own: checking a code takes 20 ms on purpose, and no sale waits for it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from crdtsync.errors import (
    CrdtsyncError,
    DamagedStore,
    InvalidName,
    LinkClosed,
    MalformedMessage,
    PairingRefused,
    TooManyAttempts,
    UnexpectedMessage,
)
from crdtsync.model.signature import PrivateKey, sign_with_purpose, verify_with_purpose
from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.enrolment import REQUEST_PURPOSE, EnrolAnswer, EnrolRequest, RelayEnd
from crdtsync.protocol.limits import HELLO_TIMEOUT_MS
from crdtsync.protocol.messages import Enrol
from crdtsync.runtime.clock import Clock, RandomBytes, system_random
from crdtsync.runtime.syncing.sockets import Socket
from crdtsync_server.folder import DataFolder
from crdtsync_server.home import mend
from crdtsync_server.open import open_store
from crdtsync_server.serving.logs import get_logger
from crdtsync_server.shops.access import Access, Enrolment
from crdtsync_server.shops.hold import VOUCHED, approve, vouched_for

WAITING_MAX = 32
"""Devices in front of the desk: with 20 ms each the last one waits for less than a second."""

DONE, REFUSED_STOP = 1000, 4403


class EnrolmentDesk:
    """Lets devices in, one after the other."""

    def __init__(
        self,
        folder: DataFolder,
        relay_device: bytes,
        relay_key: PrivateKey,
        *,
        clock: Clock | None = None,
        random: RandomBytes = system_random,
    ) -> None:
        self._relay_device = relay_device
        self._relay_key = relay_key
        self._random = random
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="enrolment")
        self._waiting = 0
        self._access = Access(folder, clock=clock, random=random)
        self._store = open_store(folder)

    async def serve(self, socket: Socket, address: str) -> str:
        """One device with a pairing code, from offer to answer; then the connection is closed.

        What came of it, in a word: ``enrolled``, ``repeated`` (the answer had been lost), ``refused``,
        ``limited``, ``malformed``, ``failed`` or ``gone``. Never raises for what a peer can do.
        """
        end = RelayEnd(
            seed=self._random(32),
            nonce=self._random(16),
            device=self._relay_device,
            public_key=self._relay_key.public,
            sign=lambda purpose, payload: sign_with_purpose(self._relay_key, purpose, payload),
        )
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_MS / 1000):
                await socket.send(encode(end.offer))
                frame = await socket.receive()
            request = _read_request(end, frame)
        except TimeoutError:
            await socket.close(4508, "the device did not say what it wants in time")
            return "gone"
        except LinkClosed:
            return "gone"
        except (MalformedMessage, UnexpectedMessage) as error:
            await socket.close(error.close_code, str(error))
            return "malformed"
        result, answer = await self._decide(request, address)
        try:
            await socket.send(encode(end.answer(answer)))
        except LinkClosed:
            # The certificate is in the log; the device asks again with the same code.
            return result
        await socket.close(DONE if not answer.refusal else REFUSED_STOP, answer.refusal)
        return result

    async def enrol(self, request: EnrolRequest, address: str) -> Enrolment:
        """Let a device in for its pairing code; durable on return. That the device has the private key of
        ``request.public_key`` must have been checked. Raises what ``Access.enrol`` raises.
        """
        if self._waiting >= WAITING_MAX:
            raise TooManyAttempts("too many devices are being paired at this moment", retry_after_s=5)
        self._waiting += 1
        try:
            work = asyncio.get_running_loop().run_in_executor(
                self._thread, self._access.enrol, self._store, request, address
            )
            # Whoever hangs up meanwhile is certified all the same, and gets the same answer next time.
            return await asyncio.shield(work)
        finally:
            self._waiting -= 1

    def begin_generation(self, shop: bytes) -> None:
        """A device has shown that the relay was put back from a backup. Returns at once."""
        self._thread.submit(self._access.begin_generation, self._store, shop)

    def take_vouched(self, shop: bytes) -> None:
        """A register that was enrolled again may have brought what its old key made meanwhile. Returns at
        once; what is taken is in the log soon (see ``hold.vouched_for``).
        """
        self._thread.submit(self._take_vouched, shop)

    def _take_vouched(self, shop: bytes) -> None:
        try:
            entries = vouched_for(self._store.shop(shop))
            if entries and not self._access.keys.has_owner_key(shop):
                get_logger().info("hold_waits_for_owner", shop=shop, entries=len(entries), reason=VOUCHED)
            elif entries:
                taken = approve(self._access, self._store, shop, entries, VOUCHED)
                get_logger().info("hold_taken", shop=shop, tickets=taken.admitted.sales, reason=VOUCHED)
        except (CrdtsyncError, KeyError) as error:  # It stays on hold, and a person may let it in.
            get_logger().warning("hold_not_taken", shop=shop, reason=str(error))

    async def mend(self, damage: DamagedStore, now_ms: int) -> bool:
        """Set a damaged record apart, beside the committer: that reads certificates first, which may be what
        is damaged. See ``home.mend``. Raises ``StorageError``.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, mend, self._store, damage, now_ms)

    def close(self) -> None:
        """Finish what is under way, then let go of the files."""
        self._thread.shutdown(wait=True)
        self._access.close()
        self._store.close()

    async def _decide(self, request: EnrolRequest, address: str) -> tuple[str, EnrolAnswer]:
        try:
            enrolment = await self.enrol(request, address)
        except CrdtsyncError as error:
            return _refused(error, request, address)
        certificate = enrolment.certificate
        get_logger().info(
            "device_enrolled",
            shop=enrolment.shop,
            device=certificate.device,
            name=certificate.name,
            role=certificate.role,
            series=certificate.series,
            is_new=enrolment.is_new,
        )
        answer = EnrolAnswer(enrolment.shop, enrolment.sealed)
        return ("enrolled" if enrolment.is_new else "repeated"), answer


def _read_request(end: RelayEnd, frame: bytes) -> EnrolRequest:
    message = decode(frame)
    if not isinstance(message, Enrol):
        raise UnexpectedMessage(f"{type(message).__name__} has no place where a device enrols")
    request, payload, signature = end.open(message)
    if not verify_with_purpose(request.public_key, REQUEST_PURPOSE, payload, signature):
        raise MalformedMessage("the device did not prove that it has the key that it wants certified")
    return request


def _refused(error: CrdtsyncError, request: EnrolRequest, address: str) -> tuple[str, EnrolAnswer]:
    """The word for it, and what the device is told: the reason, unless it is the relay's own trouble."""
    result, retry_after_s = "refused", 0
    told, hint = str(error), error.hint
    if isinstance(error, TooManyAttempts):
        result, retry_after_s = "limited", error.retry_after_s
    elif not isinstance(error, PairingRefused | InvalidName):
        result, retry_after_s = "failed", 60
        told, hint = "the relay could not write the certificate", "its log says why; the code stays good"
    get_logger().warning(
        "device_not_enrolled", device=request.device, address=address, reason=str(error), result=result
    )
    return result, EnrolAnswer(refusal=told, hint=hint, retry_after_s=retry_after_s)
