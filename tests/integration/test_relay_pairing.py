"""Pairing with a relay in a process of its own, and from several processes at once."""

import json
import multiprocessing
import random
import signal

import pytest

from crdtsync.errors import PairingRefused, WrongRelayKey
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import read_entry
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.protocol.pairing import PairingCode
from crdtsync.runtime.belonging.enrol import ask_for_certificate
from crdtsync.runtime.clock import system_random
from crdtsync_server.open import opened
from crdtsync_server.shops.owner import OwnerChain
from tests import forked

pytestmark = [pytest.mark.timeout(60), pytest.mark.slow]

DEVICES_PER_PROCESS = 6


@pytest.fixture
def data(tmp_path):
    return tmp_path / "relay"


@pytest.fixture
def shop(data):
    with opened(data, create=True) as (access, store):
        return access.create_shop(store, "Cave du Port")


@pytest.fixture
def url(data, shop):
    process = forked.Process(
        ["-m", "crdtsync_server", "serve", "--data", data, "--port", 0, "--json"],
        stdout=forked.PIPE,
        stderr=forked.DEVNULL,
    )
    yield json.loads(process.stdout.readline())["url"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def a_code(data, shop):
    with opened(data) as (access, _):
        return access.issue_code(shop.id, "register").code


def request_of(number, code):
    key = PrivateKey.from_seed(b"till %d" % number)
    return EnrolRequest(code.secret, bytes([number]) * 16, f"till {number}", key.public), key


def ask(url, code, number=1):
    request, key = request_of(number, code)
    return ask_for_certificate(url, code, request, key, system_random)


def test_a_register_with_a_code_made_while_the_relay_runs_is_let_in(data, shop, url):
    answer, relay_key = ask(url, a_code(data, shop))
    directory = Directory(shop.id)
    for sealed in answer.sealed:
        directory = directory.with_entry(read_entry(sealed))
    certificate = directory.certificate(bytes([1]) * 16)
    assert (certificate.role, certificate.series) == ("register", "01")
    assert directory.owner_public is not None
    assert any(row.public == relay_key for row in directory.certificates() if row.role == "relay")


def test_a_register_whose_answer_was_lost_gets_the_same_one_again(data, shop, url):
    code = a_code(data, shop)
    assert ask(url, code) == ask(url, code)


def test_a_second_register_is_not_let_in_by_a_used_code(data, shop, url):
    code = a_code(data, shop)
    ask(url, code, number=1)
    with pytest.raises(PairingRefused, match="used already"):
        ask(url, code, number=2)


def test_a_code_is_shown_to_no_relay_but_its_own(data, shop, url):
    code = a_code(data, shop)
    other = PairingCode(code.selector, code.verifier, bytes(10))
    with pytest.raises(WrongRelayKey):
        ask(url, other)
    assert ask(url, code)[0].sealed


def pair_devices(data, codes, first, start):
    with opened(data) as (access, store):
        start.wait(60)
        for number, secret in enumerate(codes, start=first):
            key = PrivateKey.from_seed(b"till %d" % number)
            request = EnrolRequest(secret, bytes([number]) * 16, f"till {number}", key.public)
            access.enrol(store, request, f"198.51.100.{number}")


@pytest.mark.slow
def test_processes_that_pair_at_once_never_give_one_series_twice(data, shop):
    with opened(data) as (access, _):
        codes = [access.issue_code(shop.id, "register").code.secret for _ in range(2 * DEVICES_PER_PROCESS)]
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    processes = [
        context.Process(
            target=pair_devices, args=(data, codes[first : first + DEVICES_PER_PROCESS], first + 1, start)
        )
        for first in (0, DEVICES_PER_PROCESS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    with opened(data) as (_, store):
        chain = OwnerChain.read(store.shop(shop.id))
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(
        certificate.series for certificate in chain.directory.certificates() if certificate.series
    ) == [f"{number:02}" for number in range(1, 2 * DEVICES_PER_PROCESS + 1)]
    assert [entry.facts.n for entry in chain.entries] == list(range(1, 2 * DEVICES_PER_PROCESS + 3))


def open_folder(data, start):
    start.wait(60)
    with opened(data, create=True) as (access, store):
        access.create_shop(store, f"shop {random.getrandbits(64):x}")


@pytest.mark.slow
def test_processes_that_make_a_relay_at_once_share_one_key(data):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    processes = [context.Process(target=open_folder, args=(data, start)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    with opened(data) as (access, store):
        keys = {
            certificate.public
            for shop in access.shops()
            for certificate in OwnerChain.read(store.shop(shop.id)).directory.certificates()
        }
    assert keys == {access.relay_key.public}
