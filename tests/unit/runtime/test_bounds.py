"""What a shop, device and chain may fill of a relay: the rest is held, told, admitted when it has room."""

import asyncio
import hashlib
from contextlib import closing

import pytest

from crdtsync.errors import LinkClosed
from crdtsync.ids import ID_BYTES, START, Item, Position, entry_record, update_record
from crdtsync.model.sealed import seal
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing import bounds as bounding
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.bounds import CHAINS_PER_DEVICE_MAX, RUNS_PER_CHAIN_MAX, Bounds
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.quota import Quota
from crdtsync.runtime.committing.work import Work
from crdtsync.storage.log import Refusal
from crdtsync.storage.runs import merged
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing import yjs_bytes
from crdtsync.testing.till import MemoryOwner

A_NOTE = yjs_bytes.update(yjs_bytes.item(4, yjs_bytes.text("fermé lundi"), root="note"))


class Quiet:
    def committed(self, growths, seconds, error):
        pass


class OneShop:
    """A relay's store with one shop, and whoever brings it records."""

    def __init__(self, folder):
        self.path = folder / "relay.sqlite"
        self.owner = MemoryOwner()
        self.till, self.neighbour = self.owner.enrol("Caisse 1"), self.owner.enrol("Caisse 2", series="02")
        with closing(SqliteStore(self.path)) as store, store.transaction():
            store.create_shop(self.owner.author, b"l" * 16)
        self.told = {}
        self.ends = {}
        self.opened_anew()

    def opened_anew(self, **quota):
        """The relay is started with these bounds."""
        self.admission = Admission(self.owner.author, Bounds(Quota(**quota)))

    async def bring(self, *batches, device="Caisse 1"):
        """Let a device bring records, one transaction for each batch. How it ended; None is well."""
        peer = hashlib.sha256(device.encode()).digest()[:ID_BYTES]
        committer = Committer(
            lambda: SqliteStore(self.path), lambda _: self.admission, Quiet(), lambda: 0, lambda: 0.0
        )
        committer.start()
        for records in batches:
            done = asyncio.get_running_loop().create_future()
            start = self.ends.get(device, START)
            end = Position(start.seq + len(records), bytes(32))
            numbered = tuple(enumerate(records, start=start.seq + 1))
            work = Work(
                self.owner.author, peer, "register", done.set_result, [Delivery(1, start, end, numbered)]
            )
            committer.submit(work)
            outcome = await done
            if outcome.error is not None:
                await committer.stop()
                return outcome.error
            self.ends[device] = end
            self.told.setdefault(device, []).extend(one for _, refused in outcome.stored for one in refused)
        await committer.stop()
        return None

    def reasons(self, device="Caisse 1"):
        return {(one.code, one.held, one.reason) for one in self.told.get(device, [])}

    def look(self, what):
        with closing(SqliteStore(self.path)) as store:
            return what(store.shop(self.owner.author))

    def entries(self):
        """Links of the entries of both registers that are stored."""
        rows = self.look(lambda log: list(log.read(0, bytes_max=1 << 30).records))
        known = {entry_record(entry.sealed): entry for till in self.tills for entry in till.entries}
        return [known[record] for _, record in rows if record in known]

    @property
    def tills(self):
        return self.till, self.neighbour


@pytest.fixture
def shop(tmp_path):
    return OneShop(tmp_path)


def records(entries):
    return [entry_record(entry.sealed) for entry in entries]


def sold(till, count):
    return [till.sell() for _ in range(count)]


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        ({"records_max": 8}, "this shop has the 8 records that it may have on the relay"),
        ({"bytes_max": 1 << 20, "documents_max": 2}, "this shop has the 2 documents that it may have on the"),
    ],
)
async def test_what_is_over_the_quota_of_a_shop_is_held_and_comes_in_when_there_is_room(shop, quota, words):
    shop.opened_anew(**quota)
    await shop.bring(records(shop.owner.entries), device="relay")
    sales = [*shop.till.entries, *sold(shop.till, 3)]
    later = sold(shop.till, 3) if "records_max" in quota else [shop.till.sell(bd="2026-11-25")]
    assert await shop.bring(records(sales), records(later)) is None
    (reason,) = shop.reasons()
    assert reason[:2] == ("over-limit", True)
    assert words in reason[2]
    stored, held = len(shop.entries()), shop.look(lambda log: [one.record for one in log.apart()])
    assert held
    assert stored + len(held) == len(sales) + len(later)
    shop.opened_anew()
    assert await shop.bring(records([shop.till.sell(bd="2026-11-25")])) is None
    assert len(shop.entries()) == len(shop.till.entries)
    assert shop.look(lambda log: log.apart()) == []


