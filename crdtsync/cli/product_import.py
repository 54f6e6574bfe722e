"""``crdtsync product import``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from crdtsync.cli.options import common_options, open_register
from crdtsync.cli.output import many, print_json
from crdtsync.errors import CrdtsyncError, InvalidImport

FILE_BYTES_MAX = 16 << 20
COLUMNS = ("sku", "name", "price", "vat")


@click.command("import", epilog="Example: crdtsync product import tarif.csv --dry-run")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Report only; nothing is changed.")
@common_options
def command(file: Path, dry_run: bool, data: Path, as_json: bool) -> None:
    """Import products from a CSV file with the columns sku, name, price, vat (; or , between them).

    A product that exists is changed where the file differs. A line that cannot be taken is reported with its
    number and the reason; the others are imported.
    """
    from crdtsync.model.catalogue import check_fields, check_price, check_sku
    from crdtsync.model.money import parse_amount, parse_rate

    taken: list[str] = []
    refused: list[dict[str, object]] = []
    with open_register(data) as register:
        for number, row in _rows(file):
            try:
                sku = check_sku((row.get("sku") or "").strip())
                amount, vat = parse_amount(row.get("price") or ""), parse_rate(row.get("vat") or "")
                name = (row.get("name") or "").strip()
                check_price(amount, vat)
                check_fields({"name": name})
                known = register.products.find(sku)
                if not dry_run and known is None:
                    register.products.add(sku, name=name, price_minor=amount, vat_rate=vat)
                elif not dry_run and known is not None and (known.name, known.price_minor) != (name, amount):
                    register.products.set(sku, name=name, price_minor=amount, vat_rate=vat)
                taken.append(sku)
            except CrdtsyncError as error:
                refused.append({"line": number, "reason": str(error)})
    if as_json:
        print_json({"taken": len(taken), "refused": refused, "dry_run": dry_run})
        return
    for line in refused:
        click.echo(f"line {line['line']}: {line['reason']}")
    done = "would be imported" if dry_run else "imported"
    click.echo(f"{many(len(taken), 'product')} {done}, {many(len(refused), 'line')} refused.")


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    raw = file.read_bytes()
    if len(raw) > FILE_BYTES_MAX:
        raise InvalidImport(f"{file} has more than {FILE_BYTES_MAX >> 20} MB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") >= first.count(",") else ","
    try:
        reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
        missing = [name for name in COLUMNS if name not in reader.fieldnames]
        if missing:
            raise InvalidImport(f"{file} has no column {', '.join(missing)}")
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InvalidImport(f"{file} is no CSV file: {error}") from error
