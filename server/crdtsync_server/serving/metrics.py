"""What Prometheus is told. One registry per relay, so that two relays in one process do not mix.

All names begin with ``crdtsync_relay_``. No metric has a shop or a device as a label: their number has no
bound, and who sells how much is nobody's business on a metrics page.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COMMIT_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 4.0)
"""From half a commit of a good disk to a disk that nobody should run a shop on."""

_NAMESPACE: Final = "crdtsync_relay"
_PREFIX: Final = _NAMESPACE + "_"


class Traffic:
    """What devices and the relay said to each other since Prometheus last asked. For the event loop: there
    are more messages than anything else, and counters that are safe from any thread cost a tenth of them.
    """

    __slots__ = ("frames_received", "frames_received_bytes", "frames_sent", "frames_sent_bytes")

    def __init__(self) -> None:
        self.frames_received = self.frames_received_bytes = 0
        self.frames_sent = self.frames_sent_bytes = 0


class RelayMetrics:
    """The relay's counters. Incrementing one costs about a microsecond and is safe from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        Info(_PREFIX + "build", "The version that runs.", registry=self.registry).info(
            {"version": version("crdtsync")}
        )
        ProcessCollector(namespace=_NAMESPACE, registry=self.registry)
        self.healthy = self._gauge("healthy", "1 if /healthz says ok, 0 if something has to be done.")
        self.connections = self._gauge("connections", "WebSocket connections for synchronising now.")
        self.devices_connected = self._gauge("devices_connected", "Devices that have proved who they are.")
        self.devices_lagging = self._gauge(
            "devices_lagging", "Of these, those that have not caught up with their shop for ten seconds."
        )
        self.devices_slowed = self._gauge(
            "devices_slowed", "Of these, those that send faster than they may and are read more slowly."
        )
        self.devices_pending = self._gauge(
            "devices_pending", "Of these, those that said last that something is not acknowledged to them."
        )
        self.pending_sales = self._gauge("pending_sales", "How many sales that is, by their own counts.")
        self.connections_opened = self._counter("connections_opened", "Connections accepted since the start.")
        self.connections_turned_away = self._counter(
            "connections_turned_away",
            "Connections closed before they proved who they are, by reason.",
            "reason",
        )
        self.records = self._counter("records", "Records admitted and stored.")
        self.records_bytes = self._counter("record_bytes", "Bytes of those records.")
        self.refusals = self._counter("refusals", "Records refused for good, by code.", "code")
        self.holds = self._counter("holds", "Records held: kept apart, to be judged again.", "code")
        self.commits = self._counter("commits", "Transactions committed with fsync.")
        self.commit_failures = self._counter("commit_failures", "Transactions that failed.")
        self.commit_seconds = Histogram(
            _PREFIX + "commit_seconds",
            "Duration of one transaction, fsync included.",
            registry=self.registry,
            buckets=COMMIT_BUCKETS_S,
        )
        self.commit_records = Histogram(
            _PREFIX + "commit_records",
            "Records in one transaction.",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096),
        )
        self.traffic = Traffic()
        self._traffic = {
            name: self._counter(name, text)
            for name, text in (
                ("frames_received", "WebSocket messages received."),
                ("frames_received_bytes", "Bytes of those messages."),
                ("frames_sent", "WebSocket messages sent."),
                ("frames_sent_bytes", "Bytes of those messages."),
            )
        }
        self.closes = self._counter("closes", "Connections closed by the relay, by close code.", "code")
        self.pairings = self._counter("pairing_attempts", "Pairing codes presented, by result.", "result")
        self.shops = self._gauge("shops", "Shops in the store.")
        self.tls_expires = self._gauge(
            "tls_certificate_expires_timestamp_seconds", "When the certificate expires (0: no TLS here)."
        )
        self.store_bytes = self._gauge("store_bytes", "The store on disk, its journal included.")
        self.disk_free_bytes = self._gauge("disk_free_bytes", "Free space where the store lies.")

    def read_when_asked(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """Let a gauge be read at the moment when Prometheus asks. ``read`` runs where ``render`` does."""
        gauge.set_function(read)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        counted, self.traffic = self.traffic, Traffic()
        for name, counter in self._traffic.items():
            counter.inc(getattr(counted, name))
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(_PREFIX + name, text, registry=self.registry)
