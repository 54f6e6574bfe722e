"""A file whose bytes are not what was written: never another answer, always a named damage."""

import random
import shutil

import pytest

from crdtsync.errors import CrdtsyncError, DamagedStore, StorageError
from crdtsync.ids import Origin, Position
from crdtsync.storage.log import Cursor, Refusal
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, LOG, PEER = b"s" * 16, b"l" * 16, b"p" * 16
TILLS = [MadeUpChain(1), MadeUpChain(2)]
SALES = [TILLS[number % 2].entry(Origin(PEER, number) if number % 3 else None) for number in range(24)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store with something in every table, all of it in the main file."""
    path = tmp_path_factory.mktemp("whole") / "shop.db"
    store = SqliteStore(path)
    with store.transaction():
        log = store.create_shop(SHOP, LOG)
        for number, sale in enumerate(SALES):
            log.append(sale)
            if number % 5 == 0:
                log.append(made_up_update("catalogue", b"%d" % number))
        log.set_cursor(PEER, Cursor(Position(30, b"h" * 32), ((1, 2),)))
        log.set_acknowledged(PEER, Position(9, log.hash_at(9)), 5)
        log.refuse(PEER, Refusal(31, b"d" * 32, "code", "reason", True), b"refused bytes", 7)
        log.set_refusals_received(PEER, [Refusal(3, b"e" * 32, "code", "reason", True)], complete=True)
        log.set_state("head", b"head of the chain")
        log.set_request("request-1", b"k" * 32, 4)
        log.pack(12, 99)
        log.compact(made_up_update("catalogue", b"state", state=True), [2, 14])
    store.close()
    return path


def answers(store):
    """Every answer of a log, or None where it raised."""
    chains = [till.chain for till in TILLS]
    questions = {
        "ids": lambda log: (log.log_id, log.end),
        "rows": lambda log: log.read(0, bytes_max=1 << 20),
        "skipped": lambda log: log.read(0, bytes_max=1 << 20, skip_origin=Origin(PEER, 9999)),
        "later rows": lambda log: log.read(20, bytes_max=1 << 20),
        "hashes": lambda log: [log.hash_at(seq) for seq in range(40)],
        "chains": lambda log: [list(log.chain_entries(chain, 1, 99)) for chain in chains],
        "entries": lambda log: [log.entry(chain, n) for chain in chains for n in (1, 5, 12)],
        "catalogue": lambda log: list(log.document_records("catalogue")),
        "documents": lambda log: log.documents(),
        "runs": lambda log: log.runs(),
        "pending": lambda log: [list(log.unacknowledged(peer)) for peer in (None, PEER)],
        "cursor": lambda log: log.cursor(PEER),
        "acknowledged": lambda log: log.acknowledged(PEER),
        "refusals": lambda log: (log.refusals_given(PEER), log.refusals_received(PEER)),
        "apart": lambda log: log.apart(),
        "small": lambda log: (log.state("head"), log.request("request-1")),
        "pack": lambda log: log.pack_at(3),
    }
    found = {}
    for name, question in questions.items():
        try:
            found[name] = question(store.shop(SHOP))
        except (StorageError, KeyError):
            found[name] = None
    return found


def damages(path):
    """What checking finds, or that the store cannot even be opened."""
    try:
        store = SqliteStore(path)
    except StorageError as error:
        return [error]
    found = list(store.check())
    store.close()
    return found


def test_a_whole_store_has_no_damage(whole):
    assert damages(whole) == []


def changed_copy(whole, folder, change):
    path = folder / "shop.db"
    content = bytearray(whole.read_bytes())
    change(content)
    path.write_bytes(content)
    for name in ("shop.db-wal", "shop.db-shm"):
        (folder / name).unlink(missing_ok=True)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_changed_byte_gives_another_answer_without_being_noticed(whole, tmp_path, seed):
    store = SqliteStore(whole)
    truth = answers(store)
    store.close()
    pick = random.Random(seed)
    noticed = 0
    for _ in range(100):
        place, bit = pick.randrange(whole.stat().st_size), 1 << pick.randrange(8)

        def flip(content, place=place, bit=bit):
            content[place] ^= bit

        path = changed_copy(whole, tmp_path, flip)
        try:
            store = SqliteStore(path)
        except StorageError:
            noticed += 1
            continue
        found = answers(store)
        store.close()
        wrong = [name for name, answer in found.items() if answer is not None and answer != truth[name]]
        assert "rows" not in wrong, place
        assert "hashes" not in wrong, place
        if found != truth:
            noticed += 1
            assert damages(path), (place, wrong)
    assert noticed > 10


def test_a_changed_record_is_named(whole, tmp_path):
    needle = SALES[20].record[40:200]

    def change(content):
        content[content.index(needle)] ^= 1

    path = changed_copy(whole, tmp_path, change)
    [damage] = damages(path)
    [seq] = [seq for seq, record in enumerate_records(whole) if record == SALES[20].record]
    assert (damage.shop, damage.seq, damage.document) == (SHOP, seq, SALES[20].document)


def enumerate_records(path):
    store = SqliteStore(path)
    records = store.shop(SHOP).read(0, bytes_max=1 << 20).records
    store.close()
    return records


def test_a_damaged_pack_is_set_apart_and_fetched_again(whole, tmp_path):
    store = SqliteStore(whole)
    blob = store.shop(SHOP).pack_at(1).blob
    store.close()

    def change(content):
        content[content.index(blob[60:200])] ^= 1

    store = SqliteStore(changed_copy(whole, tmp_path, change))
    log = store.shop(SHOP)
    with pytest.raises(DamagedStore) as damage:
        log.read(0, bytes_max=1 << 20)
    assert (damage.value.seq, damage.value.last_seq) == (1, 12)
    end, later = log.end, log.read(12, bytes_max=1 << 20)
    with store.transaction():
        assert log.set_damaged_apart(5, 1)
    assert log.read(0, bytes_max=1 << 20).records == later.records
    assert log.end == end
    assert list(store.check()) == []
    assert (log.cursor(PEER), log.log_id == LOG) == (None, False)
    lost = [sale for sale in SALES if not log.holds(sale.digest, sale.entry.chain, sale.entry.n)]
    assert len(lost) == 10
    with store.transaction():
        assert all(log.append(sale) for sale in lost)
    assert [(run.lo, run.hi) for run in log.runs()] == [(1, 12), (1, 12)]
    assert list(store.check()) == []
    store.close()


def test_a_pack_whose_hashes_are_damaged_is_mended_in_place(whole, tmp_path):
    store = SqliteStore(changed_copy(whole, tmp_path, lambda content: None))
    log = store.shop(SHOP)
    hashes, apart = [log.hash_at(seq) for seq in range(13)], log.apart()
    store.connection.execute("UPDATE pack_hashes SET bytes = zeroblob(length(bytes))")
    store.close()
    store = SqliteStore(tmp_path / "shop.db")
    log = store.shop(SHOP)
    with pytest.raises(DamagedStore):
        log.hash_at(3)
    with store.transaction():
        assert log.set_damaged_apart(3, 1)
    # What lies after a row whose bytes are gone cannot be known before the pack ends.
    assert [log.hash_at(seq) for seq in (0, 1, 12)] == [hashes[seq] for seq in (0, 1, 12)]
    assert log.apart() == apart
    assert list(store.check()) == []
    store.close()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_never_taken_for_a_whole_one(whole, tmp_path, share):
    size = int(whole.stat().st_size * share)

    def cut(content):
        del content[size:]

    path = changed_copy(whole, tmp_path, cut)
    with pytest.raises(CrdtsyncError):
        store = SqliteStore(path, create=False)
        found = list(store.check())
        store.close()
        raise found[0]


def test_a_copied_file_is_as_good_as_the_first(whole, tmp_path):
    shutil.copy(whole, tmp_path / "copy.db")
    store, copy = SqliteStore(whole), SqliteStore(tmp_path / "copy.db")
    assert answers(store) == answers(copy)
    for opened in (store, copy):
        opened.close()


def test_a_store_that_met_damage_does_not_stay_in_the_past(tmp_path, whole):
    shutil.copy(whole, tmp_path / "shop.db")
    store, other = SqliteStore(tmp_path / "shop.db"), SqliteStore(tmp_path / "shop.db")
    end = other.shop(SHOP).end.seq
    other.database.write("UPDATE record SET bytes = x'00' WHERE pos & 1099511627775 = ?", (end,))
    with pytest.raises(DamagedStore) as kept:
        store.shop(SHOP).read(end - 1, bytes_max=1 << 20)
    with other.transaction():
        other.shop(SHOP).set_damaged_apart(end, 7)
    assert store.shop(SHOP).read(end - 1, bytes_max=1 << 20).to.seq == end
    assert kept.value.seq == end
    store.close()
    other.close()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM stretch",
        "DELETE FROM origin",
        "DELETE FROM origin WHERE log_id IS NULL",
        "DELETE FROM pack_origin",
        "UPDATE stretch SET origin = (SELECT no FROM origin WHERE log_id IS NOT NULL)",
        "UPDATE OR REPLACE pack_origin SET origin = (SELECT no FROM origin WHERE log_id IS NOT NULL)",
    ],
)
@pytest.mark.parametrize("acknowledged", [0, 9, 15])
def test_nothing_counts_as_safe_because_what_it_is_found_by_is_lost(whole, tmp_path, sql, acknowledged):
    path = tmp_path / "shop.db"
    shutil.copy(whole, path)
    store = SqliteStore(path)
    log = store.shop(SHOP)
    with store.transaction():
        log.set_acknowledged(PEER, Position(acknowledged, log.hash_at(acknowledged)), 5)
    before = {seq for seq, _ in log.unacknowledged(PEER)}
    store.connection.execute(sql)
    store.close()
    store = SqliteStore(path)
    assert before
    assert {seq for seq, _ in store.shop(SHOP).unacknowledged(PEER)} >= before
    assert list(store.check())
    store.close()


def test_a_row_that_is_gone_is_missed_by_what_is_pending(whole, tmp_path):
    path = tmp_path / "shop.db"
    shutil.copy(whole, path)
    store = SqliteStore(path)
    store.connection.execute("DELETE FROM record WHERE pos & 0xffff = 20")
    with pytest.raises(DamagedStore) as damage:
        list(store.shop(SHOP).unacknowledged(PEER))
    assert damage.value.seq == 20
    store.close()


def test_where_it_is_lost_which_rows_are_ours_they_are_not_taken_for_a_new_peers(whole, tmp_path):
    path = tmp_path / "shop.db"
    shutil.copy(whole, path)
    store = SqliteStore(path)
    store.connection.execute("DELETE FROM origin")
    with pytest.raises(DamagedStore), store.transaction():
        store.shop(SHOP).append(MadeUpChain(3).entry(Origin(PEER, 77)))
    store.close()
