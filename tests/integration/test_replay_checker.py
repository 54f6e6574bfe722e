"""The checker finds what was altered, even by hands that know the format and mend every link after it."""

import hashlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from benchmarks.replay import source
from benchmarks.replay.check.__main__ import main
from benchmarks.replay.check.compare import said_defects
from benchmarks.replay.check.store import unpack
from benchmarks.replay.clock import DAY_STARTS_MIN, SourceClock, business_day
from benchmarks.replay.mapping import lines_of, payments_of
from crdtsync.cli.status import status_facts
from crdtsync.runtime.register.register import Register
from crdtsync.storage.pack import encode_pack
from crdtsync.storage.sqlite import SqliteStore

pytestmark = pytest.mark.slow

STORE = 42
ROOT = Path(__file__).parents[2]
WINES = (
    ("Crozes-Hermitage", "SPIRITS"),
    ("Terrine", "GROCERY"),
    ("Tire-bouchon", "DRUG GM"),
    ("Pain", "PASTRY"),
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A source of the form of the package's, of a wine shop: 12 baskets on 3 days."""
    import pandas as pd

    folder, seeded = tmp_path_factory.mktemp("source"), random.Random(3)
    products = pd.DataFrame(
        [(number, department, name, "75 CL") for number, (name, department) in enumerate(WINES, start=1)],
        columns=["product_id", "department", "product_type", "package_size"],
    )
    rows = []
    for basket in range(100, 112):
        at = pd.Timestamp("2017-03-01 15:00:00") + pd.Timedelta(hours=6 * (basket - 100))
        for product in seeded.sample(range(1, 5), seeded.randint(1, 4)):
            amounts = (
                seeded.randint(1, 9999) / 100,
                seeded.randint(0, 99) / 100,
                seeded.choice((0.0, 0.5)),
                0.0,
            )
            rows.append((STORE, basket, product, seeded.randint(0, 3), *amounts, at))
    columns = ["store_id", "basket_id", "product_id", "quantity", *source.AMOUNTS, "transaction_timestamp"]
    transactions = pd.DataFrame(rows, columns=columns)
    transactions["transaction_timestamp"] = transactions["transaction_timestamp"].astype("datetime64[ns]")
    products.to_parquet(folder / "products.parquet")
    transactions.to_parquet(folder / "transactions.parquet")
    return folder


@pytest.fixture(scope="module")
def sold(raw, tmp_path_factory):
    """What a replay with one register leaves behind. (One log may well have two copies.)"""
    folder = tmp_path_factory.mktemp("replayed")
    clock, told = SourceClock(0), []
    baskets = source.read_store(raw, STORE)
    clock.set(baskets[0].at_ms)
    settings = {"clock": clock, "day_starts_min": DAY_STARTS_MIN}
    with Register.init(folder / "till-1", name="till 1", **settings) as register:
        day = ""
        for basket in baskets:
            clock.set(basket.at_ms)
            if day != (day := business_day(basket.at_ms)):
                register.open_day(10_000, day)
            ticket = register.sell(lines_of(basket), payments_of(basket), request_id=str(basket.basket_id))
            told.append({"basket": basket.basket_id, "number": ticket.number, "link": ticket.link.hex()})
        register.close_day()
    (folder / "till-1" / "told.jsonl").write_text("".join(json.dumps(one) + "\n" for one in told))
    (folder / "relay").mkdir()
    settle(folder / "till-1" / "register.sqlite", folder / "relay" / "relay.sqlite")
    return folder


@pytest.fixture
def folder(sold, tmp_path):
    shutil.copytree(sold, tmp_path / "copy")
    return tmp_path / "copy"


def settle(store, copy):
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(store, copy)


def check(folder, raw, capsys):
    """The exit code, and what is different."""
    capsys.readouterr()
    code = main([str(folder), "--store-id", str(STORE), "--registers", "1", "--source", str(raw), "--json"])
    return code, json.loads(capsys.readouterr().out)["defects"]


def rewrite(folder, change, *, copies=("till-1/register.sqlite", "relay/relay.sqlite")):
    """Change what entries say, in these copies, and mend everything after it: links, hashes, prev.

    ``change`` gets the bodies of one chain after the other, and gives back those that are to be there.
    Signatures cannot be mended; the checker leaves them to the product's own `verify`.
    """
    for name in copies:
        with closing(sqlite3.connect(folder / name)) as connection, connection:
            rows = connection.execute("SELECT pos, bytes FROM record ORDER BY pos").fetchall()
            sealed = [bytes(record[1:]).split(b"\0") for _, record in rows]
            bodies = [json.loads(body) for body, _ in sealed]
            signatures = {id(body): signature for body, (_, signature) in zip(bodies, sealed, strict=True)}
            connection.execute("DELETE FROM record")
            h, links = bytes(32), {}
            for place, body in enumerate(change(bodies)):
                mended = {"prev": links[body["chain"]]} if body.get("chain") in links else {}
                record = b"E" + text(body | mended) + b"\0" + signatures[id(body)]
                h = hashlib.sha256(h + len(record).to_bytes(4, "big") + record).digest()
                link = hashlib.sha256(record[1:]).hexdigest()
                links[body.get("chain", link)] = link
                row = (
                    rows[0][0] + place,
                    1,
                    None,
                    None,
                    1,
                    place + 1,
                    0,
                    bytes.fromhex(link),
                    None,
                    h,
                    record,
                )
                connection.execute(f"INSERT INTO record VALUES ({', '.join('?' * 11)})", row)
            connection.execute("UPDATE shop SET seq = 0, h = ?", (bytes(32),))


def text(body):
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def without_told(folder):
    """As if nobody had written down what was told: the ledgers alone have to show it."""
    (folder / "till-1" / "told.jsonl").unlink()


def one_sale(bodies, place=4):
    return [number for number, body in enumerate(bodies) if body["kind"] == "sale"][place]


def test_stores_that_hold_what_the_source_says_pass(folder, raw, capsys):
    assert check(folder, raw, capsys) == (0, [])


def test_stores_rewritten_as_they_were_pass_so_that_the_rest_is_about_what_was_changed(folder, raw, capsys):
    rewrite(folder, lambda bodies: bodies)
    assert check(folder, raw, capsys) == (0, [])


def test_an_altered_byte_is_found_by_the_running_hash(folder, raw, capsys):
    with closing(sqlite3.connect(folder / "relay" / "relay.sqlite")) as connection, connection:
        altered = "CAST(replace(CAST(bytes AS TEXT), '\"qty\":2000', '\"qty\":3000') AS BLOB)"
        connection.execute(f"UPDATE record SET bytes = {altered}")
    code, defects = check(folder, raw, capsys)
    assert code == 1
    assert any("relay: the running hash" in defect for defect in defects)


def test_a_copy_with_another_amount_differs_from_the_other(folder, raw, capsys):
    def dearer(bodies):
        lines = bodies[one_sale(bodies)]["lines"]
        lines[0]["ttc"] += 1
        return bodies

    rewrite(folder, dearer, copies=["relay/relay.sqlite"])
    _, defects = check(folder, raw, capsys)
    assert any("differs between till-1 and relay" in defect for defect in defects)


def test_an_amount_altered_everywhere_is_found_by_the_source(folder, raw, capsys):
    without_told(folder)

    def dearer(bodies):
        line = bodies[one_sale(bodies)]["lines"][0]
        line["pu"], line["ttc"] = line["pu"] + 1, line["ttc"] + 1
        return bodies

    rewrite(folder, dearer)
    _, defects = check(folder, raw, capsys)
    assert any("in the source" in defect for defect in defects)


def test_two_amounts_that_cancel_out_in_the_days_money_are_found_all_the_same(folder, raw, capsys):
    without_told(folder)

    def shifted(bodies):
        lines = next(body["lines"] for body in bodies if len(body.get("lines", ())) > 1)
        for line, by in zip(lines, (1, -1), strict=False):
            line["ttc"], line["disc"] = line["ttc"] + by, line["disc"] - by
        return bodies

    rewrite(folder, shifted)
    _, defects = check(folder, raw, capsys)
    assert any(defect.startswith("till-1: basket") for defect in defects)


def test_a_ticket_dropped_everywhere_is_missed(folder, raw, capsys):
    without_told(folder)
    rewrite(folder, lambda bodies: bodies[: one_sale(bodies)] + bodies[one_sale(bodies) + 1 :])
    _, defects = check(folder, raw, capsys)
    assert any("is in no ticket" in defect for defect in defects)
    assert any("is expected, and" in defect for defect in defects)


def test_a_ticket_dropped_at_the_end_is_missed_though_no_number_is(folder, raw, capsys):
    def shorter(bodies):
        return bodies[: one_sale(bodies, -1)]

    rewrite(folder, shorter)
    _, defects = check(folder, raw, capsys)
    assert any("is in no ticket" in defect for defect in defects)
    assert any("told to be paid is not there" in defect for defect in defects)


def test_a_number_given_twice_is_found(folder, raw, capsys):
    without_told(folder)

    def doubled(bodies):
        bodies[one_sale(bodies, 5)]["num"] = bodies[one_sale(bodies, 4)]["num"]
        return bodies

    rewrite(folder, doubled)
    _, defects = check(folder, raw, capsys)
    assert any("ticket 6 is expected, and" in defect for defect in defects)


def test_a_basket_sold_twice_is_found(folder, raw, capsys):
    without_told(folder)

    def twice(bodies):
        place = one_sale(bodies)
        return [*bodies[: place + 1], *bodies[place:]]

    rewrite(folder, twice)
    _, defects = check(folder, raw, capsys)
    assert any("is there twice" in defect for defect in defects)


def test_a_ticket_moved_to_another_day_is_found(folder, raw, capsys):
    without_told(folder)

    def moved(bodies):
        bodies[one_sale(bodies, 0)]["bd"] = "2017-02-28"
        return bodies

    rewrite(folder, moved)
    _, defects = check(folder, raw, capsys)
    assert any("tickets, lines and money of register 1, 2017-02-28" in defect for defect in defects)


def test_a_closing_that_says_something_else_is_found(folder, raw, capsys):
    without_told(folder)

    def lying(bodies):
        next(body for body in bodies if body["kind"] == "close")["total"] += 1
        return bodies

    rewrite(folder, lying)
    _, defects = check(folder, raw, capsys)
    assert any("the closing of" in defect for defect in defects)


def test_a_means_of_payment_exchanged_for_another_is_found(folder, raw, capsys):
    without_told(folder)

    def exchanged(bodies):
        bodies[one_sale(bodies)]["pay"][-1]["m"] = "titre"
        return bodies

    rewrite(folder, exchanged)
    _, defects = check(folder, raw, capsys)
    assert any(defect.startswith("till-1: means of payment") for defect in defects)


def test_a_record_that_is_missing_in_one_copy_is_found(folder, raw, capsys):
    with closing(sqlite3.connect(folder / "relay" / "relay.sqlite")) as connection, connection:
        connection.execute("DELETE FROM record WHERE pos & 1099511627775 = 9")
    _, defects = check(folder, raw, capsys)
    assert "relay: record 9 is expected, and 10 comes" in defects


def said(folder, register):
    """What `status --documents` of the one register says, as the replay keeps it, of what is there."""
    with Register.open(folder / register) as opened:
        facts = orjson.loads(
            orjson.dumps(status_facts(opened.status(all_documents=True), []), default=bytes.hex)
        )
    settle(folder / register / "register.sqlite", folder / "relay" / "relay.sqlite")
    return facts | {"pending_records": 0}


def say(folder, register, facts):
    (folder / register / "documents.json").write_text(json.dumps(facts))


def test_what_status_says_of_ledgers_is_held_against_the_bytes(folder, raw, capsys):
    facts = said(folder, "till-1")
    say(folder, "till-1", facts)
    assert check(folder, raw, capsys) == (0, [])
    ledger = next(row for row in facts["documents"] if row["name"].startswith("ledger/"))
    ledger["fingerprint"] = "0" * 64
    say(folder, "till-1", facts)
    code, defects = check(folder, raw, capsys)
    assert code == 1
    assert f"till-1: status gives {ledger['name']} the fingerprint {'0' * 64}" in defects[0]


def test_registers_that_say_something_else_of_a_yjs_document_are_told():
    one = {"documents": [{"name": "catalogue", "fingerprint": "a" * 64}]}
    other = {"documents": [{"name": "catalogue", "fingerprint": "b" * 64}]}
    assert list(said_defects({"till-1": one, "till-2": one})) == []
    assert list(said_defects({"till-1": one, "till-2": other})) == [
        "till-1 and till-2 say that they hold something else in catalogue"
    ]
    assert list(said_defects({"till-1": one, "till-2": {"documents": []}})) != []


def test_a_copy_that_is_not_there_is_a_difference(folder, raw, capsys):
    (folder / "relay" / "relay.sqlite").unlink()
    code, defects = check(folder, raw, capsys)
    assert code == 1
    assert any(defect.startswith("relay: the store cannot be read") for defect in defects)


def test_packed_rows_are_read_like_loose_ones(folder, raw, capsys):
    store = SqliteStore(folder / "relay" / "relay.sqlite")
    log = store.shop(store.shops()[0])
    with store.transaction():
        assert log.pack(10, log.end.seq)
    store.close()
    assert check(folder, raw, capsys) == (0, [])


def test_the_checkers_own_reader_gives_back_what_was_packed():
    seeded = random.Random(5)
    plain = [(n, b"U\0\1x" + seeded.randbytes(seeded.randrange(200))) for n in range(3, 40) if n % 7]
    assert unpack(encode_pack(plain, first=2, last=41)) == dict(plain)


def test_the_checker_needs_nothing_of_the_product(folder, raw):
    program = (
        "import sys; sys.modules['crdtsync'] = sys.modules['crdtsync_server'] = None\n"
        "from benchmarks.replay.check.__main__ import main; sys.exit(main())"
    )
    arguments = [str(folder), "--store-id", str(STORE), "--registers", "1", "--source", str(raw)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "everything is equal")
