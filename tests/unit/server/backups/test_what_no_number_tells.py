"""A backup does not take the place of one with something that no number of records tells of: the other
version of a chain, a change of a document, a sale that waits for a person, an invoice.
"""

import shutil
from contextlib import closing

import pytest
from pycrdt import Doc, Map

from crdtsync.errors import SetupError
from crdtsync.ids import Item, entry_record, record_digest, update_record
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.runtime.committing.admission import entry_item
from crdtsync.runtime.committing.compacting import plan_compaction
from crdtsync.storage.log import Refusal
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.till import MemoryOwner
from crdtsync_server.dashboard.database import OfficeDatabase
from crdtsync_server.dashboard.invoices import Buyer, Invoices
from crdtsync_server.open import opened

NOTE = "x/note"


def changed(number):
    """One more change of a document."""
    doc = Doc(client_id=number)
    doc.get("note", type=Map)[f"line {number}"] = "fermé lundi"
    record = update_record(NOTE, doc.get_update())
    return Item(record, NOTE, record_digest(record))


def item(entry):
    return entry_item(entry, entry_record(entry.sealed))


class Writing:
    """Whoever writes into the relay's log; ``lost`` and ``kept`` are folders of it at another time."""

    def __init__(self, shop):
        self.shop = shop

    def append(self, *items):
        self.change(lambda log: [log.append(one) for one in items])

    def change(self, what):
        with opened(self.shop.root) as (_, store), store.transaction():
            what(store.shop(self.shop.id))

    def forget(self, since):
        """The relay's folder is as it was in a copy of it."""
        shutil.rmtree(self.shop.root)
        shutil.copytree(since, self.shop.root)

    def damage(self, digest):
        """A record is found damaged and set apart, as a relay does that is served."""
        with closing(SqliteStore(self.shop.root / "relay.sqlite", create=False)) as store:
            log = store.shop(self.shop.id)
            rows = log.read(0, bytes_max=1 << 20).records
            (seq,) = [seq for seq, record in rows if record_digest(record) == digest]
            pos = store.database.row("SELECT max(pos) - max(pos) % (1 << 40) + ? FROM record", (seq,))[0]
            with store.transaction():
                store.database.write(
                    "UPDATE record SET bytes = zeroblob(length(bytes)) WHERE pos = ?", (pos,)
                )
            with store.transaction():
                assert log.set_damaged_apart(seq, 1)


@pytest.fixture
def relay(shop):
    return Writing(shop)


def refused(shop, path):
    before = path.read_bytes()
    with pytest.raises(SetupError) as told:
        shop.back_up(path)
    assert path.read_bytes() == before
    return str(told.value)


# -- documents ---------------------------------------------------------------------------------------------


def test_a_change_that_was_damaged_stays_in_the_backup_until_it_comes_back(shop, relay, path):
    relay.append(changed(1), changed(2))
    shop.back_up(path)
    relay.damage(changed(1).digest)
    relay.append(changed(3), changed(4))
    assert "holds 1 change of the document x/note of Cave du Port" in refused(shop, path)
    relay.append(changed(1))
    assert shop.back_up(path).backups == 2


def test_changes_that_are_in_a_state_of_the_document_are_not_missed(shop, relay, path, tmp_path):
    """A register brings the state that it has of them to a relay that was put back."""
    shutil.copytree(shop.root, tmp_path / "before")
    relay.append(changed(1), changed(2))
    shop.back_up(path)
    with opened(shop.root) as (_, store):
        state = plan_compaction(store.shop(shop.id), NOTE, records_min=1).state
    relay.forget(tmp_path / "before")
    shop.sell(3)
    assert "holds 2 changes of the document x/note" in refused(shop, path)
    relay.append(state)
    assert shop.back_up(path).backups == 2


def test_changes_that_the_relay_itself_made_a_state_of_are_not_missed(shop, relay, path):
    relay.append(changed(1), changed(2))
    shop.back_up(path)

    def compacted(log):
        made = plan_compaction(log, NOTE, records_min=1)
        log.compact(made.state, made.replaces)

    relay.change(compacted)
    assert shop.back_up(path).backups == 2
    shop.sell(1)
    assert shop.back_up(path).backups == 3


# -- chains that forked ------------------------------------------------------------------------------------


@pytest.fixture
def fork():
    """The entries of a register, and of its copy: the same up to the third, then each on its own."""
    owner = MemoryOwner()
    till = owner.enrol("Caisse 1")
    for _ in range(6):
        till.sell()
    copied = list(till.entries[:3])
    for n in range(4, 6):
        body = {**till.entries[n - 1].body, "prev": copied[-1].link.hex(), "op": "copie"}
        copied.append(read_entry(seal(body, till.key)))
    return [item(one) for one in till.entries], [item(one) for one in copied]


def test_the_version_that_a_copy_wrote_stays_in_the_backup(shop, relay, path, tmp_path, fork):
    """Each number is there, of the other version; and the log is longer than before."""
    till, copied = fork
    relay.append(*till[:5])
    shutil.copytree(shop.root, tmp_path / "before")
    relay.append(*copied)
    shop.back_up(path)
    relay.forget(tmp_path / "before")
    relay.append(*till)
    shop.sell(5)
    assert "holds 2 entries of Cave du Port" in refused(shop, path)
    relay.append(*copied[:4])
    assert "entries of Cave du Port" in refused(shop, path)
    relay.append(*copied)
    assert shop.back_up(path).backups == 2


def test_versions_that_went_on_and_parted_again_are_not_missed(shop, relay, path, fork):
    till, copied = fork
    relay.append(*till[:4])
    shop.back_up(path)
    relay.append(*copied)
    shop.back_up(path)
    relay.append(*till)
    assert shop.back_up(path).backups == 3


# -- what is kept apart ------------------------------------------------------------------------------------


def kept_apart(record):
    refusal = Refusal(7, record_digest(record), "revoked", "it was revoked before", True)
    return lambda log: log.refuse(b"q" * 16, refusal, record, 0)


def test_a_sale_that_waits_for_a_person_stays_in_the_backup(shop, relay, path, tmp_path, fork):
    """The stolen register handed it over, and is gone: nobody else has it."""
    sale = fork[0][4]
    shutil.copytree(shop.root, tmp_path / "before")
    relay.change(kept_apart(sale.record))
    shop.back_up(path)
    relay.forget(tmp_path / "before")
    shop.sell(3)
    assert "holds 1 record kept apart of Cave du Port" in refused(shop, path)
    relay.change(kept_apart(sale.record))
    assert shop.back_up(path).backups == 2


def test_a_sale_that_a_person_let_in_is_not_missed(shop, relay, path, fork):
    sale = fork[0][4]
    relay.change(kept_apart(sale.record))
    shop.back_up(path)

    def let_in(log):
        log.settle_refusals(sale.digest)
        log.append(sale)

    relay.change(let_in)
    assert shop.back_up(path).backups == 2


# -- invoices ----------------------------------------------------------------------------------------------


def test_an_invoice_stays_in_the_backup(shop, path):
    buyer = Buyer("M. Roux", "Lyon")
    with closing(OfficeDatabase(shop.folder.office)) as database:
        Invoices(database).make(shop.id, "01-26-000001", b"l" * 32, buyer, series="F-26", issued_ms=1)
    shop.back_up(path)
    for file in shop.root.glob("office.sqlite*"):
        file.unlink()
    shop.sell(2)
    assert "holds the invoice F-26-000001 of Cave du Port" in refused(shop, path)
    assert shop.back_up(path, replace=True).backups == 2
