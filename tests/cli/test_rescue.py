"""What only a register has goes into a file, and the relay takes it; who leaves a shop loses nothing."""

import json
import shutil
from contextlib import closing

import apsw
import pytest
from click.testing import CliRunner

from crdtsync.cli import json_forms
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.cli import json_forms as relay_json_forms
from crdtsync_server.cli import main as relay_main
from crdtsync_server.local import LocalRelay
from tests.cli.conftest import Till
from tests.cli.forms import differences

FORMS = {form.command: form for form in json_forms.FORMS}
RELAY_FORMS = {form.command: form for form in relay_json_forms.FORMS}
SHOP = "Cave du Port"


class RelayFolder:
    def __init__(self, folder):
        self.folder = folder

    def run(self, *arguments):
        return CliRunner().invoke(relay_main, [*arguments, "--data", str(self.folder)])

    def take(self, file, exit_code=0):
        result = self.run("rescue", str(file), "--json")
        assert result.exit_code == exit_code, result.output
        document = json.loads(result.stdout)
        assert differences(RELAY_FORMS["rescue"], document) == []
        return document


@pytest.fixture
def relay(tmp_path):
    """The folder of a relay, and a register that it has one ticket of; the relay is off."""
    with LocalRelay(tmp_path / "relay", shop=SHOP) as local:
        till = Till(tmp_path / "till-1")
        till.ok("join", local.url, local.pairing_code(), "--name", "Caisse 1")
        till.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
        till.ok("sell", "CM-19", "--pay", "card")
        till.ok("sync")
    return RelayFolder(tmp_path / "relay")


@pytest.fixture
def till(relay, tmp_path):
    """That register with two more tickets and a product, which no relay has."""
    till = Till(tmp_path / "till-1")
    till.ok("sell", "CM-19x2", "--pay", "card")
    till.ok("product", "add", "TER-01", "--name", "Terrine", "--price", "6.95", "--vat", "5.5")
    till.ok("sell", "TER-01", "--pay", "card")
    return till


def rescued(till, name="till.rescue"):
    file = till.folder.parent / name
    document = till.json("rescue", str(file))
    assert differences(FORMS["rescue"], document) == []
    return file, document


def test_the_relay_takes_what_it_lacks_once_however_often_it_is_given(relay, till):
    file, made = rescued(till)
    assert (made["tickets"], made["amount_minor"], made["signed"], made["unreadable"]) == (2, 4395, True, [])
    assert made["bytes"] == file.stat().st_size < 4000
    first = relay.take(file)
    assert first["new"] == {"tickets": 2, "amount_minor": 4395, "records": made["records"]}
    assert (first["signed"], first["certificates"], first["name"]) == (True, 0, "Caisse 1")
    assert first["held"]["records"] == first["refused"]["records"] == first["known"]["records"] == 0
    again = relay.take(file)
    assert again["known"] == first["new"]
    assert again["new"]["records"] == 0


def test_a_register_that_meets_the_relay_later_has_nothing_pending_and_nothing_is_there_twice(relay, till):
    file, _ = rescued(till)
    relay.take(file)
    with LocalRelay(relay.folder, shop=SHOP) as local:
        with closing(SqliteStore(till.folder / "register.sqlite")) as store, store.transaction():
            from crdtsync.runtime.folder.identity import Relay, load_relay, save_relay

            log = store.shop(store.shops()[-1])
            known = load_relay(log)
            save_relay(log, Relay(local.url, known.public_key, known.log_id))
        till.ok("sync")
        assert till.json("status")["state"] == "synced"
        with closing(SqliteStore(relay.folder / "relay.sqlite")) as store:
            records = [row for _, row in store.shop(store.shops()[0]).read(0, bytes_max=1 << 20).records]
        assert len(records) == len(set(records))
    assert relay.run("verify").exit_code == 0
    assert till.run("verify").exit_code == 0


def test_what_was_sold_after_it_was_cut_off_goes_on_hold_by_file_too(relay, till):
    relay.run("revoke", SHOP, "Caisse 1")
    file, _ = rescued(till)
    taken = relay.take(file, exit_code=50)
    assert taken["held"] == {"tickets": 2, "amount_minor": 4395, "records": 2}
    assert taken["refused"]["tickets"] == 0
    assert {one["code"] for one in taken["why"]} == {"revoked", "not-permitted"}
    text = relay.run("rescue", str(file))
    assert "on hold      2 tickets, 43,95" in text.stdout
    assert relay.run("hold", "approve", SHOP, "--device", "Caisse 1").exit_code == 0
    assert relay.take(file, exit_code=50)["known"]["tickets"] == 2


