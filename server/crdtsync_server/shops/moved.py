"""What ``access.sqlite`` knows of shops that are not on this relay any more."""

from __future__ import annotations

from crdtsync.storage.database import Database


class Moved:
    """Shops that went elsewhere, with what their registers are told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, shop: bytes, told: str | None) -> None:
        """A shop is not here any more, and its registers are told this; None: it is here (again)."""
        with self._database.whole_transaction():
            if told is None:
                self._database.write("DELETE FROM noted WHERE name = ?", (_key(shop),))
            else:
                self._database.write("INSERT OR REPLACE INTO noted VALUES (?, ?)", (_key(shop), told))

    def told(self, shop: bytes) -> str | None:
        """What registers of a shop that was here are told; None for any other shop."""
        row = self._database.row("SELECT value FROM noted WHERE name = ?", (_key(shop),))
        return str(row[0]) if row is not None else None

    def forget(self, shop: bytes) -> None:
        """Take a shop out of the index, with its pairing codes."""
        with self._database.whole_transaction():
            for sql in (
                "DELETE FROM shop WHERE id = ?",
                "DELETE FROM code WHERE shop = ?",
                "DELETE FROM attempt WHERE shop = ?",
            ):
                self._database.write(sql, (shop,))
            self._database.write("DELETE FROM noted WHERE name = ?", (f"signed/{shop.hex()}",))


def _key(shop: bytes) -> str:
    return f"moved/{shop.hex()}"
