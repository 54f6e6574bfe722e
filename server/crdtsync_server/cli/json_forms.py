"""What each command of the relay prints with ``--json``. See ``crdtsync.cli.json_forms``."""

from __future__ import annotations

from typing import Final

from crdtsync.cli.json_fields import (
    DIAGNOSIS,
    FINDING,
    JUDGED_AGAIN,
    QUARANTINED,
    QUARANTINED_WHOLE,
    copied,
)
from crdtsync.cli.json_form import Form, amount, many, number, one, text, texts, truth, value

_CODE = (
    text("code", "the pairing code; it lets one device in, once"),
    text("role", "what the device will be: `register`, `backoffice` or `display`"),
    value("expires_at", "utc", "until when"),
)

_LINK = (
    text("name", "the person's name"),
    text("role", "`owner` or `staff`"),
    text("link", "where the person chooses a password; it works once"),
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
    truth("held", "whether it is held: judged again when certificates, approvals or room come"),
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
    value("came_at", "utc", "when it came here", null="where it is in the log, and others keep it apart"),
)

_COUNTED = (
    number("tickets", "sales and refunds among them"),
    amount("amount_minor", "what these come to"),
    number("records", "all of them"),
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
    number("held", "records held: a certificate, an approval or room is missing"),
    number("refused", "records refused"),
    number("damaged", "records found damaged on disk"),
    many("not_admitted", "these records", _NOT_ADMITTED),
    copied("always false: a relay sells nothing"),
    value(
        "restore_noticed_at",
        "utc",
        "when the shop was put back from a backup or taken in from an export, or was noticed to be lost",
        null="where it never was",
    ),
    number("open_codes", "pairing codes that can still be used"),
    many("devices", "the devices", _DEVICE),
)

_HELD = (
    value("shop", "id", "the shop"),
    text("name", "its name"),
    value("log", "id", "the relay's log of it, when the backup was made"),
    number("log_end", "number of the newest record in the backup"),
    many(
        "devices",
        "each device",
        (
            value("device", "id", "the device", null="where an earlier version made the backup"),
            text("series", "what its ticket numbers begin with", null="where there is none, or as above"),
            text("name", "its name, with its series or id behind it where another has the same"),
            text(
                "complete_to", "last ticket up to which the backup has all of it", null="where there is none"
            ),
            value(
                "complete_to_at", "utc", "when it made the last entry up to there", null="where there is none"
            ),
        ),
    ),
)

_MISSING = (
    text(
        "sort",
        "`hole` (entries are missing between others), `tail` (an end that another entry names), `untold` "
        "(the device has not been here since the relay was put back)",
    ),
    value("device", "hex", "whose it is; empty where that is not known"),
    text("name", "its name, with its series or id behind it where another has the same"),
    value("chain", "digest", "the chain", null="for `untold`"),
    number("first", "number along the chain of the first entry missing", null="for `untold`"),
    number("last", "number of the last one", null="for `untold`"),
    text("after", "the last ticket before it", null="where there is none"),
    text("before", "the first ticket after it", null="where there is none"),
    text("number", "the ticket that is named", null="where none is"),
    text("named_by", "the entry that names it", null="but for `tail`"),
    number("sales", "sales pending when the device was last here", null="but for `untold`, or if not said"),
    amount("amount_minor", "what they come to", null="but for `untold`, or if not said"),
    value("last_contact_at", "utc", "when the device was last here", null="but for `untold`"),
)

