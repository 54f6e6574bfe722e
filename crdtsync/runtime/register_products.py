"""Products on a register: written into the catalogue document, read from the views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crdtsync.errors import CrdtsyncError, InvalidProduct, UnknownProduct
from crdtsync.model import canonical
from crdtsync.model.catalogue import PriceChange, Product, check_fields, check_price, check_sku
from crdtsync.runtime.product_file import FileLine, read_product_file
from crdtsync.runtime.replica import Replica
from crdtsync.storage.view_queries import ProductRow


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of a file that was not imported, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with ``dry_run`` would do. Each line of the file is in one of the four."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    refused: tuple[RefusedLine, ...]
    dry_run: bool


@dataclass(slots=True)
class _Draft:
    """Keys of the map that are to be set, and what became of each product."""

    texts: dict[str, str] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


class Products:
    """The catalogue of one register. Writing loads the document once; reading asks the views."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def add(self, sku: str, *, name: str, price_minor: int, vat_rate: int, **fields: Any) -> ProductRow:
        """A new product. Durable on return. Raises ``InvalidProduct``, also when the SKU is taken.

        ``fields``: unit, vat_class, producer, appellation, category, barcode.
        """
        check_sku(sku)
        catalogue = self._replica.catalogue
        catalogue.refresh()
        if catalogue.products([sku]):
            raise InvalidProduct(f"there is a product {sku} already", hint="change it with `product set`")
        catalogue.write(self._texts(sku, None, price_minor, vat_rate, 0, {"name": name, **fields}))
        return self.get(sku)

    def set(
        self,
        sku: str,
        *,
        price_minor: int | None = None,
        vat_rate: int | None = None,
        valid_from_ms: int | None = None,
        archived: bool | None = None,
        **fields: Any,
    ) -> ProductRow:
        """Change a product; what is not named stays. Durable on return.

        ``valid_from_ms``: when a new price begins to hold, by default now. Raises ``InvalidProduct``,
        ``UnknownProduct``.
        """
        catalogue = self._replica.catalogue
        catalogue.refresh()
        product = catalogue.products([sku]).get(sku)
        if product is None:
            raise UnknownProduct(f"there is no product {sku!r}")
        now_ms = self._replica.clock.now_ms()
        amount, rate = _new_price(product, now_ms, price_minor, vat_rate)
        valid_ms = now_ms if valid_from_ms is None else valid_from_ms
        catalogue.write(self._texts(sku, product, amount, rate, valid_ms, fields, archived=archived))
        return self.get(sku)

    def archive(self, sku: str) -> ProductRow:
        """Take a product off sale; it is never deleted. Durable on return. Raises ``UnknownProduct``."""
        return self.set(sku, archived=True)

    def import_file(self, path: Path | str, *, dry_run: bool = False) -> ImportReport:
        """Import a CSV file, see ``runtime.product_file``. Durable on return. Can be repeated.

        A product that exists is changed where the file differs. A line that cannot be taken is reported
        with its reason, and the others are imported. Raises ``InvalidImport``, ``StorageError``.
        """
        lines = read_product_file(Path(path))
        catalogue = self._replica.catalogue
        catalogue.refresh()
        known = catalogue.products()
        draft, refused, seen = _Draft(), [], dict[str, int]()
        for line in lines:
            try:
                if line.sku in seen:
                    raise InvalidProduct(f"the SKU {line.sku} was on line {seen[line.sku]} already")
                self._draft(draft, line, known.get(line.sku))
                seen[line.sku] = line.number
            except CrdtsyncError as error:
                refused.append(RefusedLine(line.number, str(error)))
        if not dry_run and draft.texts:
            catalogue.write(draft.texts)
        return ImportReport(
            tuple(draft.added), tuple(draft.changed), tuple(draft.unchanged), tuple(refused), dry_run
        )

    def get(self, sku: str) -> ProductRow:
        """One product with its price now. Raises ``UnknownProduct``."""
        row = self.find(sku)
        if row is None:
            raise UnknownProduct(f"there is no product {sku!r}")
        return row

    def find(self, sku: str) -> ProductRow | None:
        """As ``get``; None if there is no such product."""
        self.refresh()
        return self._replica.queries.product(sku, self._replica.clock.now_ms())

    def list(self, *, archived: bool = False) -> Iterator[ProductRow]:
        """The products by SKU with their prices now; with ``archived`` also those not on sale."""
        self.refresh()
        rows = self._replica.queries.products(self._replica.clock.now_ms())
        return (row for row in rows if archived or not row.archived)

    def disputed(self) -> Sequence[ProductRow]:
        """The products whose price was changed by two people without seeing one another."""
        return [row for row in self.list() if row.disputed]

    def refresh(self) -> None:
        """Bring the view of the products up to date, if the catalogue has changed since."""
        self._replica.file_catalogue()

    def _draft(self, draft: _Draft, line: FileLine, known: Product | None) -> None:
        check_sku(line.sku)
        amount, rate = line.price()
        fields = line.fields
        if known is None:
            if "name" not in fields:
                raise InvalidProduct(f"{line.sku} has no name")
            draft.texts |= self._texts(line.sku, None, amount, rate, 0, fields)
            draft.added.append(line.sku)
            return
        check_fields(fields)
        fields = {name: value for name, value in fields.items() if known.fields.get(name) != value}
        now_ms = self._replica.clock.now_ms()
        price = known.price_at(now_ms)
        same_price = price is not None and (price.amount_minor, price.vat_rate) == (amount, rate)
        if same_price and not fields:
            draft.unchanged.append(line.sku)
            return
        new = (None, None) if same_price else (amount, rate)
        draft.texts |= self._texts(line.sku, known, new[0], new[1], now_ms, fields)
        draft.changed.append(line.sku)

    def _texts(
        self,
        sku: str,
        product: Product | None,
        amount: int | None,
        rate: int | None,
        valid_from_ms: int,
        fields: Mapping[str, Any],
        *,
        archived: bool | None = None,
    ) -> dict[str, str]:
        """The keys of the map for a change. Raises ``InvalidProduct`` before anything is changed."""
        texts = {f"{sku}/{name}": text for name, text in check_fields(fields).items()}
        if archived is not None:
            texts[f"{sku}/archived"] = canonical.encode({"v": archived}).decode()
        if amount is not None and rate is not None:
            check_price(amount, rate)
            change = PriceChange(
                amount,
                rate,
                valid_from_ms,
                self._replica.identity.device.hex(),
                self._replica.clock.now_ms(),
                product.replaced_from(valid_from_ms) if product else (),
            )
            texts[f"{sku}/price/{change.id}"] = change.to_text()
        return texts


def _new_price(
    product: Product, now_ms: int, price_minor: int | None, vat_rate: int | None
) -> tuple[int | None, int | None]:
    """Amount and rate of a change; what is not given stays as it is now. (None, None): no change."""
    if price_minor is None and vat_rate is None:
        return None, None
    now = product.price_at(now_ms)
    if now is None and (price_minor is None or vat_rate is None):
        raise InvalidProduct(f"{product.sku} has no price yet: give both price and VAT rate")
    return (
        now.amount_minor if price_minor is None and now else price_minor,
        now.vat_rate if vat_rate is None and now else vat_rate,
    )
