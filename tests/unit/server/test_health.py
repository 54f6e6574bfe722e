import shutil

import pytest

from crdtsync.errors import DamagedStore, DiskFull, MalformedRecord
from crdtsync_server.folder import DataFolder
from crdtsync_server.serving.health import FAILURE_COUNTS_S, LOOK_EVERY_S, StoreHealth
from crdtsync_server.serving.metrics import RelayMetrics


@pytest.fixture
def now():
    """Seconds of a clock that only the test moves."""
    return [100.0]


@pytest.fixture
def health(tmp_path, now):
    return StoreHealth(
        DataFolder.create(tmp_path / "relay"),
        RelayMetrics(),
        disk_free_mb_min=0,
        monotonic_s=lambda: now[0],
    )


def test_a_store_that_was_never_written_is_well_if_its_disk_is(health):
    seen = health.look()
    assert (seen.ok, seen.last_commit_age_s, seen.problem) == (True, None, "")


def test_the_age_of_the_last_commit_is_told(health, now):
    health.committed(seconds=0.001, records=3, records_bytes=2000)
    now[0] += 2.5
    assert health.look().last_commit_age_s == 2.5


def test_a_failed_commit_speaks_against_the_store_until_one_succeeds(health, now):
    health.failed(DiskFull("the disk is full"))
    assert (health.look().ok, health.look().problem) == (False, "the disk is full")
    health.committed(seconds=0.001, records=1, records_bytes=700)
    now[0] += LOOK_EVERY_S
    assert health.look().ok


def test_what_a_peer_sent_does_not_speak_against_the_store(health):
    health.failed(MalformedRecord("an update record is cut short"))
    assert health.look().ok


def test_a_failure_of_a_quiet_night_does_not_alarm_for_ever(health, now):
    health.failed(DiskFull("the disk is full"))
    now[0] += FAILURE_COUNTS_S
    assert health.look().ok


def test_a_folder_that_is_gone_cannot_be_written(health, tmp_path):
    shutil.rmtree(tmp_path / "relay")
    seen = health.look()
    assert not seen.store_writable
    assert seen.problem.endswith("cannot be written: No such file or directory")


def test_a_disk_that_is_nearly_full_raises_the_alarm_before_it_is(tmp_path):
    folder = DataFolder.create(tmp_path)
    seen = StoreHealth(folder, RelayMetrics(), disk_free_mb_min=1 << 40).look()
    assert (seen.ok, seen.store_writable) == (False, True)
    assert "MB are free" in seen.problem


def test_between_two_looks_nothing_is_written(health, tmp_path):
    health.look()
    shutil.rmtree(tmp_path / "relay")
    assert health.look().ok


def test_looking_leaves_nothing_behind(health, tmp_path):
    health.look()
    assert [path.name for path in (tmp_path / "relay").iterdir()] == ["keys"]


def test_a_damaged_store_is_not_well_until_it_is_mended(health, now):
    health.speaks_against(DamagedStore("record 7 is damaged"))
    health.committed(seconds=0.001, records=1, records_bytes=700)
    now[0] += FAILURE_COUNTS_S
    assert health.look().problem == "record 7 is damaged"
    health.mended()
    assert health.look().ok


def test_what_shows_against_the_store_is_told_at_once(health):
    assert health.look().ok
    health.speaks_against(DiskFull("the disk is full"))
    assert not health.look().ok
