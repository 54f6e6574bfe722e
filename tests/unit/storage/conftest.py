"""A till's store on disk, whose rows and whose head can be spoilt."""

from contextlib import contextmanager

import apsw
import pytest

from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain

SHOP, LOG = b"s" * 16, b"l" * 16


class Till:
    """A store on disk; every sale is a transaction, so that the head lags behind the rows."""

    def __init__(self, path, sales=0):
        self.path = path
        self.store = SqliteStore(path)
        with self.store.transaction():
            self.store.create_shop(SHOP, LOG)
        self.chain = MadeUpChain(1)
        self.items = self.chain.entries(sales)
        for item in self.items:
            self.append(item)

    @property
    def log(self):
        return self.store.shop(SHOP)

    def append(self, *items, store=None):
        store = store or self.store
        with store.transaction():
            return [store.shop(SHOP).append(item) for item in items]

    def execute(self, statement, *values):
        self.store.connection.execute(statement, values)

    def reopen(self):
        self.store.close()
        self.store = SqliteStore(self.path)

    def let_types_rot(self, table):
        """Bytes that rot do not keep to the types of a table's columns."""
        self.execute("PRAGMA writable_schema = ON")
        self.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = ?", table)
        self.execute("PRAGMA writable_schema = RESET")

    def rot(self, statement, *values):
        """Change the file as nobody who uses it does: unnoticed by what is kept of it in memory, but for
        that another connection wrote.
        """
        connection = apsw.Connection(str(self.path))
        connection.execute(statement, values)
        connection.close()

    @contextmanager
    def statements(self):
        """What is asked of the file meanwhile."""
        seen = []
        self.store.connection.set_exec_trace(lambda cursor, sql, values: not seen.append(sql))
        yield seen
        self.store.connection.set_exec_trace(None)

    def stretches(self):
        return self.store.connection.execute("SELECT count(*) FROM stretch").fetchone()[0]

    def mend(self, seq):
        with self.store.transaction():
            return self.log.set_damaged_apart(seq, at_ms=1)


@pytest.fixture
def till(tmp_path):
    opened = []

    def make(sales=0):
        opened.append(Till(tmp_path / "till.db", sales))
        return opened[0]

    yield make
    opened[0].store.close()
