"""What a connection needs of the replica that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from crdtsync.ids import Position
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.work import Me
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.syncing.comparison import Reader
from crdtsync.runtime.syncing.tail import Tail
from crdtsync.storage.log import ShopLog

if TYPE_CHECKING:
    from crdtsync.runtime.syncing.connection import Connection


class Home(Protocol):
    """Where a connection lives: what a register or a relay provides to it."""

    committer: Committer

    @property
    def documents(self) -> Reader: ...
    def me(self, peer: Hello | None) -> Me:
        """Who we are and where our log stands, for the connection with that peer. Raises ``AccessDenied``."""
        ...

    def who_refuses(self, peer: Hello) -> Me | None:
        """Who we are to that peer, which is refused; None where that is not said."""
        ...

    def shop_log(self, shop: bytes) -> ShopLog:
        """The log of a shop, for reading on the event loop. Raises ``AccessDenied`` for an unknown shop."""
        ...

    def admission(self, shop: bytes) -> Admission: ...
    def tail(self, shop: bytes) -> Tail | None: ...
    def pinned_relay_key(self) -> bytes | None:
        """The key that the peer must prove (a register's relay), or None: any certified device may come."""
        ...

    def went_live(self, connection: Connection) -> None: ...
    def acknowledged(
        self, connection: Connection, position: Position
    ) -> Callable[[ShopLog], None] | None: ...
    def presence(self, connection: Connection, facts: dict[str, Any]) -> None: ...
    def sync_wanted(self) -> None:
        """A person at the peer wishes that everything is exchanged: look for what was not noticed yet."""
        ...

    def now_ms(self) -> int: ...
    def was_copied(self, log: ShopLog) -> None:
        """Our log is not what the peer holds of it: our disk was put back, or there are two of it. Give it a
        new id, inside a transaction.
        """
        ...
