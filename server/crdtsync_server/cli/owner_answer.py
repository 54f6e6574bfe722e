"""``crdtsync-relay owner answer``."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import epilog
from crdtsync.said import many
from crdtsync_server.cli.options import NO_RELAY, common_options


@click.command(
    "answer",
    epilog=epilog(
        "crdtsync-relay owner answer 'Cave du Port' /media/stick/answer.json --data /var/lib/crdtsync",
        "taken",
        (errors.InvalidName, "the file is no answer, or one for another shop"),
        errors.UnknownShop,
        (errors.RecordError, "an entry in it does not hold"),
        NO_RELAY,
    ),
)
@click.argument("shop")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@common_options
def command(shop: str, file: Path, data: Path, as_json: bool) -> None:
    """Take what the owner of SHOP signed into the owner's chain: all, or none if one entry does not hold.

    Can be repeated. Works while the relay runs: revocations take effect at once, and devices that waited are
    let in when they join again with the same code.
    """
    from crdtsync.cli.output import print_json
    from crdtsync_server.cli.owner import print_signed, signed_facts
    from crdtsync_server.open import opened
    from crdtsync_server.shops.owner_keys import came_meanwhile, read_file, take_answer

    with opened(data) as (access, store):
        found = access.find_shop(shop)
        rows = take_answer(access, store, found.id, read_file(file))
        meanwhile = sum(len(links) for _, links, _ in came_meanwhile(store.shop(found.id)))
    if as_json:
        print_json({"shop": found.id, "taken": signed_facts(rows), "meanwhile": meanwhile})
        return
    print_signed(rows)
    click.echo(
        f"{found.name}: {many(len(rows), 'entry', 'entries')} taken" if rows else f"{found.name}: nothing new"
    )
    if meanwhile:
        what = many(meanwhile, "entry was", "entries were")
        click.echo(f"{what} recorded meanwhile: sign once more (`crdtsync-relay owner request`)")
