"""What each command of the relay prints with ``--json``. See ``crdtsync.cli.json_forms``."""

from __future__ import annotations

from typing import Final

from crdtsync.cli.json_fields import DIAGNOSIS, FINDING, JUDGED_AGAIN, QUARANTINED, QUARANTINED_WHOLE
from crdtsync.cli.json_form import Form, amount, many, number, text, texts, truth, value

_CODE = (
    text("code", "the pairing code; it lets one device in, once"),
    text("role", "what the device will be: `register`, `backoffice` or `display`"),
    value("expires_at", "utc", "until when"),
)

_DEVICE = (
    value("device", "id", "the device"),
    text("name", "its name"),
    text("role", "its role"),
    text("series", "what its ticket numbers begin with", null="for a device that does not sell"),
    truth("revoked", "whether it was cut off"),
    truth("connected", "whether it is here now; some seconds late"),
    truth("slowed", "whether it sends faster than it may, and is read more slowly"),
    value("last_contact_at", "utc", "when it was last here", null="if it never was"),
    text("complete_to", "last ticket up to which nothing of it is missing here", null="where there is none"),
    value("complete_to_at", "utc", "when it made the last entry up to there", null="where there is none"),
    text("software", "what it ran then", null="if it never was here"),
    number("stored", "how far the relay has the device's log"),
    number("acknowledged", "how far the device has the relay's log on its disk"),
    number("behind", "records of the shop that it has not confirmed"),
    number(
        "pending_sales",
        "sales and refunds that it said were pending; 0 when all that it had then is here",
        null="if it never said",
    ),
    amount("pending_amount_minor", "what they come to", null="if it never said"),
    number("clock_offset_ms", "its clock minus the relay's", "ms", null="if it never said"),
    number("held", "records of it that are held"),
    number("refused", "records of it that were refused"),
)

_NOT_ADMITTED = (
    value("digest", "digest", "the record's digest"),
    text("code", "why, in one word"),
    text("reason", "why, for a person"),
    truth("held", "whether it waits for a certificate"),
    value("at", "utc", "when it came"),
    value("from_log", "id", "the log that it came from", null="where that is not known"),
)

_HOLD = (
    value("device", "id", "the device that it says it is from"),
    text("name", "its name", null="if no certificate says it"),
    truth("revoked", "whether it was cut off"),
    number("tickets", "sales and refunds on hold"),
    amount("amount_minor", "what they come to"),
    number("entries", "entries of all kinds on hold"),
    number("approvable", "how many of them a person may let in"),
    value("first_at", "utc", "when the first of them was made, as it says itself"),
    value("last_at", "utc", "when the last of them was made"),
    texts("codes", "why, in one word each"),
    text("reason", "why, for a person"),
)

_ON_HOLD = (
    value("link", "digest", "the entry"),
    text("kind", "its kind"),
    text("number", "the ticket", null="where it is no ticket"),
    value("at", "utc", "when it was made, as it says itself"),
    amount("amount_minor", "what the ticket comes to", null="where it is no ticket"),
    text("code", "why, in one word"),
    text("reason", "why, for a person"),
    truth("signed", "whether its device signed it"),
    truth("approvable", "whether a person may let it in"),
    value("came_at", "utc", "when it came here"),
)

_SHOP = (
    value("shop", "id", "the shop"),
    text("name", "its name"),
    value("log", "id", "the relay's log of it"),
    number("log_end", "number of the newest record"),
    number("signatures_checked_to", "record up to which every signature was verified one by one"),
    number("signatures_bad", "stored entries that their author did not sign"),
    number("documents", "documents"),
    number("records_bytes", "what the records take", "bytes"),
    number("held", "records held until a certificate admits them"),
    number("refused", "records refused"),
    number("damaged", "records found damaged on disk"),
    many("not_admitted", "these records", _NOT_ADMITTED),
    number("open_codes", "pairing codes that can still be used"),
    many("devices", "the devices", _DEVICE),
)

FORMS: Final = (
    Form(
        "serve",
        (
            text("url", "where registers connect"),
            text("web", "where `/healthz` and `/metrics` are"),
            text("host", "the address it listens on"),
            number("port", "the port"),
            number("pid", "the process"),
            number("shops", "shops served"),
        ),
        "lines",
        says="One line, when devices can connect. Logs go to standard error, one JSON object per line.",
    ),
    Form(
        "shop create",
        (value("shop", "id", "the new shop"), text("name", "its name"), *_CODE),
    ),
    Form(
        "shop list",
        (
            many(
                "shops",
                "the shops",
                (
                    value("shop", "id", "the shop"),
                    text("name", "its name"),
                    value("created_at", "utc", "when it was made"),
                ),
            ),
        ),
    ),
    Form("pair", (value("shop", "id", "the shop"), text("name", "its name"), *_CODE)),
    Form(
        "revoke",
        (
            value("shop", "id", "the shop"),
            value("device", "id", "the device"),
            truth("revoked", "always true"),
            truth("is_new", "whether it was not cut off before"),
        ),
    ),
    Form(
        "doctor",
        (
            *DIAGNOSIS,
            many(
                "devices",
                "each device, as `status` tells it",
                (value("shop", "id", "its shop"), text("shop_name", "the shop's name"), *_DEVICE),
            ),
        ),
        says="Told whatever is wrong; nothing is on standard error then.",
    ),
    Form("hold list", _HOLD, "list"),
    Form("hold show", (*_HOLD, many("on_hold", "the entries, in the order of their chain", _ON_HOLD))),
    Form(
        "hold approve",
        (
            number("tickets", "sales and refunds that were let in by this"),
            amount("amount_minor", "what they come to"),
            number("entries", "entries of all kinds that were let in by this"),
            value("links", "digest", "these entries", is_list=True),
            value("left", "digest", "entries that a person cannot let in", is_list=True),
        ),
    ),
    Form("quarantine list", QUARANTINED, "list"),
    Form("quarantine show", QUARANTINED_WHOLE),
    Form("quarantine retry", JUDGED_AGAIN),
    Form(
        "status",
        (
            text("data", "the data folder"),
            number("served_by_pid", "the process that serves it", null="while none does"),
            value("relay", "id", "the relay"),
            number("store_bytes", "what the store takes on disk", "bytes"),
            many("shops", "the shops", _SHOP),
        ),
    ),
    Form(
        "verify",
        (
            number("defects", "how many in all; with any, the command ends with exit code 67"),
            many("store", "defects of the file", FINDING),
            many(
                "shops",
                "each shop",
                (
                    value("shop", "id", "the shop"),
                    text("name", "its name"),
                    number("records", "records"),
                    number("entries", "entries that were verified"),
                    number("chains", "chains"),
                    many("findings", "what does not hold", FINDING),
                    many("notes", "what is odd and no defect", FINDING),
                ),
            ),
        ),
    ),
)
