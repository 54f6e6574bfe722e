"""Products on a register: written into the catalogue document, read from the views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from crdtsync.errors import DamagedStore, InvalidImport, UnknownProduct
from crdtsync.model.catalogue import Entries
from crdtsync.model.price import WantedPrice
from crdtsync.model.product import Product, check_field, check_price
from crdtsync.model.product_import import FILE_BYTES_MAX, ProductFile, plan_import, read_file
from crdtsync.runtime.clock import Clock
from crdtsync.storage.view_queries import ProductRow, ViewQueries

if TYPE_CHECKING:
    from crdtsync.runtime.filing.catalogue import Catalogue
    from crdtsync.runtime.filing.unfiled import ProductLookup

_COMING: Final = "try again in a moment; if the relay is not reached, `crdtsync status` says why"


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of a file that was not imported, and why. ``field`` is empty where the whole line is meant."""

    line: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that an import changes."""

    sku: str
    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with ``dry_run`` would do. Each line of the file is in one of the first four.

    ``warnings`` are (line, sentence); ``ignored_columns`` are titles that were not understood.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    refused: tuple[RefusedLine, ...]
    dry_run: bool
    differences: tuple[Difference, ...] = ()
    warnings: tuple[tuple[int, str], ...] = ()
    ignored_columns: tuple[str, ...] = ()


class ProductsHome(Protocol):
    """What the products need of the replica that has them: a register, or a relay's back office."""

    @property
    def clock(self) -> Clock: ...
    @property
    def queries(self) -> ViewQueries: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def author(self) -> str:
        """The device that changes products, in hexadecimal."""
        ...

    def refuse_display(self) -> None: ...
    def mend_head(self) -> None: ...
    def file_catalogue(self) -> None: ...
    def products_now(self) -> ProductLookup:
        """Where products are found as the log has them."""
        ...

    @property
    def products_are_coming(self) -> bool:
        """Whether products of the shop are still on their way here."""
        ...


