"""The fields that several commands' JSON has: products, tickets, closings, what is pending, findings.

See ``json_forms``, which says what each command prints.
"""

from __future__ import annotations

from crdtsync.cli.json_form import Field, amount, many, number, one, text, texts, time, truth, value

NUMBER = text("number", "number of the ticket")
NOTICES = texts("notices", "what a person should know besides: about the clock, the day, a forgotten closing")
SYNC = text("sync", "what came of synchronising on the way, a sentence for a person")


def copied(is_own: str) -> Field:
    """Registers whose data was copied; ``is_own`` says what that field means on this side."""
    return many(
        "copied",
        "registers whose data was put back from an old copy, or copied, and that must be enrolled again",
        (
            value("device", "id", "the register"),
            text("name", "its name"),
            text("says", "what is known of it, a sentence"),
            text("advice", "what to do"),
            text("series", "what its tickets are numbered with since it found out"),
            time("at_ms", "since when"),
            number("forks_at", "first number of its chain that is there twice", null="where none is"),
            truth("is_own", is_own),
        ),
    )


PRODUCT = (
    text("sku", "what names the product"),
    text("name", "as it stands on the ticket"),
    truth("archived", "whether it is off sale"),
    value("body", "object", "the fields that describe it, as they are in the catalogue"),
    amount("price_minor", "price now, tax included", null="before its first price"),
    number("vat_rate", "VAT rate now", "1/100 %", null="before its first price"),
    text("vat_class", "letter of the VAT rate on tickets", null="before its first price"),
    truth("disputed", "whether two people changed the price without seeing one another"),
)

VAT = (
    number("rate", "VAT rate", "1/100 %"),
    text("vat_class", "its letter on tickets"),
    amount("with_tax_minor", "amount with tax"),
    amount("without_tax_minor", "amount without tax"),
    amount("tax_minor", "the tax"),
)

TICKET = (
    NUMBER,
    text("kind", "`sale` or `refund`"),
    amount("total_minor", "what is paid; negative in a refund"),
    amount("change_minor", "the cash to hand back"),
    value("business_day", "day", "the day that it counts for"),
    time("at_ms", "when, by the clock of the register"),
    text("operator", "who worked"),
    many(
        "lines",
        "the lines",
        (
            number("i", "number of the line"),
            text("sku", "the product"),
            text("label", "its name when it was sold"),
            number("quantity_thousandths", "how much; negative in a refund", "1/1000 of the unit"),
            text("unit", "unit of sale"),
            amount("unit_price_minor", "price of one unit, tax included"),
            amount("discount_minor", "what was taken off the line"),
            amount("total_minor", "what the line comes to"),
            number("vat_rate", "VAT rate", "1/100 %"),
            text("vat_class", "its letter"),
        ),
    ),
    many(
        "payments",
        "the payments; `change` is the cash handed back, a negative amount",
        (text("means", "means of payment"), amount("amount_minor", "its amount")),
    ),
    many("vat", "sums per VAT rate", VAT),
    text("refund_of", "number of the ticket that is refunded", null="in a sale"),
    text("reason", "why it came back", null="in a sale"),
    value("device", "id", "the register"),
    value("link", "digest", "the name of the entry everywhere"),
    truth("again", "whether an earlier command with the same request id had made it already"),
    NOTICES,
)

FIGURES = (
    text("level", "`day`, `month` or `year`"),
    number("z", "number of the closing", null="in a reading (X), which records nothing"),
    value("business_day", "day", "the day closed, or the last day of the period"),
    text("first_number", "first ticket", null="without tickets"),
    text("last_number", "last ticket", null="without tickets"),
    number("sales", "sales"),
    number("refunds", "refunds"),
    number("abandons", "sales that were dropped before payment"),
    amount("total_minor", "turnover: sales less refunds, with tax"),
    amount("refunds_minor", "what refunds come to, negative"),
    amount("outside_vat_minor", "amounts outside the scope of VAT"),
    amount("discounts_minor", "what was taken off"),
    many("vat", "sums per VAT rate", VAT),
    value("means", "map", "amount per means of payment", unit="cents"),
    amount("cash_expected_minor", "cash that should be in the drawer", null="for a month or a year"),
    amount("cash_counted_minor", "cash that was counted", null="where nobody counted"),
    amount("grand_total_minor", "turnover since the beginning of the register"),
    truth("automatic", "whether the register closed by itself"),
    NOTICES,
)

LEVEL = (
    text("sku", "the product"),
    number("quantity_thousandths", "what is there; negative when oversold", "1/1000 of the unit"),
    time("counted_at_ms", "the count that it rests on", null="where it was never counted"),
    truth("disputed", "whether another count, made without knowing of that one, said something else"),
)

