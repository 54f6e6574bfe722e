"""A forked process does what one that was started would do."""

import os
import signal
import subprocess
import sys

import pytest

from tests import forked

pytestmark = pytest.mark.slow

SAYS = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['SHOP']); print('oh', file=sys.stderr)"
WAITS = "import sys; print('here', flush=True); sys.stdin.readline(); print('gone')"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["-m", "crdtsync", "--version"], 0),
        (["-m", "crdtsync", "nonsense"], 2),
        (["-m", "crdtsync_server", "--version"], 0),
        (["-m", "crdtsync", "status", "--data", "/nowhere"], None),
        (["-c", "raise SystemExit('no')"], 1),
        (["-c", "import os; os._exit(7)"], 7),
        (["-c", "import os; os.kill(os.getpid(), 9)"], -signal.SIGKILL),
        (["-c", "import atexit; atexit.register(print, 'at the end'); print('é')"], 0),
    ],
    ids=lambda value: value[1].partition(";")[0] if isinstance(value, list) else "",
)
def test_it_says_what_a_process_says_and_ends_as_one_ends(command, code):
    started = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
    done = forked.run(command)
    assert (done.returncode, done.stdout, done.stderr) == (started.returncode, started.stdout, started.stderr)
    assert code is None or done.returncode == code


def test_it_has_its_own_arguments_folder_and_environment(tmp_path):
    env = {**os.environ, "SHOP": "Cave"}
    done = forked.run(["-c", SAYS, "a", 2], cwd=tmp_path, env=env)
    assert (done.stdout, done.stderr) == (f"['a', '2'] {tmp_path} Cave\n", "oh\n")


def test_it_reads_what_is_written_to_it():
    with forked.Process(["-c", WAITS], stdin=forked.PIPE, stdout=forked.PIPE) as process:
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "gone\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_ends_it(number):
    process = forked.Process(["-c", WAITS], stdin=forked.PIPE, stdout=forked.PIPE, stderr=forked.DEVNULL)
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    assert process.wait(60) == -number
    process.send_signal(number)  # It has ended: nobody else is meant.
    process.communicate()


def test_what_does_not_end_in_time_is_killed():
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run(["-c", "import os, signal; print(os.getpid(), flush=True); signal.pause()"], timeout=0.5)


def test_several_live_side_by_side_and_none_holds_the_pipe_of_another():
    first, second = (forked.Process(["-c", WAITS], stdin=forked.PIPE, stdout=forked.PIPE) for _ in range(2))
    assert [one.stdout.readline() for one in (first, second)] == ["here\n"] * 2
    assert first.communicate(60) == ("gone\n", "")
    assert second.communicate(60) == ("gone\n", "")
    assert (first.returncode, second.returncode) == (0, 0)
