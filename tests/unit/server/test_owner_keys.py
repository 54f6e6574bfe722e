"""The owner's key handed over on the relay, and kept off it."""

import json
import os

import pytest

from crdtsync.errors import BadSignature, InvalidName, MalformedRecord, PairingRefused, SetupError
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import read_entry
from crdtsync.model.signature import PrivateKey
from crdtsync_server.cli.owner import _told
from crdtsync_server.shops.owner_keys import request_for, rotate, sign, take_answer
from crdtsync_server.shops.waiting import waiting

# -- handing over --------------------------------------------------------------------------------------------


def test_after_a_rotation_old_certificates_count_and_new_ones_are_signed_by_the_new_key(relay):
    relay.enrol(1)
    rotated = rotate(relay.access, relay.store, relay.shop, reason="stolen laptop")
    relay.enrol(2)
    assert relay.names() == ["till 1", "till 2"]
    assert relay.chain.directory.owner_public == rotated.public != rotated.before
    assert relay.chain.entries[-1].body["by"] == rotated.public.hex()
    assert relay.findings() == ()


def test_a_key_that_was_handed_over_twice_leaves_everything_as_it_was_said(relay):
    for number in (1, 2, 3):
        relay.enrol(number)
        rotate(relay.access, relay.store, relay.shop)
    relay.access.revoke(relay.store, relay.shop, bytes([2]) * 16, "sold")
    assert relay.names() == ["till 1", "till 2", "till 3"]
    assert relay.chain.directory.is_revoked(bytes([2]) * 16)
    assert relay.findings() == ()
    assert len(list(relay.folder.keys.glob("*.owner"))) == 4


def test_a_device_that_asks_again_after_a_rotation_can_check_its_old_certificate(relay):
    secret = relay.code()
    first = relay.enrol(1, secret)
    relay.enrol(2)
    rotate(relay.access, relay.store, relay.shop)
    again = relay.enrol(1, secret)
    assert again.certificate == first.certificate
    directory = Directory(relay.shop)
    for sealed in again.sealed:
        directory = directory.with_entry(read_entry(sealed))
    assert directory.certificate(bytes([1]) * 16) == first.certificate
    assert directory.certificate(relay.access.relay_device).public == relay.access.relay_key.public


@pytest.mark.parametrize("when", ["prepare_owner_key", "use_prepared_owner_key"])
def test_a_rotation_that_was_interrupted_is_finished_by_the_next(relay, when, monkeypatch):
    relay.enrol(1)
    real = getattr(type(relay.access.keys), when)

    def interrupted(keys, *arguments):
        if when == "prepare_owner_key":
            real(keys, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(relay.access.keys), when, interrupted)
        rotate(relay.access, relay.store, relay.shop)
    rotate(relay.access, relay.store, relay.shop)
    relay.enrol(2)
    assert relay.names() == ["till 1", "till 2"]
    rotations = [entry for entry in relay.chain.entries if entry.kind == "owner-key"]
    assert len(rotations) == 1
    assert relay.findings() == ()


def test_a_rotation_that_was_interrupted_keeps_nobody_out(relay, monkeypatch):
    """The chain has handed over, and the relay still signs with the key of before."""
    relay.enrol(1)
    before = relay.access.keys.owner_key(relay.shop).public
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def interrupted(keys, shop):
            raise KeyboardInterrupt

        patch.setattr(type(relay.access.keys), "use_prepared_owner_key", interrupted)
        rotate(relay.access, relay.store, relay.shop)
    assert relay.access.keys.owner_key(relay.shop).public == before
    relay.enrol(2)
    relay.access.revoke(relay.store, relay.shop, bytes([1]) * 16, "sold")
    assert relay.names() == ["till 1", "till 2"]
    assert relay.access.keys.owner_key(relay.shop).public == relay.chain.directory.owner_public != before
    rotated = rotate(relay.access, relay.store, relay.shop)
    assert rotated.public == relay.chain.directory.owner_public
    assert relay.findings() == ()


