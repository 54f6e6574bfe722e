"""The relay: where connections, shops and the one committer meet.

Everything here runs on the event loop; the committer's thread has a store of its own. What a commit brought
goes to every connection of its shop from memory (``Tail``); who lags reads the log from its own cursor, so a
slow peer costs no queue.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prometheus_client import Gauge
from starlette.websockets import WebSocket

from crdtsync.errors import AccessDenied, CrdtsyncError, DamagedStore, LinkClosed, StorageError
from crdtsync.ids import ENTRY, ID_BYTES, Position
from crdtsync.model.entry import SOFTWARE
from crdtsync.model.signature import sign_with_purpose
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Me
from crdtsync.runtime.admission import Admission
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.committer import OUT_OF_STEP, Committer, Work
from crdtsync.runtime.comparison import DocumentReader
from crdtsync.runtime.connection import Connection, refused
from crdtsync.runtime.tail import Growth, Tail
from crdtsync.storage.log import ShopLog
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.access import Access
from crdtsync_server.app import Health
from crdtsync_server.commits import CountedCommitter
from crdtsync_server.config import RelayConfig
from crdtsync_server.contacts import Contacts
from crdtsync_server.enrolment import EnrolmentDesk
from crdtsync_server.folder import DataFolder
from crdtsync_server.health import StoreHealth
from crdtsync_server.logs import get_logger
from crdtsync_server.metrics import RelayMetrics
from crdtsync_server.open import mend
from crdtsync_server.sockets import WebSocketEnd

TAIL_BYTES_MAX = 4 << 20
"""Newest rows of one shop kept in memory: what 50 registers sell in a busy minute."""

LOOK_EVERY_S = 0.25
"""How often the relay looks for what other processes wrote (a new pairing, a restored shop)."""

CONNECTIONS_PER_DEVICE_MAX = 4
"""A device has one connection, and for a while those that broke without a word. Its oldest goes first."""

RESTARTING, TOO_MANY = 1012, 1013


class Relay:
    """One relay's data folder, being served. Everything but the constructor runs on the event loop."""

    def __init__(self, folder: DataFolder, config: RelayConfig) -> None:
        self.metrics = RelayMetrics()
        self.access = Access(folder)
        self._folder = folder
        self._config = config
        self._store = SqliteStore(folder.store)
        self._clock = SystemClock()
        self._restored = self._notice_restore()
        self._mending: set[asyncio.Task[None]] = set()
        self._connections: dict[bytes, dict[Connection, WebSocketEnd]] = defaultdict(dict)
        self._all: dict[Connection, WebSocketEnd] = {}
        self._everybody_left = asyncio.Event()
        self._is_stopping = False
        self._contacts = Contacts(self._clock.now_ms)
        self._tails: dict[bytes, Tail] = {}
        self._others_wrote_to: dict[bytes, int] = defaultdict(int)
        self._admissions: dict[bytes, Admission] = {}
        self._committer_admissions: dict[bytes, Admission] = {}
        self._desk = EnrolmentDesk(folder, self.access.relay_device, self.access.relay_key)
        self._data_version = -1
        self._health = StoreHealth(folder, self.metrics, disk_free_mb_min=config.disk_free_mb_min)
        self._watch: asyncio.Task[None] | None = None
        self._commits = CountedCommitter(
            lambda: SqliteStore(folder.store),
            self._committer_admission,
            self,
            self._clock.now_ms,
            time.monotonic,
            self.metrics,
        )
        self.documents = DocumentReader(lambda: SqliteStore(folder.store))
        self.committer: Committer = self._commits
        self._let_metrics_be_read()

    def _notice_restore(self) -> set[bytes]:
        while True:
            try:
                self.access.index_shops(self._store)
                return set(self.access.notice_restore(self._store))
            except DamagedStore as damage:
                # A relay that does not start helps nobody: the rest works, and this is fetched again.
                if not mend(self._store, damage, self._clock.now_ms()):
                    raise
                get_logger().error("record_set_apart", reason=str(damage))

    @property
    def shop_count(self) -> int:
        """How many shops there are."""
        return len(self._store.shops())

    # -- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to take connections."""
        self.committer.start()
        for shop in self._restored:
            get_logger().warning("restore_noticed", shop=shop, by="the folder")
        self._watch = asyncio.create_task(self._look_around())
        self.metrics.shops.set(self.shop_count)

    async def drain(self) -> None:
        """Take nothing more, bring what has come to the disk, let its acknowledgements out, and then tell the
        devices to come back. Returns when they are gone.
        """
        self._is_stopping = True
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
        self._save_contacts(at_once=True)
        self.documents.close()
        await self.committer.stop()
        self._desk.close()
        self.access.close()
        self._store.close()

    async def serve_socket(self, websocket: WebSocket) -> None:
        """Synchronise with one device until it is gone."""
        end = WebSocketEnd(websocket, self.metrics)
        if self._is_stopping:
            await end.close(RESTARTING, "the relay restarts")
            return
        nonce = system_random(16)
        session = Session(connecting=False, nonce=nonce, sign=self._sign, now_ms=self.now_ms())
        connection = Connection(self, end, session)
        self._all[connection] = end
        try:
            await connection.run()
        finally:
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

    # -- what connections need (runtime.connection.Home) ---------------------------------------------------

    def me(self, peer: Hello | None) -> Me:
        """The relay in the shop of that peer."""
        if peer is None:
            raise AssertionError("a relay does not connect")
        log = self.shop_log(peer.shop)
        cursor = log.cursor(peer.log_id)
        if peer.cursor_log == log.log_id and log.hash_at(peer.cursor.seq) != peer.cursor.h:
            self._was_restored(peer.shop)
        return Me(
            shop=peer.shop,
            device=self.access.relay_device,
            log_id=log.log_id,
            end=log.end,
            cursor_log=peer.log_id,
            cursor=cursor.position if cursor else Position(0, bytes(32)),
            wanted=(),
            nonce=system_random(16),
            certificate=b"",
            is_relay=True,
            time_ms=self._clock.now_ms(),
            digest=root_digest(log.runs()),
            software=SOFTWARE,
        )

    def _was_restored(self, shop: bytes) -> None:
        """A device holds more of our log than we do, or another one under the same id."""
        if shop in self._restored:
            return
        self._restored.add(shop)
        self._desk.begin_generation(shop)
        get_logger().warning("restore_noticed", shop=shop, by="a device")

    def shop_log(self, shop: bytes) -> ShopLog:
        """Raises ``AccessDenied`` for a shop that is not on this relay."""
        try:
            return self._store.shop(shop)
        except KeyError:
            if not self.access.make_lost_shop(self._store, shop):
                raise AccessDenied("this relay does not know the shop") from None
        get_logger().warning("restore_noticed", shop=shop, by="its key", hint="its registers fill it again")
        self._restored.add(shop)
        return self._store.shop(shop)

    def admission(self, shop: bytes) -> Admission:
        """For hellos, on the event loop."""
        return self._admissions.setdefault(shop, Admission(shop))

    def tail(self, shop: bytes) -> Tail:
        """The newest rows of a shop."""
        if shop not in self._tails:
            self._tails[shop] = Tail(self.shop_log(shop).end, TAIL_BYTES_MAX)
        return self._tails[shop]

    def pinned_relay_key(self) -> bytes | None:
        """Any certified device of the shop may come."""
        return None

    def went_live(self, connection: Connection) -> None:
        """A device has proved who it is."""
        peer = connection.session.peer
        if peer is None:
            return
        live, end = self._connections[peer.shop], self._all[connection]
        live[connection] = end
        end.has_proved()
        same = [
            one for one in live if one.session.peer is not None and one.session.peer.device == peer.device
        ]
        for older in same[:-CONNECTIONS_PER_DEVICE_MAX]:
            older.close(LinkClosed("this device has connected anew too often", code=TOO_MANY), TOO_MANY)
        get_logger().info("device_connected", shop=peer.shop, device=peer.device, software=peer.software)

    def acknowledged(self, connection: Connection, position: Position) -> Callable[[ShopLog], None] | None:
        """What a device holds of the relay's log is its own business."""
        return None

    def presence(self, connection: Connection, facts: dict[str, Any]) -> None:
        """Kept with the connection."""

    def now_ms(self) -> int:
        """The time of connections, in milliseconds: never set, never stepped, unlike the wall clock."""
        return time.monotonic_ns() // 1_000_000

    def rotated_log_id(self) -> bytes:
        """A relay never changes its log id on one device's claim; the session does not ask for it."""
        return system_random(ID_BYTES)

    # -- commits -------------------------------------------------------------------------------------------

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """A commit is on disk, or failed: pass on what it brought."""
        if error is not None:
            self._health.failed(error)
            get_logger().error("commit_failed", reason=str(error))
            self._store_failed(error)
            return
        sizes = [len(row.record) for growth in growths for row in growth.rows]
        self._health.committed(seconds=seconds, records=len(sizes), records_bytes=sum(sizes))
        for growth in growths:
            self._pass_on(growth)

    def _pass_on(self, growth: Growth) -> None:
        if not growth.rows:
            return
        tail = self.tail(growth.shop)
        others_wrote = tail.end.seq != growth.start.seq
        tail.extend(growth.start, growth.rows)
        end = Position(growth.rows[-1].seq, growth.rows[-1].h)
        if others_wrote or any(
            row.record[:1] == ENTRY and b'"kind":"revoke"' in row.record for row in growth.rows
        ):
            self._drop_revoked(growth.shop)
        log = self.shop_log(growth.shop)
        for connection in list(self._connections[growth.shop]):
            peer = connection.session.peer
            if peer is not None and peer.log_id in growth.admitted_anew:
                refusals = [refused(refusal) for refusal in log.refusals_given(peer.log_id)]
                connection.session.refusals_changed(refusals)
            connection.log_grew(end)

    async def _look_around(self) -> None:
        """Now and then: what other processes wrote, and what has become of the devices."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self._look_for_others()
                self._save_contacts()
            except StorageError as error:
                # The disk may answer again; until then commits fail too, and `/healthz` says why.
                self._store_failed(error)
            live = [connection for connections in self._connections.values() for connection in connections]
            self.metrics.devices_lagging.set(self._contacts.look(live))

    def _look_for_others(self) -> None:
        version = self._store.data_version()
        if version == self._data_version:
            return
        newest, is_done = self._store.newest_rows(), True
        self.metrics.shops.set(len(newest))
        for shop in [shop for shop, live in self._connections.items() if live]:
            if newest[shop] <= max(self.tail(shop).end.seq, self._others_wrote_to[shop]):
                continue
            if self._commits.is_at_work(shop):
                is_done = False  # Perhaps it is that: its outcome comes first, then we look again.
            else:
                self._others_wrote(shop)
        if is_done:
            self._data_version = version

    def _others_wrote(self, shop: bytes) -> None:
        end = self.shop_log(shop).end
        self._others_wrote_to[shop] = end.seq
        self._drop_revoked(shop)
        for connection in list(self._connections[shop]):
            connection.log_grew(end)

    def _save_contacts(self, *, at_once: bool = False) -> None:
        live = [connection for connections in self._connections.values() for connection in connections]
        for shop, write in self._contacts.due(live, at_once=at_once).items():
            self.committer.submit(Work(shop, b"", "", lambda outcome: None, also=write))

    def _store_failed(self, error: CrdtsyncError) -> None:
        if not isinstance(error, StorageError):
            return
        self._health.speaks_against(error)
        if isinstance(error, DamagedStore) and not self._mending and not self._is_stopping:
            self._mending.add(asyncio.create_task(self._mend(error)))

    async def _mend(self, damage: DamagedStore) -> None:
        try:
            is_mended = await self._desk.mend(damage, self._clock.now_ms())
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
        self._tails.pop(damage.shop, None)
        for connection in list(self._connections[damage.shop]):
            connection.close(LinkClosed("a damaged record was set apart", code=OUT_OF_STEP), OUT_OF_STEP)

    def _drop_revoked(self, shop: bytes) -> None:
        admission = self.admission(shop)
        admission.is_stale = True
        admission.refresh(self.shop_log(shop))
        for connection in list(self._connections[shop]):
            peer = connection.session.peer
            if peer is not None and admission.is_revoked(peer.device):
                connection.close(AccessDenied("this device was revoked"), 4401)

    def _gone(self, connection: Connection) -> None:
        peer = connection.session.peer
        if connection.error is not None:
            self._store_failed(connection.error)
        if peer is not None:
            self._contacts.gone(connection)
            self._connections[peer.shop].pop(connection, None)
            get_logger().info(
                "device_gone", shop=peer.shop, device=peer.device, reason=str(connection.error or "")
            )
        elif connection.error is not None:
            get_logger().info("connection_refused", reason=str(connection.error))

    def _committer_admission(self, shop: bytes) -> Admission:
        return self._committer_admissions.setdefault(shop, Admission(shop))

    def _sign(self, purpose: str, payload: bytes) -> bytes:
        return sign_with_purpose(self.access.relay_key, purpose, payload)

    def _let_metrics_be_read(self) -> None:
        metrics = self.metrics

        def told(name: str) -> list[int]:
            shops = self._connections.values()
            facts = [connection.presence.get(name) for live in shops for connection in live]
            return [number for number in facts if type(number) is int and number > 0]

        reads: dict[Gauge, Callable[[], float]] = {
            metrics.devices_connected: lambda: sum(map(len, self._connections.values())),
            metrics.devices_pending: lambda: len(told("pending_records")),
            metrics.pending_sales: lambda: sum(told("pending_sales")),
            metrics.store_bytes: self._folder.store_bytes,
            metrics.disk_free_bytes: lambda: shutil.disk_usage(self._folder.root).free,
        }
        for gauge, read in reads.items():
            metrics.read_when_asked(gauge, read)
