"""The page that says what is on the disk says what the code writes."""

import hashlib
import re
import zlib
from base64 import urlsafe_b64encode
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from crdtsync import Register
from crdtsync.ids import ZERO_HASH, EntryFacts, Item, Origin, next_hash, record_digest, update_record
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.folder.identity import CLOCK, HEAD, IDENTITY, LEFT, OWNER_HEAD, RELAY, REPLACING
from crdtsync.storage import pack_columns, schema
from crdtsync.storage.checksums import checksum
from crdtsync.storage.log import Cursor
from crdtsync.storage.pack import PACK_BYTES_MAX, ROWS_MAX, decode_pack, encode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.sqlite_heads import HEAD_LAG_MAX, RECOUNTED
from crdtsync.storage.sqlite_rows import STRETCH_ROWS_MAX
from crdtsync.storage.view_tables import VERSION
from crdtsync.storage.views import ViewTables
from crdtsync.till.app import Till
from crdtsync.till.shelf import Shelf
from crdtsync_server import LocalRelay
from crdtsync_server.dashboard.database import APPLICATION_ID as OFFICE_ID
from crdtsync_server.dashboard.database import MIGRATIONS as OFFICE_MIGRATIONS
from crdtsync_server.dashboard.database import VIEWS_APPLICATION_ID, OfficeDatabase
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.database import APPLICATION_ID, open_access_database
from crdtsync_server.database import MIGRATIONS as ACCESS_MIGRATIONS
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import opened
from crdtsync_server.shops.office_chain import enrol_office
from tests.integration.conftest import wait_until

PAGE = (Path(__file__).parents[2] / "docs/reference/storage-format.md").read_text()
TABLES = {
    name: re.findall(r"^\| `(\w+)` \| (\w+) \| ", text, re.MULTILINE)
    for name, text in re.findall(r"\n### `([\w.]+)`\n(.*?)(?=\n##|\Z)", PAGE, re.DOTALL)
}


def chapter(title):
    return re.split(r"\n## ", PAGE.split(f"\n## {title}\n", 1)[1], maxsplit=1)[0]


def schema_of(database, prefix=""):
    """Columns with their types, by table."""
    names = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {
        prefix + name: [(row[1], row[2]) for row in database.rows(f"PRAGMA table_info({name})")]
        for (name,) in names
    }


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "register.sqlite")
    with store.transaction():
        ViewTables(store.database).prepare()
    yield store
    store.close()


# -- tables ------------------------------------------------------------------------------------------------


def test_every_table_and_column_of_the_log_is_told_and_no_other(store):
    real = {
        name: columns
        for name, columns in schema_of(store.database).items()
        if not name.startswith(("view_", "sqlite_"))
    }
    assert {name: told for name, told in TABLES.items() if "." not in name} == real


def test_every_table_and_column_of_the_access_file_is_told_and_no_other(tmp_path):
    database = open_access_database(tmp_path / "access.sqlite")
    real = schema_of(database, "access.")
    database.close()
    assert {name: told for name, told in TABLES.items() if name.startswith("access.")} == real


def test_every_table_and_column_of_the_back_offices_file_is_told_and_no_other(tmp_path):
    database = OfficeDatabase(tmp_path / "office.sqlite")
    real = schema_of(database, "office.")
    database.close()
    assert {name: told for name, told in TABLES.items() if name.startswith("office.")} == real


def test_every_view_and_its_columns_are_told_and_no_other(store):
    real = {}
    for (name,) in store.database.rows("SELECT name FROM sqlite_master WHERE name GLOB 'view_*'"):
        columns = store.database.rows(f"PRAGMA table_info({name})")
        if columns and "_by_" not in name:
            key = [row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5]]
            real[name] = (key, [row[1] for row in columns if not row[5]])
    told = {
        name: ([] if key == "–" else key.split(", "), [] if others == "–" else others.split(", "))
        for name, key, others in re.findall(
            r"^\| `(view_\w+)` \| (.+?) \| (.+?) \|$", chapter("Views"), re.MULTILINE
        )
    }
    assert told == real


def test_every_column_of_a_view_is_explained_and_no_other(store):
    names = [name for name in schema_of(store.database) if name.startswith("view_")]
    real = {row[1] for name in names for row in store.database.rows(f"PRAGMA table_info({name})")}
    told = re.findall(r"^\| (\w+) \| ", chapter("Views"), re.MULTILINE)
    assert len(told) == len(set(told))
    assert set(told) - {"view", "column"} == real


def test_the_head_of_the_file_is_told(store):
    assert f"0x{schema.APPLICATION_ID:x} (`{schema.APPLICATION_ID.to_bytes(4, 'big').decode()}`)" in PAGE
    assert f"`user_version` {len(schema.MIGRATIONS)}, WAL" in PAGE
    access = f"0x{APPLICATION_ID:x} (`{APPLICATION_ID.to_bytes(4, 'big').decode()}`)"
    assert f"{access}, `user_version` {len(ACCESS_MIGRATIONS)}." in PAGE
    office = f"0x{OFFICE_ID:x} (`{OFFICE_ID.to_bytes(4, 'big').decode()}`)"
    assert f"{office}, `user_version` {len(OFFICE_MIGRATIONS)}." in PAGE
    assert f"0x{VIEWS_APPLICATION_ID:x} (`{VIEWS_APPLICATION_ID.to_bytes(4, 'big').decode()}`)" in PAGE
    assert store.database.connection.pragma("journal_mode") == "wal"


