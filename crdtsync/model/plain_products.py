"""Products read in bulk: their rows for the views, from their keys.

A new register reads ten thousand products while somebody waits to sell them. ``product_rows`` makes the rows
of ``listing.listing_rows`` without the product in between, and reads a price of the form that registers write
as ``plain`` reads a ticket: into a type that has exactly its fields, written again and compared, both in C.
That says *certainly this change, and of that name*, or nothing; what it is not certain of is read by
``price.read_change``, which alone says what a change is. Property tests hold both equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson
from msgspec import Meta, Struct

from crdtsync.errors import UsageError
from crdtsync.model.listing import (
    BARCODE,
    PRICE,
    REPEATED_CHARACTERS_MAX,
    price_row,
    read_again,
    read_value,
)
from crdtsync.model.money import RATE_MAX
from crdtsync.model.price import TIME_MS_MAX, PriceHistory, name_of_change, read_change
from crdtsync.model.product import DEFAULT_UNIT, OUTSIDE_VAT, PRICE_MINOR_MAX, RULES, check_barcode
from crdtsync.model.values import MARK
from crdtsync.model.views import Row, Value

_CHARACTERS_MAX: Final = 256
"""More than a first price has."""

_Moment = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]


class _FirstPrice(Struct, frozen=True, gc=False, forbid_unknown_fields=True, rename={"from_ms": "from"}):
    """A change that replaces none. Fields in the order of canonical JSON, or what is written again is not
    what was read.
    """

    amount: Annotated[int, Meta(ge=0, le=PRICE_MINOR_MAX)]
    at: _Moment
    by: Annotated[str, Meta(pattern=r"\A[\x21-\x7e]{1,64}\Z")]
    from_ms: _Moment
    replaces: Annotated[list[str], Meta(max_length=0)]
    vat: Annotated[int, Meta(ge=0, le=RATE_MAX)]
    vc: Literal["N", "R1", "R2", "Z", "S", "O"]


_decode = msgspec.json.Decoder(_FirstPrice).decode
_encode = msgspec.json.Encoder().encode


def product_rows(sku: str, keys: Mapping[str, Any]) -> list[Row]:
    """The rows of ``listing_rows`` and of its barcodes, from the keys that ``read_listing`` takes. Never
    raises.
    """
    found: dict[str, Any] = {"name": sku, "unit": DEFAULT_UNIT, "archived": False}
    barcodes: list[str] = []
    changes: dict[str, Any] = {}
    for name, plain in keys.items():
        try:
            if name in RULES:
                if type(plain) is str and len(plain) <= REPEATED_CHARACTERS_MAX:
                    found[name] = read_again(name, plain)
                elif plain is not None:
                    found[name] = read_value(name, plain)
            elif name.startswith(PRICE):
                changes[name[len(PRICE) :]] = plain
            elif plain is True and name.startswith(BARCODE):
                barcodes.append(check_barcode(name[len(BARCODE) :]))
        except UsageError:
            continue
    barcodes.sort()
    body = {name: found[name] for name in RULES if name in found}
    body["barcodes"] = barcodes
    facts: dict[str, Value] = {
        "name": found["name"],
        "archived": found["archived"],
        "body": orjson.dumps(body).decode(),
    }
    rows: list[Row] = [("product", facts)]
    rows += [("price", row) for row in _price_rows(sku, changes)]
    rows += [("barcode", {"code": code}) for code in barcodes]
    return rows


def _price_rows(sku: str, changes: Mapping[str, Any]) -> list[Mapping[str, Value]]:
    """The timeline of prices, from what stands under the names of changes."""
    if len(changes) == 1:
        ((name, plain),) = changes.items()
        if (first := first_price_row(sku, name, plain)) is not None:
            return [first]
    read = []
    for name in sorted(changes):  # As they are read, so that what is equal comes out equal.
        try:
            read.append(read_change(sku, name, changes[name]))
        except UsageError:
            continue
    return [price_row(price) for price in PriceHistory(read).timeline()] if read else []


def first_price_row(sku: str, name: str, plain: Any) -> Mapping[str, Value] | None:
    """The row of the only price that a product has, if it replaces none; None where only ``read_change`` can
    say. Raises nothing.
    """
    if type(plain) is not str or len(plain) > _CHARACTERS_MAX or "\\" in plain or not plain.startswith(MARK):
        return None
    try:
        price = _decode(plain[len(MARK) :])
    except ValueError:
        return None
    is_whole = MARK + _encode(price).decode() == plain and not (price.vc == OUTSIDE_VAT and price.vat)
    if not is_whole or name_of_change(sku, plain) != name:
        return None
    return {
        "from_ms": price.from_ms,
        "amount": price.amount,
        "vat_rate": price.vat,
        "vat_class": price.vc,
        "change_id": name,
        "conflict": False,
    }
