"""What each command of a register prints with ``--json``: field, type, unit. The one place where it is said.

``docs/reference/json.md`` is generated from here, and a test runs every command and holds its output against
its form. Fields may be added; what is here is not renamed without a line in the changelog.
"""

from __future__ import annotations

from typing import Final

from crdtsync.cli.json_fields import (
    DIAGNOSIS,
    ENROLLED,
    ENTRY,
    FIGURES,
    FINDING,
    JUDGED_AGAIN,
    LEVEL,
    NOTICES,
    NUMBER,
    PRODUCT,
    QUARANTINED,
    QUARANTINED_WHOLE,
    REPORT,
    RESYNC_PLAN,
    STATUS,
    SYNC,
    TICKET,
)
from crdtsync.cli.json_form import (
    Form,
    amount,
    many,
    number,
    one,
    text,
    texts,
    time,
    truth,
    value,
)

ERROR: Final = Form(
    "an error",
    (
        text("code", "the name of the error: see [errors](errors.md)"),
        number("exit_code", "what the command ends with"),
        text("message", "what went wrong, and where: one sentence for a person"),
        text("hint", "what to do; empty where nobody knows"),
        truth("retryable", "whether the same command may succeed later"),
    ),
    says="On standard error, on one line; standard output then has nothing, or the report that the error is "
    "about (`verify`, `product import`). `TooManyAttempts` also has `retry_after_s`, in seconds.",
)