async def test_the_bytes_of_a_shop_are_bounded_too(shop):
    shop.opened_anew(bytes_max=4000)
    await shop.bring(records(shop.owner.entries), device="relay")
    await shop.bring(records([*shop.till.entries, *sold(shop.till, 9)]))
    assert {reason for _, _, reason in shop.reasons()} == {
        "this shop has the 0 MB that it may have on the relay"
    }
    assert sum(row.records_bytes for row in shop.look(lambda log: log.documents())) <= 4000


async def test_a_yjs_document_too_many_is_held(shop):
    shop.opened_anew(documents_max=3)
    await shop.bring(records(shop.owner.entries), device="relay")
    updates = [update_record(f"x/{number}", A_NOTE) for number in range(4)]
    await shop.bring(updates)
    assert len(shop.told["Caisse 1"]) == 2
    assert {row.name for row in shop.look(lambda log: log.documents())} == {"owner", "x/0", "x/1"}


async def test_at_its_quota_a_shop_still_gets_certificates_and_revocations(shop):
    shop.opened_anew(records_max=1)
    late = shop.owner.enrol("Caisse 3", series="03")
    shop.owner.revoke(late)
    assert await shop.bring(records(shop.owner.entries), device="relay") is None
    assert shop.reasons("relay") == set()
    assert shop.look(lambda log: log.document("owner").records) == len(shop.owner.entries)


async def test_what_is_stored_already_and_comes_again_is_not_told_to_be_held(shop):
    await shop.bring(records(shop.owner.entries), device="relay")
    everything = records([*shop.till.entries, *sold(shop.till, 5)])
    await shop.bring(everything)
    shop.opened_anew(records_max=1)
    await shop.bring(everything, device="a disk that was copied")
    assert shop.reasons("a disk that was copied") == set()


async def test_a_transaction_that_failed_takes_nothing_of_the_quota(shop, monkeypatch):
    shop.opened_anew(records_max=7)
    await shop.bring(records(shop.owner.entries), device="relay")
    with monkeypatch.context() as disk:
        disk.setattr("crdtsync.storage.database.Database.commit", full)
        for _ in range(5):
            assert await shop.bring(records(shop.till.entries)) is not None
    assert await shop.bring(records([*shop.till.entries, *sold(shop.till, 2)])) is None
    assert shop.reasons() == set()


def full(database):
    raise OSError("no space left")


@pytest.mark.slow
async def test_a_device_that_signs_with_gaps_makes_a_bounded_number_of_runs(shop):
    await shop.bring(records(shop.owner.entries), device="relay")
    sold(shop.till, 4 * RUNS_PER_CHAIN_MAX)
    some = records(shop.till.entries[::2])
    batches = [some[first : first + 97] for first in range(0, len(some), 97)]
    assert await shop.bring(*batches) is None
    runs = shop.look(lambda log: len(log.runs(shop.till.end.chain)))
    assert RUNS_PER_CHAIN_MAX - 2 <= runs <= RUNS_PER_CHAIN_MAX + 2
    assert shop.reasons() == {
        ("over-limit", True, f"the entries of this chain have {RUNS_PER_CHAIN_MAX} gaps or branches already")
    }
    assert runs + len(shop.told["Caisse 1"]) == len(some)


@pytest.mark.slow
async def test_beside_such_a_device_a_register_sells_on_and_even_its_own_chain_goes_on(shop):
    await shop.bring(records(shop.owner.entries), device="relay")
    sold(shop.till, 3 * RUNS_PER_CHAIN_MAX)
    await shop.bring(records(shop.till.entries[::2]))
    honest = [*shop.neighbour.entries, *sold(shop.neighbour, 50)]
    assert await shop.bring(records(honest), device="Caisse 2") is None
    assert shop.reasons("Caisse 2") == set()
    # What fills a gap makes fewer runs, not more.
    before = len(shop.told["Caisse 1"])
    await shop.bring(records(shop.till.entries[1:200:2]))
    assert len(shop.told["Caisse 1"]) == before
    numbers = [(entry.facts.n, entry.facts.n) for entry in shop.entries() if entry.author == shop.till.author]
    assert merged(numbers)[0] == (1, 201)


async def test_a_device_begins_a_bounded_number_of_chains(shop):
    await shop.bring(records(shop.owner.entries), device="relay")
    sale = shop.till.sell()
    others = [
        entry_record(seal(sale.body | {"chain": number.to_bytes(32, "big").hex()}, shop.till.key))
        for number in range(CHAINS_PER_DEVICE_MAX + 20)
    ]
    assert await shop.bring(*([one] for one in others)) is None
    assert shop.reasons() == {
        ("over-limit", True, f"this device has begun {CHAINS_PER_DEVICE_MAX} chains of entries already")
    }
    assert len(shop.told["Caisse 1"]) == 20
    assert await shop.bring(records(shop.neighbour.entries), device="Caisse 2") is None
    assert shop.reasons("Caisse 2") == set()


