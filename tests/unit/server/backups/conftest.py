"""A relay with one shop, and what a backup of it has to hold."""

from contextlib import closing

import pytest

from crdtsync.ids import Origin
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.records import MadeUpChain
from crdtsync_server.backups.backup import back_up
from crdtsync_server.backups.restore import restore_from
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened

PASSPHRASE = b"correct horse battery staple"
PEER = b"the-peer's-logid"


class Shop:
    """A relay's folder with one shop, whose records come and are packed."""

    def __init__(self, root):
        self.root, self.folder = root, DataFolder(root)
        self.chain = MadeUpChain(1)
        self.origin_seq = 0
        with opened(root, create=True) as (access, store):
            self.id = access.create_shop(store, "Cave du Port").id
            access.issue_code(self.id, "register")

    def sell(self, count):
        with opened(self.root) as (_, store), store.transaction():
            for _ in range(count):
                self.origin_seq += 1
                store.shop(self.id).append(self.chain.entry(Origin(PEER, self.origin_seq)))

    def pack(self, rows):
        with opened(self.root) as (_, store), store.transaction():
            log = store.shop(self.id)
            assert log.pack(rows, log.end.seq)

    def back_up(self, path, **more):
        return back_up(self.folder, path, random=seeded_bytes(3), **more)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "relay")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "relay.backup"


def contents(root, shop):
    """Everything of a log that a backup has to hold."""
    with closing(SqliteStore(root / "relay.sqlite", create=False)) as store:
        log = store.shop(shop)
        return {
            "end": log.end,
            "runs": log.runs(),
            "documents": log.documents(),
            "records": [row for name in log.documents() for row in log.document_records(name.name)],
            "apart": log.apart(),
            "states": [log.state(key) for key in ("contact/x", "pairing/y")],
            "check": list(store.check()),
        }


def restored_from(path, root, **more):
    return restore_from(path, root, **{"passphrase": PASSPHRASE, "random": seeded_bytes(9), **more})
