"""A wine shop from a seed: its products, and what its customers buy on a day.

Appellations, regions and colours are real; producers are invented. The same ``random.Random`` state gives the
same shop, so that a demonstration, a benchmark and a failing test can be had again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Final

from crdtsync.model.product import Product, gtin_check_digit
from crdtsync.model.ticket import Line, Payment, due_of, with_change

_WINES: Final = """
Bordeaux|red|8-14|Bordeaux
Bordeaux|red|11-24|Haut-Médoc, Médoc, Lussac-Saint-Émilion, Fronsac, Côtes de Bourg, Blaye Côtes de Bordeaux
Bordeaux|red|22-95|Saint-Émilion Grand Cru, Pomerol, Margaux, Pauillac, Saint-Julien, Saint-Estèphe
Bordeaux|red|24-80|Pessac-Léognan
Bordeaux|white|9-28|Entre-Deux-Mers, Graves, Pessac-Léognan
Bordeaux|white|18-60|Sauternes, Barsac, Cadillac, Loupiac
Bourgogne|red|14-32|Bourgogne Pinot Noir, Hautes-Côtes de Nuits, Mercurey, Givry, Santenay, Marsannay
Bourgogne|red|38-140|Gevrey-Chambertin, Nuits-Saint-Georges, Vosne-Romanée, Volnay, Pommard, Chambolle-Musigny
Bourgogne|white|12-30|Mâcon-Villages, Saint-Véran, Viré-Clessé, Petit Chablis, Chablis, Rully, Montagny
Bourgogne|white|34-130|Meursault, Puligny-Montrachet, Chassagne-Montrachet, Pouilly-Fuissé, Chablis Grand Cru
Beaujolais|red|9-22|Morgon, Fleurie, Moulin-à-Vent, Brouilly, Chénas, Juliénas, Saint-Amour
Vallée du Rhône|red|9-21|Côtes du Rhône, Cairanne, Rasteau, Vinsobres, Lirac, Ventoux, Luberon
Vallée du Rhône|red|16-34|Crozes-Hermitage, Saint-Joseph, Gigondas, Vacqueyras
Vallée du Rhône|red|32-95|Cornas, Côte-Rôtie, Hermitage, Châteauneuf-du-Pape
Vallée du Rhône|white|16-55|Condrieu, Saint-Péray, Saint-Joseph, Châteauneuf-du-Pape
Vallée du Rhône|rose|9-17|Tavel, Côtes du Rhône
Loire|white|9-26|Muscadet Sèvre et Maine, Sancerre, Pouilly-Fumé, Vouvray, Savennières, Quincy, Menetou-Salon
Loire|red|9-24|Chinon, Bourgueil, Saint-Nicolas-de-Bourgueil, Saumur-Champigny, Anjou
Alsace|white|9-32|Alsace Riesling, Alsace Gewurztraminer, Alsace Pinot Gris, Alsace Grand Cru
Jura|white|14-48|Arbois, Côtes du Jura, L'Étoile, Château-Chalon
Savoie|white|8-19|Apremont, Chignin-Bergeron, Roussette de Savoie
Languedoc|red|7-19|Minervois, Corbières, Faugères, Saint-Chinian, Pic Saint-Loup, Terrasses du Larzac, Fitou
Languedoc|white|7-16|Picpoul de Pinet, Limoux, Pays d'Oc
Roussillon|red|8-22|Collioure, Côtes du Roussillon Villages, Maury
Provence|rose|9-24|Côtes de Provence, Bandol, Coteaux d'Aix-en-Provence, Cassis
Provence|red|12-34|Bandol, Les Baux-de-Provence
Corse|red|9-22|Patrimonio, Ajaccio, Corse Sartène
Sud-Ouest|red|7-24|Cahors, Madiran, Gaillac, Fronton, Irouléguy, Buzet
Sud-Ouest|white|8-28|Jurançon, Bergerac, Pacherenc du Vic-Bilh, Monbazillac
Champagne|white|26-85|Champagne
"""

_FAMILY_NAMES: Final = (
    "Aubrac Bellerive Cazenove Delmas Estève Fauvette Garrigue Hautbois Issartel Jaubert Kermorvan Lauzière "
    "Marsal Nouvel Oriol Peyrebelle Queyrac Roquefeuil Sauveterre Tournebise Urval Vauclair Wissant Ygrande"
)
_FAMILIES: Final = tuple(_FAMILY_NAMES.split())
_HOUSES: Final = ("Domaine", "Château", "Mas", "Clos", "Maison", "Vignobles")
_CUVEES: Final = (
    "",
    "",
    "",
    " Vieilles Vignes",
    " Les Terrasses",
    " Cuvée du Midi",
    " La Combe",
    " Grande Réserve",
)

_SIZES: Final = ((750, 84, 100), (375, 5, 58), (1500, 9, 215), (3000, 2, 480))
"""Millilitres, how usual, and the price in per cent of a bottle's."""