def test_a_file_is_never_overwritten(till):
    file, _ = rescued(till)
    before = file.read_bytes()
    again = till.run("rescue", str(file))
    assert (again.exit_code, file.read_bytes()) == (36, before)
    assert till.run("rescue", str(till.folder / "nowhere" / "file")).exit_code == 60


def test_without_its_key_a_file_is_not_signed_and_changes_of_documents_are_refused(relay, till):
    (till.folder / "device.key").rename(till.folder.parent / "device.key")
    result = till.run("rescue", str(till.folder.parent / "till.rescue"), "--json")
    assert (result.exit_code, json.loads(result.stdout)["signed"]) == (64, False)
    taken = relay.take(till.folder.parent / "till.rescue", exit_code=50)
    assert (taken["signed"], taken["new"]["tickets"]) == (False, 2)
    assert [one["code"] for one in taken["why"]] == ["not-permitted"]


def test_nothing_is_pending_nothing_is_in_the_file(relay, tmp_path):
    till = Till(tmp_path / "till-1")
    file, made = rescued(till)
    assert (made["records"], made["tickets"]) == (0, 0)
    assert "Nothing is pending" in till.ok("rescue", str(file) + "2")
    assert relay.take(file)["new"]["records"] == 0


def test_a_register_alone_rescues_all_that_it_has(till, tmp_path):
    alone = Till(tmp_path / "alone")
    alone.ok("init", "--name", "Seule")
    alone.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    alone.ok("sell", "CM-19", "--pay", "card")
    _, made = rescued(alone, "alone.rescue")
    assert (made["tickets"], made["amount_minor"]) == (1, 1850)


def test_a_file_of_a_shop_that_is_not_here_is_not_taken(relay, tmp_path):
    alone = Till(tmp_path / "alone")
    alone.ok("init", "--name", "Seule")
    file, _ = rescued(alone, "alone.rescue")
    assert relay.run("rescue", str(file)).exit_code == 19


# -- leaving -------------------------------------------------------------------------------------------------


def test_who_has_something_pending_does_not_leave_and_is_told_how_much(till):
    for _ in range(2):
        refused = till.run("leave")
        assert refused.exit_code == 24
        assert "2 tickets, 43,95 €" in refused.stderr
        assert "crdtsync rescue FILE" in refused.stderr
    till.ok("sell", "CM-19", "--pay", "card")


def test_who_has_a_rescue_file_leaves_and_nothing_is_deleted(relay, till):
    file, _ = rescued(till)
    left = till.json("leave", "--rescued", str(file))
    assert differences(FORMS["leave"], left) == []
    assert (left["rescued_tickets"], left["rescued_amount_minor"]) == (2, 4395)
    old = Till(till.folder / left["moved_to"])
    assert len(old.json("sales")) == 3
    assert old.json("status")["pending_sales"] == 2
    assert (old.run("sell", "CM-19", "--pay", "card").exit_code, till.run("status").exit_code) == (21, 21)
    assert old.run("product", "set", "CM-19", "--price", "1").exit_code == 21
    _, again = rescued(old, "again.rescue")
    assert again["tickets"] == 2
    till.ok("init", "--name", "Caisse 1", "--shop", "Ailleurs")
    assert till.json("sales") == []


def test_a_file_that_lacks_a_sale_is_not_enough(till):
    file, _ = rescued(till)
    till.ok("sell", "CM-19", "--pay", "card")
    refused = till.run("leave", "--rescued", str(file))
    assert (refused.exit_code, "lacks 1 ticket, 18,50 €" in refused.stderr) == (24, True)


def test_a_file_of_another_register_or_a_broken_one_is_not_enough(till, tmp_path):
    alone = Till(tmp_path / "alone")
    alone.ok("init", "--name", "Seule")
    other, _ = rescued(alone, "alone.rescue")
    assert till.run("leave", "--rescued", str(other)).exit_code == 36
    file, _ = rescued(till)
    file.write_bytes(file.read_bytes()[:-1])
    assert till.run("leave", "--rescued", str(file)).exit_code == 36
    assert till.run("leave", "--rescued", str(tmp_path / "nothing")).exit_code == 36
    assert len(till.json("sales")) == 3


def test_who_has_nothing_pending_leaves_at_once(relay, tmp_path):
    till = Till(tmp_path / "till-1")
    assert "has left Cave du Port" in till.ok("leave")
    assert till.run("leave").exit_code == 21