def test_the_numbers_of_the_page_are_those_of_the_code():
    assert f"every {HEAD_LAG_MAX} records" in PAGE
    assert f"at most {STRETCH_ROWS_MAX:,} rows" in PAGE
    assert f"at most {PACK_BYTES_MAX >> 20} MiB of records" in PAGE
    assert f"and {ROWS_MAX:,} rows" in PAGE
    assert f"(now {VERSION})" in PAGE
    assert f"2^{schema.SEQ_BITS} + seq" in PAGE


# -- the example -------------------------------------------------------------------------------------------


def signature(byte):
    return urlsafe_b64encode(bytes([byte]) * 64).rstrip(b"=")


FIRST = update_record("x/notes", b"\0\0")
SECOND = b'E{"n":1}\0' + signature(0)
LINK = record_digest(SECOND)
THIRD = b'E{"n":2,"prev":"' + LINK.hex().encode() + b'"}\0' + signature(1)
RECORDS = [FIRST, SECOND, THIRD]


@pytest.fixture
def log(store):
    """The example, in a store."""
    shop, there, day = bytes(15) + b"\1", bytes(15) + b"\4", "ledger/" + "00" * 16 + "/2026-11-24"
    with store.transaction():
        log = store.create_shop(shop, bytes(15) + b"\2")
        log.append(Item(FIRST, "x/notes", record_digest(FIRST)))
        for n, record, prev in ((1, SECOND, ZERO_HASH), (2, THIRD, LINK)):
            link = record_digest(record)
            facts = EntryFacts(LINK, n, prev, link, day, "sale")
            log.append(Item(record, day, link, facts, Origin(there, 6 + n)))
    return log


def test_the_running_hash_of_the_example_is_that_of_the_log(log):
    told = re.findall(r"^\| (\d) \| .* \| `([0-9a-f]{64})` \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE)
    assert told == [
        (str(seq), record_digest(record).hex(), log.hash_at(seq).hex())
        for seq, record in enumerate(RECORDS, 1)
    ]


def test_the_running_hash_can_be_computed_from_the_page():
    (digits, h) = re.findall(r"    SHA-256\(([ \n0-9a-f]+)\)\n    = ([0-9a-f]{64})", PAGE)[0]
    assert hashlib.sha256(bytes.fromhex(digits)).hexdigest() == h
    assert h == next_hash(ZERO_HASH, FIRST).hex()


def test_the_place_of_the_first_row_is_told(log, store):
    assert f"Seq 1 of shop 1 is {store.database.row('SELECT min(pos) FROM record')[0]}." in PAGE


def test_the_checksum_of_a_row_can_be_computed_from_the_page(log, store):
    (digits, crc) = re.findall(r"    crc32\(([ \n0-9a-f]+)\)\n    = (\d+)", PAGE)[0]
    assert zlib.crc32(bytes.fromhex(digits)) == int(crc)
    assert store.database.row("SELECT crc FROM record ORDER BY pos LIMIT 1") == (int(crc),)


def test_the_checksum_of_a_small_row_can_be_computed_from_the_page(log, store):
    (text, crc) = re.findall(r'    crc32\( "(.+)" \) = (\d+)', PAGE)[0]
    assert zlib.crc32(text.encode()) == int(crc)
    with store.transaction():
        log.pack(1, 1)  # which writes the head
    assert store.database.row("SELECT crc FROM document WHERE no = 1") == (int(crc),)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((b"a\x00\t\n\r\\'\xe9", 7), rb"""(b"a\x00\t\n\r\\'\xe9", 7)"""),
        ((b"'\"", "x"), rb"""(b'\'"', 'x')"""),
        (("é\u0378\u20ac\U0001fae9", None), rb"('\xe9\u0378\u20ac\U0001fae9', None)"),
    ],
)
def test_the_text_of_a_checksum_is_the_one_that_is_told(values, text):
    assert checksum(*values) == zlib.crc32(text)


def test_the_pack_of_the_example_can_be_unpacked():
    cells = re.findall(r"^\| (\d+) \| .+? \| (.+) \|$", chapter("Packs, byte by byte"), re.MULTILINE)
    sizes = [int(size) for size, _ in cells]
    texts = [text for _, text in cells]
    head = b"crdtpack" + bytes.fromhex("".join(re.match(r"`([0-9a-f]+)`", text)[1] for text in texts[1:8]))
    frame = bytes.fromhex(texts[10].strip("`"))
    blob = head + bytes(64) + b"\1" * 64 + frame
    assert decode_pack(blob, bytes_max=1 << 20) == list(enumerate(RECORDS, 1))
    assert (sum(sizes[:11]), len(frame)) == (len(blob), sizes[10])
    assert f"{len(blob)} bytes when this page was written" in PAGE
    plain = zstandard.ZstdDecompressor().decompress(frame)
    told = (
        b"".join(
            bytes.fromhex(digits) for text in texts[11:15] for digits in re.findall(r"`([0-9a-f]+)`", text)
        )
        + b'{"n":1}\0{"n":2,"prev":""}\0'
        + bytes.fromhex(texts[16].strip("`"))
    )
    assert told == plain
    assert [len(plain), sum(sizes[11:])] == [55, 55]


