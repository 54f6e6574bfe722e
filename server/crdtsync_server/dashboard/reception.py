"""Where people come in: accounts and sessions for the event loop, on a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from crdtsync.errors import StorageError, TooManyAttempts, UnknownShop
from crdtsync.ids import ID_BYTES
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync_server.dashboard.accounts import Account, Accounts, digest, hash_password, is_password
from crdtsync_server.dashboard.database import OfficeDatabase
from crdtsync_server.dashboard.sessions import Session, Sessions
from crdtsync_server.folder import DataFolder
from crdtsync_server.shops.access import Access, folded_shop

T = TypeVar("T")

HASHED_AT_ONCE = 2
"""Passwords looked at at once: each takes 64 MiB. The others wait in a row."""

WAITING_MAX = 32
"""More are told to come back: a row of thousands would let nobody in for minutes."""


@dataclass(frozen=True, slots=True)
class CameIn:
    """Somebody who is signed in now: what goes into the browser's cookies, and which session it is."""

    cookie: str
    session: Session
    marks: str
    shop_name: str


class Books:
    """Accounts and sessions of one relay, in one thread or one command."""

    def __init__(self, folder: DataFolder, clock: Clock, random: RandomBytes) -> None:
        self.database = OfficeDatabase(folder.office)
        self.accounts = Accounts(self.database, clock=clock, random=random)
        self.sessions = Sessions(self.database, self.accounts, clock=clock, random=random)

        self._folder, self._clock, self._random = folder, clock, random

    @cached_property
    def access(self) -> Access:
        """What the shops are called."""
        return Access(self._folder, clock=self._clock, random=self._random)

    def has_several_shops(self) -> bool:
        """Whether somebody who signs in must say of which shop: people of several may come in here."""
        return len(self.accounts.shops()) > 1

    def shop_meant(self, text: str) -> bytes | None:
        """The shop of that name, or the only one that people can sign in to; None if there is none such."""
        shops = self.accounts.shops()
        if len(shops) == 1:
            return next(iter(shops))
        try:
            return self.access.find_shop(text).id
        except UnknownShop:
            return None

    def name_of(self, shop: bytes) -> str:
        """By what its people mean a shop: its name, or its id where another one is meant by that (one that
        was moved here may be called alike); empty where nobody knows.
        """
        try:
            name = next((one.name for one in self.access.shops() if one.id == shop), "")
            return name if not name or self.access.find_shop(name).id == shop else shop.hex()
        except StorageError:
            return ""

    def close(self) -> None:
        """Let go of the files."""
        self.database.close()
        if "access" in vars(self):
            self.access.close()


class Reception:
    """Asks the books from the event loop. Passwords are looked at on threads of their own."""

    def __init__(self, folder: DataFolder, clock: Clock, random: RandomBytes) -> None:
        self._folder, self._clock, self._random = folder, clock, random
        self._books: Books | None = None
        self._secret = b""
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reception")
        self._hashing = ThreadPoolExecutor(HASHED_AT_ONCE, thread_name_prefix="passwords")

    async def ask(self, question: Callable[[Books], T]) -> T:
        """The answer of the books. Raises what ``question`` raises, ``StorageError``."""

        def answer() -> T:
            if self._books is None:
                self._books = Books(self._folder, self._clock, self._random)
            return question(self._books)

        return await asyncio.get_running_loop().run_in_executor(self._thread, answer)

    async def stop(self) -> None:
        """Finish what is under way, then let go of the file."""
        await asyncio.to_thread(self._hashing.shutdown)
        if self._books is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._books.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def secret(self) -> bytes:
        """What the forms of strangers are sealed with."""
        if not self._secret:
            self._secret = await self.ask(lambda books: books.accounts.secret("forms"))
        return self._secret

    async def session(self, cookie: str) -> Session | None:
        """Who comes with that cookie."""
        return await self.ask(lambda books: books.sessions.find(cookie)) if cookie else None

    async def sign_in(
        self, name: str, password: str, *, shop: str = "", marks: str = "", address: str, agent: str
    ) -> CameIn | None:
        """A new session for the right password, else None. ``shop``: its name, where people of several may
        come in; ``marks``: what the browser has of those who signed in in it. Raises ``TooManyAttempts``.
        """

        def look_up(books: Books) -> tuple[Account | None, str, str, str]:
            meant = books.shop_meant(shop)
            who = f"{meant.hex() if meant else _no_shop(shop)} {name}"
            account, password_hash = books.accounts.hash_of(meant, name)
            browser = books.sessions.known_browser(marks, account)
            books.sessions.refuse_too_many(who, address, browser=browser)
            books.sessions.note_attempt(who, address, browser=browser)
            return account, password_hash, who, browser

        account, password_hash, who, browser = await self.ask(look_up)
        is_right = await self._hashed(is_password, password, password_hash)
        if account is None or not is_right:
            return None
        shop_id = account.shop

        def begin(books: Books) -> CameIn | None:
            known, newest_hash = books.accounts.hash_of(shop_id, name)
            if known is None or newest_hash != password_hash:
                return None  # It was changed while this one was looked at: whoever had the old one is out.
            books.sessions.forget_attempts(who, browser=browser)
            return _come_in(books, known, marks, address=address, agent=agent)

        return await self.ask(begin)

    async def _hashed(self, work: Callable[..., T], *what: str) -> T:
        if self._waiting >= WAITING_MAX:
            raise TooManyAttempts("too many people sign in at this moment", retry_after_s=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, work, *what)
        finally:
            self._waiting -= 1

    async def use_link(
        self, token: str, password: str, *, marks: str = "", address: str, agent: str
    ) -> CameIn | None:
        """A first password, and a session with it; None where the link does not work any more."""
        password_hash = await self._hashed(hash_password, password)

        def use(books: Books) -> CameIn | None:
            account = books.accounts.use_link(token, password_hash)
            return _come_in(books, account, marks, address=address, agent=agent) if account else None

        return await self.ask(use)


def _no_shop(text: str) -> str:
    """Under what attempts at a shop that is none are counted: what would mean one shop counts as one, and
    nothing else does. Or the count would tell which shops there are.
    """
    return digest(folded_shop(text)).hex()[: 2 * ID_BYTES]


def _come_in(books: Books, account: Account, marks: str, *, address: str, agent: str) -> CameIn:
    cookie, session = books.sessions.begin(account, address=address, agent=agent)
    return CameIn(cookie, session, books.sessions.marks_with(marks, account), books.name_of(account.shop))
