"""Exit statuses of condor_annex, and their messages."""

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
NOT_CONFIRMED: Final = 13
INTERRUPTED: Final = 130  # as shells report a process killed by SIGINT
TERMINATED: Final = 143  # and by SIGTERM

MEANINGS: Final = {
    OK: "success; an order prints its fleet ID on standard output",
    USAGE: "the options are wrong",
    BAD_FILE: "a file cannot be read, or is not the config of a fleet",
    NOT_FOUND: "no annexd was found",
    NOT_AUTHORIZED: "annexd was found, but does not authorize you",
    REFUSED: "annexd found faults in the request or its keys, or cannot do it at present",
    CLOUD_FAILED: "AWS refused or failed; annexd undoes what it did for the request",
    COMMUNICATION: "HTCondor's daemons cannot be reached or did not answer: the request may have been accepted",
    UNSUITABLE_BINDINGS: "HTCondor's Python bindings are missing or too old",
    SETUP_FAULTY: "-check-setup found a problem, or could not check something",
    ANNEXES_LIVE: "-teardown found annexes, or -setup some that -max-lease would end earlier: nothing was changed",
    UNREACHABLE: "-wait: the annex can no longer get that many machines, or did not within -timeout",
    NOT_CONFIRMED: "you did not confirm what the order can cost: nothing was ordered",
    INTERRUPTED: "interrupted (Ctrl-C); annexd or CloudFormation completes what it accepted",
    TERMINATED: "terminated (SIGTERM), otherwise the same",
}


class ToolError(Exception):
    """Ends the tool with `status`; every fault is printed."""

    def __init__(self, status: int, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.status = status
        self.faults = faults


class Interrupted(BaseException):
    """Raised by SIGINT or SIGTERM at any point of the tool; `status` is the exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


SIGNALS: Final[Mapping[int, int]] = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


_held: list[int] = []  # signals that came while they were held


def raise_on_signals() -> None:
    """Raise Interrupted for the first of SIGNALS and hold the rest, so that the last messages are complete.

    One that was held before is raised now: -watch and -wait query repeatedly, and end at the first Ctrl-C.
    """
    for signo in SIGNALS:
        signal.signal(signo, _interrupt)
    if _held:
        _interrupt(_held[0], None)


def hold_signals() -> None:
    for signo in SIGNALS:
        signal.signal(signo, lambda signo, _: _held.append(signo))


def _interrupt(signo: int, _: object) -> NoReturn:
    hold_signals()
    _held.clear()
    raise Interrupted(SIGNALS[signo])
