"""Every error of crdtsync, in one tree.

::

    CrdtsyncError                 exit_code, retryable, hint
    ├─ UsageError            10   what was asked for cannot be done as it was said
    │   ├─ WrongCommandLine   2   no such command, option or argument
    │   ├─ InvalidName       11
    │   ├─ InvalidAmount     12
    │   ├─ InvalidProduct    13
    │   ├─ UnknownProduct    14
    │   ├─ UnknownTicket     15
    │   ├─ NotRefundable     16
    │   ├─ InvalidSale       17
    │   ├─ InvalidImport     18
    │   │   └─ LinesRefused   3   the other lines are imported
    │   ├─ UnknownShop       19
    │   └─ InvalidRescue     36   no rescue file, or not a whole one
    ├─ SetupError            20
    │   ├─ NoRegister        21   nothing in this folder yet
    │   ├─ AlreadyARegister  22
    │   ├─ PairingRefused    23
    │   ├─ StillPending      24   would lose what only this device has
    │   ├─ RoleTaken         25   another process holds the role of syncing
    │   ├─ CannotListen      26   the address or the port is not to be had
    │   ├─ TooManyAttempts   27   retryable
    │   └─ WrongClock        28
    ├─ LinkError             30   retryable
    │   ├─ RelayUnreachable  31   retryable
    │   ├─ LinkClosed        32   retryable
    │   ├─ AccessDenied      33
    │   ├─ WrongRelayKey     34
    │   └─ NotSynchronised   35   something local is not acknowledged yet
    ├─ RemoteProtocolError   40   the other end broke the rules
    │   ├─ MalformedMessage  41
    │   ├─ UnexpectedMessage 42
    │   ├─ MessageTooBig     43
    │   └─ UnsupportedVersion 44
    ├─ RecordError           50   bytes that cannot be admitted
    │   ├─ MalformedRecord   51
    │   ├─ RecordTooBig      52
    │   ├─ BadSignature      53
    │   ├─ UnsafeUpdate      54   Yjs bytes that the scanner refuses
    │   └─ NotPermitted      55
    ├─ StorageError          60
    │   ├─ StoreBusy         61   retryable
    │   ├─ DiskFull          62   retryable
    │   ├─ ReadOnlyStore     63
    │   ├─ DamagedStore      64
    │   ├─ StoreTooNew       65
    │   ├─ NotAStore         66
    │   └─ IntegrityDefect   67   what `verify` found
    ├─ OutputLost            70   done, but it could not be printed
    └─ Interrupted          130   retryable

Each class knows the exit code that the command line ends with, whether trying the same thing again can
help, and the way out (``hint``), a sentence for a person. Facts are attributes; the message says what and
where.
"""

from __future__ import annotations

from typing import ClassVar


class CrdtsyncError(Exception):
    """Base of all errors raised on purpose. ``str()`` is one sentence for a person."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    hint: str = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class UsageError(CrdtsyncError):
    """What was asked for cannot be done as it was said."""

    exit_code = 10


class WrongCommandLine(UsageError):
    """There is no such command, option or argument, or an option's value is none of those it may have."""

    exit_code = 2


class InvalidName(UsageError):
    """A name or an id is not of the form it must have."""

    exit_code = 11


class InvalidAmount(UsageError):
    """An amount, a quantity or a rate is not a number of the allowed range and precision."""

    exit_code = 12


class InvalidProduct(UsageError):
    """A product's fields break a rule of the catalogue."""

    exit_code = 13


class UnknownProduct(UsageError):
    """No such product in this register's catalogue."""

    exit_code = 14
    hint = "`crdtsync product list` shows what there is"


class UnknownTicket(UsageError):
    """No ticket of that number on this register."""

    exit_code = 15
    hint = "`crdtsync sales` lists the tickets"


class NotRefundable(UsageError):
    """More would be refunded than was sold."""

    exit_code = 16
    hint = "`crdtsync sales` shows the tickets and their refunds"


