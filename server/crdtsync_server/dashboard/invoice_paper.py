"""An invoice as PDF, in French: a paper of French law, whoever reads the pages in whatever language.

The mentions are those of CGI annex II art. 242 nonies A and Code de commerce L441-9. The same invoice gives
the same bytes whenever it is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import as_file, files
from typing import Any, Final

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from crdtsync.model.arithmetic import half_up
from crdtsync.model.form import OUTSIDE_VAT
from crdtsync.runtime.register.ticket import Ticket
from crdtsync_server.dashboard.invoices import Invoice
from crdtsync_server.dashboard.words import Words, words_in

MEANS: Final = {
    "cash": "espèces",
    "change": "monnaie rendue",
    "card": "carte",
    "cheque": "chèque",
    "transfer": "virement",
    "voucher": "bon d’achat",
    "account": "en compte",
    "titre": "titre-restaurant",
    "other": "autre moyen",
}
_FONT: Final = "DejaVu"
_GREY: Final = 110


def invoice_pdf(invoice: Invoice, ticket: Ticket, lines: Sequence[dict[str, Any]], currency: str) -> bytes:
    """The paper. ``lines`` are those of the ticket's entry, with ``ht``. Some 50 ms, on whatever thread."""
    paper = _Paper(invoice, ticket, currency)
    paper.heads()
    paper.lines(lines)
    paper.totals()
    paper.mentions()
    return bytes(paper.output())


def _without_tax(line: dict[str, Any]) -> int:
    """The unit price without tax; outside the scope of VAT there is none in it."""
    pu: int = line["pu"]
    return pu if line["vc"] == OUTSIDE_VAT else half_up(pu * 10_000, 10_000 + line["vat"])


