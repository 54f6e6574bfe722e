"""``crdtsync company``: who sells, as it stands on the tickets of a register that has no back office."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json


@click.command(
    "company",
    epilog=epilog(
        'crdtsync company --name "Cave du Port SARL" --address "3 quai du Port" --siret 73282932000074',
        "recorded, or shown",
        (errors.UsageError, "the back office of the shop says it"),
        errors.InvalidName,
        errors.NoRegister,
    ),
)
@click.option("--name", help="The company.")
@click.option("--form", help="Legal form and capital.")
@click.option("--address", multiple=True, help="A line of its address; can be repeated.")
@click.option("--siret", help="14 digits.")
@click.option("--naf", help="Code of activity, like 4725Z.")
@click.option("--rcs", help="The commercial register that it stands in.")
@click.option("--vat-number", help="VAT number, like FR44732829320.")
@common_options
def command(address: tuple[str, ...], data: Path, as_json: bool, **texts: str | None) -> None:
    """Say who sells: it stands on tickets from then on. Without an option, show what was said last.

    What is said replaces all that was said before. Where a relay's back office says it, it is shown alone.
    """
    from crdtsync.model.company import Company
    from crdtsync.runtime.register.company import Companies, say_company

    said = {name: text for name, text in texts.items() if text is not None}
    if address:
        said["address"] = "\n".join(address)
    with open_register(data) as register:
        replica = register.replica
        if said:
            if replica.relay is not None:
                raise errors.UsageError(
                    "who sells is said in the back office of this shop",
                    hint="open the relay's address in a browser: Sales, Who sells",
                )
            say_company(replica, Company(**said))
        replica.views.catch_up()
        company = Companies(replica.log, replica.queries, replica.identity.device).at()
    if as_json:
        print_json(asdict(company))
        return
    lines = [line for text in asdict(company).values() for line in text.split("\n") if line]
    click.echo("\n".join(lines) if lines else "Nobody has said who sells.")
