"""The relay as a program: its folder, its sockets, its threads, around what connections need (``home``).

Everything here runs on the event loop; the committer's thread has a store of its own. What a commit brought
goes to every connection of its shop from memory (``Tail``); who lags reads the log from its own cursor, so a
slow peer costs no queue.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.metadata import version

from prometheus_client import Gauge
from starlette.websockets import WebSocket

from crdtsync.errors import AccessDenied, CrdtsyncError, DamagedStore, LinkClosed, StorageError
from crdtsync.model.signature import sign_with_purpose
from crdtsync.protocol import limits
from crdtsync.protocol.about import ABOUT_PURPOSE, About, about_payload
from crdtsync.protocol.session import Session
from crdtsync.runtime.clock import Clock, RandomBytes, SystemClock, system_random
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.work import Work
from crdtsync.runtime.syncing.comparison import DocumentReader
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.link_trouble import SLOWED
from crdtsync.runtime.syncing.refusal import SHOP_GONE
from crdtsync.runtime.syncing.tail import Growth
from crdtsync_server.commits import CountedCommitter
from crdtsync_server.config import RelayConfig
from crdtsync_server.dashboard.back_office import BackOffice
from crdtsync_server.folder import DataFolder
from crdtsync_server.home import LOOK_EVERY_S, RelayHome, mend
from crdtsync_server.open import COMMITTER_CACHE_KIB, open_store
from crdtsync_server.serving.app import Health
from crdtsync_server.serving.health import StoreHealth
from crdtsync_server.serving.logs import get_logger
from crdtsync_server.serving.metrics import RelayMetrics
from crdtsync_server.serving.pace import Pace, device_of
from crdtsync_server.serving.sockets import WebSocketEnd
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.contacts import Contacts
from crdtsync_server.shops.copied import chains_that_follow, newly_copied
from crdtsync_server.shops.enrolment import EnrolmentDesk
from crdtsync_server.shops.wishes import Wishes

RESTARTING = 1012


class Relay(RelayHome):
    """One relay's data folder, being served. Everything but the constructor runs on the event loop."""

    def __init__(
        self,
        folder: DataFolder,
        config: RelayConfig,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Clock | None = None,
        random: RandomBytes = system_random,
    ) -> None:
        """``pause`` lets so many seconds pass between two looks at what other processes wrote."""
        self.metrics = RelayMetrics()
        self._pause, self._random = pause, random
        self.access = Access(folder, clock=clock, random=random)
        self._folder = folder
        self._config = config
        self._sqlite = open_store(folder)
        super().__init__(
            self._sqlite, self.access.relay_device, clock or SystemClock(), random, quota=config.quota
        )
        self.restored = self._notice_restore()
        self._mending: set[asyncio.Task[None]] = set()
        self._all: dict[Connection, WebSocketEnd] = {}
        self._parting: set[asyncio.Task[None]] = set()
        self._everybody_left = asyncio.Event()
        self._is_stopping = False
        self._pace = Pace(
            self.now_ms,
            records_per_s=config.device_records_per_s,
            bytes_per_s=config.device_mb_per_s * (1 << 20),
        )
        self._told_slowed: set[Connection] = set()
        self._contacts = Contacts(self.clock.now_ms, self._is_slowed)
        self._wishes = Wishes(self.clock.now_ms, self.shop_log)
        self._desk = EnrolmentDesk(
            folder, self.access.relay_device, self.access.relay_key, clock=self.clock, random=random
        )
        self._data_version = -1
        self.office = BackOffice(
            folder,
            self.clock,
            random,
            failed=self.store_failed,
            wrote=self._look_for_others,
            wished=self._wished,
        )
        self._health = StoreHealth(folder, self.metrics, disk_free_mb_min=config.disk_free_mb_min)
        self._watch: asyncio.Task[None] | None = None
        self._commits = CountedCommitter(
            lambda: open_store(folder, cache_kib=COMMITTER_CACHE_KIB),
            self.committer_admission,
            self,
            self.clock.now_ms,
            time.monotonic,
            self.metrics,
            self._came,
        )
        self.documents = DocumentReader(lambda: open_store(folder))
        self.committer: Committer = self._commits
        self._let_metrics_be_read()

    def _notice_restore(self) -> set[bytes]:
        while True:
            try:
                self.access.index_shops(self.store)
                return set(self.access.notice_restore(self.store))
            except DamagedStore as damage:
                # A relay that does not start helps nobody: the rest works, and this is fetched again.
                if not mend(self.store, damage, self.clock.now_ms()):
                    raise
                get_logger().error("record_set_apart", reason=str(damage))

    @property
    def shop_count(self) -> int:
        """How many shops there are."""
        return len(self.store.shops())

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to take connections."""
        self.committer.start()
        self.office.start()
        for shop in self.restored:
            get_logger().warning("restore_noticed", shop=shop, by="the folder")
        for shop in self.store.shops():
            self._desk.take_vouched(shop)  # It may have been killed before it could.
        self._watch = asyncio.create_task(self._look_around())
        self.metrics.shops.set(self.shop_count)

    async def drain(self) -> None:
        """Take nothing more, bring what has come to the disk, let its acknowledgements out, and then tell the
        devices to come back. Returns when they are gone.
        """
        self._is_stopping = True
        self.office.close()
        for end in self._all.values():
            end.stop_reading()
        await self._commits.settled()
        for connection in list(self._all):
            connection.close(LinkClosed("the relay restarts", code=RESTARTING), RESTARTING)
        if self._all:
            self._everybody_left.clear()
            await self._everybody_left.wait()

    async def stop(self) -> None:
        """Finish the commit under way and close the stores."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        await self.office.stop()
        for task in self._parting:  # From devices that do not even read that it is over.
            task.cancel()
        await asyncio.gather(*self._parting, return_exceptions=True)
        self._save_contacts(at_once=True)
        self.documents.close()
        await self.committer.stop()
        self._desk.close()
        self.access.close()
        self.store.close()

    async def serve_socket(self, websocket: WebSocket) -> bool:
        """Synchronise with one device until it is gone, or return at once if the server goes on without."""
        end = WebSocketEnd(websocket, self.metrics)
        if self._is_stopping:
            await end.close(RESTARTING, "the relay restarts")
            return False
        nonce = self._random(16)
        session = Session(
            connecting=False,
            nonce=nonce,
            sign=self._sign,
            now_ms=self.now_ms(),
            exchange_seed=self._random(32),
        )
        connection = Connection(self, end, session)
        self._all[connection] = end
        end.pause_s = lambda: self._pace.pause_s(device_of(connection))
        if end.stay():
            connection.begin().add_done_callback(lambda _: self._part_from(connection))
            return True
        try:
            await connection.run()
        finally:
            self._has_left(connection)
        return False

    def _part_from(self, connection: Connection) -> None:
        task = asyncio.create_task(connection.finish())
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)
        task.add_done_callback(lambda _: self._has_left(connection))
        task.add_done_callback(lambda _: self.metrics.connections.dec())

    def _has_left(self, connection: Connection) -> None:
        del self._all[connection]
        self._gone(connection)
        if not self._all:
            self._everybody_left.set()

    async def serve_enrolment(self, websocket: WebSocket) -> None:
        """Let one device in, if its pairing code is right."""
        address = websocket.client.host if websocket.client else ""
        result = await self._desk.serve(WebSocketEnd(websocket, self.metrics), address)
        self.metrics.pairings.labels(result).inc()

    def health(self) -> Health:
        """Whether the relay can store. May block on the disk; called on a thread of its own."""
        return self._health.look()

    def about(self, nonce: bytes) -> About:
        """What anybody may know of this relay: `/healthz`, which says more, may be closed to most. May block
        on the disk; called on a thread of its own.
        """
        now_ms = self.clock.now_ms()
        return About(
            key=self.access.relay_key.public,
            now_ms=now_ms,
            protocol=limits.VERSION,
            version=version("crdtsync"),
            problem="" if self.health().ok else "it cannot store anything at present",
            signature=self._sign(ABOUT_PURPOSE, about_payload(nonce, now_ms)),
        )

    # -- what differs from any relay's home ----------------------------------------------------------------

    def find_lost_shop(self, shop: bytes) -> bool:
        """A shop whose owner's key is here was on this relay: its registers fill it again."""
        is_ours = self.access.make_lost_shop(self.store, shop)
        if is_ours:
            get_logger().warning(
                "restore_noticed", shop=shop, by="its key", hint="its registers fill it again"
            )
        return is_ours

    def unknown_shop(self, shop: bytes) -> AccessDenied:
        """See ``RelayHome``. A shop that went elsewhere says where."""
        moved_to = self.access.moved.told(shop)
        if moved_to is None:
            return super().unknown_shop(shop)
        return AccessDenied(f"{SHOP_GONE}{moved_to and f': {moved_to}'}")

    def was_restored(self, shop: bytes) -> None:
        """See ``RelayHome``. Series of numbers are given out of a new generation from now on."""
        super().was_restored(shop)
        self._desk.begin_generation(shop)
        get_logger().warning("restore_noticed", shop=shop, by="a device")

    def went_live(self, connection: Connection) -> None:
        """See ``RelayHome``."""
        super().went_live(connection)
        self._all[connection].has_proved()
        peer = connection.session.peer
        if peer is not None:
            try:
                self._wishes.met(connection)
            except StorageError as error:  # Nobody is kept from synchronising by it.
                self.store_failed(error)
            self._contacts.came(connection)
            self.office.met(peer.log_id, peer.device)
            get_logger().info("device_connected", shop=peer.shop, device=peer.device, software=peer.software)

    def now_ms(self) -> int:
        """See ``RelayHome``."""
        return time.monotonic_ns() // 1_000_000

    # -- commits -------------------------------------------------------------------------------------------

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """See ``RelayHome``."""
        if error is not None:
            self._health.failed(error)
            get_logger().error("commit_failed", reason=str(error))
        else:
            sizes = [len(row.record) for growth in growths for row in growth.rows]
            for growth in growths:
                self._tell_copied(growth)
            self._health.committed(seconds=seconds, records=len(sizes), records_bytes=sum(sizes))
        super().committed(growths, seconds, error)
        self.office.came(growths)

    def _tell_copied(self, growth: Growth) -> None:
        begun = chains_that_follow(row.record for row in growth.rows)
        if begun:
            self._desk.take_vouched(growth.shop)
        try:
            copied = newly_copied(self.shop_log(growth.shop), begun)
        except StorageError as error:  # `doctor` tells it too; what came goes on to the others.
            self.store_failed(error)
            return
        for one in copied:
            get_logger().warning(
                "register_copied",
                shop=growth.shop,
                device=one.device,
                hint="its data was put back or copied; `crdtsync-relay status` says what to do",
            )

    async def _look_around(self) -> None:
        """Now and then: what other processes wrote, and what has become of the devices."""
        while True:
            await self._pause(LOOK_EVERY_S)
            try:
                self._look_for_others()
                self._wishes.look(self._live())
                self._save_contacts()
            except StorageError as error:
                # The disk may answer again; until then commits fail too, and `/healthz` says why.
                self.store_failed(error)
            self.metrics.devices_lagging.set(self._contacts.look(self._live()))
            self._tell_slowed()

    def _came(self, work: Work) -> None:
        if isinstance(work.sender, Connection):
            self._pace.came(device_of(work.sender), work.deliveries)

    def _is_slowed(self, connection: Connection) -> bool:
        return self._pace.is_slowed(device_of(connection))

    def _tell_slowed(self) -> None:
        """Tell a device that it is read more slowly than it sends, and when that is over."""
        slowed = {connection for connection in self._live() if self._is_slowed(connection)}
        for connection in slowed ^ self._told_slowed:
            connection.session.send_presence({SLOWED: connection in slowed})
            connection.pump()
        self._told_slowed = slowed
        self.metrics.devices_slowed.set(len(slowed))
        self._pace.forget_idle()

    def _live(self) -> list[Connection]:
        return [connection for live in self.connections.values() for connection in live]

    def _look_for_others(self) -> None:
        version = self.store.data_version()
        if version == self._data_version:
            return
        newest = self._sqlite.newest_rows()
        self.metrics.shops.set(len(newest))
        self.office.look_for_others(newest)
        if self.look_for_others(newest, self._commits.is_at_work):
            self._data_version = version

    def _save_contacts(self, *, at_once: bool = False) -> None:
        due = self._contacts.due(self._live(), at_once=at_once)
        for shop, write in (*due.items(), *self._wishes.due().items()):
            self.committer.submit(Work(shop, b"", "", lambda outcome: None, also=write))

    def _wished(self, shop: bytes, device: bytes) -> None:
        """Somebody wishes that a device synchronises: it is asked, wherever it is connected."""
        for connection in list(self.connections[shop]):
            peer = connection.session.peer
            if peer is not None and peer.device == device:
                self._wishes.met(connection)
                connection.pump()

    def store_failed(self, error: CrdtsyncError) -> None:
        """See ``RelayHome``."""
        if isinstance(error, StorageError):
            self._health.speaks_against(error)
        super().store_failed(error)

    def mend_later(self, damage: DamagedStore) -> None:
        """See ``RelayHome``: one at a time, on a thread that is not the committer's."""
        if not self._mending and not self._is_stopping:
            self._mending.add(asyncio.create_task(self._mend(damage)))

    async def _mend(self, damage: DamagedStore) -> None:
        try:
            is_mended = await self._desk.mend(damage, self.clock.now_ms())
        except StorageError as error:
            get_logger().error("record_not_set_apart", reason=str(error))
            return
        finally:
            self._mending.clear()
        if not is_mended or damage.shop is None:
            return
        get_logger().error(
            "record_set_apart", reason=str(damage), hint="its registers are asked for it again"
        )
        self._health.mended()
        self.was_mended(damage)

    def _gone(self, connection: Connection) -> None:
        peer = connection.session.peer
        self._told_slowed.discard(connection)
        if connection.error is not None:
            self.store_failed(connection.error)
        if peer is not None:
            self._wishes.listen(connection)
            self._contacts.gone(connection)
            self.gone(connection)
            get_logger().info(
                "device_gone", shop=peer.shop, device=peer.device, reason=str(connection.error or "")
            )
        elif connection.error is not None:
            get_logger().info("connection_refused", reason=str(connection.error))

    def _sign(self, purpose: str, payload: bytes) -> bytes:
        return sign_with_purpose(self.access.relay_key, purpose, payload)

    def _let_metrics_be_read(self) -> None:
        metrics = self.metrics

        def told(name: str) -> list[int]:
            facts = [connection.presence.get(name) for connection in self._live()]
            return [number for number in facts if type(number) is int and number > 0]

        reads: dict[Gauge, Callable[[], float]] = {
            metrics.devices_connected: lambda: len(self._live()),
            metrics.devices_pending: lambda: len(told("pending_records")),
            metrics.pending_sales: lambda: sum(told("pending_sales")),
            metrics.store_bytes: self._folder.store_bytes,
            metrics.disk_free_bytes: lambda: shutil.disk_usage(self._folder.root).free,
        }
        for gauge, read in reads.items():
            metrics.read_when_asked(gauge, read)
