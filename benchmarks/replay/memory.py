"""Peak memory of a process, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def peak_kb(pid: int) -> int:
    """The most resident memory that a running process had, in KB; 0 where the kernel does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields.get("VmHWM", "0 kB").split()[0])
