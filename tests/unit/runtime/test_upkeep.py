"""What is done beside the commits: checking signatures that only later entries vouched for, and packing."""

import asyncio

import pytest

from crdtsync.ids import ENTRY, Position
from crdtsync.model import sealed
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing import upkeep as upkeep_module
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.signature_checks import bad_signatures, checked_up_to
from crdtsync.runtime.committing.work import Work
from crdtsync.runtime.committing.writer import append_entry
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.tail import Growth, Row
from crdtsync.storage.memory import MemoryStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import made_up_update

PEER = b"p" * 16
STRANGER = PrivateKey.from_seed(b"another")


class Growths(list):
    def committed(self, growths, seconds, error):
        assert error is None
        self.extend(growths)


@pytest.fixture
def sold(tmp_path):
    """The shop, and the records of a register that sold alone."""
    with Register.init(tmp_path / "till", name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
        till.open_day(10_000)
        for _ in range(5):
            till.sell(["CM-19"], ["card"])
        rows = till.replica.log.read(0, bytes_max=1 << 20).records
        yield till.identity.shop, [record for _, record in rows if record[:1] == ENTRY], till.replica.key


@pytest.fixture
def path(tmp_path, sold):
    path = tmp_path / "other.sqlite"
    store = SqliteStore(path)
    with store.transaction():
        store.create_shop(sold[0], b"l" * 16)
    store.close()
    return path


async def receive(path, shop, records):
    """Take records as from a peer, with a committer that lives as long as that takes."""
    growths = Growths()
    admission = Admission(shop)
    committer = Committer(lambda: SqliteStore(path), lambda _: admission, growths, lambda: 0, lambda: 0.0)
    committer.start()
    done = asyncio.get_running_loop().create_future()
    end = Position(len(records), b"\1" * 32)
    numbered = tuple(enumerate(records, start=1))
    work = Work(shop, PEER, "relay", done.set_result, [Delivery(1, Position(0, bytes(32)), end, numbered)])
    committer.submit(work)
    outcome = await done
    await committer.stop()
    return outcome, growths


@pytest.fixture
def checked_whole(upkeep_of):
    """Run the steps until there is nothing to do; what the log says then."""

    def check(path, shop, saves_that_fail=0):
        store, left = SqliteStore(path), [saves_that_fail]

        def fails():
            left[0] -= 1
            return left[0] >= 0

        upkeep = upkeep_of(store, reading=SqliteStore(path), fails=fails)
        while upkeep.step(is_quiet=False):
            pass
        upkeep.save()
        log = store.shop(shop)
        return checked_up_to(log), bad_signatures(log), log.end.seq

    return check


async def test_of_a_run_only_the_last_signature_is_verified_before_it_is_stored(path, sold):
    shop, records, _ = sold
    outcome, growths = await receive(path, shop, records)
    assert outcome.error is None
    own = [row for row in growths[0].rows if b'"kind":"owner"' not in row.record]
    waiting = [row.seq for row in own if b'"kind":"certify"' not in row.record][:-1]
    assert list(growths[0].unchecked) == waiting


def test_who_has_many_signatures_to_check_lets_others_go_first_until_few_are_left(
    path, sold, upkeep_of, monkeypatch
):
    monkeypatch.setattr(upkeep_module, "FAR_BEHIND_ROWS", 3)
    monkeypatch.setattr(upkeep_module, "CHECKS_PER_STEP", 4)
    shop, records, _ = sold
    store = SqliteStore(path)
    with store.transaction():
        for record in records:
            append_entry(store.shop(shop), read_entry(record[1:]))
    upkeep = upkeep_of(store, reading=SqliteStore(path))
    far_behind = [upkeep.is_far_behind]
    while upkeep.step(is_quiet=False):
        far_behind.append(upkeep.is_far_behind)
    assert (far_behind[0], far_behind[-1]) == (True, False)


async def test_the_other_signatures_are_checked_afterwards(path, sold, checked_whole):
    shop, records, _ = sold
    await receive(path, shop, records)
    checked, bad, end = checked_whole(path, shop)
    assert (checked, bad) == (end, [])


async def test_an_entry_in_a_run_that_its_author_did_not_sign_is_found_and_kept(path, sold, checked_whole):
    shop, records, key = sold
    records, forged_at = resigned(records, key)
    outcome, growths = await receive(path, shop, records)
    assert outcome.stored[0][1] == ()
    checked, bad, end = checked_whole(path, shop)
    assert bad == [growths[0].rows[forged_at].seq]
    assert checked == end == len(records)


def test_what_comes_in_while_it_runs_is_checked_too(path, sold, upkeep_of):
    shop, records, key = sold
    records, forged_at = resigned(records, key)
    store = SqliteStore(path)
    upkeep, log = upkeep_of(store, reading=SqliteStore(path)), store.shop(shop)
    start, rows = log.end, []
    with store.transaction():
        for record in records:
            seq = append_entry(log, read_entry(record[1:]))
            rows.append(Row(seq, log.hash_at(seq), record, None))
    upkeep.grew(Growth(shop, start, rows, unchecked=tuple(row.seq for row in rows[:-1])))
    while upkeep.step(is_quiet=False):
        pass
    assert bad_signatures(log) == [rows[forged_at].seq]


async def test_what_was_found_is_told_also_when_the_disk_was_full_at_that_moment(path, sold, checked_whole):
    shop, records, key = sold
    records, forged_at = resigned(records, key)
    _, growths = await receive(path, shop, records)
    checked, bad, end = checked_whole(path, shop, saves_that_fail=1)
    assert (checked, bad) == (end, [growths[0].rows[forged_at].seq])


async def test_a_bad_last_signature_of_a_run_refuses_that_entry_alone(path, sold):
    shop, records, _ = sold
    last = read_entry(records[-1][1:])
    forged = ENTRY + seal(last.body, STRANGER)
    outcome, growths = await receive(path, shop, [*records[:-1], forged])
    assert [refusal.code for refusal in outcome.stored[0][1]] == ["bad-signature"]
    assert growths[0].unchecked == ()


def resigned(records, key):
    """The run made again by its own author, with one entry in the middle under another key; its place."""
    place = len(records) - 3
    entries = [read_entry(record[1:]) for record in records]
    prev = entries[place].facts.prev
    made = list(records[:place])
    for number, entry in enumerate(entries[place:]):
        body = {**entry.body, "prev": prev.hex()}
        data = seal(body, STRANGER if number == 0 else key)
        made.append(ENTRY + data)
        prev = sealed.link(data)
    return made, place


@pytest.fixture
def made_up_log(upkeep_of):
    """A log of so many records, in memory, and its upkeep with packs of ten."""

    def make(rows, **options):
        store = MemoryStore()
        with store.transaction():
            log = store.create_shop(b"s" * 16, b"l" * 16)
            for number in range(rows):
                log.append(made_up_update("catalogue", b"%d" % number))
        return log, upkeep_of(store, pack_rows=10, loose_rows=15, **options)

    return make


def test_old_rows_are_packed_in_a_quiet_moment_and_the_newest_stay_loose(made_up_log):
    log, upkeep = made_up_log(50)
    while upkeep.step(is_quiet=True):
        pass
    assert [log.pack_at(seq) is not None for seq in (1, 10, 30, 31, 50)] == [True, True, True, False, False]


def test_nothing_is_packed_while_sales_come_in(made_up_log):
    log, upkeep = made_up_log(50)
    while upkeep.step(is_quiet=False):
        pass
    assert log.pack_at(1) is None


def test_a_log_that_is_far_behind_is_packed_without_waiting(made_up_log):
    log, upkeep = made_up_log(120)
    while upkeep.step(is_quiet=False):
        pass
    assert log.pack_at(1) is not None
    assert log.pack_at(40) is None


def test_on_a_full_disk_a_pack_is_tried_once_and_not_over_and_over(made_up_log):
    tries = []
    _, upkeep = made_up_log(50, fails=lambda: not tries.append(1))
    for _ in range(20):
        upkeep.step(is_quiet=True)
    assert len(tries) <= 2  # One pack, and how far the signatures are checked.
    assert not upkeep.waits_for_quiet
