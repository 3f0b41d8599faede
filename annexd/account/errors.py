"""Define the errors of -setup, -check-setup and -teardown."""


class AccountError(Exception):
    """Ends the command; each line is a fault or the next step."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class UnusableFile(AccountError):
    """One of the caller's files cannot be read, written or used."""


class LivingAnnexes(AccountError):
    """Living annexes would no longer end if the command continued."""
