"""What was refused, in the language of whoever stands at the till: a sentence for each kind of error.

The error itself says more, in English; it stands below, for whoever helps.
"""

from __future__ import annotations

from typing import Final

from crdtsync import errors
from crdtsync.errors import CrdtsyncError
from crdtsync.said import Said
from crdtsync.web.words import N_, Words

SENTENCES: Final[dict[type[CrdtsyncError], str]] = {
    errors.InvalidAmount: N_("This amount, quantity or discount cannot be."),
    errors.InvalidSale: N_("These lines and payments do not make a ticket. Nothing was recorded."),
    errors.NotRefundable: N_("This cannot be given back: more than what is left of the ticket, or nothing."),
    errors.UnknownTicket: N_("No ticket of that number is known on this register."),
    errors.UnknownProduct: N_("There is no such product on sale."),
    errors.InvalidName: N_("This day or name cannot be."),
    errors.UsageError: N_("This cannot be done now, or not in this way. Nothing was recorded."),
    errors.WrongClock: N_("The clock of this machine cannot be right. Set it."),
    errors.RoleTaken: N_(
        "Another program of this machine synchronises this register: that one does the work."
    ),
    errors.NoRegister: N_("This register belongs to no relay yet. It sells, and its disk has the only copy."),
    errors.SetupError: N_("This register is not set up for that."),
    errors.AccessDenied: N_("The office refuses this register. What it has not sent stays on this machine."),
    errors.WrongRelayKey: N_("Another relay answers than the one that is known. Nothing was sent to it."),
    errors.RelayUnreachable: N_("The office is not reached. Sales go on, and are kept on this machine."),
    errors.LinkError: N_("The connection broke off. It is tried again by itself; nothing is lost."),
    errors.UnsupportedVersion: N_("The office and this register have versions that do not fit: update one."),
    errors.RemoteProtocolError: N_("The office answered what cannot be. It is tried again; nothing is lost."),
    errors.DiskFull: N_("The disk is full. Nothing was recorded by this; free some space."),
    errors.StoreBusy: N_("Another program holds the data of this register. Try again."),
    errors.ReadOnlyStore: N_("The data of this register cannot be written. Nothing was recorded by this."),
    errors.DamagedStore: N_("Something on the disk is damaged. What was sold before is kept: call for help."),
    errors.StorageError: N_("The disk of this register cannot be used now. Nothing was recorded by this."),
}
"""By class; a class that is not here has the sentence of the one that it is a kind of."""

UNKNOWN: Final = N_("Something else is wrong.")


def said_of(error: CrdtsyncError, words: Words) -> str:
    """The sentence for an error; empty where there is none."""
    return words.say(found) if (found := _sentence(type(error))) else ""


def told_of(message: str, code: str) -> Said:
    """The message of an error of the class with that name, to be told in any language."""
    kind = getattr(errors, code, None)
    if not (isinstance(kind, type) and issubclass(kind, CrdtsyncError)):
        return Said.standing_for(message, UNKNOWN)
    return Said.standing_for(message, _sentence(kind) or UNKNOWN)


def _sentence(kind: type[CrdtsyncError]) -> str:
    return next((SENTENCES[one] for one in kind.__mro__ if one in SENTENCES), "")
