"""Who is signed in, and how often somebody may try.

Wrong attempts are counted by name and by address. A browser in which a person was signed in before brings a
mark that says so: it has attempts of its own, so that nobody locks a person out by trying that name. It is
good for as long as the password is: whoever knew an old one has no more attempts than a stranger.

A session is a random token in a cookie; here lies its hash. It is made anew at every sign-in, whatever cookie
came with it, and ends when its person or an owner says so, after a month, or after a week without a visit.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import TooManyAttempts
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.storage.database import Database
from crdtsync_server.dashboard.accounts import Account, Accounts, digest, folded, new_token
from crdtsync_server.shops.pairing import address_bucket

IDLE_MS: Final = 7 * 86_400_000
LIFE_MS: Final = 30 * 86_400_000
KNOWN_FOR_MS: Final = 365 * 86_400_000
"""How long a browser is known after somebody signed in in it."""

SEEN_EVERY_MS: Final = 60_000
"""How old what is kept of the last visit may be."""

SESSIONS_MAX: Final = 20
"""Of one person; the oldest goes first."""

ATTEMPTS_WINDOW_MS: Final = 15 * 60_000
ATTEMPTS_PER_NAME_MAX: Final = 10
ATTEMPTS_PER_ADDRESS_MAX: Final = 30
MARKS_MAX: Final = 8
"""Of the people of one browser; the oldest goes first."""

_BETWEEN_MARKS: Final = "~"
_NONCE_CHARACTERS: Final = 22
AGENT_CHARACTERS_MAX: Final = 160


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which somebody is signed in. ``token`` is what its forms must bring; ``id`` names it on a
    page. Neither is the cookie.
    """

    id: str
    account: Account
    token: str
    created_ms: int
    seen_ms: int
    address: str
    agent: str


