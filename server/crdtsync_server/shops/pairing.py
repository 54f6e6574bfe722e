"""Pairing codes as the relay keeps them: one-time, expiring, rate-limited.

Of a code only a salted hash is kept. The selector finds the row, so that one attempt costs one hash however
many codes are open, and a wrong attempt is charged to the shop that it was aimed at as well as to the
address that it came from. That a code was *used* is decided in the shop's log, in the transaction that
certifies the device (see ``access``); what is noted here is for showing.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass

from crdtsync.errors import InvalidName, PairingRefused, TooManyAttempts
from crdtsync.protocol.pairing import SECRET_BYTES, PairingCode, split_secret
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.storage.database import Database

VALID_MINUTES = 24 * 60
"""A code is read out over the telephone today and used tomorrow morning, not next week."""

ATTEMPTS_MAX = 10
"""Wrong attempts in one window, per address and per shop. A typing error is no attempt: the code's own check
tells it before anything is sent."""

ATTEMPTS_WINDOW_MS = 10 * 60_000

CLOCK_STEP_MS = 10 * 60_000
"""A code that was made later than so much after now was made by a clock that was wrong."""

KEPT_MS = 90 * 86_400_000
"""How long a used or expired code is kept, for whoever asks which device came in by it."""

_SCRYPT = {"n": 4096, "r": 8, "p": 1, "dklen": 32}
"""About 20 ms and 4 MB for each attempt: with 60 random bits, guessing from a stolen file is out of reach."""


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A new code, shown once, and when it ends (Unix milliseconds). ``replaces``: the lost device whose place
    is taken by whoever uses it.
    """

    code: PairingCode
    shop: bytes
    role: str
    expires_ms: int
    replaces: bytes | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a right code permits: one device of ``role`` in ``shop``. ``code_id`` names the code for ever.

    ``has_expired``: it permits nothing new, but whoever used it in time may ask for the answer again.
    ``replaces``: the lost device that it takes the place of.
    """

    code_id: str
    shop: bytes
    role: str
    has_expired: bool
    replaces: bytes | None = None


class PairingCodes:
    """The codes of all shops of one relay. Use from one thread at a time; several processes may."""

    def __init__(self, database: Database, *, clock: Clock, random: RandomBytes) -> None:
        self._database = database
        self._clock = clock
        self._random = random

    def issue(
        self,
        shop: bytes,
        role: str,
        relay_public_key: bytes,
        *,
        valid_minutes: int = VALID_MINUTES,
        replaces: bytes | None = None,
    ) -> IssuedCode:
        """Make a code for one device, which may replace another. Durable on return; the code itself can never
        be shown again.
        """
        now_ms = self._clock.now_ms()
        expires_ms = now_ms + valid_minutes * 60_000
        db = self._database
        with db.whole_transaction():
            db.write("DELETE FROM code WHERE expires_ms < ?", (now_ms - KEPT_MS,))
            while True:
                code = PairingCode.make(self._random(SECRET_BYTES), relay_public_key)
                if db.row("SELECT 1 FROM code WHERE selector = ?", (code.selector,)) is None:
                    break
            salt = self._random(16)
            db.write(
                "INSERT INTO code (selector, shop, role, salt, hash, created_ms, expires_ms, replaces)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (code.selector, shop, role, salt, _hash(salt, code.verifier), now_ms, expires_ms, replaces),
            )
        return IssuedCode(code, shop, role, expires_ms, replaces)

    def check(self, secret: str, address: str) -> Grant:
        """What the secret of a code permits. Costs about 20 ms.

        Raises ``PairingRefused`` for a wrong code, and ``TooManyAttempts`` while the address or the shop has
        used up its wrong attempts; then even a right code is not looked at.
        """
        now_ms = self._clock.now_ms()
        bucket = address_bucket(address)
        self._refuse_above_limit("address = ?", bucket, now_ms)
        try:
            selector, verifier = split_secret(secret)
        except InvalidName:
            self._note_attempt(bucket, None, now_ms)
            raise PairingRefused("this is no pairing code") from None
        row = self._database.row(
            "SELECT shop, role, salt, hash, created_ms, expires_ms, replaces FROM code WHERE selector = ?",
            (selector,),
        )
        nothing = (None, "", bytes(16), bytes(32), 0, 0, None)
        shop, role, salt, expected, created_ms, expires_ms, replaces = row or nothing
        if shop is not None:
            self._refuse_above_limit("shop = ?", shop, now_ms)
        # The hash is computed also when there is no such code, so that time does not tell.
        is_right = hmac.compare_digest(_hash(salt, verifier), expected)
        if not is_right or shop is None:
            self._note_attempt(bucket, shop, now_ms)
            raise PairingRefused("the relay does not know this pairing code")
        code_id = hashlib.sha256(salt + expected).hexdigest()[:32]
        # One that was made while the clock was ahead would be good for as long as it was.
        has_expired = now_ms >= expires_ms or now_ms < created_ms - CLOCK_STEP_MS
        return Grant(code_id, shop, role, has_expired=has_expired, replaces=replaces)

    def mark_used(self, secret: str, device: bytes) -> None:
        """Note who used a code, for showing. Idempotent."""
        selector, _ = split_secret(secret)
        with self._database.whole_transaction():
            self._database.write(
                "UPDATE code SET used_ms = ?, device = ? WHERE selector = ? AND used_ms IS NULL",
                (self._clock.now_ms(), device, selector),
            )

    def end_open(self, shop: bytes) -> None:
        """Let every code of a shop end that was not used yet. Inside a transaction."""
        now_ms = self._clock.now_ms()
        self._database.write(
            "UPDATE code SET expires_ms = ? WHERE shop = ? AND expires_ms > ?", (now_ms, shop, now_ms)
        )

    def count_open(self, shop: bytes) -> int:
        """How many codes of a shop can still be used."""
        found = self._database.row(
            "SELECT count(*) FROM code WHERE shop = ? AND used_ms IS NULL AND expires_ms > ?",
            (shop, self._clock.now_ms()),
        )
        return int(found[0]) if found else 0

    def _refuse_above_limit(self, condition: str, value: str | bytes, now_ms: int) -> None:
        found = self._database.row(
            # Not what was tried while the clock was far ahead: nobody would get in for as long as it was.
            f"SELECT min(at_ms) FROM (SELECT at_ms FROM attempt WHERE {condition} AND at_ms > ?"  # noqa: S608
            " AND at_ms < ? ORDER BY at_ms DESC LIMIT ?) HAVING count(*) >= ?",
            (value, now_ms - ATTEMPTS_WINDOW_MS, now_ms + ATTEMPTS_WINDOW_MS, ATTEMPTS_MAX, ATTEMPTS_MAX),
        )
        if found is None:
            return
        wait_s = -(-(found[0] + ATTEMPTS_WINDOW_MS - now_ms) // 1000)
        raise TooManyAttempts(
            "too many wrong pairing codes",
            retry_after_s=wait_s,
            hint=f"try again in {-(-wait_s // 60)} min",
        )

    def _note_attempt(self, bucket: str, shop: bytes | None, now_ms: int) -> None:
        db = self._database
        with db.whole_transaction():
            db.write("DELETE FROM attempt WHERE at_ms <= ?", (now_ms - ATTEMPTS_WINDOW_MS,))
            db.write("INSERT INTO attempt (at_ms, address, shop) VALUES (?, ?, ?)", (now_ms, bucket, shop))


def address_bucket(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def _hash(salt: bytes, verifier: str) -> bytes:
    return hashlib.scrypt(verifier.encode(), salt=salt, **_SCRYPT)