def test_two_processes_take_the_next_key_into_use_at_the_same_moment(relay, monkeypatch):
    keys = relay.access.keys
    first = keys.owner_key(relay.shop).public
    new = keys.prepare_owner_key(relay.shop, keys.new_key())
    genuine = os.replace

    def slower(*paths):
        monkeypatch.setattr(os, "replace", genuine)
        keys.use_prepared_owner_key(relay.shop)
        genuine(*paths)

    monkeypatch.setattr(os, "replace", slower)
    before = keys.use_prepared_owner_key(relay.shop)
    assert PrivateKey.from_bytes(before.read_bytes()).public == first
    assert keys.owner_key(relay.shop).public == new.public
    assert len(list(relay.folder.keys.glob("*.owner"))) == 2


def test_whoever_deletes_the_keys_that_were_given_up_can_hand_over_again(relay):
    """The newest file is the present key, whichever are left."""
    for number in range(1, 5):
        rotated = rotate(relay.access, relay.store, relay.shop)
        assert relay.chain.directory.owner_public == rotated.public != rotated.before
        assert PrivateKey.from_bytes(rotated.file_before.read_bytes()).public == rotated.before
        relay.enrol(number)
        rotated.file_before.unlink()
    assert relay.findings() == ()


def test_a_key_that_is_kept_elsewhere_cannot_be_handed_over_here(relay):
    relay.take_key_away()
    with pytest.raises(SetupError):
        rotate(relay.access, relay.store, relay.shop)
    assert not list(relay.folder.keys.glob("*next*"))


# -- kept elsewhere ------------------------------------------------------------------------------------------


def test_without_the_owners_key_a_device_waits_until_the_owner_has_signed(relay):
    key, secret = relay.take_key_away(), relay.code()
    for _ in range(2):
        with pytest.raises(PairingRefused, match="waits for the owner's signature"):
            relay.enrol(1, secret)
    request = request_for(relay.access, relay.store, relay.shop, [])
    answer, signed = sign(request, key, relay.clock)
    assert [(one.what, one.name, one.role, one.series) for one in signed] == [
        ("certify", "till 1", "register", "01")
    ]
    assert relay.names() == []
    assert take_answer(relay.access, relay.store, relay.shop, answer) == signed
    assert take_answer(relay.access, relay.store, relay.shop, answer) == []
    enrolled = relay.enrol(1, secret)
    assert (enrolled.certificate.series, enrolled.is_new) == ("01", False)
    assert relay.names() == ["till 1"]
    assert waiting(relay.store.shop(relay.shop)) == []
    assert relay.findings() == ()


def test_devices_that_wait_together_get_series_of_their_own(relay):
    key = relay.take_key_away()
    secrets = [relay.code() for _ in range(3)]
    for number, secret in enumerate(secrets, 1):
        with pytest.raises(PairingRefused):
            relay.enrol(number, secret)
    answer, _ = sign(request_for(relay.access, relay.store, relay.shop, []), key, relay.clock)
    take_answer(relay.access, relay.store, relay.shop, answer)
    series = {relay.enrol(number, secret).certificate.series for number, secret in enumerate(secrets, 1)}
    assert series == {"01", "02", "03"}


def test_a_code_that_one_device_waits_with_lets_no_other_one_in(relay):
    relay.take_key_away()
    secret = relay.code()
    with pytest.raises(PairingRefused, match="waits"):
        relay.enrol(1, secret)
    with pytest.raises(PairingRefused, match="used already"):
        relay.enrol(2, secret)


def test_two_machines_do_not_wait_for_the_place_of_one_lost_register(relay):
    """The owner would sign both: two registers, each of which says that it took over from the lost one."""
    relay.enrol(1)
    key, lost = relay.take_key_away(), bytes([1]) * 16
    secrets = [relay.access.issue_code(relay.shop, "register", replaces=lost).code.secret for _ in range(2)]
    with pytest.raises(PairingRefused, match="waits for the owner"):
        relay.enrol(2, secrets[0])
    with pytest.raises(PairingRefused, match=r"'till 2' .* waits already to take the place") as refused:
        relay.enrol(3, secrets[1])
    assert f"restore SHOP {(bytes([2]) * 16).hex()}" in refused.value.hint
    with pytest.raises(PairingRefused, match="waits for the owner"):
        relay.enrol(2, secrets[0])
    # A person asks for the revocation besides.
    request = request_for(relay.access, relay.store, relay.shop, [(lost, "stolen")])
    answer, signed = sign(request, key, relay.clock)
    assert sorted((one.what, one.name) for one in signed) == [("certify", "till 2"), ("revoke", "till 1")]
    take_answer(relay.access, relay.store, relay.shop, answer)
    assert relay.enrol(2, secrets[0]).certificate.replaces.device == lost
    with pytest.raises(PairingRefused, match="replaced already"):
        relay.enrol(3, secrets[1])


