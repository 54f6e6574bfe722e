"""The people of a shop: who may come into its back office, and as what.

An account begins with a link that works once and lets its owner choose a password; only the hashes of both
are kept. A name is one account of its shop: who works in the other shops of a relay is nobody's business, so
no answer of this one tells it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from crdtsync.errors import InvalidName
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.storage.database import Database

Role = Literal["owner", "staff"]
ROLES: Final[tuple[Role, ...]] = ("owner", "staff")
"""The owner changes things; staff only looks."""

NAME_CHARACTERS_MAX: Final = 64
PASSWORD_CHARACTERS_MIN: Final = 10
PASSWORD_BYTES_MAX: Final = 1024
LINK_VALID_MS: Final = 3 * 86_400_000

_HASHER: Final = PasswordHasher()
"""argon2id with the parameters of RFC 9106 for little memory: 64 MiB and some 50 ms a password."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person. ``has_password``: the first link was used. ``locale`` is None until one was chosen."""

    id: bytes
    shop: bytes
    name: str
    role: Role
    locale: str | None
    has_password: bool
    created_ms: int

    @property
    def is_owner(self) -> bool:
        """Whether this person may change things."""
        return self.role == "owner"


_COLUMNS: Final = "id, shop, name, role, locale, hash IS NOT NULL, created_ms"


class Accounts:
    """The accounts of one relay. Use from one thread at a time; several processes may."""

    def __init__(self, database: Database, *, clock: Clock, random: RandomBytes) -> None:
        self._db = database
        self._clock = clock
        self._random = random

    def create(self, shop: bytes, name: str, role: Role) -> tuple[Account, str]:
        """An account without a password, and the token of the link that sets the first one. Durable on
        return. Raises ``InvalidName`` for a name that cannot be or is taken in that shop.
        """
        name = clean_name(name)
        account = Account(self._random(16), shop, name, role, None, False, self._clock.now_ms())
        with self._db.whole_transaction():
            taken = "SELECT 1 FROM account WHERE shop = ? AND folded = ?"
            if self._db.row(taken, (shop, folded(name))) is not None:
                raise InvalidName(f"the name {name!r} is taken in this shop", hint="choose another name")
            self._db.write(
                "INSERT INTO account (id, shop, name, folded, role, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
                (account.id, shop, name, folded(name), role, account.created_ms),
            )
            token = self._new_link(account.id)
        return account, token

    def new_link(self, account: Account) -> str:
        """Another link for the account (the password was forgotten); the ones before end. Durable."""
        with self._db.whole_transaction():
            return self._new_link(account.id)

    def of_link(self, token: str) -> Account | None:
        """Whose link that is; None if it was used, has ended or never was."""
        row = self._db.row(
            f"SELECT {_COLUMNS} FROM account WHERE ended_ms IS NULL AND id ="  # noqa: S608
            " (SELECT account FROM link WHERE hash = ? AND expires_ms > ?)",
            (digest(token), self._clock.now_ms()),
        )
        return None if row is None else _account(row)

    def use_link(self, token: str, password_hash: str) -> Account | None:
        """Set a password by a link, which ends, as do all sessions of the account. Durable on return."""
        with self._db.whole_transaction():
            account = self.of_link(token)
            if account is not None:
                self._db.write("DELETE FROM link WHERE account = ?", (account.id,))
                self._db.write("DELETE FROM session WHERE account = ?", (account.id,))
                self._db.write("UPDATE account SET hash = ? WHERE id = ?", (password_hash, account.id))
        return account

    def hash_of(self, shop: bytes | None, name: str) -> tuple[Account | None, str]:
        """The account of that name in a shop and its password's hash: of a password that nobody has, where
        there is no such account (or shop), so that looking at it takes as long.
        """
        row = self._db.row(
            f"SELECT {_COLUMNS}, hash FROM account WHERE shop = ? AND folded = ?"  # noqa: S608
            " AND ended_ms IS NULL AND hash IS NOT NULL",
            (shop or b"", folded(name)),
        )
        return (None, nobodys_hash()) if row is None else (_account(row[:-1]), row[-1])

    def get(self, account: bytes) -> Account | None:
        """The account with that id, if it has not ended."""
        row = self._db.row(
            f"SELECT {_COLUMNS} FROM account WHERE id = ? AND ended_ms IS NULL",  # noqa: S608
            (account,),
        )
        return None if row is None else _account(row)

    def find(self, shop: bytes, name: str) -> Account:
        """The account of that name in a shop. Raises ``InvalidName``."""
        found = [account for account in self.of_shop(shop) if folded(account.name) == folded(name)]
        if not found:
            raise InvalidName(f"nobody of this shop is called {name!r}")
        return found[0]

    def of_shop(self, shop: bytes) -> list[Account]:
        """The people of a shop, by name."""
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM account WHERE shop = ? AND ended_ms IS NULL ORDER BY folded",  # noqa: S608
            (shop,),
        )
        return [_account(row) for row in rows]

    def shops(self) -> set[bytes]:
        """The shops that somebody has an account in."""
        return {shop for (shop,) in self._db.rows("SELECT DISTINCT shop FROM account WHERE ended_ms IS NULL")}

    def end(self, account: bytes) -> None:
        """Let nobody in as this person any more, and end all sessions. The name is free again. Durable."""
        with self._db.whole_transaction():
            for table in ("link", "session", "upload"):
                self._db.write(f"DELETE FROM {table} WHERE account = ?", (account,))  # noqa: S608
            self._db.write(
                "UPDATE account SET ended_ms = ?, hash = NULL, folded = hex(id) WHERE id = ?",
                (self._clock.now_ms(), account),
            )

    def set_locale(self, account: bytes, locale: str) -> None:
        """Remember in which language the person reads."""
        with self._db.whole_transaction():
            self._db.write("UPDATE account SET locale = ? WHERE id = ?", (locale, account))

    def secret(self, name: str) -> bytes:
        """32 random bytes that this relay keeps under that name; made the first time."""
        with self._db.whole_transaction():
            self._db.write("INSERT OR IGNORE INTO secret VALUES (?, ?)", (name, self._random(32)))
            row = self._db.row("SELECT value FROM secret WHERE name = ?", (name,))
        assert row is not None
        return bytes(row[0])

    def _new_link(self, account: bytes) -> str:
        token = new_token(self._random)
        self._db.write("DELETE FROM link WHERE account = ?", (account,))
        expires_ms = self._clock.now_ms() + LINK_VALID_MS
        self._db.write("INSERT INTO link VALUES (?, ?, ?)", (digest(token), account, expires_ms))
        return token


