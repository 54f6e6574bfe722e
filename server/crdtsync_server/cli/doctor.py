"""``crdtsync-relay doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "doctor",
    epilog=epilog(
        "crdtsync-relay doctor --data /var/lib/crdtsync",
        "nothing is wrong",
        (errors.UnknownShop, "there is no shop"),
        NO_RELAY,
        (errors.RoleTaken, "no process serves it, or one that is stopped"),
        (errors.WrongClock, "the clock of a register is wrong"),
        (errors.RecordError, "records refused or damaged"),
    ),
)
@common_options
def command(data: Path, as_json: bool) -> int:
    """Look for what keeps this relay from its work, and say what to do.

    It looks at the folder, the drive, the room on it, the keys, the process that serves, the stores, what was
    refused, and at each register: when it was last here, what it has pending, up to which number it is
    complete, its version, and whether its clock is right. It works while the relay runs or not, needs no
    network, and ends with the exit code of the first thing that is wrong.
    """
    from crdtsync.cli.doctor_text import tell_findings
    from crdtsync.runtime.clock import SystemClock
    from crdtsync_server.diagnosis import examine_relay

    devices: list[dict[str, Any]] = []
    findings = examine_relay(data, SystemClock().now_ms(), devices.append)
    return tell_findings(findings, as_json=as_json, more={"devices": devices})
