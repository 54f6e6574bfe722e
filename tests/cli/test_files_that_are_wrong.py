"""Files that a person carries from one machine to another come cut, changed, mixed up or twice. Each command
that takes one says so in words, changes nothing by halves, and can be given the right one afterwards.
"""

import base64
import json
import random
import shutil

import pytest
from click.testing import CliRunner

from crdtsync import errors
from crdtsync_server.cli import main
from tests.cli.conftest import Till
from tests.cli.test_hold import SHOP, relay, till

__all__ = ["relay", "till"]

CODES = {error.exit_code for error in vars(errors).values() if isinstance(error, type)} - {0, 1}


@pytest.fixture
def files(relay, till: Till, tmp_path):
    """By kind, a good file of it; and the commands that take one, on a folder of their own each time."""
    (tmp_path / "passphrase").write_text("correct horse battery staple")
    till.ok("rescue", str(tmp_path / "rescue"))
    relay.ok("backup", str(tmp_path / "backup"), "--with-keys", str(tmp_path / "passphrase"))
    relay.ok("shop", "export", SHOP, str(tmp_path / "export"), "--with-keys", str(tmp_path / "passphrase"))
    relay.ok("owner", "request", SHOP, str(tmp_path / "request"), "--approve", "Caisse 1")
    [key] = (relay.folder / "keys").glob("*.owner")
    shutil.copy(key, tmp_path / "owner")
    CliRunner().invoke(
        main, ["owner", "sign", str(tmp_path / "request"), str(tmp_path / "answer"), "--key", str(key)]
    )
    return tmp_path


def commands(files, folder):
    """What takes each of the files. Nothing is written beside ``folder``."""
    sealed = ("--with-keys", str(files / "passphrase"))
    data = ("--data", str(folder))
    return {
        "rescue": ("rescue", "{}", *data),
        "backup": ("restore-from", "{}", *sealed, *data),
        "export": ("shop", "import", "{}", *sealed, *data),
        "request": ("owner", "sign", "{}", str(folder / "signed"), "--key", str(files / "owner")),
        "answer": ("owner", "answer", SHOP, "{}", *data),
    }


def run(command, file):
    done = CliRunner().invoke(main, [one.replace("{}", str(file)) for one in command])
    assert done.exception is None or isinstance(done.exception, SystemExit), (command, done.exception)
    return done


def folder_for(kind, files, relay):
    """A relay's folder as it is where such a file is brought to: a copy of the relay, or an empty one."""
    folder = files / "there"
    shutil.rmtree(folder, ignore_errors=True)
    if kind in ("rescue", "answer"):
        shutil.copytree(relay.folder, folder)
    else:
        folder.mkdir()
    return folder


KINDS = ("rescue", "backup", "export", "request", "answer")


def changed(data, pick):
    """The file cut, with a byte changed, a piece twice, a piece gone, or another value somewhere in JSON."""
    how = pick.randrange(5)
    place = pick.randrange(1, len(data))
    if how == 0:
        return data[:place]
    if how == 1:
        return data[:place] + bytes([data[place] ^ (1 << pick.randrange(8))]) + data[place + 1 :]
    other = min(len(data), place + pick.randrange(1, 400))
    if how == 2:
        return data[:other] + data[place:]
    if how == 3 or data[:1] != b"{":
        return data[:place] + data[other:]
    return json.dumps(with_another_value(json.loads(data), pick)).encode()


def with_another_value(value, pick):
    strange = (None, 5, -1, 1 << 60, 1.5, "", "x" * 70_000, [], {}, True, "\x1b[2J", ["a"], {"n": 1})
    if isinstance(value, dict) and value and pick.random() < 0.8:
        name = pick.choice(sorted(value))
        return {**value, name: with_another_value(value[name], pick)}
    if isinstance(value, list) and value and pick.random() < 0.8:
        place = pick.randrange(len(value))
        return [*value[:place], with_another_value(value[place], pick), *value[place + 1 :]]
    return pick.choice(strange)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_or_changed_is_refused_in_words_and_the_right_one_taken_after_it(
    relay, files, kind
):
    relay.local.stop()
    good, pick = (files / kind).read_bytes(), random.Random(kind)
    folder = folder_for(kind, files, relay)
    command, refused = commands(files, folder)[kind], 0
    for _ in range(40):
        bad = files / "bad"
        bad.write_bytes(data := changed(good, pick))
        done = run(command, bad)
        assert done.exit_code in CODES or done.exit_code == 0, done.output
        assert "\x1b" not in done.output
        refused += done.exit_code != 0
        if done.exit_code == 0 and data != good:  # What was changed says nothing, or nothing else.
            folder = folder_for(kind, files, relay)
            command = commands(files, folder)[kind]
    assert refused > 20
    assert run(command, files / kind).exit_code == 0
    again = run(command, files / kind)
    assert again.exit_code in (0, errors.SetupError.exit_code), again.output


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_refused_by_name(relay, files, kind):
    relay.local.stop()
    folder = folder_for(kind, files, relay)
    for other in (*KINDS, "passphrase", "owner"):
        if other != kind:
            done = run(commands(files, folder)[kind], files / other)
            assert done.exit_code in CODES, (kind, other, done.output)


def ask(files, asked):
    request = json.loads((files / "request").read_bytes())
    request["asks"] = [asked]
    (files / "asks").write_text(json.dumps(request))
    return run(commands(files, files)["request"], files / "asks")


@pytest.mark.slow
def test_a_request_gets_nothing_signed_but_what_it_is_understood_to_ask_for(relay, files):
    """The relay's operator writes the request. An owner's entry of another kind, or with other fields in it,
    does not come by a revocation.
    """
    device = json.loads((files / "request").read_bytes())["asks"][0]["payload"]["device"]
    revoke = {"device": device, "heads": [], "reason": "stolen"}
    for payload in (
        {**revoke, "kind": "owner-key"},
        {**revoke, "key": {"alg": "ES256", "pub": "02" * 33}, "next": "x", "links": ["00" * 32]},
        {**revoke, "till": "00" * 16, "n": 5, "prev": "00" * 32},
    ):
        done = ask(files, {"kind": "revoke", "payload": payload})
        assert done.exit_code == 0, done.output
        answer = json.loads((files / "signed").read_bytes())
        [entry] = answer["entries"]
        body = json.loads(base64.b64decode(entry).split(b"\0")[0])
        assert (body["kind"], body["reason"]) == ("revoke", "stolen")
        assert not {"key", "next", "links"} & body.keys()
        assert body["n"] != 5 or body["prev"] != "00" * 32
    for asked in (
        {"kind": "owner-key", "payload": {}},
        {"kind": "owner", "payload": {}},
        {"kind": "revoke"},
        {"kind": "revoke", "payload": {"device": device}},
        {"kind": "revoke", "payload": {**revoke, "reason": 5}},
        {"kind": ["revoke"], "payload": revoke},
        "revoke",
        None,
    ):
        assert ask(files, asked).exit_code == errors.InvalidName.exit_code
