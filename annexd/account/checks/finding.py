"""Define the result of a check."""

from typing import Final, NamedTuple

OK: Final = "ok"
FAULT: Final = "FAULT"
UNKNOWN: Final = "unknown"


class Finding(NamedTuple):
    """One line: the check and its result; for a fault, how to fix it."""

    region: str
    check: str
    status: str
    what: str
    repair: str = ""

    @property
    def is_fault(self) -> bool:
        return self.status == FAULT

    @property
    def is_ok(self) -> bool:
        """Return whether it is neither a fault nor unknown."""
        return self.status == OK

    def line(self) -> str:
        repair = f"; {self.repair}" if self.repair else ""
        return f"{self.region}: {self.status:7} {self.check}: {self.what}{repair}"
