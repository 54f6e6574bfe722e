"""The catalogue of a shop: a typed view of one Yjs document, and the only way to change it.

The document has one map, ``products``, with flat keys and plain values (see ``model.values``):

========================  ==================================================================
``<sku>/<field>``         one field of a product; two writers at once: one of the two values
``<sku>/barcode/<code>``  true or false; barcodes that two people add both stay
``<sku>/price/<id>``      one change of the price, for ever (see ``model.price``)
========================  ==================================================================

Flat, because two devices that make one nested map at once lose one side's whole map. By SKU, so that two
imports of one product, made apart, merge field by field. Products are archived, never deleted.

The engine does not roll back: everything is checked before anything is changed, and each operation is one
transaction that gives one update. The caller stores that update; until it did, nothing is durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pycrdt import Doc, Map, TransactionEvent

from crdtsync.errors import InvalidProduct, UnknownProduct
from crdtsync.model.engine import apply_update, follow, lies_beyond
from crdtsync.model.listing import BARCODE, PRICE, Listing, read_listing
from crdtsync.model.price import Price, PriceChange, PriceHistory, WantedPrice, make_changes
from crdtsync.model.product import (
    DEFAULT_UNIT,
    RULES,
    SKU,
    Product,
    check_barcodes,
    check_field,
    check_product,
    year_of,
)
from crdtsync.model.values import Plain, encode_value

ROOT: Final = "products"

_UNWRITTEN: Final[Mapping[str, Any]] = {"unit": DEFAULT_UNIT, "archived": False}
"""What a field without a key is read as, where that is not None."""

Entries = dict[str, Plain]
"""Keys of the map and what is to stand there."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Changes of one price that did not see one another: ``price.change`` is used, ``price.others`` are not.
    ``from_ms`` is when it begins to matter.
    """

    sku: str
    price: Price

    @property
    def from_ms(self) -> int:
        """Unix milliseconds."""
        return self.price.from_ms


class Catalogue:
    """The products of one shop, in memory. Not for more than one thread.

    Operations return the Yjs update to be logged, or None where nothing would change. Each is a ``draft_…``,
    which checks everything and changes nothing, and a ``write``; drafts of several products can be written
    together. After an error from the engine (``UnsafeUpdate``) the object is of no more use: open another.
    """

    def __init__(self, doc: Doc[Any]) -> None:
        """A view of a document, which follows what is applied to it from now on. O(catalogue)."""
        self._doc = doc
        self._map: Map[Any] = doc.get(ROOT, type=Map)
        self._update = b""
        self._waiting: list[bytes] = []
        self._plain: dict[str, dict[str, Any]] = {}
        self._listings: dict[str, Listing] = {}
        self._changed: set[str] = set()
        for key, plain in (self._map.to_py() or {}).items():
            self._file(key, plain)
        self._changed.clear()
        follow(doc, self._note_update)
        follow(self._map, self._note_keys)

    @classmethod
    def open(cls, updates: Iterable[bytes], *, client_id: int) -> Catalogue:
        """The catalogue that these updates (and compacted states) make, in any order. O(all of it).

        All were admitted by the scanner before. ``client_id`` (53 random bits) was never used before and is
        never again. Raises ``UnsafeUpdate`` for an update that the engine refuses.
        """
        doc: Doc[Any] = Doc(client_id=client_id)
        waiting: list[bytes] = []
        for update in updates:
            _take(doc, update, waiting)
        catalogue = cls(doc)
        catalogue._waiting = waiting
        return catalogue

    @property
    def doc(self) -> Doc[Any]:
        """The document, for reading: fingerprints, compaction, inspection."""
        return self._doc

    @property
    def waiting(self) -> int:
        """How many of the updates taken wait for others, and may not be seen as a whole yet."""
        return len(self._waiting)

    # -- reading ----------------------------------------------------------------------------------------

    def __contains__(self, sku: object) -> bool:
        """Whether there is such a product, archived or not."""
        return sku in self._plain

    def __len__(self) -> int:
        """How many products there are, archived ones too."""
        return len(self._plain)

    def skus(self) -> list[str]:
        """All SKUs in order, archived ones too."""
        return sorted(self._plain)

    def listing(self, sku: str) -> Listing:
        """Everything known of one product. Raises ``UnknownProduct``."""
        found = self._listings.get(sku)
        if found is None:
            keys = self._plain.get(sku)
            if keys is None:
                raise UnknownProduct(f"there is no product {sku!r}")
            found = self._listings[sku] = read_listing(sku, keys)
        return found

    def product(self, sku: str, at_ms: int) -> Product:
        """One product with its price at that moment. Raises ``UnknownProduct``."""
        return self.listing(sku).at(at_ms)

    def products(self, at_ms: int, *, archived: bool = False) -> Iterator[Product]:
        """The products by SKU with their prices at that moment; with ``archived`` also those off sale."""
        for sku in self.skus():
            listing = self.listing(sku)
            if archived or not listing.product.archived:
                yield listing.at(at_ms)

    def with_barcode(self, code: str) -> list[str]:
        """The SKUs on sale that bear a barcode: several where vintages share one. O(products)."""
        key = BARCODE + code
        return [
            sku
            for sku in sorted(sku for sku, keys in self._plain.items() if keys.get(key) is True)
            if not self.listing(sku).product.archived
        ]

    def price_at(self, sku: str, at_ms: int) -> Price | None:
        """The price at that moment, None where none is valid yet. Raises ``UnknownProduct``."""
        return self.listing(sku).prices.at(at_ms)

    def conflicts(self, at_ms: int) -> list[Conflict]:
        """The price conflicts that matter at that moment or will later, by SKU and time."""
        found = []
        for sku in self.skus():
            timeline = list(self.listing(sku).prices.timeline())
            for price, following in zip(timeline, [*timeline, None][1:], strict=True):
                if price.is_disputed and (following is None or following.from_ms > at_ms):
                    found.append(Conflict(sku, price))
        return found

    def problems(self) -> list[tuple[str, str]]:
        """(SKU, sentence) of everything in the document that could not be read and is left out."""
        return [(sku, text) for sku in self.skus() for text in self.listing(sku).problems]

    def take_changed(self) -> frozenset[str]:
        """The SKUs that were changed, here or by others, since the last call."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    # -- changing ---------------------------------------------------------------------------------------

    def add(self, product: Product, *, by: str, at_ms: int, valid_from_ms: int = 0) -> bytes:
        """A new product; its price is valid at once, by every clock. Raises ``InvalidProduct``, also when
        the SKU is taken here (one that another device adds meanwhile merges field by field).
        """
        return self.write(self.draft_add(product, by=by, at_ms=at_ms, valid_from_ms=valid_from_ms))

    def set_fields(self, sku: str, fields: Mapping[str, Any], *, at_ms: int) -> bytes | None:
        """Change descriptive fields (``product.RULES``) and ``barcodes`` (all of them); what is not named
        stays. None clears an optional field. Raises ``InvalidProduct``, ``UnknownProduct``.
        """
        return self._write_if_any(self._draft_fields(sku, fields, at_ms))

    def set_price(
        self,
        sku: str,
        *,
        by: str,
        at_ms: int,
        amount_minor: int | None = None,
        vat_rate: int | None = None,
        vat_class: str | None = None,
        valid_from_ms: int | None = None,
    ) -> bytes | None:
        """Change price and VAT from a moment on, by default ``at_ms``; what is not named stays as it is
        then. Settles a conflict, also with the price that is used already. Raises ``InvalidProduct``,
        ``UnknownProduct``.
        """
        price = WantedPrice(amount_minor, vat_rate, vat_class, valid_from_ms)
        return self._write_if_any(self.draft_change(sku, {}, price, by=by, at_ms=at_ms))

    def archive(self, sku: str, *, archived: bool = True, at_ms: int) -> bytes | None:
        """Take a product off sale, or put it back. Raises ``UnknownProduct``."""
        return self.set_fields(sku, {"archived": archived}, at_ms=at_ms)

    def draft_add(self, product: Product, *, by: str, at_ms: int, valid_from_ms: int = 0) -> Entries:
        """What ``add`` would write."""
        checked = check_product(product, year=year_of(at_ms))
        sku = checked.sku
        if sku in self:
            raise InvalidProduct(f"there is a product {sku} already", hint="change it instead")
        says = cast("int", checked.price_minor), checked.vat_rate, checked.vat_class
        fields = {name: getattr(checked, name) for name in RULES}
        return {
            **{
                f"{sku}/{name}": encode_value(value)
                for name, value in fields.items()
                if value != _UNWRITTEN.get(name)
            },
            **{f"{sku}/{BARCODE}{code}": True for code in checked.barcodes},
            **_price_entries(PriceHistory(), PriceChange(sku, *says, valid_from_ms, at_ms, by)),
        }

    def draft_change(
        self, sku: str, fields: Mapping[str, Any], price: WantedPrice | None, *, by: str, at_ms: int
    ) -> Entries:
        """What ``set_fields`` and ``set_price`` together would write: what differs from what is known."""
        entries = self._draft_fields(sku, fields, at_ms)
        if price is not None and price.says_anything:
            begin = at_ms if price.valid_from_ms is None else price.valid_from_ms
            history = self.listing(sku).prices
            now = history.at(begin)
            wanted = price.on_top_of(sku, now)
            if now is None or now.is_disputed or now.change.what != wanted:
                entries |= _price_entries(history, PriceChange(sku, *wanted, begin, at_ms, by))
        return entries

    def write(self, entries: Entries) -> bytes:
        """Write drafts in one transaction; the update. A scanner takes some 500 keys and 32 KiB at once."""
        self._update = b""
        with self._doc.transaction():
            for key, value in entries.items():
                self._map[key] = value
        return self._update

    def apply(self, update: bytes) -> frozenset[str]:
        """Take an update that another device made and the scanner admitted; the SKUs that changed.

        Idempotent, in any order; what waits for an earlier update may show up only with it. Raises
        ``UnsafeUpdate``.
        """
        before, self._changed = self._changed, set()
        try:
            _take(self._doc, update, self._waiting)
            return frozenset(self._changed)
        finally:
            self._changed |= before

    # -- inside -----------------------------------------------------------------------------------------

    def _draft_fields(self, sku: str, fields: Mapping[str, Any], at_ms: int) -> Entries:
        """The keys that differ from what is known."""
        known, keys = self.listing(sku).product, self._plain[sku]
        entries: Entries = {}
        for name, value in fields.items():
            if name == "barcodes":
                codes, before = set(check_barcodes(value)), set(known.barcodes)
                entries |= {f"{sku}/{BARCODE}{code}": code in codes for code in sorted(codes ^ before)}
                continue
            plain = encode_value(check_field(name, value, year=year_of(at_ms)), field=name)
            # Compared with what stands there, not with what is shown: what cannot be read is written over.
            if keys.get(name, _UNWRITTEN.get(name)) != plain:
                entries[f"{sku}/{name}"] = plain
        return entries

    def _write_if_any(self, entries: Entries) -> bytes | None:
        return self.write(entries) if entries else None

    def _note_update(self, event: TransactionEvent) -> None:
        self._update = event.update

    def _note_keys(self, event: Any) -> None:
        for key, change in event.keys.items():
            if change["action"] == "delete":
                self._forget(key)
            else:
                self._file(key, change["newValue"])

    def _file(self, key: str, plain: Any) -> None:
        sku, _, name = key.partition("/")
        if name and SKU.fullmatch(sku):
            self._plain.setdefault(sku, {})[name] = plain
            self._listings.pop(sku, None)
            self._changed.add(sku)

    def _forget(self, key: str) -> None:
        sku, _, name = key.partition("/")
        keys = self._plain.get(sku, {})
        if keys.pop(name, None) is not None:
            self._listings.pop(sku, None)
            self._changed.add(sku)
        if not keys:
            self._plain.pop(sku, None)


def _take(doc: Doc[Any], update: bytes, waiting: list[bytes]) -> None:
    """Apply an update, and again those that waited, for as long as that completes any.

    Of an update that comes too early the engine loses a part, but takes it when it is given once more.
    """
    apply_update(doc, update)
    if lies_beyond(doc, update):
        waiting.append(update)
    before = -1
    while waiting and len(waiting) != before:
        before = len(waiting)
        for again in waiting:
            apply_update(doc, again)
        waiting[:] = [again for again in waiting if lies_beyond(doc, again)]


def _price_entries(history: PriceHistory, wanted: PriceChange) -> Entries:
    return {f"{change.sku}/{PRICE}{change.id}": change.value for change in make_changes(history, wanted)}
