"""What a check found."""

from typing import Final, NamedTuple

OK: Final = "ok"
FAULT: Final = "FAULT"
UNKNOWN: Final = "unknown"


class Finding(NamedTuple):
    """One line: what was looked at and how it is; for a fault, how to fix it."""

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
        """Neither a fault nor something that these credentials may not look at."""
        return self.status == OK

    def line(self) -> str:
        repair = f"; {self.repair}" if self.repair else ""
        return f"{self.region}: {self.status:7} {self.check}: {self.what}{repair}"
