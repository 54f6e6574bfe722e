"""A relay that lies: whoever runs it changes, drops or adds to what it holds. Every register sees it."""

import json
from contextlib import closing

import pytest

from crdtsync import Register
from crdtsync.errors import WrongRelayKey
from crdtsync.ids import Item, entry_record, record_digest
from crdtsync.model import canonical, sealed
from crdtsync.model.entry import read_entry
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.committing.admission import entry_item
from crdtsync.runtime.folder.keyfile import write_key
from crdtsync.storage.sqlite import SqliteStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Liar:
    """A relay whose operator writes its store anew, with whatever `change` makes of each sale of Caisse A.

    The rows, hashes and checksums of the new store are right: only what the till signed can tell.
    """

    def __init__(self, relay, tmp_path):
        self.relay, self.folder = relay, tmp_path
        with relay.join(tmp_path / "a", "Caisse A", relay.first_code) as a:
            a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
            self.numbers = [a.sell(["CM-19"], ["card"]).number for _ in range(5)]
            a.sync(60)

    def rewrite(self, change):
        self.relay.stop()
        path = self.relay.folder / "relay.sqlite"
        with closing(SqliteStore(path, create=False)) as store:
            log = store.shop(self.relay.shop)
            rows = list(log.read(0, bytes_max=1 << 24).records)
            shop, log_id = log.shop, log.log_id
            documents = {
                record: row.name for row in log.documents() for _, record in log.document_records(row.name)
            }
        for file in self.relay.folder.glob("relay.sqlite*"):
            file.unlink()
        with closing(SqliteStore(path)) as store, store.transaction():
            log = store.create_shop(shop, log_id)
            for _, record in rows:
                for new in self.changed(record, change):
                    log.append(as_item(new, documents.get(record, "")))
        self.relay.start()

    def changed(self, record, change):
        is_sale = record[:1] == b"E" and read_entry(record[1:]).kind == "sale"
        return [entry_record(data) for data in change(record[1:])] if is_sale else [record]

    def newcomer(self):
        """A register that joins now, and gets everything from the relay."""
        self.relay.join(self.folder / "new", "Caisse N").close()
        till = Register.open(self.folder / "new")
        till.sync(60)
        return till

    def old(self):
        """Caisse A, at its next contact."""
        till = Register.open(self.folder / "a")
        till.sync(60)
        return till


def as_item(record, document):
    if record[:1] == b"E":
        return entry_item(read_entry(record[1:]), record)
    return Item(record, document, record_digest(record))


def number_of(data):
    return read_entry(data).body["num"]


@pytest.fixture
def liar(relay, tmp_path):
    return Liar(relay, tmp_path)


def cheaper(data):
    """The same sale for a tenth, with the signature of the genuine one."""
    body, text = sealed.split(data)
    return sealed.join(body.replace(b"1850", b"0185").replace(b":0185", b":185"), text)


def test_a_sale_that_the_relay_made_cheaper_is_refused_by_every_register(liar):
    liar.rewrite(lambda data: [cheaper(data) if number_of(data) == liar.numbers[2] else data])
    with liar.newcomer() as till:
        assert [row.code for row in till.quarantine.rows()] == ["bad-signature"]
        assert liar.numbers[2] not in [row.number for row in till.sales()]
        assert {row.total for row in till.sales()} == {1850}
        assert "gap" in [finding.code for finding in till.verify().findings]


def test_a_sale_signed_by_the_operator_is_no_sale_of_the_register(liar):
    key = PrivateKey.from_seed(b"the operator's own")

    def forge(data):
        return [sealed.seal(canonical.decode(sealed.split(data)[0]), key)]

    liar.rewrite(lambda data: forge(data) if number_of(data) == liar.numbers[4] else [data])
    with liar.newcomer() as till:
        assert [row.code for row in till.quarantine.rows()] == ["bad-signature"]
        assert len(till.sales()) == 4


def test_a_sale_that_the_relay_drops_in_the_middle_is_seen_by_who_has_only_the_relay(liar):
    liar.rewrite(lambda data: [] if number_of(data) == liar.numbers[1] else [data])
    with liar.newcomer() as till:
        assert "gap" in [finding.code for finding in till.verify().findings]
    found = json.loads(liar.relay.command("missing", liar.relay.shop.hex(), "--json"))["missing"]
    assert [(row["sort"], row["after"], row["before"]) for row in found] == [
        ("hole", liar.numbers[0], liar.numbers[2])
    ]


def test_what_the_relay_dropped_comes_back_with_the_register_that_sold_it(liar):
    liar.rewrite(lambda data: [] if number_of(data) in liar.numbers[1:] else [data])
    with liar.old() as till:
        assert till.status().pending.records == 0
        assert len(till.sales()) == 5
    with liar.newcomer() as till:
        assert sorted(row.number for row in till.sales()) == liar.numbers
        assert till.verify().findings == ()


def test_a_sale_that_the_operator_puts_twice_is_there_once(liar):
    liar.rewrite(lambda data: [data, data])
    with liar.newcomer() as till:
        assert sorted(row.number for row in till.sales()) == liar.numbers


def test_an_operator_who_enrols_a_device_of_his_own_is_seen_in_the_owners_chain(liar):
    """That he can, where the owner's key lies with the relay; that it is hidden, he cannot."""
    with liar.relay.join(liar.folder / "fake", "Caisse A bis") as fake:
        fake.sync(60)
        fake.sell(["CM-19"], ["card"])
        fake.sync(60)
    with liar.old() as till:
        names = {device.name for device in till.replica.queries.devices()}
    assert "Caisse A bis" in names


def test_another_relay_in_its_place_is_not_spoken_to(liar):
    """Whoever takes over name and address of the relay has not its key: nothing is sent to him."""
    liar.relay.stop()
    key = liar.relay.folder / "keys" / "relay.key"
    key.unlink()
    write_key(key, PrivateKey.from_seed(b"another relay").to_bytes())
    liar.relay.start()
    with Register.open(liar.folder / "a") as till:
        number = till.sell(["CM-19"], ["card"]).number
        with pytest.raises(WrongRelayKey):
            till.sync(60)
        assert till.status().pending.sales == 1
    with closing(liar.relay.open_store()) as store:
        log = store.shop(liar.relay.shop)
        records = [record for _, record in log.read(0, bytes_max=1 << 24).records]
    assert not any(number.encode() in record for record in records)
