"""Tickets on paper: ESC/POS bytes, and the one thread that hands them to the printer.

A printer that hangs or is out of paper never keeps anybody from selling.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from crdtsync.errors import UsageError
from crdtsync.till.receipt import Row

CODE_PAGE: Final = "CP1252"
"""It has every letter of French, the euro sign and the quotation marks; ESC/POS printers call it page 16."""

COLUMNS: Final = (32, 42, 48)
CONNECT_S: Final = 5.0
DRAWER_S: Final = 1.0
STUCK_S: Final = 3.0
"""With one paper for longer than this, the printer is not asked for another: nobody waits for it again."""

_NARROW_SPACE, _NO_BREAK_SPACE = "\u202f", "\u00a0"


@dataclass(frozen=True, slots=True)
class PrinterAddress:
    """Where tickets are printed: ``file:PATH`` (a file or a device such as ``/dev/usb/lp0``), or
    ``network:HOST[:PORT]``.
    """

    kind: str
    place: str
    port: int = 9100

    @classmethod
    def read(cls, text: str) -> PrinterAddress:
        """Raises ``UsageError``."""
        kind, _, place = text.partition(":")
        if kind == "file" and place:
            return cls(kind, place)
        host, _, port = place.partition(":")
        if kind == "network" and host and (not port or (port.isdecimal() and 0 < int(port) < 65536)):
            return cls(kind, host, int(port or 9100))
        raise UsageError(
            f"{text!r} is no printer", hint="write file:/dev/usb/lp0, file:PATH or network:HOST[:PORT]"
        )


def escpos(rows: Iterator[Row], *, columns: int, opens_drawer: bool) -> bytes:
    """A ticket as an ESC/POS printer takes it. What the code page lacks is printed as a question mark."""
    from escpos.printer import Dummy  # Slow to import, and only needed where something is printed.

    printer = Dummy()
    printer.magic.force_encoding(CODE_PAGE)
    for row in rows:
        _print_row(printer, row, columns)
    printer.cut()
    if opens_drawer:
        printer.cashdraw(2)
    return bytes(printer.output)


def drawer_pulse() -> bytes:
    """What opens the drawer that hangs at an ESC/POS printer."""
    from escpos.printer import Dummy

    printer = Dummy()
    printer.cashdraw(2)
    return bytes(printer.output)


def _print_row(printer: object, row: Row, columns: int) -> None:
    put, write = printer.set, printer.textln  # type: ignore[attr-defined]
    left, right = _plain(row.left), _plain(row.right)
    if row.style == "rule":
        write("-" * columns)
    elif row.style == "title":
        put(align="center", bold=True, double_width=True, double_height=True)
        write(left[: columns // 2])
        put(align="left", bold=False, normal_textsize=True)
    else:
        put(bold=row.style == "bold")
        room = columns - len(right) - 1
        if right and len(left) > room:
            # A long label takes a row of its own, so that nothing of it is lost.
            write(left[: 2 * columns])
            left = ""
        write(f"{left.ljust(room)} {right}" if right else left[: 2 * columns])
        put(bold=False)


def _plain(text: str) -> str:
    spaced = text.replace(_NARROW_SPACE, " ").replace(_NO_BREAK_SPACE, " ")
    # A name out of the catalogue may hold what commands a printer.
    return "".join(char for char in spaced if char.isprintable())


class PrinterTrouble(Exception):
    """The printer did not take it; the sale is recorded all the same."""


class Printer:
    """The printer of this till. Used from an event loop; ``close`` it in the end."""

    def __init__(self, address: PrinterAddress | None, columns: int = 42) -> None:
        self.address, self.columns = address, columns
        self._jobs: SimpleQueue[tuple[Future[None], Callable[[], bytes]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._began_s: float | None = None

    def start(self) -> None:
        """Get ready, so that the first customer does not wait for it. Nothing where there is no printer."""
        if self._thread is None and self.address is not None:
            self._thread = threading.Thread(target=self._run, name="till-printer", daemon=True)
            self._thread.start()

    async def print(self, rows: Iterator[Row], *, opens_drawer: bool) -> None:
        """Print; returns when the printer has it. Raises ``PrinterTrouble``."""
        lines = list(rows)
        await self._do(
            lambda: escpos(iter(lines), columns=self.columns, opens_drawer=opens_drawer), CONNECT_S + 1
        )

    async def open_drawer(self) -> None:
        """Have it open the drawer; returns when the printer was told. Raises ``PrinterTrouble``, and soon: a
        customer waits for the change.
        """
        await self._do(drawer_pulse, DRAWER_S)

    def close(self) -> None:
        """What waits is not printed any more. The thread is not waited for: a device may hang for ever."""
        self._jobs.put(None)

    async def _do(self, work: Callable[[], bytes], wait_s: float) -> None:
        if self.address is None:
            raise PrinterTrouble("no printer is set up")
        began_s = self._began_s
        if began_s is not None and time.monotonic() - began_s > STUCK_S:
            raise PrinterTrouble("the printer does not answer")
        self.start()
        done: Future[None] = Future()
        self._jobs.put((done, work))
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), wait_s)
        except TimeoutError:
            # What still waits behind another is told not to have been printed: then it is not, later, either.
            done.cancel()
            raise PrinterTrouble("the printer does not answer") from None

    def _run(self) -> None:
        drawer_pulse()  # Loads the library.
        while (job := self._jobs.get()) is not None:
            done, work = job
            if not done.set_running_or_notify_cancel():
                continue
            self._began_s = time.monotonic()
            try:
                self._print(work())
            except Exception as error:  # Whoever asked is told.
                done.set_exception(error)
            else:
                done.set_result(None)
            finally:
                self._began_s = None

    def _print(self, data: bytes) -> None:
        assert self.address is not None
        try:
            if self.address.kind == "file":
                with Path(self.address.place).open("ab") as file:
                    file.write(data)
                return
            self._send(data)
        except OSError as error:
            raise PrinterTrouble(f"the printer does not work: {error.strerror or error}") from error

    def _send(self, data: bytes) -> None:
        from escpos.exceptions import Error
        from escpos.printer import Network

        assert self.address is not None
        printer = Network(self.address.place, port=self.address.port, timeout=CONNECT_S)
        try:
            printer.open()
            printer._raw(data)
        except Error as error:
            raise PrinterTrouble(f"the printer does not work: {error}") from error
        finally:
            printer.close()
