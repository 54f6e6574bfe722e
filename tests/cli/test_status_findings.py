"""``crdtsync status`` also says what the doctor finds without the network."""

import os
from collections import namedtuple
from pathlib import Path

import pytest

from crdtsync.errors import DiskFull, StorageError, WrongClock
from crdtsync.runtime.doctor import disk
from crdtsync.runtime.doctor.finding import CHECKS
from crdtsync.runtime.doctor.locally import LocalLook
from crdtsync.runtime.folder.keyfile import DEVICE_KEY
from crdtsync.runtime.register.register import Register
from tests.cli.conftest import Till

pytestmark = pytest.mark.usefixtures("on_a_disk_of_this_machine")

Usage = namedtuple("Usage", "f_bavail f_frsize")


def found(till: Till, check: str) -> dict[str, object]:
    [finding] = [one for one in till.json("status")["findings"] if one["check"] == check]
    assert check in CHECKS
    return finding


def test_a_till_that_is_well_is_told_nothing_of_its_disk(till):
    till.ok("sell", "CM-19", "--pay", "card")
    said = till.ok("status")
    assert "!" not in said
    states = {one["check"]: one["state"] for one in till.json("status")["findings"]}
    assert {states[check] for check in ("folder", "drive", "space", "key")} == {"well"}


def test_a_store_on_a_network_drive_is_told(till, monkeypatch, tmp_path):
    mounts = tmp_path / "mounts-of-another-machine"
    mounts.write_text("22 1 0:44 / / rw - nfs4 server:/shop rw\n")
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    assert found(till, "drive")["exit_code"] == StorageError.exit_code
    said = till.ok("status")
    assert "network drive (nfs4)" in said
    assert "move the data folder to a disk of this machine" in said


def test_a_disk_that_is_nearly_full_is_told_before_a_sale_fails(till, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _: Usage(f_bavail=(10 << 20) // 4096, f_frsize=4096))
    assert found(till, "space")["exit_code"] == DiskFull.exit_code
    assert "only 10 MB are free" in till.ok("status")


def test_a_key_that_others_can_read_is_told(till):
    os.chmod(Path(till.folder) / DEVICE_KEY, 0o644)
    assert found(till, "key")["state"] == "notice"
    assert "`chmod 600 " in till.ok("status")


def test_a_clock_a_year_behind_what_is_recorded_is_told(till, monkeypatch):
    from crdtsync.runtime.clock import SystemClock

    till.ok("sell", "CM-19", "--pay", "card")
    now_ms = SystemClock().now_ms()
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: now_ms - 366 * 86_400_000)
    assert found(till, "clock")["exit_code"] == WrongClock.exit_code
    said = till.ok("status")
    assert " days behind what is recorded already" in said
    assert "set the clock" in said


def test_who_watches_has_the_disk_looked_at_now_and_then_and_at_once_where_the_clock_steps(till, monkeypatch):
    with Register.open(till.folder) as register:
        status, look, now_ms = register.status(), LocalLook(till.folder), 1_000_000
        looks = []
        genuine = disk.look_at_space
        monkeypatch.setattr(disk, "look_at_space", lambda folder: looks.append(folder) or genuine(folder))
        found = [look.findings(status, now_ms + second * 1000) for second in range(25)]
        assert len(looks) == 3
        assert len({len(each) for each in found}) == 1
        look.findings(status, now_ms - 1)
        assert len(looks) == 4