CAME_BACK = (
    value("device", "id", "the lost register"),
    text("name", "its name"),
    truth("is_complete", "whether all that the relay had of it is here"),
    text("number", "its last ticket up to which nothing is missing here", null="where there is none"),
    time("at_ms", "when it made the last entry up to there", null="where there is none"),
    number("tickets", "its tickets that can be looked at here"),
    amount("amount_minor", "what they come to"),
    number("never_arrived_sales", "sales and refunds that it had told the relay of, and never sent"),
    amount("never_arrived_amount_minor", "what they come to"),
    time("told_at_ms", "when it told it", null="where nothing is known to be missing"),
)

PENDING = (
    number("sales", "sales and refunds"),
    amount("amount_minor", "what they come to"),
    number("records", "all records, products and closings among them"),
)

DEVICE = (
    value("device", "id", "the device"),
    text("name", "its name"),
    text("role", "`register`, `backoffice`, `display`, `relay` or `unknown`"),
    truth("revoked", "whether it was cut off"),
    time("last_entry_at_ms", "when its newest entry that is here was made", null="without entries"),
)

FINDINGS = (
    text("check", "what: `folder`, `drive`, `space`, `store`, …"),
    text("state", "`well`, `notice`, `wrong` or `unknown`"),
    text("says", "what was found: one sentence"),
    text("advice", "what to do; empty where nothing is to be done"),
    number("exit_code", "that of the error; 0 unless it is wrong"),
)

STATUS = (
    text("state", "`alone`, `synced`, `pending`, `offline` or `attention`"),
    value("device", "id", "this register"),
    text("name", "its name"),
    text("shop_name", "the shop"),
    number("pending_sales", "sales and refunds that the relay has not said to have on its disk"),
    amount("pending_amount_minor", "what they come to"),
    number("pending_records", "all such records"),
    one("pending_own", "of these, recorded here", PENDING),
    one("pending_others", "of these, recorded by other registers", PENDING),
    time("oldest_pending_at", "the oldest pending entry", null="where none is pending"),
    time("last_ack_at", "when the relay last confirmed something", null="before it ever did"),
    text("relay", "address of the relay", null="for a register that belongs to none"),
    truth("syncing", "whether some process keeps this register in step now"),
    many("devices", "the devices of the shop, by name, the relay last", DEVICE),
    many(
        "documents",
        "catalogue, owner and the ledgers of each register's last day; all with `--documents`",
        (
            text("name", "the document"),
            number("entries", "its records here"),
            number("bytes", "what they take", "bytes"),
            value(
                "fingerprint",
                "digest",
                "names what it holds: equal on two devices exactly when the contents are",
                null="for Yjs documents and very busy days, unless `--documents` is given",
            ),
        ),
    ),
    number("store_bytes", "what the store takes on disk", "bytes"),
    number(
        "clock_offset_ms",
        "clock of the register minus the relay's, as last measured",
        "ms",
        null="before they ever met",
    ),
    time("clock_measured_at", "what the register's clock showed then", null="before they ever met"),
    number("apart", "records in quarantine: refused, held or damaged"),
    number("held", "of these, held: a certificate, an approval or room is missing"),
    number("refused_by_relay", "records that the relay did not take"),
    number("log_end", "number of the newest record here"),
    number(
        "signatures_checked_to", "up to which record every signature was checked here, beside synchronising"
    ),
    texts("concerns", "what a person must look at, a sentence each"),
    one(
        "link_trouble",
        "why synchronising last failed",
        (
            text("message", "what it was"),
            text("hint", "what to do; empty where nobody knows"),
            time("since_ms", "since when"),
            truth("is_over", "whether nothing tries again until a person acts"),
            value("relay_key", "hex", "the key of the relay that it is about"),
        ),
        null="where it has not failed, or has succeeded since",
    ),
    many("findings", "what `doctor` finds without the network", FINDINGS),
    time(
        "slowed_since",
        "since when this register sends more than its share, and the relay reads it more slowly",
        null="where that is not so",
    ),
    time(
        "relay_put_back_at",
        "when it was last noticed that the relay holds less than it had confirmed; that is pending again",
        null="where it never was",
    ),
    copied("whether it is this register"),
    one("came_back", "the lost register that this one replaces", CAME_BACK, null="where it replaces none"),
    number("history_records_left", "records from before this register came that are still to be fetched"),
    number(
        "history_left_s", "how long that will take", "s", null="where nobody fetches them, or nobody knows"
    ),
)

