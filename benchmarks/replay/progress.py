"""Progress on the terminal: one bar per register."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.replay.relay import RelayProcess
from benchmarks.replay.till import Till


class Shown:
    """The bars, while the registers sell."""

    def __init__(self, tills: Sequence[Till], relay: RelayProcess, *, quiet: bool) -> None:
        self._tills = tills
        self._relay = relay
        self._progress = Progress(
            TextColumn("{task.description:<7}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._bars = [
            self._progress.add_task(f"till {till.number}", total=till.baskets, state="") for till in tills
        ]

    def __enter__(self) -> Self:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The end."""
        self.refresh()
        self._progress.stop()

    def refresh(self) -> None:
        """What the registers have told."""
        for bar, till in zip(self._bars, self._tills, strict=True):
            self._progress.update(bar, completed=till.sold, state=self._state(till))

    def _state(self, till: Till) -> str:
        state = till.state
        kills = f", killed {till.kills} times" if till.kills else ""
        if not self._relay.is_up:
            return f"no relay{kills}"
        if not state.get("connected"):
            return f"offline{kills}"
        return f"connected, {state['pending']} pending, {state['to_receive']} to receive{kills}"
