"""What a process has used, as the kernel counts it: processor time and peak memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Usage:
    """Of one register or relay, over all its lives."""

    cpu_s: float = 0.0
    peak_kb: int = 0

    def add(self, pid: int) -> None:
        """Count a process that is about to end. Nothing where the kernel does not say (not Linux)."""
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        self.peak_kb = max(self.peak_kb, int(fields.get("VmHWM", "0 kB").split()[0]))
        # After the name in brackets, which may hold anything: user and system time are the 12th and 13th.
        ticks = stat.rpartition(")")[2].split()[11:13]
        self.cpu_s += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
