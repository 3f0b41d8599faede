"""annexd and the C++ schedd of one pool: their addresses, and the memory and CPU time that each uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annexd.cedar.commands import CA_AUTH_CMD
from annexd.daemoncore.sinful import Sinful
from test.bench.measure import TICK_S
from test.bench.wire import EXPORT_JOBS, CommandSocket
from test.pool import ANNEXD_CONFIG, Pool

OURS, PEER = "annexd", "schedd"
PROGRAMS = {OURS: "condor_annexd", PEER: "condor_schedd", "shared_port": "condor_shared_port"}
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
# Both read an ad that requests nothing and then refuse it, so only the reading is measured.
READS_AN_AD = {OURS: CA_AUTH_CMD, PEER: EXPORT_JOBS}


def make_pool(*, shared_port: bool, config: str = "") -> Pool:
    """Create a pool that is not started yet."""
    return Pool(ANNEXD_CONFIG + config, daemons=DAEMONS, shared_port=shared_port)


@dataclass(frozen=True)
class Daemon:
    name: str
    address: str
    pid: int

    @classmethod
    def of(cls, pool: Pool, name: str) -> Daemon:
        return cls(name, pool.address(name.upper()), pid_of(pool, name))

    @property
    def command_socket(self) -> CommandSocket:
        address = Sinful.parse(self.address)
        names = [each.removeprefix("sock=") for each in address.parameters if each.startswith("sock=")]
        return CommandSocket(address.host, address.port, names[0] if names else None)

    @property
    def command_with_ad(self) -> int:
        return READS_AN_AD[self.name]

    @property
    def memory_kb(self) -> int:
        """Return its private memory: pages that other processes have too (of shared libraries) are not counted."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))


def both(pool: Pool) -> tuple[Daemon, Daemon]:
    """Return annexd and the schedd of a running pool."""
    return Daemon.of(pool, OURS), Daemon.of(pool, PEER)


def pid_of(pool: Pool, name: str) -> int:
    """Return the pid of the daemon's newest process, as condor_master's log shows it."""
    started = re.findall(
        rf'Started DaemonCore process "[^"]*/{PROGRAMS[name]}", pid and pgroup = (\d+)', pool.log("MASTER")
    )
    return int(started[-1])


def cpu_s(pid: int) -> float:
    """Return the user and system time of a process and all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return TICK_S * (int(fields[11]) + int(fields[12]))


def bulk_ad(size: int = 0) -> Mapping[str, str | int]:
    """Return an ad as large as an order, but not one: some 60 attributes with 3 kB, and user data of this size."""
    plain = {f"LaunchSpecification{number}": "ami-0123456789abcdef0, m5.large, sg-0123" for number in range(60)}
    return {"Command": "CA_NO_SUCH_COMMAND", "RequestVersion": 1, **plain, **({"UserData": "x" * size} if size else {})}