FORMS: Final = (
    Form(
        "init",
        (
            text("folder", "the data folder"),
            value("device", "id", "the register"),
            text("name", "its name"),
            value("shop", "id", "its shop"),
            text("shop_name", "the shop's name"),
            text("series", "what its ticket numbers begin with"),
        ),
    ),
    Form("join", ENROLLED),
    Form(
        "move",
        (
            value("device", "id", "this register"),
            value("shop", "id", "its shop"),
            text("url", "the relay that it belongs to now"),
            SYNC,
        ),
    ),
    Form("product add", PRODUCT),
    Form("product set", PRODUCT),
    Form("product show", PRODUCT),
    Form("product list", PRODUCT, "list"),
    Form(
        "product import",
        (
            texts("added", "SKUs of new products"),
            texts("changed", "SKUs of products that the file changes"),
            texts("unchanged", "SKUs of products that are as the file says"),
            many(
                "refused",
                "the lines that are not imported; with any, the command ends with exit code 3",
                (
                    number("line", "number of the line in the file"),
                    text("field", "the field that is wrong; empty where it is the line as a whole"),
                    text("reason", "why"),
                ),
            ),
            truth("dry_run", "whether this is only what would be done"),
            many(
                "differences",
                "what changes",
                (
                    text("sku", "the product"),
                    text("field", "the field"),
                    value("old", "any", "its value before"),
                    value("new", "any", "its value in the file"),
                ),
            ),
            value("warnings", "any", "list of pairs: number of a line, and what is odd about it"),
            texts("ignored_columns", "titles of columns that were passed over"),
        ),
    ),
    Form(
        "open",
        (
            value("business_day", "day", "the day that is open"),
            amount("float_minor", "cash in the drawer"),
            SYNC,
            NOTICES,
        ),
    ),
    Form("sell", TICKET),
    Form("refund", TICKET),
    Form(
        "company",
        (
            text("name", "the company; like all of these empty where nobody has said it"),
            text("form", "legal form and capital"),
            text("address", "its lines, with line feeds between them"),
            text("siret", "14 digits"),
            text("naf", "code of activity"),
            text("rcs", "the commercial register that it stands in"),
            text("vat_number", "VAT number"),
        ),
    ),
    Form(
        "cash",
        (
            text("what", "`in`, `out` or `deposit`"),
            amount("amount_minor", "how much"),
            text("reason", "why"),
        ),
    ),
    Form(
        "close",
        (
            one("figures", "what the closing says", FIGURES),
            amount("cash_gap_minor", "counted less expected", null="where nobody counted"),
            text("sync", "what came of synchronising on the way; empty with `--read`"),
        ),
    ),
    Form("stock add", LEVEL),
    Form("stock count", (value("counted", "map", "what was counted per SKU", unit="1/1000 of the unit"),)),
    Form("stock list", LEVEL, "list"),
    Form(
        "sales",
        (
            NUMBER,
            text("kind", "`sale` or `refund`"),
            amount("total_minor", "what is paid; negative for a refund"),
            value("business_day", "day", "the day that it counts for"),
            time("at_ms", "when, by the clock of its register"),
            number("utc_offset_min", "what its clock was set to", "minutes east of UTC"),
            number("lines", "how many lines"),
            text("refund_of", "number of the ticket that is refunded", null="for a sale"),
            text("reason", "why it came back", null="for a sale"),
            text("operator", "who worked"),
            value("device", "id", "the register"),
            text("register", "its name", null="while its certificate is not here"),
            value("link", "digest", "the name of the entry"),
        ),
        "list",
    ),
    Form(
        "report",
        (
            one("report", "the day of all registers", REPORT),
            truth("complete", "whether every register has closed the day and all of it is here"),
        ),
    ),
    Form(
        "sync",
        (
            text("state", "`synced`; anything else is an error"),
            number("sent_sales", "sales that were pending before"),
            amount("sent_amount_minor", "what they come to"),
        ),
    ),
    Form(
        "till",
        (
            text("address", "the link that lets a browser of this machine in; another one with every start"),
            number("port", "where it listens on 127.0.0.1"),
        ),
        "lines",
        says="One line when a browser can come.",
    ),
    Form(
        "run",
        (
            truth("is_connected", "whether the relay is connected"),
            text("link", "the same for a person, with the reason if not"),
            number("pending_sales", "sales that the relay has not confirmed"),
            amount("pending_amount_minor", "what they come to"),
            number(
                "history_records_left", "records from before this register came that are still to be fetched"
            ),
            number("left_s", "how long that will take", "s", null="where that is not known"),
        ),
        "lines",
        says="One line for each change of the link, and every few seconds while history comes.",
    ),
    Form("status", STATUS, says="With `--watch`: one line each second."),
    Form("doctor", DIAGNOSIS, says="Told whatever is wrong; nothing is on standard error then."),
    Form("quarantine list", QUARANTINED, "list"),
    Form("quarantine show", QUARANTINED_WHOLE),
    Form("quarantine retry", JUDGED_AGAIN),
    Form(
        "inspect",
        (
            text("document", "the document"),
            number("records", "its records here"),
            number("bytes", "what they take", "bytes"),
            number("last_seq", "number of its newest record in the log"),
        ),
        "list",
    ),
    Form("inspect LEDGER", ENTRY, "list", says="LEDGER: `ledger/DEVICE/DAY` or `owner`."),
    Form(
        "inspect LEDGER KEY",
        (
            *ENTRY,
            value("chain", "digest", "the chain"),
            value("body", "object", "the entry as it was signed: see [entries](entries.md)"),
        ),
        "list",
    ),
    Form(
        "inspect DOCUMENT [KEY]",
        (
            text("root", "name of the shared type in the Yjs document"),
            text("key", "the key in it; `0` for a text or a list"),
            value("value", "any", "what it holds"),
            number("seq", "the record that brought it: its number in the log", null="where none is known"),
            value("record", "digest", "that record's digest", null="where none is known"),
        ),
        "list",
        says="DOCUMENT: `catalogue` or `x/NAME`.",
    ),
    Form(
        "resync",
        (
            truth("dry_run", "whether nothing was done"),
            one("before", "what is known here before", RESYNC_PLAN),
            one("after", "and after; the same in a dry run", RESYNC_PLAN),
        ),
    ),
    Form(
        "salvage",
        (
            text("name", "the register"),
            text("shop_name", "its shop"),
            number("records", "records that are in the new store"),
            number("lost", "rows and packs that could not be read"),
            number("apart", "records in quarantine that were carried over"),
            text("relay_url", "its relay's address", null="where none is known"),
            text("kept_as", "the damaged file, as it is called now"),
        ),
    ),
    Form(
        "verify",
        (
            number("entries", "entries that were verified"),
            number("chains", "chains"),
            number("records", "records"),
            many("findings", "what does not hold; with any, the command ends with exit code 67", FINDING),
            many("notes", "what is odd and no defect", FINDING),
        ),
    ),
    Form(
        "rescue",
        (
            text("file", "the file that was written"),
            number("bytes", "its size", "bytes"),
            number("records", "records in it that the relay has not acknowledged"),
            number("tickets", "sales and refunds among them"),
            amount("amount_minor", "what these come to"),
            number("certificates", "certificates of the shop in it"),
            truth("signed", "whether this register's key signed it"),
            texts("unreadable", "what could not be read; with any, the command ends with exit code 64"),
        ),
    ),
    Form(
        "leave",
        (
            value("device", "id", "the register that has left"),
            text("name", "its name"),
            value("shop", "id", "the shop that it has left"),
            text("shop_name", "its name"),
            text("moved_to", "the folder in which everything is now"),
            number("rescued_tickets", "sales and refunds that are in the rescue file and at no relay"),
            amount("rescued_amount_minor", "what these come to"),
            number("rescued_records", "all such records"),
        ),
    ),
)