_OTHERS: Final = """
Food|550|Terrine de campagne 180 g|695|pce
Food|550|Rillettes d'oie 180 g|790|pce
Food|550|Olives de Lucques 200 g|540|pce
Food|550|Huile d'olive vierge 50 cl|1490|pce
Food|550|Miel de châtaignier 250 g|870|pce
Food|550|Jus de raisin 1 l|420|btl
Food|550|Comté 18 mois|3290|kg
Accessories|2000|Tire-bouchon sommelier|1250|pce
Accessories|2000|Carafe à décanter|3900|pce
Accessories|2000|Verre à dégustation|690|pce
Accessories|2000|Sac cadeau une bouteille|250|pce
Accessories|2000|Bouchon à champagne|890|pce
Accessories|2000|Dégustation du samedi|1500|pce
"""

_HOURS: Final = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 7, 8, 4, 3, 4, 5, 8, 13, 15, 6, 0, 0, 0)
"""How many of a hundred customers come in each hour, by the shop's clock."""

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Cart:
    """What one customer buys and how it is paid: the arguments of a sale. ``at_ms`` is when;
    ``due_minor`` what is to be paid, after the discount on the whole ticket.
    """

    at_ms: int
    lines: tuple[Line, ...]
    payments: tuple[Payment, ...]
    due_minor: int
    ticket_discount_minor: int = 0


def products(rng: Random, count: int, *, last_vintage: int = 2025) -> list[Product]:
    """A shop's catalogue, by SKU: mostly wine, some food and accessories. Every product keeps the rules of
    ``model.product``, and no two share a SKU or a barcode.
    """
    made: list[Product] = []
    while len(made) < count:
        number = len(made) + 1
        made.append(_other(rng, number) if rng.random() < 0.06 else _wine(rng, number, last_vintage))
    return made


def carts(rng: Random, catalogue: Sequence[Product], count: int, *, at_ms: int = 0) -> Iterator[Cart]:
    """What customers buy, one after the other. A few products sell most, as everywhere."""
    favourites = list(accumulate(1 / rank for rank in range(1, len(catalogue) + 1)))
    shelf = rng.sample(catalogue, len(catalogue))
    for _ in range(count):
        taken = {p.sku: p for p in rng.choices(shelf, cum_weights=favourites, k=_basket_size(rng))}
        lines = tuple(_line(rng, product) for product in taken.values())
        due = due_of(lines)
        yield Cart(at_ms, lines, _paid(rng, due), due)


def day(rng: Random, catalogue: Sequence[Product], count: int, *, midnight_ms: int) -> list[Cart]:
    """One day's customers in the order in which they come. ``midnight_ms`` is its beginning by the shop's
    clock.
    """
    hours = rng.choices(range(24), weights=_HOURS, k=count)
    moments = sorted(midnight_ms + hour * _HOUR_MS + rng.randrange(_HOUR_MS) for hour in hours)
    return [
        Cart(moment, cart.lines, cart.payments, cart.due_minor)
        for moment, cart in zip(moments, carts(rng, catalogue, count), strict=True)
    ]


