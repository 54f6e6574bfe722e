"""What no command should fail with is told as damage over a damaged store, over a whole one as a defect."""

from contextlib import closing

import apsw
import pytest

from crdtsync import errors
from crdtsync.cli.damage import damage_in
from crdtsync.runtime.register.register import Register
from tests.cli.conftest import Till

pytestmark = pytest.mark.usefixtures("on_a_disk_of_this_machine")


@pytest.fixture
def till(empty: Till) -> Till:
    empty.ok("init", "--name", "Caisse 1")
    return empty


def fails(monkeypatch, fault):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(Register, "status", fail)


@pytest.mark.parametrize("fault", [TypeError("None > None"), KeyError("x"), AssertionError()], ids=repr)
def test_a_fault_over_a_damaged_store_is_told_as_damage(till, monkeypatch, fault):
    with closing(apsw.Connection(str(till.folder / "register.sqlite"))) as file:
        file.execute("UPDATE record SET crc = crc + 1 WHERE pos = (SELECT max(pos) FROM record)")
    fails(monkeypatch, fault)
    failed = till.run("status")
    assert failed.exit_code == errors.DamagedStore.exit_code
    assert "register.sqlite is damaged: " in failed.stderr
    assert "Traceback" not in failed.output


def test_a_fault_over_a_whole_store_is_a_defect_and_keeps_its_traceback(till, monkeypatch):
    fails(monkeypatch, TypeError("a mistake of ours"))
    assert damage_in(till.folder) is None
    assert isinstance(till.run("status").exception, TypeError)


def test_a_folder_without_a_store_has_none_that_is_damaged(tmp_path):
    assert damage_in(tmp_path) is None


def test_a_store_that_cannot_be_checked_is_damaged(tmp_path):
    (tmp_path / "register.sqlite").write_bytes(b"no store" * 1000)
    found = damage_in(tmp_path)
    assert found is not None
    assert "`crdtsync salvage`" in found.hint


def test_verify_says_that_everything_holds_of_no_store_of_which_a_page_is_lost(till, tmp_path):
    till.ok("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20")
    till.ok("sell", "CM-19", "--pay", "card")
    till.ok("sales")
    path = till.folder / "register.sqlite"
    with closing(apsw.Connection(str(path))) as file:
        # An index of documents or a list of refusals is no record, and still nothing can be sold without it.
        tables = dict(file.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"))
    whole, named = path.read_bytes(), set()
    for name, page in tables.items():
        copy = Till(tmp_path / f"without-{page}")
        copy.folder.mkdir()
        for other in till.folder.iterdir():
            (copy.folder / other.name).write_bytes(other.read_bytes())
        lost = bytearray(whole)
        lost[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
        (copy.folder / "register.sqlite").write_bytes(lost)
        said = copy.run("verify")
        assert "Traceback" not in said.output
        if said.exit_code:
            assert said.exit_code in (errors.IntegrityDefect.exit_code, errors.DamagedStore.exit_code), name
            named.add(name)
        else:  # Views are made again from the entries.
            with closing(apsw.Connection(str(copy.folder / "register.sqlite"))) as file:
                assert file.pragma("integrity_check") == "ok", name
            copy.ok("status")
    assert {"refusal_given", "origin", "record", "chain"} <= named