class _Paper(FPDF):
    def __init__(self, invoice: Invoice, ticket: Ticket, currency: str) -> None:
        super().__init__(format="A4")
        self._invoice, self._ticket, self._currency = invoice, ticket, currency
        self._words: Words = words_in("fr")
        self._zone = timezone(timedelta(minutes=ticket.utc_offset_min))
        self._is_credit = ticket.kind == "refund"
        folder = files("crdtsync_server.dashboard") / "fonts"
        for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            with as_file(folder / name) as path:
                self.add_font(_FONT, style, path)
        self.set_creation_date(datetime.fromtimestamp(invoice.issued_ms / 1000, UTC))
        self.set_title(f"{self._title} {invoice.number}")
        self.set_author(invoice.seller.name)
        self.set_lang("fr-FR")
        self.set_margin(18)
        self.set_auto_page_break(auto=True, margin=20)
        self.alias_nb_pages()
        self.add_page()

    @property
    def _title(self) -> str:
        return "Avoir" if self._is_credit else "Facture"

    def footer(self) -> None:
        """On each page: whose it is, and which one."""
        self.set_y(-14)
        self._font(8, grey=True)
        self.cell(0, 5, f"{self._title} {self._invoice.number} · page {self.page_no()}/{{nb}}", align="C")

    def _font(self, size: float, *, bold: bool = False, grey: bool = False) -> None:
        self.set_font(_FONT, "B" if bold else "", size)
        self.set_text_color(_GREY if grey else 0)

    def _says(self, text: str, height: float = 5.0, *, align: str = "L", width: float = 0) -> None:
        self.multi_cell(width, height, text, align=align, new_x="LMARGIN", new_y="NEXT")

    def _money(self, amount_minor: int) -> str:
        # Fonts of paper have no narrow no-break space.
        return self._words.money(amount_minor, self._currency).replace("\u202f", "\u00a0")

    def _day(self, at_ms: int) -> str:
        return self._words.day(
            datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone).date(), "long"
        )

    def heads(self) -> None:
        """Who sells, who buys, what it is and of when."""
        seller, buyer = self._invoice.seller, self._invoice.buyer
        self._font(15, bold=True)
        self._says(seller.name, 8)
        self._font(9)
        numbers = [
            seller.form,
            *seller.address.splitlines(),
            f"SIRET {seller.siret}",
            f"RCS {seller.rcs}" if seller.rcs else "",
            f"TVA intracommunautaire {seller.vat_number}" if seller.vat_number else "",
        ]
        for line in filter(None, numbers):
            self._says(line)
        self.ln(6)
        self._font(18, bold=True)
        self._says(f"{self._title} n° {self._invoice.number}", 10)
        self._font(9)
        sold = "Date du remboursement" if self._is_credit else "Date de la vente"
        self._says(f"Date d’émission : {self._day(self._invoice.issued_ms)}")
        self._says(f"{sold} : {self._day(self._ticket.at_ms)}")
        self._says(f"Ticket de caisse n° {self._ticket.number}, empreinte {self._ticket.link.hex()[:8]}")
        if self._ticket.refund_of:
            self._says(f"Rectifie le ticket n° {self._ticket.refund_of} : {self._ticket.reason or ''}")
        self.ln(5)
        self._font(9, grey=True)
        self._says("Client")
        self._font(10, bold=True)
        self._says(buyer.name)
        self._font(9)
        for line in buyer.address.splitlines():
            self._says(line)
        if buyer.siren:
            self._says(f"SIREN {buyer.siren}")
        if buyer.vat_number:
            self._says(f"TVA intracommunautaire {buyer.vat_number}")
        self.ln(5)

    def lines(self, lines: Sequence[dict[str, Any]]) -> None:
        """What was sold: without tax, as an invoice has it."""
        titles = ("Désignation", "Quantité", "PU HT", "Remise TTC", "TVA", "Total HT")
        rows = [
            (
                line["label"],
                self._words.thousandths(line["qty"]).replace("\u202f", "\u00a0"),
                self._money(_without_tax(line)),
                self._money(line["disc"]) if line["disc"] else "–",
                self._words.rate(line["vat"]) if line["vc"] != OUTSIDE_VAT else "hors champ",
                self._money(line["ht"]),
            )
            for line in lines
        ]
        self._table(titles, rows, (64, 19, 24, 24, 18, 25))
        self.ln(4)

    def totals(self) -> None:
        """Per rate, and in all; and that it was paid, when and how."""
        ticket = self._ticket
        rows = [
            (self._words.rate(one.rate), *map(self._money, (one.without_tax_minor, one.tax_minor)))
            for one in ticket.vat
        ]
        if rows:
            self._table(("Taux de TVA", "Base HT", "TVA"), rows, (40, 40, 40), align="LEFT")
            self.ln(3)
        without = sum(one.without_tax_minor for one in ticket.vat)
        tax = sum(one.tax_minor for one in ticket.vat)
        outside = ticket.total_minor - without - tax
        self._font(10)
        self._says(f"Total HT : {self._money(without)}", align="R")
        self._says(f"Total TVA : {self._money(tax)}", align="R")
        if outside:
            self._says(f"Hors champ de la TVA : {self._money(outside)}", align="R")
        self._font(12, bold=True)
        self._says(f"Total TTC : {self._money(ticket.total_minor)}", 7, align="R")
        self._font(9)
        means = ", ".join(
            f"{MEANS.get(one.means, one.means)} {self._money(one.amount_minor)}" for one in ticket.payments
        )
        done = "Remboursé" if self._is_credit else "Acquittée"
        self._says(f"{done} le {self._day(ticket.at_ms)} : {means}", align="R")
        self.ln(5)

    def mentions(self) -> None:
        """What the law wants said."""
        self._font(8, grey=True)
        said = [
            "Catégorie de l’opération : livraison de biens.",
            "Ce document se réfère au ticket de caisse ci-dessus, seul compté dans les totaux de la caisse.",
            "Pas d’escompte pour paiement anticipé.",
        ]
        if self._invoice.buyer.is_company:
            said.append(
                "En cas de retard de paiement : pénalités au taux de trois fois l’intérêt légal, et indemnité"
                " forfaitaire de 40 € pour frais de recouvrement (C. com. L441-10 et D441-5)."
            )
        for line in said:
            self._says(line, 4)

    def _table(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        widths: Sequence[int],
        *,
        align: str = "CENTER",
    ) -> None:
        self._font(8.5)
        self.set_draw_color(200)
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=tuple(widths),
            width=sum(widths),
            align=align,
            text_align=("LEFT", *["RIGHT"] * (len(titles) - 1)),
            headings_style=FontFace(emphasis="BOLD"),
            line_height=5.5,
        ) as table:
            for row in (titles, *rows):
                made = table.row()
                for cell in row:
                    made.cell(cell)
