"""``crdtsync product import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crdtsync import errors
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import print_json
from crdtsync.errors import LinesRefused
from crdtsync.said import many

if TYPE_CHECKING:
    from crdtsync.runtime.register.products import ImportReport


@click.command(
    "import",
    epilog=epilog(
        "crdtsync product import tarif.csv --dry-run",
        "every line is imported",
        errors.LinesRefused,
        errors.InvalidImport,
        errors.NoRegister,
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Report only; nothing is changed.")
@common_options
def command(file: Path, dry_run: bool, data: Path, as_json: bool) -> None:
    """Import products from a CSV file with titles like sku;name;price;vat.

    English and French titles are understood, with ; , | or a tab between the columns. A product that exists
    is changed where the file differs. A line that cannot be taken is reported with its number and the
    reason, and the command ends with exit code 3; the others are imported. Importing again changes nothing.
    """
    with open_register(data) as register:
        report = register.products.import_file(file, dry_run=dry_run)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if report.refused:
        raise LinesRefused(f"{many(len(report.refused), 'line')} of {file} refused")


def _print(report: ImportReport) -> None:
    dry_run = report.dry_run
    for difference in report.differences if dry_run else ():
        click.echo(f"{difference.sku}: {difference.field} {difference.old!r} becomes {difference.new!r}")
    for number, words in report.warnings:
        click.echo(f"line {number}: {words} (imported all the same)")
    for line in report.refused:
        click.echo(f"line {line.line}: {line.reason}")
    if report.ignored_columns:
        click.echo(f"columns passed over: {', '.join(report.ignored_columns)}")
    done = "would be " if dry_run else ""
    click.echo(
        f"{many(len(report.added), 'product')} {done}added, {len(report.changed)} {done}changed, "
        f"{len(report.unchanged)} as they were, {many(len(report.refused), 'line')} refused."
    )
