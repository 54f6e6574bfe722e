"""``crdtsync doctor``: why it does not synchronise, and what to do."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.doctor_text import tell_findings
from crdtsync.cli.options import common_options, epilog, open_register, settings_of


@click.command(
    "doctor",
    epilog=epilog(
        "crdtsync doctor",
        "nothing is wrong",
        errors.NoRegister,
        errors.RoleTaken,
        errors.WrongClock,
        errors.RelayUnreachable,
        errors.AccessDenied,
        errors.WrongRelayKey,
        errors.NotSynchronised,
        errors.UnsupportedVersion,
        (errors.RecordError, "records refused or damaged"),
        (errors.NotPermitted, "the relay did not take records"),
    ),
)
@common_options
def command(data: Path, as_json: bool) -> int:
    """Look for what keeps this register from synchronising, and say what to do.

    It looks from the disk outwards: the folder, the drive, the room on it, the key, the store, the clock, the
    process that synchronises, then the relay's name, address, TLS, key and version, and last what was refused
    and what is pending. It needs no network, disturbs nobody, and is done within a second. It ends with the
    exit code of the first thing that is wrong.
    """
    from crdtsync.config import RegisterConfig
    from crdtsync.runtime.doctor.examine import examine

    config = RegisterConfig(data, **settings_of(data))
    findings = examine(config, lambda: open_register(data, only_looks=True))
    return tell_findings(findings, as_json=as_json)
