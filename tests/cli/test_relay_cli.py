"""The relay's command line, as a person and a script see it."""

import json
import logging
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.protocol.pairing import PairingCode
from crdtsync_server.cli import main
from crdtsync_server.open import opened

pytestmark = pytest.mark.timeout(60)

RELAY = (sys.executable, "-m", "crdtsync_server")


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def data(tmp_path):
    return tmp_path / "relay"


def run(*arguments, data):
    return CliRunner().invoke(main, [*arguments, "--data", str(data)], catch_exceptions=False)


def facts(*arguments, data):
    """What a command prints with --json."""
    result = run(*arguments, "--json", data=data)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.fixture
def shop(data):
    return facts("shop", "create", "Cave du Port", data=data)


@contextmanager
def serving(data, *arguments, stop=signal.SIGTERM):
    """A relay in a process of its own; what it says when it is ready; stopped at the end."""
    process = subprocess.Popen(
        [*RELAY, "serve", "--data", str(data), "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
        process.send_signal(stop)
        process.wait(15)
    finally:
        process.kill()
        process.communicate()


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


# -- shops and codes ---------------------------------------------------------------------------------------


def test_a_new_shop_has_an_id_and_a_code_for_its_first_register(shop, data):
    assert list(shop) == ["shop", "name", "code", "role", "expires_at"]
    assert len(bytes.fromhex(shop["shop"])) == 16
    assert PairingCode.parse(shop["code"]).format() == shop["code"]
    assert shop["role"] == "register"


def test_a_person_is_shown_the_code_and_what_to_do_with_it(data):
    shown = run("shop", "create", "Cave du Port", data=data).stdout.splitlines()
    assert shown[0].startswith("Shop Cave du Port has the id ")
    assert PairingCode.parse(shown[2])
    assert shown[3].startswith("On the device: crdtsync join ")


@pytest.mark.parametrize("role", ["register", "backoffice", "display"])
def test_each_role_has_codes_of_its_own(shop, data, role):
    code = facts("pair", "Cave du Port", "--role", role, data=data)
    assert (code["shop"], code["role"]) == (shop["shop"], role)
    assert code["code"] != shop["code"]


def test_a_code_ends_when_it_is_asked_to(shop, data):
    day = facts("pair", shop["shop"], data=data)["expires_at"]
    hour = facts("pair", shop["shop"], "--valid-minutes", "60", data=data)["expires_at"]
    assert hour < day


def test_all_codes_of_a_relay_name_the_same_key(shop, data):
    codes = [PairingCode.parse(facts("pair", "cave du port", data=data)["code"]) for _ in range(2)]
    assert {code.fingerprint for code in codes} == {PairingCode.parse(shop["code"]).fingerprint}


def test_shops_are_listed(shop, data):
    assert [row["name"] for row in facts("shop", "list", data=data)["shops"]] == ["Cave du Port"]
    assert shop["shop"] in run("shop", "list", data=data).stdout


def test_status_tells_shops_devices_and_open_codes(shop, data):
    facts("pair", shop["shop"], data=data)
    status = facts("status", data=data)
    [row] = status["shops"]
    assert (row["name"], row["log_end"], row["open_codes"], row["devices"]) == ("Cave du Port", 2, 2, [])
    assert status["served_by_pid"] is None
    assert "not served at present" in run("status", data=data).stdout


def test_a_relay_without_shops_and_a_shop_without_devices_say_so(data):
    with opened(data, create=True):
        pass
    assert "There are no shops yet" in run("status", data=data).stdout
    assert run("verify", data=data).stdout == "There are no shops in this store.\n"
    facts("shop", "create", "Cave du Port", data=data)
    assert "No devices yet" in run("status", data=data).stdout


def enrol_till_1(shop, data):
    key = PrivateKey.from_seed(b"till 1")
    with opened(data) as (access, store):
        secret = access.issue_code(bytes.fromhex(shop["shop"]), "register").code.secret
        access.enrol(store, EnrolRequest(secret, b"d" * 16, "till 1", key.public), "198.51.100.7")


def run_here(*arguments):
    """A command that needs no relay."""
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def advised(result):
    """What a command advises that is refused because the owner's key is not on the relay."""
    assert result.exit_code == 20
    advice, _, _ = result.stderr.partition("from a backup")
    assert "`crdtsync-relay owner request SHOP FILE" in advice
    return advice


def test_who_took_the_owner_key_off_the_relay_is_told_how_to_cut_off_and_how_to_change_it(
    shop, data, tmp_path
):
    """What is advised works, and ends in what was wanted."""
    enrol_till_1(shop, data)
    [key] = (data / "keys").glob("*.owner")
    key = str(key.rename(tmp_path / "cave.owner"))
    request, answer, new = (str(tmp_path / name) for name in ("request", "answer", "new.owner"))
    assert "owner request SHOP FILE --revoke DEVICE" in advised(
        run("revoke", "Cave du Port", "till 1", data=data)
    )
    assert run("owner", "request", "Cave du Port", request, "--revoke", "till 1", data=data).exit_code == 0
    run_here("owner", "sign", request, answer, "--key", key)
    taken = run("owner", "answer", "Cave du Port", answer, data=data)
    assert taken.stdout.endswith("Cave du Port: 1 entry taken\n")
    assert facts("status", data=data)["shops"][0]["devices"][0]["revoked"]

    assert "owner sign FILE ANSWER --key KEY --new-key" in advised(
        run("owner", "rotate", "Cave du Port", data=data)
    )
    assert run("owner", "request", "Cave du Port", request, data=data).exit_code == 0
    assert "hands over to the key" in run_here(
        "owner", "sign", request, answer, "--key", key, "--new-key", new
    )
    assert run("owner", "answer", "Cave du Port", answer, data=data).exit_code == 0


def test_a_device_that_is_cut_off_is_shown_as_revoked(shop, data):
    enrol_till_1(shop, data)
    first = run("revoke", "Cave du Port", "till 1", "--reason", "stolen", data=data)
    again = run("revoke", "Cave du Port", (b"d" * 16).hex(), data=data)
    [device] = facts("status", data=data)["shops"][0]["devices"]
    assert (first.stdout.endswith("is cut off\n"), again.stdout.endswith("was cut off before\n")) == (
        True,
        True,
    )
    assert (device["name"], device["role"], device["series"], device["revoked"]) == (
        "till 1",
        "register",
        "01",
        True,
    )
    assert "revoked" in run("status", data=data).stdout


# -- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (("pair", "Nowhere"), 19, "there is no shop 'Nowhere' on this relay. `crdtsync-relay shop list`"),
        (
            ("shop", "create", "CAVE DU PORT"),
            11,
            "there is a shop 'CAVE DU PORT' on this relay already. Choose",
        ),
        (("shop", "create", ""), 11, "a shop has a name of 1 to 64 characters"),
        (("revoke", "Cave du Port", "till 9"), 11, "no devices of this shop are called 'till 9'"),
        (("serve", "--port", "70000"), 10, "--port is 70000; ports end at 65535"),
        (("serve", "--tls-cert", "cert.pem"), 10, "--tls-cert and --tls-key go together"),
        (
            ("serve", "--host", "no.such.host.invalid"),
            26,
            "no.such.host.invalid is no address of this machine",
        ),
    ],
)
def test_an_error_is_one_line_with_what_where_and_what_to_do(shop, data, arguments, exit_code, told):
    result = run(*arguments, data=data)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith(f"crdtsync-relay: {told}")
    assert result.stderr.count("\n") == 1


