"""How condor_annex can end: a status for scripts, and words for people."""

import signal
from collections.abc import Mapping
from typing import Final, NoReturn

OK: Final = 0
USAGE: Final = 2
BAD_FILE: Final = 3
NOT_FOUND: Final = 4
NOT_AUTHORIZED: Final = 5
REFUSED: Final = 6
CLOUD_FAILED: Final = 7
COMMUNICATION: Final = 8
UNSUITABLE_BINDINGS: Final = 9
SETUP_FAULTY: Final = 10
ANNEXES_LIVE: Final = 11
UNREACHABLE: Final = 12
INTERRUPTED: Final = 130  # as a shell tells it of a process that SIGINT ended
TERMINATED: Final = 143  # and of one that SIGTERM ended

MEANINGS: Final = {
    OK: "done; the ID of a requested fleet is on standard output",
    USAGE: "the options are wrong",
    BAD_FILE: "a file cannot be read, or is no config of a fleet",
    NOT_FOUND: "no annexd was found",
    NOT_AUTHORIZED: "annexd was found, but does not let you ask",
    REFUSED: "annexd found faults in the request or in its keys, or cannot do it as things are",
    CLOUD_FAILED: "the cloud refused or failed; what had been done for a request is undone",
    COMMUNICATION: "HTCondor's daemons cannot be reached, or gave no answer: the request may have been accepted",
    UNSUITABLE_BINDINGS: "HTCondor's Python bindings are missing or too old",
    SETUP_FAULTY: "-check-setup found a problem, or something that it could not check",
    ANNEXES_LIVE: "-teardown found annexes, or -setup annexes that -max-lease would end earlier, and did nothing",
    UNREACHABLE: "-wait: the annex cannot get so many machines any more, or they did not come within -timeout",
    INTERRUPTED: "interrupted (Ctrl-C); annexd, or CloudFormation, goes on with what it accepted",
    TERMINATED: "the same, by SIGTERM",
}


class ToolError(Exception):
    """Ends the tool with `status`; every fault is told."""

    def __init__(self, status: int, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.status = status
        self.faults = faults


class Interrupted(BaseException):
    """Raised where the tool is when SIGINT or SIGTERM comes; `status` is what it then ends with."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


SIGNALS: Final[Mapping[int, int]] = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


def raise_on_signals() -> None:
    """Raise Interrupted for the first of SIGNALS, and ignore the rest: the end must not be cut off half-told."""
    for signo in SIGNALS:
        signal.signal(signo, _interrupt)


def ignore_signals() -> None:
    for signo in SIGNALS:
        signal.signal(signo, signal.SIG_IGN)


def _interrupt(signo: int, _: object) -> NoReturn:
    ignore_signals()
    raise Interrupted(SIGNALS[signo])
