"""What the registers should have sold, summed from the raw source with pandas.

The rules are those of ``docs/how-to/replay-a-real-store.md``, written down here a second time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

TIME_ZONE: Final = "America/New_York"
DAY_STARTS: Final = pd.Timedelta(hours=4)
AMOUNTS: Final = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")


@dataclass(frozen=True, slots=True)
class Expected:
    """``lines``: one row per line of the source (basket, product, register, day, amounts in cents, rate).
    ``tickets``: one row per basket (register, day, lines, due, coupons, cash, cheque, card), by basket id.
    """

    lines: pd.DataFrame
    tickets: pd.DataFrame

    def days(self) -> pd.DataFrame:
        """Tickets, lines and money by register and day."""
        return self.tickets.groupby(["register", "day"]).agg(
            tickets=("due", "size"), lines=("lines", "sum"), money=("due", "sum")
        )

    def means(self) -> pd.DataFrame:
        """Money by register, day and means of payment; no rows for nothing."""
        table = self.tickets.melt(
            id_vars=["register", "day"],
            value_vars=["voucher", "cash", "cheque", "card"],
            var_name="means",
            value_name="money",
        )
        sums = table.groupby(["register", "day", "means"])[["money"]].sum()
        return sums[sums["money"] != 0]

    def rates(self) -> pd.DataFrame:
        """Money by register, day, rate and class."""
        return self.lines.groupby(["register", "day", "rate", "vat_class"])[["sales_value"]].sum()


def read_expected(
    folder: Path, store_id: int, registers: int, rates: Path, *, baskets_max: int | None
) -> Expected:
    """Sum the raw source. Raises ``ValueError`` where its amounts are no cents."""
    rows = pd.read_parquet(folder / "transactions.parquet")
    rows = rows[rows["store_id"] == store_id].copy()
    if baskets_max is not None:
        order = rows.drop_duplicates("basket_id").sort_values(["transaction_timestamp", "basket_id"])
        rows = rows[rows["basket_id"].isin(order["basket_id"].head(baskets_max))]
    for name in AMOUNTS:
        cents = np.rint(rows[name].to_numpy(dtype="float64") * 100)
        if (np.abs(rows[name].to_numpy(dtype="float64") * 100 - cents) > 1e-4).any():
            raise ValueError(f"the column {name} has amounts that are no cents")
        rows[name] = cents.astype("int64")
    local = rows["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert(TIME_ZONE).dt.tz_localize(None)
    rows["day"] = (local - DAY_STARTS).dt.strftime("%Y-%m-%d")
    rows["register"] = rows["basket_id"] % registers + 1
    rows = rows.merge(pd.read_parquet(folder / "products.parquet"), on="product_id", how="left")
    _add_rates(rows, json.loads(rates.read_text(encoding="utf-8")))
    return Expected(rows, _tickets(rows))


def _add_rates(rows: pd.DataFrame, table: dict[str, dict[str, list[object]]]) -> None:
    pairs = rows["department"].map({name: tuple(pair) for name, pair in table["departments"].items()})
    unknown = tuple(table["unknown"])
    found = [pair if isinstance(pair, tuple) else unknown for pair in pairs]
    types = rows["product_type"].astype(object).where(rows["product_type"].notna(), "")
    for part, pair in reversed(table["product_types"].items()):
        found = [tuple(pair) if part in kind else old for kind, old in zip(types, found, strict=True)]
    rows["rate"] = [pair[0] for pair in found]
    rows["vat_class"] = [pair[1] for pair in found]


def _tickets(rows: pd.DataFrame) -> pd.DataFrame:
    tickets = rows.groupby("basket_id").agg(
        register=("register", "first"),
        day=("day", "first"),
        lines=("product_id", "size"),
        due=("sales_value", "sum"),
        voucher=("coupon_disc", "sum"),
    )
    tickets["voucher"] = tickets[["voucher", "due"]].min(axis=1)
    rest = tickets["due"] - tickets["voucher"]
    digit = tickets.index.to_series() % 10
    tickets["cash"] = rest.where(digit < 3, 0)
    tickets["cheque"] = rest.where(digit == 3, 0)
    tickets["card"] = rest.where(digit > 3, 0)
    return tickets
