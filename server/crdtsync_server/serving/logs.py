"""Structured logs: one event per line on standard error, for machines as JSON, on a terminal as text.

An event is a short name (``device_enrolled``) with facts beside it (``shop``, ``device``, ``reason``).
Secrets never get this far: they are not passed to a logger, and what looks like a pairing code or stands
under the name of a secret is struck out here all the same.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import IO, Any


@contextmanager
def _not_found(*names: str) -> Iterator[None]:
    """As if these modules were not installed."""
    hidden: dict[str, Any] = {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


# It takes these wherever it finds them, to paint errors in colours, which no log here does: 4 MB of a relay.
with _not_found("rich", "greenlet"):
    import structlog

SECRET_NAMES = frozenset({"code", "secret", "verifier", "private_key", "password", "token", "seed"})
STRUCK_OUT = "[struck out]"
NAME = "crdtsync.relay"

_PAIRING_CODE = re.compile(r"(?:[0-9A-HJKMNP-TV-Z]{5}-){3,7}[0-9A-HJKMNP-TV-Z]{5}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Event = MutableMapping[str, Any]


def configure_logging(*, log_format: str, log_level: str, stream: IO[str] | None = None) -> None:
    """Send all logs of this process, those of libraries too, to ``stream`` (standard error).

    ``log_format`` is ``json``, ``text`` or ``auto``; ``log_level`` a level's name. Idempotent.
    """
    stream = stream or sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        strike_out,
    ]
    ending: list[structlog.typing.Processor]
    if as_text:
        ending = [
            escape_control_characters,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                timestamp_key="at",
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    else:
        ending = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_foreign_event],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "websockets", "asyncio"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        # Their informational lines say per connection what our own events say better.
        library.setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger() -> structlog.stdlib.BoundLogger:
    """The relay's logger. Methods: ``debug``, ``info``, ``warning``, ``error``, ``exception``.

    Where ``configure_logging`` was not called, the relay runs in somebody else's program: then events go to
    the standard library's logger ``crdtsync.relay``, and that program decides what is shown.
    """
    if structlog.is_configured():
        configured: structlog.stdlib.BoundLogger = structlog.get_logger(NAME)
        return configured
    quiet: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(NAME),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            strike_out,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
    )
    return quiet


def strike_out(_logger: Any, _method: str, event: Event) -> Event:
    """Replace secrets by a mark, and bytes by their hexadecimal form."""
    for name, value in event.items():
        if name in SECRET_NAMES:
            event[name] = STRUCK_OUT
        elif isinstance(value, bytes):
            event[name] = value.hex()
        elif isinstance(value, str):
            event[name] = _PAIRING_CODE.sub(STRUCK_OUT, value)
    return event


def escape_control_characters(_logger: Any, _method: str, event: Event) -> Event:
    """Show control characters of foreign text instead of obeying them (a device names itself)."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
    return event


def _name_foreign_event(_logger: Any, _method: str, event: Event) -> Event:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["source"] = record.name
    return event