def _account(row: tuple[object, ...]) -> Account:
    id_, shop, name, role, locale, has_password, created_ms = row
    return Account(id_, shop, name, role, locale, bool(has_password), created_ms)  # type: ignore[arg-type]


def clean_name(name: str) -> str:
    """A person's name in its form. Raises ``InvalidName``."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise InvalidName(f"a person has a name of 1 to {NAME_CHARACTERS_MAX} characters on one line")
    return name


def folded(name: str) -> str:
    """Names that are the same for whoever signs in."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def password_problem(password: str) -> Literal["short", "long"] | None:
    """What is wrong with a new password, if anything is."""
    if len(password) < PASSWORD_CHARACTERS_MIN:
        return "short"
    return "long" if len(password.encode(errors="replace")) > PASSWORD_BYTES_MAX else None


def hash_password(password: str) -> str:
    """What is kept of a password. Takes some 50 ms and 64 MiB."""
    return _HASHER.hash(password.encode(errors="surrogatepass"))


def is_password(password: str, password_hash: str) -> bool:
    """Whether that is the password. Takes as long as ``hash_password``, whatever the answer."""
    try:
        return _HASHER.verify(password_hash, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=1)
def nobodys_hash() -> str:
    """The hash of a password that nobody has."""
    return hash_password(hashlib.sha256(b"nobody").hexdigest())


def new_token(random: RandomBytes) -> str:
    """256 random bits as text for an address or a cookie."""
    return urlsafe_b64encode(random(32)).rstrip(b"=").decode()


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