@pytest.mark.slow  # Five seconds go by until the register gives up waiting for the reader.
def test_nobody_leaves_while_somebody_reads_and_keeps_the_newest_sales_in_the_journal(relay, till):
    """Store and journal are moved one after the other: cut off in between, the store would lack its newest
    sales, and that it has left.
    """
    file, _ = rescued(till)
    store = till.folder / "register.sqlite"
    with closing(apsw.Connection(str(store), apsw.SQLITE_OPEN_READONLY)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM record").fetchall()
        refused = till.run("leave", "--rescued", str(file))
        assert (refused.exit_code, store.exists()) == (61, True)
        assert "nothing is lost" in refused.stderr
        assert not list(till.folder.glob("left-*"))
        till.ok("sell", "CM-19", "--pay", "card")  # It has not left, and goes on.
    assert till.run("leave", "--rescued", str(file)).exit_code == 24
    till.ok("leave", "--rescued", str(rescued(till, "newer.rescue")[0]))
    (left,) = till.folder.glob("left-*")
    assert not (left / "register.sqlite-wal").exists()


def test_who_synchronises_does_not_leave(till):
    from crdtsync.runtime.folder.role import sync_role

    with sync_role(till.folder):
        assert till.run("leave").exit_code == 25


def test_joining_another_shop_is_refused_and_says_what_is_pending(relay, till):
    with LocalRelay(relay.folder, shop="Ailleurs") as local:
        refused = till.run("join", local.url, local.pairing_code("Ailleurs"), "--name", "Caisse 1")
        assert (refused.exit_code, "2 tickets, 43,95 €" in refused.stderr) == (24, True)
        file, _ = rescued(till)
        till.ok("leave", "--rescued", str(file))
        till.ok("join", local.url, local.pairing_code("Ailleurs"), "--name", "Caisse 1")
        assert till.json("sales") == []


def test_who_has_sold_nothing_yet_has_nothing_to_lose(tmp_path):
    alone = Till(tmp_path / "alone")
    alone.ok("init", "--name", "Seule")
    alone.ok("leave")


# -- a damaged store -----------------------------------------------------------------------------------------


def damage(till, sql, *values):
    import apsw

    connection = apsw.Connection(str(till.folder / "register.sqlite"))
    connection.execute(sql, values)
    connection.close()


def test_a_record_with_a_wrong_byte_is_named_and_the_others_are_rescued(relay, till):
    number = till.json("sales")[0]["number"]
    damage(
        till,
        "UPDATE record SET bytes = CAST(replace(CAST(bytes AS TEXT), ?, 'X') AS BLOB)"
        " WHERE CAST(bytes AS TEXT) LIKE ?",
        number,
        f"%{number}%",
    )
    result = till.run("rescue", str(till.folder.parent / "till.rescue"), "--json")
    made = json.loads(result.stdout)
    assert result.exit_code == 64
    assert made["unreadable"] == ["record 9", "of this register its entries 4 to 4"]
    taken = relay.take(till.folder.parent / "till.rescue")
    assert taken["new"]["tickets"] == 1


def test_a_sale_whose_checksum_alone_is_wrong_is_rescued_because_it_is_signed(relay, till):
    damage(till, "UPDATE record SET crc = crc + 1")
    result = till.run("rescue", str(till.folder.parent / "till.rescue"), "--json")
    assert result.exit_code == 64
    taken = relay.take(till.folder.parent / "till.rescue")
    assert taken["new"]["tickets"] == 2
    assert (taken["known"]["tickets"], taken["refused"]["records"]) == (1, 0)


@pytest.mark.slow
def test_a_store_of_which_pages_are_gone_gives_what_is_left(relay, till, tmp_path):
    for _ in range(20):
        till.ok("sell", "CM-19", "--pay", "card")
    path = till.folder / "register.sqlite"
    page = 4096
    whole = path.read_bytes()
    lost = 0
    for place in range(page, len(whole), page):
        copy = Till(tmp_path / f"copy-{place // page}")
        shutil.copytree(till.folder, copy.folder)
        broken = bytearray(whole)
        broken[place : place + page] = bytes(page)
        (copy.folder / "register.sqlite").write_bytes(broken)
        file = tmp_path / f"{place}.rescue"
        result = copy.run("rescue", str(file), "--json")
        assert result.exit_code in (0, 21, 64)
        if not result.stdout:  # The page that says what the tables are, or which shop it is of.
            lost += 1
            continue
        made = json.loads(result.stdout)
        # What was acknowledged may be in it too: a damaged store cannot tell.
        assert made["tickets"] in (22, 23) or made["unreadable"]
        relay.take(file, exit_code=RelayFolder(relay.folder).run("rescue", str(file)).exit_code)
    assert lost <= 4
