"""A register takes the place of a lost one, over a line that holds or one that is cut again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.driver.joined import FILED_ROWS_MAX, Contents
from benchmarks.driver.processes import full_register, peak_mib, relay_process
from benchmarks.driver.shop import BenchShop
from crdtsync.testing.line import FaultyLine

NEW_ROWS: Final = 3
"""The lost register's revocation, the certificate of its successor, and the first entry of that one."""


async def restore_once(
    shop: BenchShop, contents: Contents, till: Path, log: Path, *, cuts: int = 0, every_bytes: int = 0
) -> dict[str, Any]:
    """Restore the shop's first register on a new machine, over a line that is reset ``cuts`` times, each time
    when so many bytes have come over it. What the register tells, and what went over the line.
    """
    async with relay_process(shop.folder, log) as relay, FaultyLine(relay.port) as line:
        if cuts:
            line.break_after(every_bytes, times=cuts)
        async with full_register(
            "join",
            till,
            url=line.url,
            code=shop.pairing_code(shop.devices[0]),
            name="",
            rows=contents.rows + NEW_ROWS,
            catalogue_rows=contents.catalogue_rows,
            sku=contents.sku,
            today=json.dumps(contents.today),
            file=int(contents.rows <= FILED_ROWS_MAX),
        ) as register:
            facts = await register.heard()
        return facts | {
            "down_bytes": line.bytes_down,
            "cuts": line.cuts,
            "relay_peak_mib": peak_mib(relay.pid()),
        }