class Products:
    """The catalogue of one register. Writing loads the document once; reading asks the views."""

    def __init__(self, replica: ProductsHome) -> None:
        self._replica = replica

    def add(self, sku: str, *, name: str, price_minor: int, vat_rate: int, **fields: Any) -> ProductRow:
        """A new product. Durable on return. Raises ``InvalidProduct``, also when the SKU is taken.

        ``fields``: those of ``model.product.Product``, among them ``barcodes`` and ``vat_class``.
        """
        vat_class = check_price(price_minor, vat_rate, fields.pop("vat_class", None))
        for field in fields.keys() - {"barcodes"}:
            check_field(field, fields[field])
        product = Product(
            sku, name, price_minor=price_minor, vat_rate=vat_rate, vat_class=vat_class, **fields
        )
        catalogue = self._fresh()
        catalogue.write([catalogue.view.draft_add(product, by=self._author, at_ms=self._now_ms())])
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

        ``valid_from_ms``: when a new price begins to hold, by default now; a price planned for a later day
        stays planned. Raises ``InvalidProduct``, ``UnknownProduct``, ``DamagedStore`` of a product that is
        known here as it was shown last, and whose records were damaged.
        """
        price = WantedPrice(price_minor, vat_rate, fields.pop("vat_class", None), valid_from_ms)
        if archived is not None:
            fields["archived"] = archived
        catalogue = self._fresh()
        try:
            draft = catalogue.view.draft_change(sku, fields, price, by=self._author, at_ms=self._now_ms())
        except UnknownProduct:
            if self.find(sku) is None:
                raise
            raise DamagedStore(
                f"what is recorded of the product {sku!r} is damaged here: it can be changed when it is back",
                hint="it comes back with the next connection; until then it is sold as it was shown last",
            ) from None
        catalogue.write([draft])
        return self.get(sku)

    def archive(self, sku: str) -> ProductRow:
        """Take a product off sale; it is never deleted. Durable on return. Raises ``UnknownProduct``."""
        return self.set(sku, archived=True)

    def import_file(self, path: Path | str, *, dry_run: bool = False) -> ImportReport:
        """Import a CSV file, see ``model.product_import``. Durable on return. Can be repeated.

        A product that exists is changed where the file differs. A line that cannot be taken is reported
        with its reason, and the others are imported. Raises ``InvalidImport``, ``StorageError``.
        """
        return self.import_products(_file(Path(path)), dry_run=dry_run)

    def import_products(self, file: ProductFile, *, dry_run: bool = False) -> ImportReport:
        """As ``import_file``, of a file that was read already."""
        view, at_ms = self._fresh().view, self._now_ms()
        plan = plan_import(file, lambda sku: view.product(sku, at_ms) if sku in view else None, at_ms=at_ms)
        if not dry_run:
            by = self._author
            drafts: list[Entries] = [view.draft_add(new.product, by=by, at_ms=at_ms) for new in plan.new]
            drafts += [
                view.draft_change(line.sku, line.fields, line.price, by=by, at_ms=at_ms)
                for line in (changed.line for changed in plan.changed)
            ]
            self._replica.catalogue.write(drafts)
        return ImportReport(
            tuple(new.product.sku for new in plan.new),
            tuple(changed.line.sku for changed in plan.changed),
            tuple(plan.unchanged),
            tuple(RefusedLine(line.number, line.field, line.reason) for line in plan.refused),
            dry_run,
            tuple(
                Difference(changed.line.sku, name, old, new)
                for changed in plan.changed
                for name, (old, new) in changed.differences.items()
            ),
            tuple(plan.warnings),
            plan.ignored_columns,
        )

    def get(self, sku: str) -> ProductRow:
        """One product with its price now. Raises ``UnknownProduct``."""
        row = self.find(sku)
        if row is None:
            raise unknown_product(f"there is no product {sku!r}", self._replica)
        return row

    def find(self, sku: str) -> ProductRow | None:
        """As ``get``; None if there is no such product, or not yet: see ``are_coming``."""
        return self._replica.products_now().product(sku, self._now_ms())

    @property
    def are_coming(self) -> bool:
        """Whether products of the shop are still on their way to this register, as they are to one that has
        just joined: what is not found may be among them.
        """
        return self._replica.products_are_coming

    def list(self, *, archived: bool = False) -> Iterator[ProductRow]:
        """The products by SKU with their prices now; with ``archived`` also those not on sale. Whoever lists
        those that have just come does not wait until they are filed.
        """
        rows = self._replica.products_now().products(self._now_ms())
        return (row for row in rows if archived or not row.archived)

    def with_barcode(self, code: str) -> Sequence[ProductRow]:
        """The products on sale that bear a barcode: several where vintages share one."""
        return self._replica.products_now().products_with(code, self._now_ms())

    def disputed(self) -> Sequence[ProductRow]:
        """The products whose price was changed by two people without seeing one another."""
        return [row for row in self.list() if row.disputed]

    def refresh(self) -> None:
        """Bring the view of the products up to date, if the catalogue has changed since."""
        self._replica.file_catalogue()

    def _fresh(self) -> Catalogue:
        self._replica.refuse_display()
        self._replica.mend_head()
        catalogue = self._replica.catalogue
        catalogue.refresh()
        return catalogue

    def _now_ms(self) -> int:
        return self._replica.clock.now_ms()

    @property
    def _author(self) -> str:
        return self._replica.author


def unknown_product(message: str, home: ProductsHome) -> UnknownProduct:
    """Why a product was not found: there is none, or it may still be on its way to this register."""
    if home.products_are_coming:
        return UnknownProduct(f"{message} here yet: products are still on their way to it", hint=_COMING)
    return UnknownProduct(message)


def _file(path: Path) -> ProductFile:
    try:
        with path.open("rb") as file:
            # Of a pipe or a device nobody knows beforehand how much there is: `read_file` refuses the rest.
            return read_file(file.read(FILE_BYTES_MAX + 1))
    except OSError as error:
        raise InvalidImport(f"{path} cannot be read: {error.strerror}") from error
    except InvalidImport as error:
        raise InvalidImport(f"{path}: {error}", hint=error.hint) from error