class Sessions:
    """The sessions of one relay. Use from one thread at a time; several processes may."""

    def __init__(self, database: Database, accounts: Accounts, *, clock: Clock, random: RandomBytes) -> None:
        self._db = database
        self._accounts = accounts
        self._clock = clock
        self._random = random
        self._secret = b""

    def begin(self, account: Account, *, address: str, agent: str) -> tuple[str, Session]:
        """A new session, and what goes into its cookie. Durable on return."""
        cookie, now_ms = new_token(self._random), self._clock.now_ms()
        session = Session(
            self._random(8).hex(),
            account,
            new_token(self._random),
            now_ms,
            now_ms,
            address[:64],
            agent[:AGENT_CHARACTERS_MAX],
        )
        with self._db.whole_transaction():
            self._db.write(
                "DELETE FROM session WHERE seen_ms < ? OR created_ms < ?",
                (now_ms - IDLE_MS, now_ms - LIFE_MS),
            )
            self._db.write(
                "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE account = ?"
                " ORDER BY seen_ms DESC LIMIT -1 OFFSET ?)",
                (account.id, SESSIONS_MAX - 1),
            )
            self._db.write(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    digest(cookie),
                    session.id,
                    account.id,
                    session.token,
                    now_ms,
                    now_ms,
                    session.address,
                    session.agent,
                ),
            )
        return cookie, session

    def find(self, cookie: str) -> Session | None:
        """Whose cookie that is, if the session has not ended."""
        now_ms, key = self._clock.now_ms(), digest(cookie)
        row = self._db.row(
            "SELECT id, account, token, created_ms, seen_ms, address, agent FROM session"
            " WHERE hash = ? AND seen_ms >= ? AND created_ms >= ?",
            (key, now_ms - IDLE_MS, now_ms - LIFE_MS),
        )
        account = None if row is None else self._accounts.get(row[1])
        if row is None or account is None:
            return None
        if now_ms - row[4] >= SEEN_EVERY_MS:
            with self._db.whole_transaction():
                self._db.write("UPDATE session SET seen_ms = ? WHERE hash = ?", (now_ms, key))
        return Session(row[0], account, *row[2:])

    def of_account(self, account: Account) -> list[Session]:
        """Where a person is signed in, the last visit first."""
        rows = self._db.rows(
            "SELECT id, token, created_ms, seen_ms, address, agent FROM session"
            " WHERE account = ? ORDER BY seen_ms DESC, id",
            (account.id,),
        )
        return [Session(row[0], account, *row[1:]) for row in rows]

    def end(self, session_id: str, account: bytes) -> bool:
        """End one session of an account. Durable on return; False if there is none."""
        with self._db.whole_transaction():
            key = (session_id, account)
            found = self._db.row("SELECT 1 FROM session WHERE id = ? AND account = ?", key)
            self._db.write("DELETE FROM session WHERE id = ? AND account = ?", key)
        return found is not None

    # -- browsers that are known ---------------------------------------------------------------------------

    def marks_with(self, marks: str, account: Account) -> str:
        """What a browser in which a person signed in brings along, beside the marks of others in it."""
        nonce, key = new_token(self._random)[:_NONCE_CHARACTERS], self._key_of_marks(account)
        others = [one for one in _split(marks) if not _is_mark(one, key)]
        return _BETWEEN_MARKS.join([f"{nonce}.{_seal(nonce, key)}", *others][:MARKS_MAX])

    def known_browser(self, marks: str, account: Account | None) -> str:
        """What names a browser in which this person was signed in, by the password of now; empty for any
        other.
        """
        if account is None or not marks:
            return ""
        key = self._key_of_marks(account)
        return next((one.partition(".")[0] for one in _split(marks) if _is_mark(one, key)), "")

    def _key_of_marks(self, account: Account) -> bytes:
        """Of this person, and of the password of now."""
        if not self._secret:
            self._secret = self._accounts.secret("browsers")
        found = self._db.row("SELECT hash FROM account WHERE id = ?", (account.id,))
        password_hash = str(found[0]) if found else ""
        return hmac.digest(self._secret, account.id + password_hash.encode(), "sha256")

    # -- how often somebody may try ----------------------------------------------------------------------

    def refuse_too_many(self, name: str, address: str, *, browser: str = "") -> None:
        """Raise ``TooManyAttempts`` while the name or the address has used up its wrong attempts: then even a
        right password is not looked at. Of a ``browser`` that is known, its own count, and those alone.
        """
        if browser:
            self._refuse("name", _tried(name, browser), ATTEMPTS_PER_NAME_MAX)
            return
        for column, value, most in (
            ("name", _tried(name), ATTEMPTS_PER_NAME_MAX),
            ("address", address_bucket(address), ATTEMPTS_PER_ADDRESS_MAX),
        ):
            self._refuse(column, value, most)

    def note_attempt(self, name: str, address: str, *, browser: str = "") -> None:
        """Somebody tries: charged before the password is looked at, so that a hundred at once do not pass."""
        now_ms = self._clock.now_ms()
        with self._db.whole_transaction():
            self._db.write("DELETE FROM attempt WHERE at_ms <= ?", (now_ms - ATTEMPTS_WINDOW_MS,))
            key = (now_ms, "" if browser else address_bucket(address), _tried(name, browser))
            self._db.write("INSERT INTO attempt VALUES (?, ?, ?)", key)

    def forget_attempts(self, name: str, *, browser: str = "") -> None:
        """The password was right: what was tried before by this name, or in this browser, counts no more."""
        with self._db.whole_transaction():
            self._db.write("DELETE FROM attempt WHERE name = ?", (_tried(name, browser),))

    def _refuse(self, column: str, value: str, most: int) -> None:
        now_ms = self._clock.now_ms()
        found = self._db.row(
            f"SELECT min(at_ms) FROM (SELECT at_ms FROM attempt WHERE {column} = ? AND at_ms > ?"  # noqa: S608
            " AND at_ms < ? ORDER BY at_ms DESC LIMIT ?) HAVING count(*) >= ?",
            # What was tried while the clock was far ahead would keep a name locked for as long as it was.
            (value, now_ms - ATTEMPTS_WINDOW_MS, now_ms + ATTEMPTS_WINDOW_MS, most, most),
        )
        if found is not None:
            wait_s = -(-(found[0] + ATTEMPTS_WINDOW_MS - now_ms) // 1000)
            raise TooManyAttempts("too many wrong passwords", retry_after_s=max(1, wait_s))


def _tried(name: str, browser: str = "") -> str:
    """Under what an attempt is counted. No name has a line break in it."""
    return f"{folded(name)[:128]}\n{browser}" if browser else folded(name)[:128]


def _is_mark(mark: str, key: bytes) -> bool:
    nonce, _, seal = mark.partition(".")
    is_right = hmac.compare_digest(digest(seal), digest(_seal(nonce, key)))
    return len(nonce) == _NONCE_CHARACTERS and is_right


def _seal(nonce: str, key: bytes) -> str:
    return hmac.digest(key, nonce.encode(errors="replace"), "sha256").hex()


def _split(marks: str) -> list[str]:
    return marks.split(_BETWEEN_MARKS)[:MARKS_MAX] if marks else []