def test_an_error_is_json_for_a_script(shop, data):
    result = run("pair", "Nowhere", "--json", data=data)
    assert (json.loads(result.stderr)["code"], result.stdout) == ("UnknownShop", "")


@pytest.mark.parametrize("arguments", [("pair", "Cave"), ("shop", "list"), ("status",)])
def test_a_folder_without_a_relay_is_told_and_left_as_it_is(data, arguments):
    result = run(*arguments, data=data)
    assert (result.exit_code, data.exists()) == (21, False)
    assert "make a shop with `crdtsync-relay shop create NAME`" in result.stderr.replace("Make", "make")


@pytest.mark.parametrize("arguments", [("serve",), ("shop", "create", "Cave")])
def test_a_place_that_cannot_be_written_is_told(tmp_path, arguments):
    (tmp_path / "file").write_text("")
    result = run(*arguments, data=tmp_path / "file" / "relay")
    assert result.exit_code == 63
    assert "cannot be used as a data folder" in result.stderr


def test_every_command_has_help_with_an_example_and_its_exit_codes():
    for command in (
        [],
        ["serve"],
        ["shop", "create"],
        ["shop", "list"],
        ["pair"],
        ["revoke"],
        ["status"],
        ["verify"],
    ):
        shown = CliRunner().invoke(main, [*command, "--help"]).stdout
        assert "Example: crdtsync-relay" in shown.replace("\n", " ")
        assert "Exit codes: 0" in shown
        assert "2 wrong command line" in " ".join(shown.split())
        assert "130 interrupted" in " ".join(shown.split())