RESYNC_PLAN = (
    number("records", "records in the log"),
    number("pending_records", "records that the relay has not confirmed"),
    many(
        "holes",
        "entries that are missing between others",
        (
            value("chain", "digest", "the chain"),
            number("lo", "the first that is missing"),
            number("hi", "the last that is missing"),
        ),
    ),
    number("wanted", "records still to be fetched"),
    number("apart", "records in quarantine"),
    many(
        "documents",
        "all documents, or the one asked for",
        (
            text("name", "the document"),
            number("records", "its records here"),
            value("fingerprint", "digest", "names what it holds", null="where nothing of it is here"),
        ),
    ),
)

DIAGNOSIS = (
    truth("well", "whether nothing is wrong"),
    number("exit_code", "of the first thing that is wrong, else 0; the command ends with it"),
    many("findings", "what was looked at, from the disk outwards", FINDINGS),
)

QUARANTINED = (
    value("digest", "digest", "the record's digest"),
    text("by", "who did not take it: `here`, or `relay`"),
    text("kind", "`entry` or `update`"),
    text("what", "what it is, as far as that can be read"),
    text("code", "why, in one word"),
    text("reason", "the same for a person"),
    truth("held", "whether it is judged again by itself when certificates change"),
    text("advice", "what to do"),
    time("at_ms", "since when", null="for what the relay refused"),
    amount("amount_minor", "what it says it comes to; nobody vouches for it", null="where it says nothing"),
    value("author", "hex", "the device that it says it is from", null="where it says nothing"),
)

QUARANTINED_WHOLE = (
    *QUARANTINED,
    value("body", "any", "what an entry says of itself; nobody vouches for it", null="if unreadable"),
    value("bytes", "hex", "the record itself; empty where its bytes are not here"),
)

JUDGED_AGAIN = (
    value("admitted", "digest", "records that are in the log now", is_list=True),
    number("left", "how many stay in quarantine"),
)

FINDING = (
    text("place", "the register, the document, or `store`"),
    text("code", "what kind of defect"),
    number("seq", "number along the chain, or in the log where `code` is `store` or `update`"),
    value("link", "digest", "the entry", null="where it is no entry"),
    text("number", "the ticket", null="where it is no ticket"),
    text("message", "what does not hold"),
)

ENTRY = (
    number("seq", "number of the record in this register's log"),
    number("n", "number of the entry along its chain"),
    text("kind", "kind of entry"),
    text("number", "number of the ticket", null="where it is no ticket"),
    time("at_ms", "when it was made"),
    amount("amount_minor", "what it comes to", null="where it has no amount"),
    value("link", "digest", "its name"),
    number("bytes", "its size", "bytes"),
)

REPORTED_REGISTER = (
    value("device", "id", "the register"),
    text("name", "its name"),
    text(
        "state",
        "`closed`, `idle`, `open`, `cut-off` (revoked before it closed), or"
        " `unheard` (its sales are missing here)",
    ),
    number("closed_z", "number of its closing", null="while it is not closed"),
    truth("closed_automatically", "whether it closed by itself"),
    number("tickets", "tickets known here"),
    number("refunds", "of these, refunds"),
    amount("total_minor", "what they come to"),
    time("last_heard_at_ms", "its newest entry of any day", null="while none is here"),
)

FLAG = (
    value("device", "id", "the device that signed the entry"),
    number("n", "number of the entry along its chain"),
    value("link", "digest", "the entry"),
    text("number", "the ticket", null="where it is no ticket"),
    text("code", "what cannot be so, in one word"),
    text("message", "the same for a person"),
)

REPORT = (
    value("business_day", "day", "the day"),
    many("registers", "each register's part", REPORTED_REGISTER),
    number("tickets", "tickets of all registers"),
    number("refunds", "of these, refunds"),
    amount("total_minor", "what they come to"),
    amount("refunds_minor", "what refunds come to, negative"),
    amount("discounts_minor", "what was taken off"),
    number("abandoned", "sales dropped before payment"),
    amount("abandoned_minor", "what they would have come to"),
    many("vat", "sums per VAT rate", VAT),
    value("means", "map", "amount per means of payment", unit="cents"),
    many("flags", "what cannot be so in entries of the day, which count as they stand", FLAG),
)

ENROLLED: tuple[Field, ...] = (
    value("device", "id", "this device"),
    text("name", "its name"),
    text("role", "`register`, `backoffice` or `display`"),
    value("shop", "id", "the shop"),
    text("shop_name", "its name"),
    text("series", "what its ticket numbers begin with; empty for a device that does not sell"),
    SYNC,
    one("replaces", "the lost register that it replaces", CAME_BACK, null="where it replaces none"),
    number("history_records_left", "records from before it came that are still to be fetched"),
)
