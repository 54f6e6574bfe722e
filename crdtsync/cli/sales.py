"""``crdtsync sales``: the tickets of the shop, as far as they are known here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crdtsync import errors
from crdtsync.cli.arguments import parse_day
from crdtsync.cli.options import common_options, epilog, open_register
from crdtsync.cli.output import local_time, money, print_json, print_table

if TYPE_CHECKING:
    from crdtsync.storage.view_queries import TicketRow


@click.command(
    "sales",
    epilog=epilog("crdtsync sales --day 2026-11-24 --own", "listed", errors.InvalidName, errors.NoRegister),
)
@click.option("--day", metavar="YYYY-MM-DD", help="Only this business day.")
@click.option("--own", is_flag=True, help="Only tickets of this register.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many.")
@common_options
def command(day: str | None, own: bool, limit: int, data: Path, as_json: bool) -> None:
    """List sales and refunds, the newest first."""
    from crdtsync.model.naming import names_apart, short_id

    day = None if day is None else parse_day(day)
    with open_register(data, only_looks=True) as register:
        device = register.identity.device if own else None
        rows = register.sales(day=day, device=device, rows_max=limit)
        known = register.replica.queries.devices()
    names = names_apart((row.device, row.name, row.series) for row in known)
    if as_json:
        print_json([row_facts(row, names.get(row.device)) for row in rows])
        return
    if not rows:
        click.echo("No tickets yet.")
        return
    print_table(
        ["ticket", "", "when", "register", "lines", "total"],
        [
            [
                row.number,
                f"refund of {row.ref_number}" if row.kind == "refund" else "",
                local_time(row.at_ms, row.tz_min),
                names.get(row.device) or short_id(row.device),
                str(row.lines),
                money(row.total),
            ]
            for row in rows
        ],
        right=(4, 5),
    )


def row_facts(row: TicketRow, register: str | None) -> dict[str, Any]:
    """A row of the list as JSON."""
    return {
        "number": row.number,
        "kind": row.kind,
        "total_minor": row.total,
        "business_day": row.day,
        "at_ms": row.at_ms,
        "utc_offset_min": row.tz_min,
        "lines": row.lines,
        "refund_of": row.ref_number,
        "reason": row.reason,
        "operator": row.operator,
        "device": row.device,
        "register": register,
        "link": row.link,
    }
