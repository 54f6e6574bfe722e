"""What a register synchronises with."""

from __future__ import annotations

from collections.abc import Callable

from crdtsync.runtime.folder.replica import STORE, Replica, let_products_be_filed
from crdtsync.runtime.register.status import presence_of
from crdtsync.runtime.syncing.syncer import Syncer
from crdtsync.storage.sqlite import SqliteStore


def make_syncer(replica: Replica, changed: Callable[[], None]) -> Syncer:
    """A syncer with a store of its own: it runs in a thread of its own. ``changed`` is called by
    its committer, on one more thread, as soon as records from elsewhere are on disk.
    """
    identity, store_file = replica.identity, replica.folder / STORE
    syncer = Syncer(
        open_store=lambda: SqliteStore(store_file, create=False),
        store_file=store_file,
        identity=identity,
        key=replica.key,
        clock=replica.clock,
        random=replica.random_bytes,
        presence=lambda log: presence_of(log, identity.device),
        changed=changed,
        mend=replica.mend_beside,
        tls_ca=replica.config.tls_ca,
    )
    syncer.committer.before_history = lambda log: let_products_be_filed(replica, log)
    return syncer
