"""The processes of one pool, identified by the configuration file in their environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process; `name` is the kernel's, cut to 15 characters."""

    pid: int
    name: str
    arguments: str

    def kill(self, signo: int) -> bool:
        """Send the signal; return whether the process existed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signo)
            return True
        return False


def members(config: str) -> Iterator[Process]:
    wanted = f"CONDOR_CONFIG={config}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := _member(entry, wanted)):
            yield process


def _member(entry: Path, wanted: bytes) -> Process | None:
    try:
        if wanted not in (entry / "environ").read_bytes().split(b"\0"):
            return None
        name = (entry / "comm").read_text().strip()
        arguments = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # another user's, or gone
        return None
    return Process(int(entry.name), name, arguments)
