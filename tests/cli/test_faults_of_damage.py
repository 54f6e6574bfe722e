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
