"""Folders that are copied: a relay's, a register's, a device's key. Both copies go on; nothing is lost, and a
person is told.
"""

import re
import shutil

import pytest

from crdtsync import Register
from crdtsync.errors import PairingRefused
from crdtsync.model import jet
from crdtsync.model.entry import read_entry
from crdtsync.model.ticket import Line
from crdtsync_server import LocalRelay

pytestmark = pytest.mark.slow

WINE = Line("CM-19", "Crozes-Hermitage 2019", 1850, 2000)


def port_of(relay: LocalRelay) -> int:
    found = re.search(r":(\d+)", relay.url)
    assert found is not None
    return int(found[1])


def holdings(*tills: Register) -> list[dict[str, str | None]]:
    """Per till, every ledger by the fingerprint of what it holds."""
    return [
        {
            row.name: row.fingerprint
            for row in till.status(all_documents=True).documents
            if "ledger" in row.name
        }
        for till in tills
    ]


def sync_in_turn(*tills: Register) -> None:
    for till in (*tills, *tills):
        till.sync(60)


def test_registers_that_meet_two_copies_of_a_relay_in_turn_bring_each_what_it_lacks(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        port, url = port_of(relay), relay.url
        till_1 = Register.join(tmp_path / "till-1", url, relay.pairing_code(), name="Till 1")
        till_2 = Register.join(tmp_path / "till-2", url, relay.pairing_code(), name="Till 2")
        till_1.sell([WINE], ["card"])
        sync_in_turn(till_1, till_2)
    shutil.copytree(tmp_path / "relay", tmp_path / "copy")
    with till_1, till_2:
        for folder, seller in (("relay", till_1), ("copy", till_2), ("relay", till_2), ("copy", till_1)):
            with LocalRelay(tmp_path / folder, port=port):
                seller.sell([WINE], ["card"])
                sync_in_turn(till_1, till_2)
                assert [till.status().pending.records for till in (till_1, till_2)] == [0, 0]
        assert holdings(till_1) == holdings(till_2)
        assert [len(till.sales()) for till in (till_1, till_2)] == [5, 5]
        assert [till.verify().findings for till in (till_1, till_2)] == [(), ()]


def test_both_copies_of_a_register_sell_and_every_ticket_can_be_given_back(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        Register.join(tmp_path / "till-1", relay.url, relay.pairing_code(), name="Till 1").close()
        shutil.copytree(tmp_path / "till-1", tmp_path / "copy")
        with Register.open(tmp_path / "till-1") as till, Register.open(tmp_path / "copy") as copy:
            sold = [till.sell([WINE], ["card"]), copy.sell([WINE], ["cash"])]
            sync_in_turn(till, copy)
            assert sold[0].number == sold[1].number
            assert holdings(till) == holdings(copy)
            for one in (till, copy):
                assert any("two versions" in concern for concern in one.status().concerns)
                assert one.report(sold[0].business_day).total_minor == 3700
            for ticket in sold:
                assert till.refund(ticket.link.hex()[:8]).total_minor == -1850
            later = [one.sell([WINE], ["card"]).number.partition("-")[0] for one in (till, copy)]
            assert later[0] == till.identity.series != later[1], "the one that came second numbers anew"


def test_a_key_that_outlived_its_store_does_not_give_out_its_numbers_again(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        folder = tmp_path / "till-1"
        with Register.join(folder, relay.url, relay.pairing_code(), name="Till 1") as till:
            number = till.sell([WINE], ["card"]).number
            till.sync(60)
        for file in folder.iterdir():
            if file.name != "device.key":
                file.unlink()
        with pytest.raises(PairingRefused):
            Register.join(folder, relay.url, relay.pairing_code(), name="Till 1")
        (folder / "device.key").rename(folder / "old.key")
        with Register.join(folder, relay.url, relay.pairing_code(), name="Till 1") as till:
            assert till.sell([WINE], ["card"]).number != number
            till.sync(60)
            assert [row.number for row in till.sales()].count(number) == 1


def journal(till: Register) -> list[int]:
    """The codes of the technical events of its present chain."""
    chain = till.replica.writer.head().chain
    entries = [read_entry(sealed) for _, sealed in till.replica.log.chain_entries(chain, 1, 1 << 20)]
    return [entry.body["code"] for entry in entries if entry.kind == "jet"]


def test_the_journal_of_a_register_that_was_copied_and_enrolled_again_says_so(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        Register.join(tmp_path / "till-1", relay.url, relay.pairing_code(), name="Till 1").close()
        shutil.copytree(tmp_path / "till-1", tmp_path / "copy")
        with Register.open(tmp_path / "till-1") as till, Register.open(tmp_path / "copy") as copy:
            for one in (till, copy):
                one.sell([WINE], ["card"])
            sync_in_turn(till, copy)
            for one in (till, copy):
                one.sell([WINE], ["card"])
            assert (journal(till), journal(copy)) == ([], [jet.FORK])
            sync_in_turn(till, copy)
        with Register.join(tmp_path / "copy", relay.url, relay.pairing_code(), name="Till 2") as again:
            again.sell([WINE], ["card"])
            assert journal(again) == [jet.KEY_CHANGED]
            again.sync(60)
