"""A relay that was put back from a backup must not give out again what it gave out since.

Certificates that it signed after the backup are out there, on devices. They come back with them and count as
before: the owner's chain has two branches then, and both hold (``model.certificate.Directory``). Two things
would not heal by themselves, and are prevented here:

* **A series of ticket numbers would be given twice**, as the relay does not know to whom it gave the next.
  From the moment that a restore is noticed, the shop's series begin with a *generation*: a letter and two
  more characters, by chance (``K7Q01``). No series from before or from another restore is ever met again.
* **Pairing codes that were used after the backup would be good again.** All open ones end.

A restore is noticed when the folder is opened, because a copy has another inode, or because one of the two
databases knows of certificates that the other lacks; and, where a whole machine was put back, when the first
device shows that it holds more of the relay's log than the relay. A folder that was only moved to another
disk is taken for a restored one: it costs longer series and new pairing codes, nothing else.
"""

from __future__ import annotations

from crdtsync.runtime.clock import RandomBytes
from crdtsync.storage.database import Database
from crdtsync.storage.log import ShopLog, Store
from crdtsync_server.folder import DataFolder
from crdtsync_server.shops.owner import OwnerChain

GENERATION = "series_generation"
"""State of a shop's log: what its new series begin with."""

NOTICED = "restore_noticed_ms"
"""State of a shop's log: when it was noticed that it was put back or lost, eight bytes, big-endian."""

_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = "0123456789" + _LETTERS


def generation_of(log: ShopLog) -> str:
    """What new series of the shop begin with; empty as long as no restore was ever noticed."""
    return (log.state(GENERATION) or b"").decode()


def restore_noticed_ms(log: ShopLog) -> int | None:
    """When it was last noticed that the shop was put back from a backup, or lost; None if it never was."""
    data = log.state(NOTICED)
    return None if data is None else int.from_bytes(data, "big")


def begin_generation(log: ShopLog, random: RandomBytes, now_ms: int) -> None:
    """From now on series begin anew. Inside a transaction."""
    log.set_state(NOTICED, now_ms.to_bytes(8, "big"))
    first, *others = random(3)
    text = _LETTERS[first % len(_LETTERS)] + "".join(_CHARACTERS[one % len(_CHARACTERS)] for one in others)
    log.set_state(GENERATION, text.encode())


class Place:
    """What ``access.sqlite`` knows of the folder that it lies in, and of the certificates beside it."""

    def __init__(self, folder: DataFolder, database: Database) -> None:
        self._folder = folder
        self._database = database

    def restored_shops(self, store: Store) -> list[bytes]:
        """The shops that were put back since ``note``, as far as the folder tells it."""
        shops = store.shops()
        if self._noted("place") != self._folder.place():
            return shops
        # What is noted is read first: it is written after the log, also by other processes at this moment.
        noted = {shop: int(self._noted(_key(shop)) or 0) for shop in shops}
        return [shop for shop, number in noted.items() if _signed(store.shop(shop)) < number]

    def note(self, store: Store, *, restored: bool = False) -> None:
        """This is the folder, and these are its certificates. Writes, in a transaction of its own, only
        what was not noted before; with ``restored`` also where fewer certificates are here than were noted.
        """
        place = self._folder.place()
        if self._noted("place") == place and not restored:
            return
        with self._database.whole_transaction():
            self._note("place", place)
            for shop in store.shops():
                self._note(_key(shop), str(_signed(store.shop(shop))))

    def note_signed(self, shop: bytes, number: int) -> None:
        """The owner's chain of a shop has come to that number. A transaction of its own."""
        with self._database.whole_transaction():
            self._note(_key(shop), str(number))

    def _noted(self, name: str) -> str | None:
        found = self._database.row("SELECT value FROM noted WHERE name = ?", (name,))
        return found[0] if found else None

    def _note(self, name: str, value: str) -> None:
        self._database.write("INSERT OR REPLACE INTO noted VALUES (?, ?)", (name, value))


def _signed(log: ShopLog) -> int:
    return max((entry.facts.n for entry in OwnerChain.read(log).entries), default=0)


def _key(shop: bytes) -> str:
    return f"signed/{shop.hex()}"
