"""Records of a made-up shop, for tests of logs: sales that look real, with signatures that nobody checks.

The bytes have the size and the variety of what a till writes; links and chains are right, signatures are
random. For entries that pass admission use the model.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from typing import Final

from crdtsync.ids import EntryFacts, Item, Origin, entry_record, ledger_document, record_digest, update_record
from crdtsync.storage.log import ShopLog

GOODS: Final = tuple(
    (f"{kind[:3].lower()}-{number:03d}", f"{kind} {place} {size}", 95 + 7 * number, vat)
    for number, (kind, place, size, vat) in enumerate(
        (kind, place, size, vat)
        for kind, vat in (
            ("Crozes-Hermitage", 2000),
            ("Terrine", 550),
            ("Miel", 550),
            ("Bougie", 2000),
            ("Tomme", 550),
            ("Cidre brut", 2000),
            ("Savon", 2000),
            ("Confiture", 550),
        )
        for place in ("de Savoie", "de campagne", "du Vercors", "des Alpes", "artisanal")
        for size in ("75 cl", "180 g", "250 g", "1 kg", "lot de 3")
    )
)


class MadeUpChain:
    """The chain of a made-up till. ``entry`` gives one sale after another; ``at`` branches off."""

    def __init__(self, seed: int = 1, *, day: str = "2026-11-24") -> None:
        self._random = random.Random(seed)
        self.device = self._random.randbytes(16)
        self.day = day
        self.n = 0
        self.link = hashlib.sha256(b"genesis" + self.device).digest()
        self.chain = b""
        self._total = 0
        self._ts = 1_795_507_200_000

    def entry(self, origin: Origin | None = None) -> Item:
        """The next entry of this till."""
        return self.after(self.link, origin)

    def after(self, prev: bytes, origin: Origin | None = None, *, n: int | None = None) -> Item:
        """An entry that follows ``prev``; its number is one more than the last one's, or ``n``."""
        self.n = self.n + 1 if n is None else n
        body = json.dumps(
            self._sale(prev), ensure_ascii=False, separators=(",", ":"), sort_keys=True
        ).encode()
        signature = base64.urlsafe_b64encode(self._random.randbytes(64)).rstrip(b"=")
        sealed = body + b"\0" + signature
        self.link = hashlib.sha256(sealed).digest()
        self.chain = self.chain or self.link
        document = ledger_document(self.device, self.day)
        facts = EntryFacts(self.chain, self.n, prev, self.link, document, "sale")
        return Item(entry_record(sealed), document, self.link, facts, origin)

    def entries(self, count: int, origin: Origin | None = None) -> list[Item]:
        """The next entries."""
        return [self.entry(origin) for _ in range(count)]

    def _sale(self, prev: bytes) -> dict[str, object]:
        pick = self._random
        lines, totals = [], dict[int, int]()
        for number in range(1, pick.choice((1, 1, 2, 2, 2, 3, 3, 4)) + 1):
            sku, label, price, vat = pick.choice(GOODS)
            count = pick.choice((1, 1, 1, 2, 3))
            ttc = price * count
            totals[vat] = totals.get(vat, 0) + ttc
            lines.append(
                {
                    "disc": 0,
                    "ht": round(ttc * 10000 / (10000 + vat)),
                    "i": number,
                    "label": label,
                    "pu": price,
                }
                | {"qty": 1000 * count, "sku": sku, "ttc": ttc, "unit": "pce", "vat": vat, "vc": _class(vat)}
            )
        ttc = sum(totals.values())
        self._total += ttc
        self._ts += pick.randrange(20_000, 400_000)
        given = -(-ttc // 500) * 500
        cash = [{"amt": given, "m": "cash"}, {"amt": ttc - given, "m": "change"}]
        return {
            "bd": self.day,
            "chain": self.chain.hex(),
            "deliv": pick.choice(("none", "print", "none")),
            "gt": {"abs": self._total, "real": self._total},
            "kind": "sale",
            "lines": lines,
            "mode": "live",
            "n": self.n,
            "num": f"A1-26-{self.n:06d}",
            "op": pick.choice(("u-lea", "u-max", "u-ines")),
            "pay": pick.choice((cash, [{"amt": ttc, "m": "card"}])),
            "prev": prev.hex(),
            "rnd": "rate-half-up/1",
            "seq": self.n,
            "sw": "crdtsync 0.1.0",
            "till": self.device.hex(),
            "ts": self._ts,
            "ttc": ttc,
            "tz": 60,
            "v": 1,
            "vat": [
                {"ht": (ht := round(sum_ * 10000 / (10000 + vat))), "ttc": sum_, "tva": sum_ - ht}
                | {"vat": vat, "vc": _class(vat)}
                for vat, sum_ in sorted(totals.items())
            ],
        }


def made_up_update(
    document: str, content: bytes, *, state: bool = False, origin: Origin | None = None
) -> Item:
    """A record of a document other than a ledger; its ``content`` is not looked at."""
    record = update_record(document, content, state=state)
    return Item(record, document, record_digest(record), None, origin)


def everything(log: ShopLog) -> list[tuple[int, bytes]]:
    """All of a log, batch by batch: (seq, record)."""
    records: list[tuple[int, bytes]] = []
    after = 0
    while True:
        batch = log.read(after, bytes_max=2000)
        records += batch.records
        if batch.to.seq == after:
            return records
        after = batch.to.seq


def interleaved(chains: int, count: int, seed: int = 1) -> Iterator[Item]:
    """Entries of several tills as they reach a relay: in bursts, each till in its own order."""
    pick = random.Random(seed)
    tills = [MadeUpChain(seed * 1000 + number) for number in range(chains)]
    for _ in range(count):
        yield pick.choice(tills).entry()


def _class(vat: int) -> str:
    return "N" if vat == 2000 else "R1"