_SIGNED = (
    text("what", "`certify`, `revoke`, `owner-approve` or `owner-key`"),
    value("device", "id", "the device", null="for `owner-key`"),
    text("name", "its name; of a key the first digits"),
    text("role", "what it is let in as", null="but for `certify`"),
    text("series", "what its ticket numbers begin with", null="where it has none"),
    number("entries", "how many of its entries are let in", null="but for `owner-approve`"),
    value("key", "hex", "the key of `certify` and `owner-key`", null="of others"),
    value("replaces", "id", "the lost device in whose place it is let in", null="where there is none"),
    many(
        "heads",
        "of `revoke`: up to where what it made stays good",
        (value("chain", "hex", "the chain"), number("number", "of the last good entry")),
    ),
    value("links", "digest", "of `owner-approve`: the entries that are let in", is_list=True),
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
        "restore",
        (
            value("shop", "id", "the shop"),
            text("name", "its name"),
            value("device", "id", "the lost register"),
            text("lost", "its name"),
            number("never_arrived_sales", "sales and refunds that it had told of and that are not here"),
            amount("never_arrived_amount_minor", "what they come to"),
            value("never_arrived_told_at", "utc", "when it told it", null="where nothing is missing"),
            *_CODE,
        ),
    ),
    Form(
        "revoke",
        (
            value("shop", "id", "the shop"),
            value("device", "id", "the device"),
            truth("revoked", "always true"),
            truth("is_new", "whether it was not cut off before"),
        ),
    ),
    Form("account create", _LINK),
    Form("account link", _LINK),
    Form(
        "account list",
        (
            value("shop", "id", "the shop"),
            many(
                "accounts",
                "the people",
                (
                    text("name", "the person's name"),
                    text("role", "`owner` or `staff`"),
                    truth("has_password", "whether a link was used"),
                    number("sessions", "browsers in which the person is signed in"),
                ),
            ),
        ),
    ),
    Form("account end", (text("name", "the person's name"), truth("ended", "always true"))),
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
    Form(
        "rescue",
        (
            text("file", "the file"),
            value("shop", "id", "the shop"),
            text("shop_name", "its name"),
            value("device", "hex", "the device that it says it is from; empty if it says none"),
            text("name", "what it says that device is called"),
            truth("signed", "whether that device signed the file"),
            one("new", "records that were not here", _COUNTED),
            one("known", "records that were here already", _COUNTED),
            one("held", "records that are on hold", _COUNTED),
            one("refused", "records that were refused", _COUNTED),
            number("certificates", "certificates of the shop that were not here"),
            many(
                "why",
                "why records were held or refused",
                (
                    truth("held", "whether they are on hold, not refused"),
                    text("code", "why, in one word"),
                    text("reason", "why, for a person"),
                    number("records", "how many"),
                ),
            ),
            text("stopped", "why not all of the file was taken", null="if all was"),
        ),
        says="If records were refused, or not all was taken, the command ends with exit code 50.",
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
    Form(
        "backup",
        (
            text("file", "the file"),
            value("made_at", "utc", "the moment that the backup shows"),
            number("backups", "whole backups since the file was written anew"),
            truth("written_anew", "whether this one wrote it anew"),
            number("written_bytes", "what this backup took", "bytes"),
            number("file_bytes", "what the file takes now", "bytes"),
            number("interrupted_bytes", "what an interrupted backup had left, and is gone", "bytes"),
            truth("keys", "whether the private keys are inside, sealed with a passphrase"),
            texts("keys_left_out", "the key files of the relay that are not in it"),
            texts("damages", "what is damaged on the relay: it is in the backup as it can still be read"),
            many("shops", "what it holds", _HELD),
        ),
    ),
    Form(
        "restore-from",
        (
            text("data", "the data folder"),
            value("made_at", "utc", "the moment that the backup shows"),
            number("interrupted_bytes", "what lies behind it of an interrupted one", "bytes"),
            truth("new_key", "whether it goes on without the old key, so that registers must be moved"),
            text("moved_aside_to", "where what was in the folder is now", null="where nothing was"),
            texts("damages", "what was damaged already when the backup was made"),
            many("shops", "what was put back", _HELD),
        ),
    ),
    Form(
        "missing",
        (
            value("shop", "id", "the shop"),
            text("name", "its name"),
            value("restored_at", "utc", "when it was put back from a backup", null="if it never was"),
            value("backup_made_at", "utc", "when that backup was made", null="if it never was"),
            many("missing", "what is missing", _MISSING),
        ),
    ),
    Form(
        "owner rotate",
        (
            value("shop", "id", "the shop"),
            value("before", "hex", "the public key before"),
            value("key", "hex", "the public key now"),
            text("file_before", "the file of the key before, which is of no use any more"),
        ),
    ),
    Form(
        "owner request",
        (
            value("shop", "id", "the shop"),
            text("file", "the request"),
            texts("certify", "names of devices to be let in"),
            texts("revoke", "names of devices to be cut off"),
            number("approve", "entries on hold to be let in"),
            number("meanwhile", "entries that registers recorded before they knew that they were cut off"),
        ),
    ),
    Form("owner sign", (text("answer", "the answer"), many("signed", "what was signed", _SIGNED))),
    Form(
        "owner answer",
        (
            value("shop", "id", "the shop"),
            many("taken", "what is new", _SIGNED),
            number("meanwhile", "entries that were recorded meanwhile and wait for the next request"),
        ),
    ),
    Form(
        "shop export",
        (
            value("shop", "id", "the shop"),
            text("name", "its name"),
            text("file", "the file"),
            number("log_end", "number of the newest record in it"),
            number("apart", "records in quarantine that are in it"),
            truth("keys", "whether its owner key is inside, sealed with a passphrase"),
            number("written_bytes", "what this export took", "bytes"),
            number("file_bytes", "what the file takes now", "bytes"),
        ),
    ),
    Form(
        "shop import",
        (
            value("shop", "id", "the shop"),
            text("name", "its name"),
            number("records", "records that are new here"),
            number("not_admitted", "records in quarantine"),
            truth("certified", "whether this relay is certified; otherwise that waits for the owner"),
        ),
    ),
    Form(
        "shop erase",
        (
            value("shop", "id", "the shop"),
            text("name", "its name"),
            text("owner_key", "where its owner key is now", null="where it was not here"),
        ),
    ),
)
