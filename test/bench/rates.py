"""Sessions and commands per second, and the daemon's CPU time of each: annexd and the pool's C++ schedd.

The daemons take turns, A B A B.  A rate depends on the machine as much as on the daemon: clients, condor_shared_port
and daemon share its CPUs, and with one client the rate is the time of a round trip.  The CPU time of an operation is
the daemon's alone.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from annexd.cedar.commands import CONFIG_VAL
from test.bench.daemons import Daemon, both, bulk_ad, cpu_s, make_pool, pid_of
from test.bench.load import Act, Rate, for_seconds
from test.bench.wire import Client, Proof, RefusedError
from test.pool import Pool

CLIENTS = (1, 16)
PINGS = 12
KEPT_S = 3600  # a session must not end before it is resumed
LARGE_BYTES = 100_000

Make = Callable[[Daemon, Proof], Act]


def _raw(daemon: Daemon, _token: Proof) -> Act:
    return Client(daemon.command_socket).raw


def _new_fs(daemon: Daemon, _token: Proof) -> Act:
    client = Client(daemon.command_socket)
    client.session()
    return client.establish


def _new_idtokens(daemon: Daemon, token: Proof) -> Act:
    client = Client(daemon.command_socket, token)
    client.session()
    return client.establish


def _resumed(daemon: Daemon, _token: Proof) -> Act:
    client = Client(daemon.command_socket, command=CONFIG_VAL, duration_s=KEPT_S)
    return client.resuming(client.session())


def _ad(daemon: Daemon, _token: Proof) -> Act:
    client = Client(daemon.command_socket, command=daemon.command_with_ad, duration_s=KEPT_S)
    return client.ordering(client.session(), bulk_ad())


def _large_ad(daemon: Daemon, _token: Proof) -> Act:
    client = Client(daemon.command_socket, command=daemon.command_with_ad, duration_s=KEPT_S)
    return client.ordering(client.session(), bulk_ad(LARGE_BYTES))


def _by_bindings(daemon: Daemon, _token: Proof) -> Act:
    """Send an ad as users' programs do; HTCondor's own client code takes most of the time."""
    import classad2
    from htcondor2.htcondor2_impl import _send_generic_payload_command as send

    ad = classad2.ClassAd(dict(bulk_ad()))

    def command() -> None:
        _reply, code, text = send(daemon.address, daemon.command_with_ad, ad._handle)
        if code != 0:
            raise RefusedError(text)

    return command


MADE: Mapping[str, Make] = {
    "DC_NOP, raw": _raw,
    "resumed": _resumed,
    "new, FS": _new_fs,
    "new, IDTOKENS": _new_idtokens,
    "ad of 3 kB": _ad,
    "ad of 100 kB": _large_ad,
    "ad, bindings": _by_bindings,
}
PING = "condor_ping"
OPERATIONS = (*MADE, PING)
# Aims for the ratio of rates; the issue says "at least the schedd's" and "0.9 of it".
AIMS = {"new, FS": 1.0, "new, IDTOKENS": 1.0, "resumed": 0.9}


@dataclass(frozen=True)
class Row:
    operation: str
    way: str
    clients: int
    ours: Sequence[Rate]
    peer: Sequence[Rate]

    def __str__(self) -> str:
        rates = [our.per_s / peer.per_s for our, peer in zip(self.ours, self.peer, strict=True)]
        cpu_ours, cpu_peer = _cpu_ms(self.ours, 0), _cpu_ms(self.peer, 0)
        aim = f"  aim {AIMS[self.operation]:.1f}" if self.operation in AIMS else ""
        return (
            f"{self.operation:14} {self.way:11} {self.clients:2}   "
            f"{median(each.per_s for each in self.ours):7.0f} {median(each.per_s for each in self.peer):7.0f}  "
            f"{median(rates):5.2f} ({min(rates):.2f} to {max(rates):.2f})   "
            f"{cpu_ours:6.3f} {cpu_peer:6.3f}  {cpu_ours / cpu_peer:5.2f}{aim}"
        )


HEADER = (
    "operation      way    clients  annexd  schedd   1/s, ratio            annexd schedd   CPU ms of the daemon, ratio"
)


def compare(seconds: float, turns: int, only: Sequence[str] | None) -> None:
    """Raises PoolError, RefusedError."""
    print("", "Sessions and commands: annexd beside the C++ schedd of the same pool", HEADER, sep="\n", flush=True)
    for shared_port in (False, True):
        with make_pool(shared_port=shared_port) as pool:
            comparison = Comparison(pool, "shared port" if shared_port else "own port")
            for operation in only or OPERATIONS:
                for clients in CLIENTS:
                    print(comparison.row(operation, clients, seconds, turns), flush=True)


class Comparison:
    """The comparison within one pool."""

    def __init__(self, pool: Pool, way: str) -> None:
        self._pool, self._way = pool, way
        self._daemons = both(pool)
        self._shared_port = [pid_of(pool, "shared_port")] if way == "shared port" else []
        self._token = Proof(pool.token(getpass.getuser()))

    def row(self, operation: str, clients: int, seconds: float, turns: int, pings: int = PINGS) -> Row:
        def measured(daemon: Daemon) -> Rate:
            if operation == PING:
                return self._ping(daemon, clients, pings)
            return for_seconds(lambda: MADE[operation](daemon, self._token), clients, seconds, self._pids(daemon))

        rates = [tuple(measured(daemon) for daemon in self._daemons) for _ in range(turns)]
        ours, peer = zip(*rates, strict=True)
        return Row(operation, self._way, clients, ours, peer)

    def _ping(self, daemon: Daemon, clients: int, pings: int) -> Rate:
        """Measure condor_ping; the tool itself takes most of the time."""

        def ping(_number: int) -> None:
            done = self._pool.tool("condor_ping", "-quiet", "-addr", daemon.address, "ADMINISTRATOR")
            if done.returncode != 0:
                raise RefusedError(f"condor_ping {daemon.address}: {done.stdout}{done.stderr}")

        pids = self._pids(daemon)
        before, begun_s = [cpu_s(pid) for pid in pids], time.monotonic()
        with ThreadPoolExecutor(clients) as threads:
            list(threads.map(ping, range(pings)))
        spent = tuple(cpu_s(pid) - then_s for pid, then_s in zip(pids, before, strict=True))
        return Rate(pings, time.monotonic() - begun_s, spent)

    def _pids(self, daemon: Daemon) -> list[int]:
        return [daemon.pid, *self._shared_port]


def _cpu_ms(rates: Sequence[Rate], which: int) -> float:
    """Return the mean of all turns together, since the kernel counts in hundredths of a second."""
    total_s, operations = sum(each.cpu_s[which] for each in rates), sum(each.operations for each in rates)
    return 1000 * max(total_s, 0.001) / operations
