"""`crdtsync-relay serve`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import common_options
from crdtsync_server.config import RelayConfig, environment_variable, flag

_TYPES = {"int": int, "float": float, "str": str, "Path | None": click.Path(path_type=Path)}


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option for each setting of ``RelayConfig``."""
    for setting in reversed(fields(RelayConfig)):
        if setting.default is MISSING:
            continue
        command = click.option(
            flag(setting.name),
            setting.name,
            type=_TYPES[str(setting.type)],
            default=setting.default,
            show_default=setting.default is not None,
            envvar=environment_variable(setting.name),
            show_envvar=True,
            help=setting.metadata["why"],
        )(command)
    return command


@click.command(
    epilog=epilog(
        "crdtsync-relay serve --data /var/lib/crdtsync --host 0.0.0.0 --port 8765",
        "stopped by SIGTERM or SIGINT",
        (errors.UsageError, "a setting cannot be"),
        (errors.RoleTaken, "the folder is served already"),
        (errors.CannotListen, "the port is taken"),
    )
)
@common_options
@_settings
def command(data: Path, as_json: bool, **settings: Any) -> None:
    """Serve the shops of a data folder until SIGTERM or SIGINT.

    Prints one line when devices can connect; logs go to standard error. A first signal stops gracefully:
    what has come is brought to the disk and acknowledged, and devices are told to come back. A second one
    ends at once.
    """
    config = RelayConfig(data=data, **settings)

    from crdtsync_server.folder import DataFolder
    from crdtsync_server.serving.logs import configure_logging, get_logger
    from crdtsync_server.serving.memory import keep_freed_memory
    from crdtsync_server.serving.server import listen, make_server, serve, tell_service_manager

    configure_logging(log_format=config.log_format, log_level=config.log_level)
    keep_freed_memory()
    folder = DataFolder.create(data)
    with folder.serving(), listen(config.host, config.port) as listener:
        from crdtsync_server.relay import Relay
        from crdtsync_server.serving.app import create_app

        host, port = listener.getsockname()[:2]
        relay = Relay(folder, config)

        def ready() -> None:
            _say_ready(config, host, port, shops=relay.shop_count, as_json=as_json)
            tell_service_manager("READY=1")
            for path in relay.access.keys.readable_by_others():
                get_logger().warning("key_readable_by_others", path=str(path), hint=f"chmod 600 {path}")
            get_logger().info("relay_ready", host=host, port=port, tls=config.tls, shops=relay.shop_count)

        server = make_server(
            create_app(relay, relay.office.routes()), config, relay.metrics, ready, relay.drain
        )
        serve(server, config, listener)
        get_logger().info("relay_stopped")


def _say_ready(config: RelayConfig, host: str, port: int, *, shops: int, as_json: bool) -> None:
    # Whoever listens on all addresses is reached, from this machine, on the loopback one.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    place = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    secure = "s" if config.tls else ""
    url, web = f"ws{secure}://{place}", f"http{secure}://{place}"
    if as_json:
        import orjson

        facts = {"url": url, "web": web, "host": host, "port": port, "pid": os.getpid(), "shops": shops}
        click.echo(orjson.dumps(facts))
        return
    click.echo(f"crdtsync-relay serves {config.data} on {url} ({shops} {'shop' if shops == 1 else 'shops'})")
    if not shops:
        click.echo(f"There is no shop yet: crdtsync-relay shop create NAME --data {config.data}")
