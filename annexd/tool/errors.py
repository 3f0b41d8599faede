"""How condor_annex can end: a status for scripts, and words for people."""

from typing import Final

OK: Final = 0
USAGE: Final = 2
BAD_FILE: Final = 3
NOT_FOUND: Final = 4
NOT_AUTHORIZED: Final = 5
REFUSED: Final = 6
CLOUD_FAILED: Final = 7
COMMUNICATION: Final = 8
UNSUITABLE_BINDINGS: Final = 9

MEANINGS: Final = {
    OK: "the Spot Fleet was requested; its ID is on standard output",
    USAGE: "the options are wrong",
    BAD_FILE: "a file cannot be read, or is no Spot Fleet request config",
    NOT_FOUND: "no annexd was found",
    NOT_AUTHORIZED: "annexd was found, but does not let you ask",
    REFUSED: "annexd found faults in the request",
    CLOUD_FAILED: "the cloud refused or failed; what had been done is undone",
    COMMUNICATION: "HTCondor's daemons could not be talked to, or gave no answer",
    UNSUITABLE_BINDINGS: "HTCondor's Python bindings are missing or too old",
}


class ToolError(Exception):
    """Ends the tool with `status`; every fault is told."""

    def __init__(self, status: int, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.status = status
        self.faults = faults
