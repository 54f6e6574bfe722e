"""Closings and reports as they are printed on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crdtsync.cli.output import local_day, local_time, money, print_table, rate
from crdtsync.said import many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crdtsync.runtime.register.closing import DayReport, Figures
    from crdtsync.runtime.register.ticket import TicketVat

STATES = {
    "closed": "closed",
    "idle": "no sales",
    "open": "not closed",
    "cut-off": "cut off before it closed",
    "unheard": "NOT HEARD: its sales are missing here",
}


FLAGS_SHOWN_MAX = 20
"""On a terminal: who broke a register in a way that spoils every entry need not read them all."""


def print_figures(figures: Figures) -> None:
    """A closing (Z) or a reading (X) of one register."""
    if figures.z is None:
        click.echo(f"X of {local_day(figures.business_day)} – a reading, not a closing")
    else:
        click.echo(f"Z{figures.z} of the {figures.level} {local_day(figures.business_day)}")
    if figures.first_number:
        click.echo(f"Tickets {figures.first_number} to {figures.last_number}")
    counts = (
        f"{many(figures.sales, 'sale')}, {many(figures.refunds, 'refund')} ({money(figures.refunds_minor)}), "
        f"{figures.abandons} abandoned"
    )
    click.echo(counts)
    _print_sums(figures.vat, figures.means)
    click.echo(f"Total {money(figures.total_minor)}, since the beginning {money(figures.grand_total_minor)}")
    if figures.cash_expected_minor is not None:
        counted = "not counted"
        if figures.cash_counted_minor is not None:
            counted = f"counted {money(figures.cash_counted_minor)}, gap {money(figures.cash_gap_minor)}"
        click.echo(f"Cash expected {money(figures.cash_expected_minor)}, {counted}")


def print_report(report: DayReport, utc_offset_min: int) -> None:
    """A business day of the whole shop."""
    if not (report.registers or report.tickets or report.flags):
        click.echo(f"{local_day(report.business_day)}: no register of this shop had begun.")
        return
    click.echo(f"{local_day(report.business_day)}, as far as it is known here")
    print_table(
        ["register", "state", "tickets", "total", "last heard"],
        [
            [
                register.name,
                STATES[register.state] + (" by itself" if register.closed_automatically else ""),
                str(register.tickets),
                money(register.total_minor) if register.state != "unheard" else "–",
                local_time(register.last_heard_at_ms, utc_offset_min),
            ]
            for register in report.registers
        ],
        right=(2, 3),
    )
    _print_sums(report.vat, report.means)
    click.echo(f"{many(report.tickets, 'ticket')}, total {money(report.total_minor)}")
    _print_flags(report)
    if not report.complete:
        click.echo(
            "Not complete: not every register has closed this day, or not everything has arrived here."
        )


def _print_flags(report: DayReport) -> None:
    names = {register.device: register.name for register in report.registers}
    for flag in report.flags[:FLAGS_SHOWN_MAX]:
        name = names.get(flag.device) or flag.device.hex()[:8]
        what = f"ticket {flag.number}" if flag.number else f"entry {flag.n}"
        click.echo(f"! {name}, {what}: {flag.message}: it is kept and counted as it stands")
    if len(report.flags) > FLAGS_SHOWN_MAX:
        click.echo(f"! and {len(report.flags) - FLAGS_SHOWN_MAX} more: --json has all")


def _print_sums(vat: Sequence[TicketVat], means: Mapping[str, int]) -> None:
    if vat:
        print_table(
            ["VAT", "without tax", "tax", "with tax"],
            [
                [
                    rate(row.rate),
                    money(row.without_tax_minor),
                    money(row.tax_minor),
                    money(row.with_tax_minor),
                ]
                for row in vat
            ],
            right=(0, 1, 2, 3),
        )
    if means:
        print_table(
            ["paid by", "amount"], [[name, money(amount)] for name, amount in means.items()], right=(1,)
        )
