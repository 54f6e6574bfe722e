"""The file of a store is cut off somewhere, as a full disk, a copy that broke off, or a repair of the file
system leaves it. Every command says what is so and a way out that there is; what can be read is saved.
"""

import random
import re
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync.cli import main
from crdtsync.ids import ENTRY
from crdtsync.model.entry import read_entry
from crdtsync.runtime.doctor import disk
from crdtsync.runtime.register.register import Register
from crdtsync.storage.damaged_tables import DamagedTables
from crdtsync.storage.database import read_whatever_is_left
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.cli import main as relay_main
from crdtsync_server.local import LocalRelay

PAGE = 4096
SALES = 40
SOLD = re.compile(r"Ticket (\S+)")
EXIT_CODES = {error.exit_code for error in vars(errors).values() if isinstance(error, type)} | {0}
LOG_NUMBER = re.compile(r"(?<!\w)-\d{6,}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The folders of a relay and of a register that has sold 40 tickets, of which the relay has 30."""
    folder = tmp_path_factory.mktemp("shop")
    with LocalRelay(folder / "relay", shop="Cave du Port") as relay:
        with Register.join(folder / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
            till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
            for sale in range(SALES):
                till.sell(["CM-19"], ["card"])
                if sale == SALES - 11:
                    till.sync()
    return folder


def cuts(file: Path) -> list[int]:
    """Each page boundary, and some place in each page."""
    pages, any_place = file.stat().st_size // PAGE, random.Random(29)
    return [page * PAGE + off for page in range(pages) for off in (0, any_place.randrange(1, PAGE))]


def cut(original: Path, to: Path, store: str, size: int) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(original, to)
    with (to / store).open("r+b") as file:
        file.truncate(size)
    return to


def ended(program, folder, *arguments) -> tuple[int, str]:
    """How a command ends, and what it says; in words of ours, and by an error of the tree."""
    result = CliRunner().invoke(program, [*arguments, "--data", str(folder)])
    told = result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
    assert result.exit_code in EXIT_CODES, (arguments, told)
    assert result.exit_code not in (1, errors.StorageError.exit_code), (arguments, told)
    assert "look at the disk and its rights" not in told
    assert not LOG_NUMBER.search(told), told
    assert "***" not in told
    return result.exit_code, told


def numbers_readable(file: Path) -> set[str]:
    """The tickets on the pages that are left, read without any of the rescue's or the salvage's own code."""
    found = set()
    data = file.read_bytes()
    for match in re.finditer(rb'"num":"([0-9-]+)"', data):
        found.add(match[1].decode())
    return found


def sold(folder) -> list[str]:
    with closing(SqliteStore(folder / "register.sqlite", read_only=True)) as store:
        bodies = [
            read_entry(record[1:]).body
            for shop in store.shops()
            for _, record in store.shop(shop).read(0, bytes_max=1 << 24).records
            if record[:1] == ENTRY
        ]
    return [body["num"] for body in bodies if body["kind"] == "sale"]


def follow_the_advice(folder, tmp_path) -> str:
    """What a person does who believes what `status` says; in what it ends."""
    code, told = ended(main, folder, "status")
    ended(main, folder, "verify")
    code_of_rescue, _ = ended(main, folder, "rescue", str(tmp_path / "r.rescue"))
    (tmp_path / "r.rescue").unlink(missing_ok=True)
    code_of_sale, _ = ended(main, folder, "sell", "CM-19", "--pay", "card")
    if code == 0:
        assert code_of_sale == 0
        assert code_of_rescue in (0, errors.DamagedStore.exit_code)
        return "it works on"
    assert code_of_sale == code
    if "`crdtsync salvage`" not in told:
        assert code in (errors.NoRegister.exit_code, errors.NotAStore.exit_code), told
        return "put back a copy, or enrol anew"
    before = (folder / "register.sqlite").read_bytes()
    code, told = ended(main, folder, "salvage")
    if code:
        assert code == errors.NoRegister.exit_code, told
        assert "`crdtsync-relay restore`" in told
        assert (folder / "register.sqlite").read_bytes() == before
        return "enrol anew"
    [kept] = folder.glob("register.sqlite.damaged-*[0-9]")
    assert kept.read_bytes() == before
    assert ended(main, folder, "status")[0] == 0
    return "salvaged"


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [slice(-6, None), *(slice(first, None, 36) for first in (2, 11, 20, 29))], ids=str
)
def test_a_cut_register_never_sends_its_people_round_in_circles(shop, tmp_path, part):
    ways = dict.fromkeys(("salvaged", "it works on", "enrol anew", "put back a copy, or enrol anew"), 0)
    file = shop / "till" / "register.sqlite"
    numbers = sold(shop / "till")
    assert len(numbers) == SALES
    for size in cuts(file)[part]:
        folder = cut(shop / "till", tmp_path / "cut", "register.sqlite", size)
        way = follow_the_advice(folder, tmp_path)
        ways[way] += 1
        if way in ("salvaged", "it works on"):
            result = CliRunner().invoke(main, ["sell", "CM-19", "--pay", "card", "--data", str(folder)])
            # Where the catalogue is lost too, there is nothing to sell until the relay has sent it.
            assert result.exit_code in (0, errors.UnknownProduct.exit_code), result.output
            there = sold(folder)
            assert len(there) == len(set(there))
            if result.exit_code == 0:
                assert SOLD.search(result.output)[1] not in numbers, "no number is given twice"
    if part.start < 0:
        assert ways["salvaged"] + ways["it works on"] == len(cuts(file)[part])
    else:
        assert ways["enrol anew"]


def test_what_a_cut_register_still_has_comes_into_the_new_store(shop, tmp_path):
    file = shop / "till" / "register.sqlite"
    pages = file.stat().st_size // PAGE
    kept_most = 0
    for size in range(file.stat().st_size - PAGE, pages * PAGE // 2, -8 * PAGE):
        folder = cut(shop / "till", tmp_path / "cut", "register.sqlite", size)
        code, _ = ended(main, folder, "salvage")
        if code:
            continue
        kept_most = max(kept_most, len(sold(folder)))
        [kept] = folder.glob("register.sqlite.damaged-*[0-9]")
        assert set(sold(folder)) <= numbers_readable(kept)
    assert kept_most >= SALES // 2


def test_a_salvaged_register_has_all_back_that_the_relay_has(shop, tmp_path):
    shutil.copytree(shop / "relay", tmp_path / "relay")
    size = (shop / "till" / "register.sqlite").stat().st_size - 3 * PAGE
    folder = cut(shop / "till", tmp_path / "till", "register.sqlite", size)
    assert ended(main, folder, "status")[0] == errors.DamagedStore.exit_code
    with LocalRelay(tmp_path / "relay") as relay:
        ended(main, folder, "salvage", "--relay", relay.url)
        with Register.open(folder) as till:
            till.sync()
            assert len(till.sales(rows_max=100)) >= SALES - 10
            number = till.sell(["CM-19"], ["card"]).number
            assert number not in sold(shop / "till")
            till.sync()


@pytest.mark.slow
def test_a_cut_relay_is_given_a_way_out_that_a_relay_has(shop, tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"  # The folders of tests may lie in memory, which a doctor calls wrong.
    mounts.write_text("1 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    file = shop / "relay" / "relay.sqlite"
    refused = 0
    for size in cuts(file):
        folder = cut(shop / "relay", tmp_path / "cut", "relay.sqlite", size)
        for arguments in (
            ("status",),
            ("verify",),
            ("doctor",),
            ("missing", "Cave du Port"),
            ("quarantine", "list", "Cave du Port"),
            ("pair", "Cave du Port"),
        ):
            code, told = ended(relay_main, folder, *arguments)
            assert "crdtsync salvage" not in told
            assert "crdtsync resync" not in told
            if code == errors.DamagedStore.exit_code:
                refused += 1
                assert "move relay.sqlite" in told
                assert "its registers fill a new store" in told
            if arguments == ("verify",) and size > PAGE:
                assert code in (errors.DamagedStore.exit_code, errors.IntegrityDefect.exit_code)
    assert refused > 100


def test_the_relays_way_out_leads_out(shop, tmp_path):
    """It is done as the message says, with a register that comes back."""
    folder = cut(shop / "relay", tmp_path / "relay", "relay.sqlite", 20 * PAGE)
    shutil.copytree(shop / "till", tmp_path / "till")
    code, told = ended(relay_main, folder, "status")
    assert code == errors.DamagedStore.exit_code
    assert "move relay.sqlite and its -wal and -shm files out of it, and serve it again" in told
    (tmp_path / "aside").mkdir()
    for path in folder.glob("relay.sqlite*"):
        path.rename(tmp_path / "aside" / path.name)
    for arguments in (("missing", "Cave du Port"), ("quarantine", "list", "Cave du Port")):
        code, told = ended(relay_main, folder, *arguments)
        assert code in (errors.UnknownShop.exit_code, errors.NoRegister.exit_code), told
    with LocalRelay(folder) as relay:
        assert ended(main, tmp_path / "till", "move", relay.url)[0] == 0
        assert ended(main, tmp_path / "till", "sync")[0] == 0
        numbers = sold(tmp_path / "till")
    with closing(SqliteStore(folder / "relay.sqlite", read_only=True)) as store:
        [held] = store.shops()
        records = [one for _, one in store.shop(held).read(0, bytes_max=1 << 24).records]
    bodies = [read_entry(one[1:]).body for one in records if one[:1] == ENTRY]
    assert [body["num"] for body in bodies if body["kind"] == "sale"] == numbers


def test_a_page_that_is_half_gone_gives_no_rows_that_nobody_asked_for(shop, tmp_path):
    """SQLite fills the rest of the last page with zeros, and reads rows with the key 0 from it."""
    import apsw

    size = (shop / "till" / "register.sqlite").stat().st_size
    folder = cut(shop / "till", tmp_path / "cut", "register.sqlite", size - PAGE + 1500)
    with closing(
        apsw.Connection(str(folder / "register.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    ) as connection:
        read_whatever_is_left(connection)
        keys = [row[0] for row in DamagedTables(connection).rows("record", "pos", 1 << 40, 1 << 41)]
    assert keys == sorted(set(keys))
    assert all(1 << 40 < key < 1 << 41 for key in keys)