def test_a_pack_that_is_made_now_has_the_contents_that_are_told():
    blob = encode_pack(list(enumerate(RECORDS, 1)))
    frame = bytes.fromhex(re.search(r"zstd frame \| `([0-9a-f]+)`", PAGE)[1])
    unpack = zstandard.ZstdDecompressor().decompress
    assert unpack(blob[69 + 128 :]) == unpack(frame)


def test_the_columns_of_a_pack_are_laid_out_as_told(log, store):
    with store.transaction():
        assert log.pack(3, 3)
    packed = store.database.row("SELECT columns FROM pack")[0]
    plain = zstandard.ZstdDecompressor().decompress(packed[4:])
    assert zlib.crc32(plain) == int.from_bytes(packed[:4], "big")
    numbers = [
        int.from_bytes(plain[at : at + 8], "little", signed=True) for at in range(0, len(plain) - 32, 8)
    ]
    documents, chains, ns, origins, seqs = [1, 1, 0], [0, 1, 0], [0, 1, 1], [1, 1, 0], [0, 7, 1]
    assert numbers == [3, 1, *documents, *chains, *ns, *origins, *seqs, 1]
    assert plain[-32:] == ZERO_HASH == pack_columns.decode(packed).prevs[1]


def test_wanted_intervals_are_laid_out_as_told(log, store):
    with store.transaction():
        log.set_cursor(bytes(16), Cursor(log.end, ((2, 5), (1, 1))))
    (wanted,) = store.database.row("SELECT wanted FROM cursor")
    assert wanted == b"".join(number.to_bytes(8, "big") for number in (2, 5, 1, 1))


def test_runs_are_laid_out_as_told(log, store):
    (runs,) = store.database.row("SELECT runs FROM chain")
    told = (1).to_bytes(8, "big") + (2).to_bytes(8, "big") + ZERO_HASH + record_digest(THIRD)
    assert runs == told


# -- folders -----------------------------------------------------------------------------------------------


def test_every_file_of_a_folder_is_told_and_no_other(tmp_path):
    with opened(tmp_path / "relay", create=True) as (access, store):
        cave = access.create_shop(store, "Cave").id
        enrol_office(access, store, cave)
    books = Books(DataFolder(tmp_path / "relay"), SystemClock(), system_random)
    books.accounts.create(cave, "Marie", "owner")
    views = tmp_path / f"relay/office/{cave.hex()}.sqlite-shm"
    with closing(books), LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        Register.init(tmp_path / "till", name="Caisse 1").close()
        with Register.join(tmp_path / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
            till.start_sync()
            with Till(tmp_path / "till"):
                Shelf(tmp_path / "till", SystemClock(), system_random).save()
            wait_until(views.exists)
            found = [path for path in tmp_path.glob("*/**/*") if path.is_file()]
            shop = till.identity.shop.hex()
    names = {"/".join(path.relative_to(tmp_path).parts[1:]).replace(shop, "<shop id>") for path in found}
    files = "\n".join(re.findall(r"^\| (`.*?) \|", chapter("Data folders"), re.MULTILINE))
    told = set(re.findall(r"`([\w./<> -]+)`", files)) - {"-wal", "-shm"}
    journals = {f"{name}.sqlite-{kind}" for name in ("relay", "access", "office") for kind in ("wal", "shm")}
    journals |= {f"office/<shop id>.sqlite-{kind}" for kind in ("wal", "shm")}
    assert names == told | journals


def states_of(source):
    """The keys, or their beginnings, under which a module keeps small state."""
    for name in set(re.findall(r"\.set_state\((\w+)", source)) - {"key"}:
        constant = re.search(rf'^{name}(?:: Final)? = "([\w-]+)"', source, re.MULTILINE)
        function = re.search(rf'^def {name}\(.*?return f"(\w+/)', source, re.MULTILINE | re.DOTALL)
        kept = {"HEAD": HEAD, "OWNER_HEAD": OWNER_HEAD, "LEFT": LEFT, "REPLACING": REPLACING}
        imported = kept.get(name)
        found = constant or function
        assert found or imported, f"where is {name}?"
        yield found[1] if found else imported


def test_every_state_that_is_kept_is_told_and_no_other():
    root = Path(__file__).parents[2]
    sources = [path for place in ("crdtsync/runtime", "server") for path in (root / place).rglob("*.py")]
    kept = {state for path in sources for state in states_of(path.read_text())}
    keys = chapter("Small state").split("| key | value |")[1].split("\n\n")[0]
    told = {key.partition("<")[0] for key in re.findall(r"^\| `([\w/<>-]+)` \| ", keys, re.MULTILINE)}
    assert told == kept | {IDENTITY, RELAY, CLOCK, RECOUNTED}
