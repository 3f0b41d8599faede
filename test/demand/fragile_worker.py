"""The worker of demand with so little memory that ads of some MB are too much for it."""

import resource
from pathlib import Path

from annexd.daemoncore.pool import outbound_worker
from annexd.demand.pool_worker import CALLS

SPARE_BYTES = 16 * 2**20


def main(subsystem: str) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    outbound_worker.main(subsystem, CALLS)