@pytest.mark.parametrize("bound", ["APART_RECORDS_MAX", "APART_BYTES_MAX"])
async def test_what_is_kept_apart_is_bounded_and_its_sender_keeps_the_rest(shop, monkeypatch, bound):
    monkeypatch.setattr(bounding, bound, {"APART_RECORDS_MAX": 10, "APART_BYTES_MAX": 300}[bound])
    await shop.bring(records(shop.owner.entries), device="relay")
    rubbish = [bytes([65 + number]) * 30 for number in range(25)]
    error = await shop.bring(*([one] for one in rubbish))
    assert (error.code, shop.ends["Caisse 1"].seq) == (4514, 10)
    assert "the relay can keep nothing more that it does not admit" in str(error)
    assert shop.look(lambda log: len(log.apart())) == 10
    # It may come again, and others go on.
    assert (await shop.bring(rubbish[10:11])).code == 4514
    assert await shop.bring(records(shop.neighbour.entries), device="Caisse 2") is None
    assert (
        shop.look(lambda log: log.cursor(hashlib.sha256(b"Caisse 2").digest()[:ID_BYTES]).position.seq) == 1
    )


def test_an_item_of_a_document_without_entries_needs_no_chain(tmp_path):
    with closing(SqliteStore(tmp_path / "one.sqlite")) as store, store.transaction():
        log = store.create_shop(b"s" * 16, b"l" * 16)
        bounds = Bounds(Quota())
        bounds.begin(log)
        record = update_record("x/notes", A_NOTE)
        assert bounds.judge(log, Item(record, "x/notes", hashlib.sha256(record).digest())) is None


ONE, OTHER = b"d" * 16, b"e" * 16


def refusal_of(number):
    return Refusal(number, bytes([number]) * 32, "revoked", "revoked", held=True)


class Filling:
    """Devices whose records are kept apart, 100 bytes each, in transactions of one record."""

    def __init__(self, folder):
        self.path, self.numbers = folder / "one.sqlite", iter(range(1, 200))
        with closing(SqliteStore(self.path)) as store, store.transaction():
            store.create_shop(b"s" * 16, b"l" * 16)
        self.bounds = Bounds(Quota())

    def keep(self, device, peer_log):
        """One more; whether there was room."""
        number = next(self.numbers)
        with closing(SqliteStore(self.path)) as store, store.transaction():
            log = store.shop(b"s" * 16)
            self.bounds.begin(log)
            record = bytes([number]) * 100
            try:
                self.bounds.keep_apart(log, peer_log, refusal_of(number), record, device)
            except LinkClosed:
                return False
            log.refuse(peer_log, refusal_of(number), record, 0)
            self.bounds.finish(log)
        return True

    def settle(self, number):
        """A person has let one in."""
        with closing(SqliteStore(self.path)) as store, store.transaction():
            store.shop(b"s" * 16).settle_refusals(bytes([number]) * 32)


@pytest.fixture
def filling(tmp_path):
    return Filling(tmp_path)


@pytest.mark.parametrize(("bound", "value"), [("APART_BYTES_MAX", 350), ("APART_RECORDS_MAX", 3)])
def test_each_device_has_a_share_of_its_own(filling, monkeypatch, bound, value):
    """Also a register that was stolen: whoever fills his, takes no room of the others."""
    monkeypatch.setattr(bounding, bound, value)
    assert [filling.keep(ONE, b"p" * 16) for _ in range(5)] == [True, True, True, False, False]
    assert [filling.keep(OTHER, b"q" * 16) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("is_opened_anew", [False, True])
def test_a_device_gets_no_second_share_under_another_id_of_its_log(filling, monkeypatch, is_opened_anew):
    monkeypatch.setattr(bounding, "APART_BYTES_MAX", 350)
    found = []
    for number in range(5):
        if is_opened_anew:
            filling.bounds = Bounds(Quota())
        found.append(filling.keep(ONE, bytes([65 + number]) * 16))
    assert found == [True, True, True, False, False]


def test_nor_may_it_have_something_kept_apart_under_ever_more_of_them(filling, monkeypatch):
    monkeypatch.setattr(bounding, "APART_LOGS_MAX", 2)
    assert [filling.keep(ONE, bytes([65 + number]) * 16) for number in range(3)] == [True, True, False]
    assert filling.keep(ONE, b"A" * 16)


def test_what_a_person_has_let_in_makes_room(filling, monkeypatch):
    monkeypatch.setattr(bounding, "APART_BYTES_MAX", 250)
    assert [filling.keep(ONE, b"p" * 16) for _ in range(3)] == [True, True, False]
    filling.settle(1)
    assert [filling.keep(ONE, b"p" * 16) for _ in range(2)] == [True, False]


def test_a_file_whose_sender_nobody_knows_has_a_share_too(filling, monkeypatch):
    monkeypatch.setattr(bounding, "APART_BYTES_MAX", 250)
    assert [filling.keep(b"", b"f" * 16) for _ in range(3)] == [True, True, False]
    assert filling.keep(ONE, b"p" * 16)
