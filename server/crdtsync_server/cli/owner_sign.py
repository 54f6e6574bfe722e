"""``crdtsync-relay owner sign``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog, json_option


@click.command(
    "sign",
    epilog=epilog(
        "crdtsync-relay owner sign request.json answer.json --key cave.owner",
        "signed",
        (errors.InvalidName, "the file is no request"),
        (errors.SetupError, "the key is not the owner's present one"),
        (errors.NoRegister, "there is no key in that file"),
        (errors.RecordError, "the owner's chain in the request does not hold"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("answer", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The owner's private key, as it was in the relay's keys folder.",
)
@click.option(
    "--new-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make a new owner key in this file and hand over to it first.",
)
@json_option
def command(file: Path, answer: Path, key: Path, new_key: Path | None, as_json: bool) -> None:
    """Sign the request in FILE with the owner's key, and write ANSWER, to be taken back to the relay.

    Needs no relay and no network. It prints what it signs: read it before you carry ANSWER anywhere.
    """
    from crdtsync.cli.output import print_json
    from crdtsync.model.signature import PrivateKey
    from crdtsync.runtime.clock import SystemClock, system_random
    from crdtsync.runtime.folder.keyfile import private_key, write_key
    from crdtsync_server.backups.file import translated
    from crdtsync_server.cli.owner import print_signed, signed_facts
    from crdtsync_server.shops.owner_keys import read_file, sign

    present, next_key = private_key(key), None
    if new_key is not None:
        if not new_key.exists():
            write_key(new_key, PrivateKey.from_seed(system_random(32)).to_bytes())
        next_key = private_key(new_key)
    signed, rows = sign(read_file(file), present, SystemClock(), new_key=next_key)
    with translated(answer):
        answer.write_bytes(signed)
    if as_json:
        print_json({"answer": str(answer), "signed": signed_facts(rows)})
        return
    print_signed(rows)
    click.echo(f"Signed: take {answer} to the relay, `crdtsync-relay owner answer SHOP {answer.name}`")
