"""The relay's settings: each with its unit, its default and its reason, stated once.

A setting is a field of ``RelayConfig``; its flag (``--ping-interval-s``) and its environment variable
(``CRDTSYNC_RELAY_PING_INTERVAL_S``) follow from its name. A flag goes before the environment, the environment
before the default. What could lose sales if it were set wrong is no setting but a constant in
``crdtsync.protocol.limits``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from crdtsync.errors import UsageError
from crdtsync.runtime.committing.quota import Quota

ENVIRONMENT_PREFIX = "CRDTSYNC_RELAY_"


def _why(reason: str, *, at_least: float | None = None) -> dict[str, Any]:
    return {"why": reason, "at_least": at_least}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Everything that ``crdtsync-relay serve`` can be told. Raises ``UsageError`` for what cannot be."""

    data: Path
    """The folder that holds logs, keys and pairing codes."""

    host: str = field(
        default="127.0.0.1",
        metadata=_why("Address to listen on; 0.0.0.0 and :: are all of this machine."),
    )
    port: int = field(
        default=8765,
        metadata=_why("Port to listen on; 0 takes a free one and says which.", at_least=0),
    )
    tls_cert: Path | None = field(
        default=None,
        metadata=_why("Certificate chain (PEM) for wss:// and https://."),
    )
    tls_key: Path | None = field(
        default=None,
        metadata=_why("Private key (PEM) of that certificate."),
    )
    trusted_proxies: str = field(
        default="127.0.0.1,::1",
        metadata=_why("Reverse proxies whose X-Forwarded-For is believed, separated by commas."),
    )
    connections_max: int = field(
        default=4096,
        metadata=_why("WebSocket connections at once; more are told to come back later.", at_least=1),
    )
    silent_connections_max: int = field(
        default=256,
        metadata=_why("Connections at once without a whole request yet; the oldest goes first.", at_least=1),
    )
    request_timeout_s: float = field(
        default=10.0,
        metadata=_why("Seconds for a request to arrive whole, or for a TLS handshake.", at_least=0.05),
    )
    ping_interval_s: float = field(
        default=20.0,
        metadata=_why("Seconds between pings: routers forget a connection after 30 to 60.", at_least=1),
    )
    ping_timeout_s: float = field(
        default=20.0,
        metadata=_why("Seconds to wait for the answer to a ping before hanging up.", at_least=1),
    )
    stop_timeout_s: int = field(
        default=5,
        metadata=_why("Seconds that a graceful stop may take before the rest is cut off.", at_least=1),
    )
    device_records_per_s: float = field(
        default=4000.0,
        metadata=_why("Records a second of one device, once it has sent 250,000; more wait.", at_least=100),
    )
    device_mb_per_s: float = field(
        default=4.0,
        metadata=_why("Megabytes a second of one device, once it has sent 256; more wait.", at_least=1),
    )
    shop_records_max: int = field(
        default=50_000_000,
        metadata=_why("Records of one shop; more are held until there is room.", at_least=1),
    )
    shop_mb_max: int = field(
        default=65_536,
        metadata=_why("Megabytes of one shop's records; more are held until there is room.", at_least=1),
    )
    shop_documents_max: int = field(
        default=250_000,
        metadata=_why("Documents of one shop: one a day and register; more are held.", at_least=1),
    )
    disk_free_mb_min: int = field(
        default=256,
        metadata=_why("Megabytes of free disk below which /healthz raises the alarm.", at_least=0),
    )
    log_format: str = field(
        default="auto",
        metadata=_why("json, text, or auto: text on a terminal, JSON lines elsewhere."),
    )
    log_level: str = field(
        default="info",
        metadata=_why("debug, info, warning or error."),
    )

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is opened."""
        for setting in fields(self):
            least = setting.metadata.get("at_least")
            # Put this way round because no comparison with "not a number" holds.
            if least is not None and not getattr(self, setting.name) >= least:
                raise UsageError(
                    f"{flag(setting.name)} is {getattr(self, setting.name)}; at least {least} is needed"
                )
        if self.port > 65_535:
            raise UsageError(f"--port is {self.port}; ports end at 65535")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together: give both or none")
        for name, allowed in (("log_format", LOG_FORMATS), ("log_level", LOG_LEVELS)):
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"{flag(name)} is {getattr(self, name)!r}; it can be {', '.join(sorted(allowed))}"
                )

    @property
    def quota(self) -> Quota:
        """What one shop may fill."""
        return Quota(
            records_max=self.shop_records_max,
            bytes_max=self.shop_mb_max << 20,
            documents_max=self.shop_documents_max,
        )

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted by the relay itself."""
        return self.tls_cert is not None


LOG_FORMATS = frozenset({"auto", "json", "text"})
LOG_LEVELS = frozenset({"debug", "info", "warning", "error"})


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def environment_variable(name: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + name.upper()