def test_an_expired_code_does_not_let_wait(relay, clock):
    relay.take_key_away()
    secret = relay.code()
    clock.pass_ms(48 * 3_600_000)
    with pytest.raises(PairingRefused, match="expired"):
        relay.enrol(1, secret)
    assert waiting(relay.store.shop(relay.shop)) == []


def test_a_device_is_cut_off_by_a_key_that_is_kept_elsewhere(relay):
    relay.enrol(1)
    key = relay.take_key_away()
    with pytest.raises(SetupError):
        relay.access.revoke(relay.store, relay.shop, bytes([1]) * 16, "stolen")
    asked = [(bytes([1]) * 16, "stolen")]
    answer, signed = sign(request_for(relay.access, relay.store, relay.shop, asked), key, relay.clock)
    assert [(one.what, one.name) for one in signed] == [("revoke", "till 1")]
    take_answer(relay.access, relay.store, relay.shop, answer)
    assert relay.chain.directory.is_revoked(bytes([1]) * 16)


def test_the_key_is_handed_over_where_it_is(relay):
    relay.enrol(1)
    key, new, secret = relay.take_key_away(), PrivateKey.from_seed(b"the next"), relay.code()
    with pytest.raises(PairingRefused):
        relay.enrol(2, secret)
    request = request_for(relay.access, relay.store, relay.shop, [])
    answer, signed = sign(request, key, relay.clock, new_key=new)
    assert [one.what for one in signed] == ["owner-key", "certify", "certify"]
    take_answer(relay.access, relay.store, relay.shop, answer)
    assert relay.chain.directory.owner_public == new.public
    assert relay.enrol(2, secret).certificate.name == "till 2"
    with pytest.raises(SetupError):
        sign(request_for(relay.access, relay.store, relay.shop, []), key, relay.clock)
    assert relay.findings() == ()


def test_another_key_signs_no_request(relay):
    request = request_for(relay.access, relay.store, relay.shop, [(bytes(16), "")])
    with pytest.raises(SetupError):
        sign(request, PrivateKey.from_seed(b"thief"), relay.clock)


def test_a_request_whose_chain_was_changed_is_not_signed(relay):
    """The relay could leave out who has a series: the chain is verified where it is signed."""
    relay.enrol(1)
    key = relay.take_key_away()
    facts = json.loads(request_for(relay.access, relay.store, relay.shop, []))
    facts["chain"][-1] = facts["chain"][-1][:-8] + "AAAAAAA="
    with pytest.raises((BadSignature, MalformedRecord, InvalidName)):
        sign(json.dumps(facts).encode(), key, relay.clock)


def test_a_request_for_the_series_of_another_device_is_not_signed(relay):
    relay.enrol(1)
    key, secret = relay.take_key_away(), relay.code()
    with pytest.raises(PairingRefused):
        relay.enrol(2, secret)
    facts = json.loads(request_for(relay.access, relay.store, relay.shop, []))
    facts["asks"][0]["payload"]["series"] = "01"
    with pytest.raises(InvalidName, match="another's"):
        sign(json.dumps(facts).encode(), key, relay.clock)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"format":"crdtsync-owner-request/1"}', b'{"format":"crdtsync-owner-answer/1"}'],
)
def test_a_file_of_another_form_is_refused(relay, data):
    with pytest.raises(InvalidName):
        sign(data, relay.access.keys.owner_key(relay.shop), relay.clock)
    with pytest.raises(InvalidName):
        take_answer(relay.access, relay.store, relay.shop, data)


