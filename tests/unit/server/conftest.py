from contextlib import closing

import pytest

from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.runtime.register.verify import verify_log
from crdtsync.testing.clock import ManualClock, seeded_bytes
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import open_store
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.owner import OwnerChain

ADDRESS = "198.51.100.7"


@pytest.fixture(scope="module", autouse=True)
def cost_of_guessing(guessing_costs_little):
    """Little, in all but test_cost_of_guessing."""


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def seeded():
    """Random bytes that are the same in every run."""
    return seeded_bytes(7)


class Relay:
    """A relay's books, with one shop."""

    def __init__(self, root, clock, seeded):
        self.folder, self.clock = DataFolder.create(root), clock
        self.access, self.store = Access(self.folder, clock=clock, random=seeded), open_store(self.folder)
        self.access.notice_restore(self.store)
        self.shop = self.access.create_shop(self.store, "Cave du Port").id

    @property
    def chain(self):
        return OwnerChain.read(self.store.shop(self.shop))

    def names(self):
        return sorted(one.name for one in self.chain.directory.certificates() if one.role != "relay")

    def code(self):
        return self.access.issue_code(self.shop, "register").code.secret

    def enrol(self, number, secret=None):
        key = PrivateKey.from_seed(b"device %d" % number)
        request = EnrolRequest(secret or self.code(), bytes([number]) * 16, f"till {number}", key.public)
        return self.access.enrol(self.store, request, ADDRESS)

    def take_key_away(self):
        """The owner's key, which is on the relay no more."""
        [path] = self.folder.keys.glob("*.owner")
        key = PrivateKey.from_bytes(path.read_bytes())
        path.unlink()
        return key

    def findings(self):
        return verify_log(self.store.shop(self.shop), lambda chain: chain.hex()).findings


@pytest.fixture
def relay(tmp_path, clock, seeded):
    relay = Relay(tmp_path / "relay", clock, seeded)
    with closing(relay.access), closing(relay.store):
        yield relay
