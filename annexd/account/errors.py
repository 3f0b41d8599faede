"""How setting up can fail."""


class AccountError(Exception):
    """Ends the command; each line tells a fault or the next step."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class UnusableFile(AccountError):
    """A file of the caller's cannot be read, written, or taken for what it should be."""


class LivingAnnexes(AccountError):
    """There are annexes, whose leases a teardown would disarm."""
