"""The store in memory and the store on disk, driven side by side: whatever is done, they say the same."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crdtsync.ids import Item, Origin, Position
from crdtsync.storage.log import Cursor, Refusal, ShopLog
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOPS = [b"shop-number-one!", b"shop-number-two!"]
PEERS = [b"log-of-peer-one!", b"log-of-peer-two!"]
DOCUMENTS = ["catalogue", "x/notes"]

shops, peers = st.sampled_from(SHOPS), st.sampled_from(PEERS)
places = st.integers(0, 40)


class AbandonedError(Exception):
    """Raised in a transaction that is to be undone."""


class StoresAgree(RuleBasedStateMachine):
    """Every rule does one thing to both stores, in a transaction that may be abandoned.

    The one on disk is open twice, as by two processes, which take turns and must both say what is there.
    """

    @initialize()
    def open(self):
        self.folder = Path(tempfile.mkdtemp(prefix="stores-agree-"))
        self.disk = MemoryDisk()
        self.memory: MemoryStore = MemoryStore(self.disk)
        self.sqlite: SqliteStore = SqliteStore(self.folder / "a.db")
        self.beside: SqliteStore = SqliteStore(self.folder / "a.db")
        self.chains = [MadeUpChain(1), MadeUpChain(2)]
        self.items: list[Item] = []
        for store in (self.memory, self.sqlite):
            with store.transaction():
                for shop in SHOPS:
                    store.create_shop(shop, b"log-of-" + shop[-9:])

    def teardown(self):
        if hasattr(self, "sqlite"):
            damages = list(self.sqlite.check())
            self.sqlite.close()
            self.beside.close()
            assert damages == []
            shutil.rmtree(self.folder)

    def both(self, shop, act, *, abandoned=False):
        """Do the same to both stores; what they answer must be the same."""
        answers = []
        for store in (self.memory, self.sqlite):
            with contextlib.suppress(AbandonedError), store.transaction():
                try:
                    answers.append(act(store.shop(shop)))
                except ValueError as error:
                    answers.append(type(error))
                    raise AbandonedError from error
                if abandoned:
                    raise AbandonedError
        assert answers[0] == answers[1]

    @rule(
        shop=shops,
        chain=st.integers(0, 1),
        count=st.integers(1, 6),
        origin=st.none() | peers,
        skip=st.booleans(),
        abandoned=st.booleans(),
    )
    def sell(self, shop, chain, count, origin, skip, abandoned):
        till = self.chains[chain]
        if skip:
            self.items.append(till.entry())
        new = till.entries(count, Origin(origin, till.n) if origin else None)
        self.items += new
        self.both(shop, lambda log: [log.append(item) for item in new], abandoned=abandoned)

    @rule(shop=shops, choices=st.lists(st.integers(0, 10_000), min_size=1, max_size=8))
    def receive_old_entries(self, shop, choices):
        if self.items:
            old = [self.items[choice % len(self.items)] for choice in choices]
            self.both(shop, lambda log: [log.append(item) for item in old])

    @rule(shop=shops, choice=st.integers(0, 10_000))
    def fork(self, shop, choice):
        sales = [item for item in self.items if item.entry]
        if sales:
            base = sales[choice % len(sales)]
            till = next(till for till in self.chains if till.chain == base.entry.chain)
            tip = (till.n, till.link)
            new = till.after(base.digest, n=base.entry.n + 1)
            till.n, till.link = tip
            self.items.append(new)
            self.both(shop, lambda log: log.append(new))

    @rule(
        shop=shops, document=st.sampled_from(DOCUMENTS), origin=st.none() | peers, text=st.binary(max_size=3)
    )
    def change_a_document(self, shop, document, origin, text):
        new = made_up_update(document, text, origin=Origin(origin, 7) if origin else None)
        self.both(shop, lambda log: log.append(new))

    @rule(
        shop=shops, document=st.sampled_from(DOCUMENTS), count=st.integers(1, 4), text=st.binary(max_size=2)
    )
    def compact(self, shop, document, count, text):
        def act(log: ShopLog) -> int:
            seqs = [seq for seq, _ in log.document_records(document)][:count]
            return log.compact(made_up_update(document, b"state" + text, state=True), seqs)

        self.both(shop, act)

    @rule(shop=shops, rows=st.integers(1, 9), keep_after=places, abandoned=st.booleans())
    def pack(self, shop, rows, keep_after, abandoned):
        self.both(shop, lambda log: log.pack(rows, keep_after), abandoned=abandoned)

    @rule(shop=shops, choice=st.integers(0, 10_000), abandoned=st.booleans())
    def damage_and_mend(self, shop, choice, abandoned):
        log = self.memory.shop(shop)
        loose = [seq for seq, _ in log.read(0, bytes_max=1 << 20).records if log.pack_at(seq) is None]
        if not loose:
            return
        seq = loose[choice % len(loose)]
        self.disk.damage(shop, seq)
        self.sqlite.connection.execute(
            "UPDATE record SET bytes = CAST('?' || substr(bytes, 2) AS BLOB)"
            " WHERE pos = (SELECT no << 40 FROM shop WHERE id = ?) + ?",
            (shop, seq),
        )
        self.reopen()
        self.both(shop, lambda log: log.set_damaged_apart(seq, choice), abandoned=abandoned)
        if abandoned:
            self.both(shop, lambda log: log.set_damaged_apart(seq, choice))

    @rule(shop=shops, peer=peers, seq=places, wrong=st.booleans())
    def acknowledge(self, shop, peer, seq, wrong):
        def act(log: ShopLog) -> None:
            h = b"?" * 32 if wrong else log.hash_at(seq)
            if h is not None:
                log.set_acknowledged(peer, Position(seq, h), seq)

        self.both(shop, act)

    @rule(shop=shops, peer=peers, seq=places, wanted=st.lists(st.tuples(places, places), max_size=3))
    def receive_up_to(self, shop, peer, seq, wanted):
        self.both(shop, lambda log: log.set_cursor(peer, Cursor(Position(seq, b"h" * 32), tuple(wanted))))

    @rule(shop=shops, peer=peers)
    def void_origin(self, shop, peer):
        self.both(shop, lambda log: log.void_origin(peer))

    @rule(shop=shops, number=st.integers(0, 255))
    def rotate(self, shop, number):
        self.both(shop, lambda log: log.rotate_log_id(bytes([number]) * 16))

    @rule(shop=shops, number=st.integers(0, 255))
    def begin_anew(self, shop, number):
        self.both(shop, lambda log: log.begin_anew(bytes([number]) * 16))

    @precondition(lambda self: self.items)
    @rule(shop=shops, peer=peers, seq=places, choice=st.integers(0, 10_000), held=st.booleans())
    def refuse(self, shop, peer, seq, choice, held):
        item = self.items[choice % len(self.items)]
        refusal = Refusal(seq, item.digest, "code", "reason", held)
        self.both(shop, lambda log: log.refuse(peer, refusal, item.record, seq))

    @precondition(lambda self: self.items)
    @rule(shop=shops, choice=st.integers(0, 10_000))
    def settle(self, shop, choice):
        digest = self.items[choice % len(self.items)].digest
        self.both(shop, lambda log: log.settle_refusals(digest))

    @rule(shop=shops, peer=peers, seqs=st.lists(places, max_size=4), complete=st.booleans())
    def be_refused(self, shop, peer, seqs, complete):
        refusals = [Refusal(seq, b"d" * 32, "code", "reason", False) for seq in seqs]
        self.both(shop, lambda log: log.set_refusals_received(peer, refusals, complete=complete))

    @rule(shop=shops, key=st.sampled_from(["head", "relay"]), value=st.none() | st.binary(max_size=3))
    def keep(self, shop, key, value):
        def act(log: ShopLog) -> None:
            log.set_state(key, value)
            log.set_request(key, b"l" * 32, len(value or b""))

        self.both(shop, act)

    @rule()
    def let_the_other_go_on(self):
        self.sqlite, self.beside = self.beside, self.sqlite

    @rule()
    def reopen(self):
        self.sqlite.close()
        self.sqlite = SqliteStore(self.folder / "a.db")
        self.memory.close()
        self.memory = MemoryStore(self.disk)

    @invariant()
    def agree(self):
        if hasattr(self, "sqlite"):
            for shop in SHOPS:
                expected = self.seen(self.memory.shop(shop))
                assert self.seen(self.sqlite.shop(shop)) == expected
                assert self.seen(self.beside.shop(shop)) == expected

    def seen(self, log: ShopLog):
        end = log.end.seq
        chains = [till.chain for till in self.chains]
        covered = {chain: [(1, 2), (5, 9)] for chain in chains}
        starts = {0, end // 2, end}
        packs, seq = [], 1
        while (pack := log.pack_at(seq)) is not None:
            packs.append(pack)
            seq = pack.to.seq + 1
        return {
            "head": (log.log_id, log.end, [log.hash_at(seq) for seq in range(end + 2)]),
            "read": [log.read(after, bytes_max=3000) for after in starts],
            "skipped": [
                log.read(after, bytes_max=9000, skip_origin=Origin(peer, seq))
                for after in starts
                for peer in PEERS
                for seq in (1, 9999)
            ],
            "covered": log.read(0, bytes_max=9000, covered=covered),
            "chains": [list(log.chain_entries(chain, 2, 9)) for chain in chains],
            "entries": [
                (log.entry(chain, n), log.links_at(chain, n)) for chain in chains for n in range(1, 8)
            ],
            "held": [
                log.holds(item.digest, *((item.entry.chain, item.entry.n) if item.entry else ()))
                for item in self.items
            ],
            "documents": [(row, list(log.document_records(row.name))) for row in log.documents()],
            "runs": (log.runs(), [log.runs(chain) for chain in chains]),
            "pending": [list(log.unacknowledged(peer)) for peer in (None, *PEERS)],
            "peers": [
                (log.cursor(p), log.acknowledged(p), log.refusals_given(p), log.refusals_received(p))
                for p in PEERS
            ],
            "apart": sorted(log.apart(), key=lambda apart: apart.digest),
            "small": [(log.state(key), log.request(key)) for key in ("head", "relay")],
            "packs": packs,
        }


StoresAgree.TestCase.settings = settings(
    max_examples=max(settings.default.max_examples // 5, 20), stateful_step_count=30
)
TestStoresAgree = pytest.mark.slow(StoresAgree.TestCase)
