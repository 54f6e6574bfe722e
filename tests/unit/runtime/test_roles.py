"""A role is one process's at a time, and whoever only looks who has it keeps nobody from it."""

import fcntl
import os
import resource

import pytest

from crdtsync.errors import RoleTaken
from crdtsync.runtime.folder import role
from crdtsync.runtime.folder.role import hold_role, holder_of

TAKEN = "another process synchronises this register"


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "sync.lock"


def test_a_role_is_held_once_and_says_by_whom(lock):
    with hold_role(lock, TAKEN, hint=""):
        assert holder_of(lock) == os.getpid()
        with pytest.raises(RoleTaken, match=rf"another process .*\(pid {os.getpid()}\)"):
            with hold_role(lock, TAKEN, hint=""):
                pass
    assert holder_of(lock) is None
    with hold_role(lock, TAKEN, hint=""):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_whoever_looks_in_that_moment_keeps_nobody_from_it(lock, monkeypatch):
    """`status` looks, and the pages of a till do all day: `sync` would end with "another process"."""
    looking = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    waited = []

    def looked(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            os.close(looking)

    monkeypatch.setattr(role.time, "sleep", looked)
    with hold_role(lock, TAKEN, hint=""):
        assert holder_of(lock) == os.getpid()
    assert len(waited) == 3


def test_whoever_looks_for_ever_is_told(lock, monkeypatch):
    monkeypatch.setattr(role.time, "sleep", lambda _: None)
    looking = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    with pytest.raises(RoleTaken, match="unknown"), hold_role(lock, TAKEN, hint=""):
        pass
    os.close(looking)


def test_whoever_looks_as_it_is_taken_reads_nothing_of_who_held_it_before(lock, monkeypatch):
    """Numbers of processes are shorter after a restart of the machine: `status` ended in a traceback."""
    lock.write_text("1234567890123\n")
    seen = []

    def write(handle, data, offset):
        seen.append(holder_of(lock))
        written = pwrite(handle, data, offset)
        seen.append(holder_of(lock))
        return written

    pwrite = os.pwrite
    monkeypatch.setattr(role.os, "pwrite", write)
    with hold_role(lock, TAKEN, hint=""):
        assert holder_of(lock) == os.getpid()
    assert seen == [0, os.getpid()]


@pytest.mark.parametrize("before", ["", "1234567890123\n"], ids=["new", "held before"])
def test_on_a_full_disk_a_role_is_held_all_the_same(lock, before):
    """To leave, to move and to stop must be possible there, and a backup elsewhere."""
    lock.write_text(before)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with hold_role(lock, TAKEN, hint=""):
            assert holder_of(lock) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert holder_of(lock) is None