# -- serving -----------------------------------------------------------------------------------------------


def test_a_relay_says_where_it_is_when_devices_can_connect(shop, data):
    with serving(data) as (process, ready):
        assert (ready["pid"], ready["host"], ready["shops"]) == (process.pid, "127.0.0.1", 1)
        assert ready["url"] == f"ws://127.0.0.1:{ready['port']}"
        assert json.loads(fetch(f"{ready['web']}/healthz"))["ok"]
        assert "crdtsync_relay_shops 1.0" in fetch(f"{ready['web']}/metrics").splitlines()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_a_relay_that_is_told_to_stop_ends_well(shop, data, stop):
    with serving(data, stop=stop) as (process, _):
        pass
    assert process.returncode == 0


@pytest.mark.slow
def test_a_relay_without_shops_serves_and_says_what_to_do(data):
    command = [*RELAY, "serve", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        shown = [process.stdout.readline() for _ in range(2)]
        process.terminate()
        process.communicate()
    assert shown[0].endswith("(0 shops)\n")
    assert shown[1] == f"There is no shop yet: crdtsync-relay shop create NAME --data {data}\n"


@pytest.mark.slow
def test_shops_and_codes_are_made_while_the_relay_runs(data):
    with serving(data) as (process, _):
        shop = facts("shop", "create", "Cave du Port", data=data)
        facts("pair", shop["shop"], data=data)
        assert facts("status", data=data)["served_by_pid"] == process.pid


@pytest.mark.slow
def test_a_folder_is_not_served_twice(shop, data):
    with serving(data) as (process, _):
        second = subprocess.run(
            [*RELAY, "serve", "--data", str(data), "--port", "0"], capture_output=True, text=True, timeout=60
        )
    assert second.returncode == 25
    assert f"is served by another process already (pid {process.pid})" in second.stderr


def test_a_port_that_is_taken_is_told(shop, data):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port), data=data)
    assert result.exit_code == 26
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in result.stderr


def test_tls_files_that_are_none_are_told(shop, data, tmp_path):
    (tmp_path / "cert.pem").write_text("no certificate")
    files = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "cert.pem"))
    result = run("serve", "--port", "0", *files, data=data)
    assert result.exit_code == 10
    assert "cannot be used" in result.stderr
    assert "both are PEM files" in result.stderr.replace("Both", "both")


@pytest.mark.slow
def test_a_setting_can_come_from_the_environment_and_a_flag_goes_before_it(shop, data, monkeypatch):
    monkeypatch.setenv("CRDTSYNC_RELAY_PORT", "99999")
    assert run("serve", data=data).exit_code == 10
    with serving(data) as (_, ready):
        assert ready["port"] != 99999


@pytest.mark.slow
def test_systemd_is_told_when_the_relay_is_ready(shop, data, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        with serving(data):
            assert manager.recv(100) == b"READY=1"


@pytest.mark.slow
def test_what_the_relay_logs_is_one_json_object_per_line(shop, data):
    command = [*RELAY, "serve", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.terminate()
        _, logged = process.communicate()
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert events == ["relay_ready", "relay_stopped"]


def test_help_is_shown_without_loading_the_relay():
    probe = (
        "import sys; from crdtsync_server.cli import main; main(['serve', '--help'], standalone_mode=False);"
        "print([name for name in ('uvicorn', 'starlette', 'apsw', 'cryptography') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.splitlines()[-1] == "[]"
