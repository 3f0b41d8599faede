"""A worker of Outbound that takes long to start, as on a machine under load."""

import time

from annexd.daemoncore.pool import outbound_worker

START_S = 4.0


def main(subsystem: str) -> None:
    time.sleep(START_S)
    outbound_worker.main(subsystem)
