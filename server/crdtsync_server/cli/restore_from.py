"""``crdtsync-relay restore-from``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync_server.cli.options import common_options


@click.command(
    "restore-from",
    epilog=epilog(
        "crdtsync-relay restore-from /backup/relay.backup --with-keys /etc/passphrase --data /srv/relay",
        "the relay is put back",
        (errors.SetupError, "the folder has shops, no keys, or the keys of another relay"),
        (errors.RoleTaken, "a process serves the folder"),
        (errors.DamagedStore, "no whole backup in the file, or it is damaged"),
        (errors.NotAStore, "the file is no backup"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--with-keys",
    type=click.Path(path_type=Path),
    metavar="PASSPHRASE_FILE",
    help="Take the private keys from the backup; their passphrase is the first line of this file.",
)
@click.option("--new-key", is_flag=True, help="Go on without the relay's old key: registers must be moved.")
@click.option("--replace", is_flag=True, help="Move the databases that are in the folder aside first.")
@common_options
def command(
    file: Path, with_keys: Path | None, new_key: bool, replace: bool, data: Path, as_json: bool
) -> None:
    """Put the newest whole backup in FILE into a new data folder.

    Every part of it is checked. The logs go on under new ids, so that registers compare with them and bring
    what the backup lacks; start the relay, let them come back, and ask `crdtsync-relay missing` what nobody
    has any more. Open pairing codes are good no more, and new series of ticket numbers begin with a letter
    and two characters. A revocation that was made after the backup must be made again.
    """
    from crdtsync.cli.output import print_json, print_notices, size
    from crdtsync.said import many
    from crdtsync_server.backups.keys import read_passphrase
    from crdtsync_server.backups.restore import restore_from
    from crdtsync_server.cli.backup import held_facts, print_held
    from crdtsync_server.shops.devices import utc

    passphrase = read_passphrase(with_keys) if with_keys is not None else None
    report = restore_from(file, data, passphrase=passphrase, replace=replace, new_key=new_key)
    if as_json:
        print_json(
            {
                "data": str(data),
                "made_at": utc(report.made_at_ms),
                "interrupted_bytes": report.torn_bytes,
                "new_key": report.has_new_key,
                "moved_aside_to": str(report.aside) if report.aside is not None else None,
                "damages": list(report.damages),
                "shops": held_facts(report.shops),
            }
        )
        return
    notes = []
    if report.torn_bytes:
        notes.append(f"behind this backup lie {size(report.torn_bytes)} of one that was interrupted")
    if report.aside is not None:
        notes.append(f"what was in the folder is in {report.aside} now")
    if report.damages:
        notes.append(
            f"{many(len(report.damages), 'defect')} were there already when the backup was made, the first: "
            f"{report.damages[0]}; the registers bring back what is damaged"
        )
    print_notices(notes)
    click.echo(f"{data}: put back as it was at {utc(report.made_at_ms)}")
    print_held(report.shops)
    click.echo("What the backup lacks comes back with the registers. When all were here once, ask")
    click.echo("`crdtsync-relay missing` what nobody has any more. Revoke again what was revoked since.")