class InvalidSale(UsageError):
    """The lines or the payments of a ticket do not make a ticket."""

    exit_code = 17


class InvalidImport(UsageError):
    """A file that was to be imported cannot be read as what it should be."""

    exit_code = 18
    hint = "save the list as CSV with titles like sku;name;price;vat"


class LinesRefused(InvalidImport):
    """Some lines of a file were refused and reported. The others are imported, unless it was a dry run."""

    exit_code = 3
    hint = "correct those lines and import the file again: what was taken does not change"


class UnknownShop(UsageError):
    """This relay has no such shop."""

    exit_code = 19
    hint = "`crdtsync-relay shop list` shows what there is"


class InvalidRescue(UsageError):
    """A file is no rescue file, or is not whole, or may not be written under that name."""

    exit_code = 36


class SetupError(CrdtsyncError):
    """A register cannot be made, opened, joined or left as things are."""

    exit_code = 20


class NoRegister(SetupError):
    """There is no register in this folder."""

    exit_code = 21
    hint = "make one with `crdtsync init`, or enrol it with `crdtsync join`"


class AlreadyARegister(SetupError):
    """There is a register in this folder already."""

    exit_code = 22
    hint = "choose an empty folder with --data; this register's sales stay where they are"


class PairingRefused(SetupError):
    """The relay did not take the pairing code."""

    exit_code = 23
    hint = "ask for a new code: `crdtsync-relay pair SHOP`"


class StillPending(SetupError):
    """Something that only this device has would be lost."""

    exit_code = 24
    hint = "run `crdtsync sync` first, or write it into a file with `crdtsync rescue FILE`"


class RoleTaken(SetupError):
    """Another process holds the role of syncing this register, or of serving this relay."""

    exit_code = 25
    hint = "that process does the work: let it, or stop it first"


class CannotListen(SetupError):
    """The relay cannot have the address or the port that it should listen on."""

    exit_code = 26
    hint = "stop the other program, or choose another port with --port (0 takes a free one)"


class TooManyAttempts(SetupError):
    """The relay looks at no pairing code for ``retry_after_s`` seconds: too many were wrong, or it is in
    trouble itself.
    """

    exit_code = 27
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class WrongClock(SetupError):
    """The clock of this machine cannot be right."""

    exit_code = 28
    hint = "set the clock; nothing is ordered by it, but tickets and business days are named after it"


class LinkError(CrdtsyncError):
    """The connection to a peer could not be made or kept."""

    exit_code = 30
    retryable = True
    hint = "what was not sent stays on this register; try again"


class RelayUnreachable(LinkError):
    """No connection to the relay."""

    exit_code = 31
    hint = "sales go on and are kept on this register; check the network and the relay's address"


