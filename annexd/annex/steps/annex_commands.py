"""The journal's data on one annex that the steps need: its changes and its fleets."""

from typing import Protocol


class AnnexCommands(Protocol):
    """The part of the index of annexes that the steps need.  Its methods raise JournalError."""

    def earlier_changes(self, subject: str, command_id: str, /) -> list[str]:
        """Return the commands that change this annex and were accepted before this one, oldest first."""

    def resizes(self, annex_id: str, /) -> list[str]:
        """Return those that change its size, oldest first."""

    def leaving(self, annex_id: str, /) -> tuple[str, ...]:
        """Return the instances that were asked to leave when it was made smaller."""

    def fleet_ids(self, annex_id: str, /) -> tuple[str, ...]:
        """Return its fleets, the oldest first."""
