"""Where people come in: accounts and sessions for the event loop, on a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from crdtsync.errors import TooManyAttempts
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync_server.dashboard.accounts import Account, Accounts, hash_password, is_password
from crdtsync_server.dashboard.database import OfficeDatabase
from crdtsync_server.dashboard.sessions import Session, Sessions
from crdtsync_server.folder import DataFolder

T = TypeVar("T")

HASHED_AT_ONCE = 2
"""Passwords looked at at once: each takes 64 MiB. The others wait in a row."""

WAITING_MAX = 32
"""More are told to come back: a row of thousands would let nobody in for minutes."""


class Books:
    """Accounts and sessions of one relay, in one thread or one command."""

    def __init__(self, folder: DataFolder, clock: Clock, random: RandomBytes) -> None:
        self.database = OfficeDatabase(folder.office)
        self.accounts = Accounts(self.database, clock=clock, random=random)
        self.sessions = Sessions(self.database, self.accounts, clock=clock, random=random)

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()


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
        self, name: str, password: str, *, address: str, agent: str
    ) -> tuple[str, Session] | None:
        """A new session for the right password, else None. Raises ``TooManyAttempts``."""

        def look_up(books: Books) -> tuple[Account | None, str]:
            books.sessions.refuse_too_many(name, address)
            books.sessions.note_attempt(name, address)
            return books.accounts.hash_of(name)

        account, password_hash = await self.ask(look_up)
        is_right = await self._hashed(is_password, password, password_hash)
        if account is None or not is_right:
            return None

        def begin(books: Books) -> tuple[str, Session] | None:
            known, newest_hash = books.accounts.hash_of(name)
            if known is None or newest_hash != password_hash:
                return None  # It was changed while this one was looked at: whoever had the old one is out.
            books.sessions.forget_attempts(name)
            return books.sessions.begin(known, address=address, agent=agent)

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
        self, token: str, password: str, *, address: str, agent: str
    ) -> tuple[str, Session] | None:
        """A first password, and a session with it; None where the link does not work any more."""
        password_hash = await self._hashed(hash_password, password)

        def use(books: Books) -> tuple[str, Session] | None:
            account = books.accounts.use_link(token, password_hash)
            return books.sessions.begin(account, address=address, agent=agent) if account else None

        return await self.ask(use)