class LinkClosed(LinkError):
    """The peer closed the connection, or it went silent. ``code``, ``reason``: of the WebSocket's close."""

    exit_code = 32
    hint = "what was not sent stays on this register; try again, or let `crdtsync run` do so"

    def __init__(self, message: str, *, code: int = 1006, reason: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code, self.reason = code, reason


class AccessDenied(LinkError):
    """The peer knows this device and refuses it."""

    exit_code = 33
    retryable = False
    hint = "ask whoever runs the relay; unsent sales stay on this register"


class WrongRelayKey(LinkError):
    """The relay did not prove the key that the pairing code named."""

    exit_code = 34
    retryable = False
    hint = "this may be another relay, or somebody in between; nothing was sent"


class NotSynchronised(LinkError):
    """Something local is not acknowledged on disk by the relay yet."""

    exit_code = 35
    hint = "`crdtsync status` shows what is missing; it stays on this register"


class RemoteProtocolError(CrdtsyncError):
    """The other end broke the rules of the protocol. ``close_code`` is the answer to give."""

    exit_code = 40
    close_code: ClassVar[int] = 4400
    hint = "update the older of the two ends; unsent sales stay where they are"


class MalformedMessage(RemoteProtocolError):
    """Bytes that are no message."""

    exit_code = 41


class UnexpectedMessage(RemoteProtocolError):
    """A message that has no place in the state of the session."""

    exit_code = 42
    close_code = 4402


class MessageTooBig(RemoteProtocolError):
    """A frame or a record over its limit."""

    exit_code = 43
    close_code = 4413


class UnsupportedVersion(RemoteProtocolError):
    """The two ends share no version of the protocol."""

    exit_code = 44
    close_code = 4426
    hint = "update the older of the two; unsent sales stay where they are"


class RecordError(CrdtsyncError):
    """A record that cannot be admitted. ``code`` is the word that its sender is told."""

    exit_code = 50
    code: ClassVar[str] = "refused"
    hint = "the record is in quarantine: `crdtsync quarantine list` shows it"


class MalformedRecord(RecordError):
    """Bytes that are no record, or no canonical entry."""

    exit_code = 51
    code = "malformed"


class RecordTooBig(RecordError):
    """A record over its limit."""

    exit_code = 52
    code = "too-big"
    hint = "change less at once: split what is written over several transactions"


class BadSignature(RecordError):
    """A signature that does not belong to the entry and the key."""

    exit_code = 53
    code = "bad-signature"


class UnsafeUpdate(RecordError):
    """Yjs bytes that the scanner refuses, before any CRDT code has seen them."""

    exit_code = 54
    code = "unsafe-update"
    hint = "change less at once, or update the program that wrote it; `crdtsync quarantine list` shows it"


class NotPermitted(RecordError):
    """A record that its sender has no right to write."""

    exit_code = 55
    code = "not-permitted"
    hint = "let a device write that has the right to, or enrol this one in another role"


class StorageError(CrdtsyncError):
    """The store on disk could not do what was asked."""

    exit_code = 60
    hint = "what was recorded before is on the disk; look at the disk and its rights"


class StoreBusy(StorageError):
    """Another process held the write lock for too long."""

    exit_code = 61
    retryable = True
    hint = "try again; if it goes on, find the process that holds the data folder"


class DiskFull(StorageError):
    """Nothing was recorded because the disk is full."""

    exit_code = 62
    retryable = True
    hint = "free some space; everything recorded so far is safe"


class ReadOnlyStore(StorageError):
    """The store or its folder cannot be written."""

    exit_code = 63
    hint = "check the owner and the rights of the data folder"


class DamagedStore(StorageError):
    """Bytes on disk are not what was written. ``shop``, ``seq`` to ``last_seq`` (a whole pack) and
    ``document`` say where, as far as known.
    """

    exit_code = 64
    hint = "`crdtsync verify` says where; `crdtsync resync` fetches it again"

    def __init__(
        self,
        message: str,
        *,
        shop: bytes | None = None,
        seq: int | None = None,
        last_seq: int | None = None,
        document: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.shop = shop
        self.seq = seq
        self.last_seq = seq if last_seq is None else last_seq
        self.document = document


class StoreTooNew(StorageError):
    """The store was written by a newer version of crdtsync."""

    exit_code = 65
    hint = "update crdtsync on this machine"


class NotAStore(StorageError):
    """The file is no crdtsync store."""

    exit_code = 66
    hint = "--data names the wrong folder, or the file must be put back from a copy"


class IntegrityDefect(StorageError):
    """A checksum, link, number, total or signature that does not hold."""

    exit_code = 67
    hint = "keep the data folder as it is and compare with another register or the relay"


class OutputLost(CrdtsyncError):
    """Standard output could not be written. What the command was to do is done."""

    exit_code = 70
    hint = "what was recorded is on the disk; look with `crdtsync sales` before you repeat anything"


class Interrupted(CrdtsyncError):
    """A person stopped the command (Ctrl-C)."""

    exit_code = 130
    retryable = True
    hint = "everything recorded is on the disk; the same command goes on from there"
