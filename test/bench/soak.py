"""Very many commands of all kinds, to a daemon whose cache of sessions is full: its memory must not grow."""

from __future__ import annotations

import itertools

from annexd.cedar.commands import CONFIG_VAL
from test.bench.daemons import Daemon, both, bulk_ad, make_pool
from test.bench.load import Act, for_times
from test.bench.memory import DAY_S, fill
from test.bench.wire import Client

CLIENTS, ROUNDS = 4, 5
FULL = 10_000  # SessionCache's capacity


def compare(commands: int) -> None:
    """Raises PoolError, RefusedError."""
    print(
        "",
        f"{commands} commands (of a hundred: 4 new sessions, 10 ads, 10 raw, 76 resumed) by {CLIENTS} clients",
        f"to a daemon with {FULL} sessions: its memory in MB, before and after each of {ROUNDS} rounds",
        sep="\n",
    )
    with make_pool(shared_port=False) as pool:
        for daemon in both(pool):
            sizes_kb = [fill(daemon, FULL), *(round_of(daemon, commands // ROUNDS) for _ in range(ROUNDS))]
            shown = " ".join(f"{each / 1024:.1f}" for each in sizes_kb)
            print(f"{daemon.name:8} {shown}; from the first round on {sizes_kb[-1] - sizes_kb[1]:+} kB", flush=True)


def round_of(daemon: Daemon, commands: int, *, new_sessions: bool = True) -> int:
    """Run the commands, and return the daemon's memory in kB.  New sessions take some unless the cache is full."""
    for_times(lambda: mixture(daemon, 4 if new_sessions else 0), CLIENTS, commands)
    return daemon.memory_kb


def mixture(daemon: Daemon, new_sessions: int) -> Act:
    """Return a function that sends one command per call, of each kind in turn; `new_sessions` of them are sessions."""
    client = Client(daemon.command_socket, duration_s=DAY_S)
    asking = Client(daemon.command_socket, command=CONFIG_VAL, duration_s=DAY_S)
    ordering = Client(daemon.command_socket, command=daemon.command_with_ad, duration_s=DAY_S)
    resume, order = asking.resuming(asking.session()), ordering.ordering(ordering.session(), bulk_ad())
    acts = itertools.cycle([client.establish] * new_sessions + [order] * 10 + [client.raw] * 10 + [resume] * 76)

    def next_one() -> None:
        next(acts)()

    return next_one