def test_of_an_answer_with_one_bad_entry_nothing_is_taken(relay):
    key = relay.take_key_away()
    for number in (1, 2):
        with pytest.raises(PairingRefused):
            relay.enrol(number)
    facts = json.loads(sign(request_for(relay.access, relay.store, relay.shop, []), key, relay.clock)[0])
    facts["entries"][1] = facts["entries"][1][:-8] + "AAAAAAA="
    before = relay.store.shop(relay.shop).end
    with pytest.raises((BadSignature, MalformedRecord)):
        take_answer(relay.access, relay.store, relay.shop, json.dumps(facts).encode())
    assert relay.store.shop(relay.shop).end == before
    assert len(waiting(relay.store.shop(relay.shop))) == 2


def test_an_answer_for_another_shop_is_refused(relay):
    other = relay.access.create_shop(relay.store, "Bar").id
    key = relay.access.keys.owner_key(other)
    answer, _ = sign(request_for(relay.access, relay.store, other, []), key, relay.clock)
    with pytest.raises(InvalidName, match="another shop"):
        take_answer(relay.access, relay.store, relay.shop, answer)


# -- what is shown of what is signed -------------------------------------------------------------------------


def test_whoever_signs_is_told_each_device_its_key_and_whose_place_it_takes(relay):
    relay.enrol(1)
    key = relay.take_key_away()
    code = relay.access.issue_code(relay.shop, "register", replaces=bytes([1]) * 16).code.secret
    with pytest.raises(PairingRefused):
        relay.enrol(2, code)
    _, [certify, revoke] = sign(
        request_for(relay.access, relay.store, relay.shop, []), key, relay.access.clock
    )
    public = PrivateKey.from_seed(b"device 2").public
    assert (certify.device, certify.key, certify.replaces) == (bytes([2]) * 16, public, bytes([1]) * 16)
    assert (revoke.what, revoke.device, revoke.heads) == ("revoke", bytes([1]) * 16, ())
    told = [line for one in (certify, revoke) for line in _told(one)]
    assert f"  device {'02' * 16}, key {public.hex()}" in told
    assert f"  in the place of the lost device {'01' * 16}" in told


def test_what_is_let_in_of_a_revoked_device_is_told_by_its_links(relay):
    relay.enrol(1)
    key = relay.take_key_away()
    links = [bytes([number]) * 32 for number in range(30)]
    approved = [(bytes([1]) * 16, links, "found again")]
    _, [approve] = sign(
        request_for(relay.access, relay.store, relay.shop, [], approved), key, relay.access.clock
    )
    assert approve.links == tuple(links)
    told = list(_told(approve))
    assert told[2:4] == [f"  {links[0].hex()}", f"  {links[1].hex()}"]
    assert told[-1] == "  and 10 more: --json names them all"


# -- a relay that was put back from before a rotation --------------------------------------------------------


def test_a_relay_put_back_from_before_a_rotation_says_which_key_is_missing(relay):
    relay.enrol(1)
    before = {path.name: path.read_bytes() for path in relay.folder.keys.glob("*.owner")}
    rotated = rotate(relay.access, relay.store, relay.shop)
    # The registers bring the rotation back; the keys folder is that of last week.
    for path in relay.folder.keys.glob("*.owner"):
        path.unlink()
    for name, data in before.items():
        (relay.folder.keys / name).write_bytes(data)
    with pytest.raises(SetupError) as refused:
        relay.access.revoke(relay.store, relay.shop, bytes([1]) * 16, "sold")
    assert rotated.public.hex()[:16] in str(refused.value)
    assert "keys folder" in refused.value.hint


def test_with_the_old_key_moved_away_it_lets_devices_wait_for_the_new_one(relay):
    relay.enrol(1)
    [path] = relay.folder.keys.glob("*.owner")
    old = path.read_bytes()
    rotate(relay.access, relay.store, relay.shop)
    new = relay.access.keys.owner_key(relay.shop)
    for one in relay.folder.keys.glob("*.owner"):
        one.unlink()
    path.write_bytes(old)
    path.rename(path.with_suffix(".given-up"))
    secret = relay.code()
    with pytest.raises(PairingRefused, match="waits for the owner's signature"):
        relay.enrol(2, secret)
    answer, _ = sign(request_for(relay.access, relay.store, relay.shop, []), new, relay.access.clock)
    take_answer(relay.access, relay.store, relay.shop, answer)
    assert relay.enrol(2, secret).certificate.name == "till 2"
