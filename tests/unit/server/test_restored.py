import re
import shutil

import pytest

from crdtsync.errors import PairingRefused
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import open_store
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.owner import OwnerChain

ADDRESS = "198.51.100.7"
OF_A_GENERATION = re.compile(r"[A-Z][0-9A-Z]{2}01")


class OpenRelay:
    """A relay's folder, opened as every command and the server open it."""

    def __init__(self, root, clock, seeded):
        folder = DataFolder.create(root)
        self.access, self.store = Access(folder, clock=clock, random=seeded), open_store(folder)
        self.access.index_shops(self.store)
        self.restored = self.access.notice_restore(self.store)

    def enrol(self, number, code=None, **more):
        [shop] = self.access.shops()
        secret = (code or self.access.issue_code(shop.id, "register")).code.secret
        key = PrivateKey.from_seed(b"device %d" % number)
        request = EnrolRequest(secret, bytes([number]) * 16, f"till {number}", key.public, **more)
        return self.access.enrol(self.store, request, ADDRESS).certificate

    def close(self):
        self.access.close()
        self.store.close()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "relay"


@pytest.fixture
def opened(root, clock, seeded):
    """Opens the relay; closes what it has opened before."""
    present = []

    def open_it():
        while present:
            present.pop().close()
        present.append(OpenRelay(root, clock, seeded))
        return present[0]

    relay = open_it()
    relay.access.create_shop(relay.store, "Cave du Port")
    yield open_it
    present[0].close()


def put_back(root, backup):
    """Another folder with the same contents in the place of the first."""
    shutil.rmtree(root)
    shutil.copytree(backup, root)


def write_back(root, backup, *names):
    """Old contents into the files that are there."""
    for name in names:
        (root / name).write_bytes((backup / name).read_bytes())


@pytest.fixture
def backup(opened, root, tmp_path):
    """A copy with one register in it, of a relay that has let a second one in since."""
    opened().enrol(1)
    opened().close()
    shutil.copytree(root, tmp_path / "backup")
    opened().enrol(2)
    opened().close()
    return tmp_path / "backup"


def test_a_relay_that_is_only_started_again_goes_on_with_its_series(opened):
    assert [opened().enrol(number).series for number in (1, 2, 3)] == ["01", "02", "03"]
    assert opened().restored == []


def test_a_relay_put_back_from_a_backup_gives_no_series_twice(opened, root, backup):
    put_back(root, backup)
    relay = opened()
    assert relay.restored == [relay.access.shops()[0].id]
    assert OF_A_GENERATION.fullmatch(relay.enrol(3).series)


def test_a_relay_whose_log_alone_was_put_back_gives_no_series_twice(opened, root, backup):
    write_back(root, backup, "relay.sqlite")
    assert OF_A_GENERATION.fullmatch(opened().enrol(3).series)


def test_a_restore_is_noticed_once(opened, root, backup):
    put_back(root, backup)
    first = opened().enrol(3).series
    assert opened().restored == []
    assert opened().enrol(4).series == first[:3] + "02"


def test_a_second_restore_from_the_same_backup_begins_another_generation(opened, root, backup):
    generations = set()
    for _ in range(2):
        put_back(root, backup)
        generations.add(opened().enrol(3).series)
    assert len(generations) == 2


def test_codes_from_before_the_backup_are_good_no_more(opened, root, tmp_path):
    relay = opened()
    code = relay.access.issue_code(relay.access.shops()[0].id, "register")
    opened().close()
    shutil.copytree(root, tmp_path / "copy")
    put_back(root, tmp_path / "copy")
    with pytest.raises(PairingRefused, match="expired"):
        opened().enrol(1, code)


def test_a_device_with_a_series_of_its_own_keeps_it_after_a_restore(opened, root, backup):
    put_back(root, backup)
    assert opened().enrol(3, series="ABC234").series == "ABC234"


def test_a_relay_whose_books_were_lost_gives_no_series_twice(opened, root, backup):
    for file in root.glob("access.sqlite*"):
        file.unlink()
    assert OF_A_GENERATION.fullmatch(opened().enrol(3).series)


def test_certificates_of_both_branches_count(opened, root, backup, tmp_path):
    shutil.copytree(root, tmp_path / "newer")
    put_back(root, backup)
    relay = opened()
    relay.enrol(3)
    [shop] = relay.access.shops()
    newer = open_store(DataFolder(tmp_path / "newer"))
    learned = OwnerChain.read(newer.shop(shop.id)).entries
    newer.close()
    chain = OwnerChain.read(relay.store.shop(shop.id))
    directory = chain.directory
    for entry in learned:
        directory = directory.with_entry(entry)
    assert {certificate.name for certificate in directory.certificates()} >= {"till 1", "till 2", "till 3"}
    assert len({entry.link for entry in (*learned, *chain.entries) if entry.facts.n == 4}) == 2
