"""The settings of a register's programs.

Each comes from a flag, else from the environment, else it has its default. What a wrong value could turn
into lost data is no setting but a constant beside the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from crdtsync.errors import UsageError

DATA_VARIABLE: Final = "CRDTSYNC_DATA"


@dataclass(frozen=True, slots=True)
class RegisterConfig:
    """Settings of one register. Raises ``UsageError`` for values that make no sense.

    ================  =========================  ==========================================================
    setting           environment                meaning
    ================  =========================  ==========================================================
    data              CRDTSYNC_DATA              the data folder
    operator          CRDTSYNC_OPERATOR          pseudonym of who works, recorded in every entry
    day_starts_min    CRDTSYNC_DAY_STARTS        minute of the day at which a new business day may begin,
                                                 written ``HH:MM``: a sale at half past midnight belongs to
                                                 the evening before
    tls_ca            CRDTSYNC_TLS_CA            file of certificates to trust besides the system's
    sync_timeout_s    CRDTSYNC_SYNC_TIMEOUT_S    how long `open` and `close` wait for the relay before they
                                                 go on without it
    ================  =========================  ==========================================================
    """

    data: Path
    operator: str = "system"
    day_starts_min: int = 4 * 60
    sync_timeout_s: float = 5.0
    tls_ca: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 < len(self.operator) <= 64 or not self.operator.isprintable():
            raise UsageError(f"the operator {self.operator!r} is not 1 to 64 characters of plain text")
        if not 0 <= self.day_starts_min < 24 * 60:
            raise UsageError("a business day starts between 00:00 and 23:59")
        if not 0 < self.sync_timeout_s <= 3600:
            raise UsageError("the relay is waited for between 0 and 3600 seconds")

    @classmethod
    def from_environment(cls, data: Path, environment: Mapping[str, str]) -> Self:
        """The settings for a data folder. Raises ``UsageError`` naming the variable that makes no sense."""
        day_starts = environment.get("CRDTSYNC_DAY_STARTS", "04:00")
        match = re.fullmatch(r"([0-9]{1,2}):([0-5][0-9])", day_starts)
        if match is None:
            raise UsageError(f"CRDTSYNC_DAY_STARTS={day_starts!r} is not of the form HH:MM")
        timeout = environment.get("CRDTSYNC_SYNC_TIMEOUT_S", "5")
        try:
            timeout_s = float(timeout)
        except ValueError as error:
            raise UsageError(f"CRDTSYNC_SYNC_TIMEOUT_S={timeout!r} is not a number") from error
        return cls(
            data=data,
            operator=environment.get("CRDTSYNC_OPERATOR", "system"),
            day_starts_min=int(match[1]) * 60 + int(match[2]),
            sync_timeout_s=timeout_s,
            tls_ca=environment.get("CRDTSYNC_TLS_CA"),
        )