def barcode(number: int) -> str:
    """The EAN-13 of an article's number, with a prefix for codes that are used in one shop only."""
    digits = f"20{number:010d}"
    return digits + gtin_check_digit(digits)


def _wine(rng: Random, number: int, last_vintage: int) -> Product:
    region, colour, prices, names = rng.choice(_WINES.strip().splitlines()).split("|")
    appellation = rng.choice(names.split(", "))
    house = f"{rng.choice(_HOUSES)} {rng.choice(_FAMILIES)}"
    sparkling = appellation == "Champagne"
    vintage: int | str = "NV" if sparkling and rng.random() < 0.8 else last_vintage - rng.randrange(1, 12)
    volume_ml, _, percent = rng.choices(_SIZES, weights=[size[1] for size in _SIZES])[0]
    least, most = (int(price) * 100 for price in prices.split("-"))
    return Product(
        sku=f"V{number:05d}",
        name=f"{appellation}{rng.choice(_CUVEES)} {vintage}{_size_words(volume_ml)}",
        price_minor=_shelf_price(rng.triangular(least, most, least) * percent / 100),
        unit="btl",
        barcodes=(barcode(number),),
        producer=house,
        appellation=appellation,
        region=region,
        country="France",
        colour=colour,
        vintage=vintage,
        volume_ml=volume_ml,
        abv=rng.randrange(1200 if sparkling else 1150, 1300 if sparkling else 1510, 50),
        category="Wine/Sparkling" if sparkling else f"Wine/{colour.capitalize()}",
    )


def _other(rng: Random, number: int) -> Product:
    category, rate, name, price, unit = rng.choice(_OTHERS.strip().splitlines()).split("|")
    vat_rate = int(rate)
    return Product(
        sku=f"A{number:05d}",
        name=f"{name}, {rng.choice(_FAMILIES)}",
        price_minor=_shelf_price(int(price) * rng.uniform(0.8, 1.3)),
        vat_rate=vat_rate,
        vat_class="R1" if vat_rate == 550 else "N",
        unit=unit,
        barcodes=(barcode(number),),
        category=category,
    )


def _size_words(volume_ml: int) -> str:
    return {750: "", 375: " 37,5 cl", 1500: " magnum", 3000: " jéroboam"}[volume_ml]


def _shelf_price(cents: float) -> int:
    """As prices are written on shelves: ending in 0 or 5 tenths, or in 90 or 95."""
    euros, rest = divmod(round(cents), 100)
    return euros * 100 + min((50, 90, 95), key=lambda ending: abs(ending - rest))


def _basket_size(rng: Random) -> int:
    return min(1 + int(rng.expovariate(0.8)), 12)


def _line(rng: Random, product: Product) -> Line:
    if product.unit == "kg":
        quantity = rng.randrange(120, 900, 5)
    else:
        quantity = 1000 * rng.choices((1, 2, 3, 6, 12), weights=(70, 14, 6, 8, 2))[0]
    price = product.price_minor or 0
    # Six bottles of one wine: five per cent less, as a reduction of the line.
    discount = price * quantity // 20_000 if product.unit == "btl" and quantity >= 6000 else 0
    return Line(
        sku=product.sku,
        label=product.name,
        unit_price_minor=price,
        vat_rate=product.vat_rate,
        vat_class=product.vat_class,
        quantity_thousandths=quantity,
        unit=product.unit,
        discount_minor=discount,
    )


def _paid(rng: Random, due_minor: int) -> tuple[Payment, ...]:
    """By card mostly; in cash with change; now and then in two parts."""
    chance = rng.random()
    if due_minor <= 0:
        return ()
    if chance < 0.72 or due_minor > 20_000:
        return (Payment("card", due_minor),)
    if chance < 0.94:
        note = next(note for note in (500, 1000, 2000, 5000, 10_000, 20_000) if note >= due_minor)
        return with_change(due_minor, (Payment("cash", note),))
    cash = due_minor // 200 * 100
    return (
        (Payment("cash", cash), Payment("card", due_minor - cash)) if cash else (Payment("card", due_minor),)
    )
