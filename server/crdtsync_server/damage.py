"""What to do about damage in a relay's store. The ways out that the toolkit knows are a register's."""

from __future__ import annotations

from typing import Final

from crdtsync.errors import CrdtsyncError, DamagedStore

RELAYS_WAY_OUT: Final = (
    "stop the relay, keep a copy of its folder, move relay.sqlite and its -wal and -shm files out of it, and "
    "serve it again: its registers fill a new store (or put a backup back: `crdtsync-relay restore-from`)"
)

ONE_RECORD: Final = (
    "`crdtsync-relay serve` sets it apart with its bytes and gets it back from a register, if the file holds "
    "together (`crdtsync-relay verify` names all that is damaged). If the same is told after that, "
    f"{RELAYS_WAY_OUT}"
)


def in_a_relays_words(error: CrdtsyncError) -> CrdtsyncError:
    """The same error, with a way out that the relay's own commands have."""
    if isinstance(error, DamagedStore):
        from crdtsync.storage.sqlite_errors import SALVAGE  # Late: `--help` opens no store.

        error.hint = {SALVAGE: RELAYS_WAY_OUT, DamagedStore.hint: ONE_RECORD}.get(error.hint, error.hint)
    return error
