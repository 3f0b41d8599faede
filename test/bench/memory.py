"""The daemon's memory per cached session."""

from __future__ import annotations

from test.bench.daemons import Daemon, both, make_pool
from test.bench.load import for_times
from test.bench.wire import Client

CLIENTS = 8
DAY_S = 86400
WARM = 400  # sessions that pay for what is needed once


def compare(sessions: int) -> None:
    """Raises PoolError, RefusedError."""
    print("", f"Memory with {sessions} cached sessions (its own pages, without those of shared libraries)", sep="\n")
    with make_pool(shared_port=False) as pool:
        for daemon in both(pool):
            warm_kb, full_kb = fill(daemon, WARM), fill(daemon, sessions - WARM)
            print(
                f"{daemon.name:8}{full_kb / 1024:7.1f} MB; {warm_kb / 1024:.1f} before; "
                f"{(full_kb - warm_kb) / max(sessions - WARM, 1):.2f} kB a session",
                flush=True,
            )


def fill(daemon: Daemon, sessions: int) -> int:
    """Add this many sessions that nobody uses; return the daemon's memory in kB afterwards."""
    if sessions > 0:
        for_times(lambda: Client(daemon.command_socket, duration_s=DAY_S).establish, CLIENTS, sessions)
    return daemon.memory_kb
