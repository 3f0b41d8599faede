"""The reservation of an order: an amount that follows from a rate and from the latest possible end of the lease."""

from dataclasses import dataclass

from annexd.budget.money import for_time


@dataclass(frozen=True)
class Hold:
    """The worst case of one fleet, under these budgets.

    `rate`: micro-dollars an hour for all its machines, volumes and addresses.  `machine_rate`: for the most expensive
    machine with its volumes and address; `machine_extra`: for these volumes and the address only.  Billed from
    `begin_s` until `late_s` after the end of the lease.
    """

    budgets: tuple[str, ...]
    rate: int
    machine_rate: int
    machine_extra: int
    begin_s: int
    late_s: int

    def amount(self, end_s: int) -> int:
        """Return the maximum cost in micro-dollars for a lease with this end."""
        return for_time(self.rate, end_s + self.late_s - self.begin_s)


@dataclass(frozen=True)
class Reserved:
    """The reservation of a command for an annex, as recorded beside the command in the journal.

    `end_s`: the end of the lease that the command may cause; `hold`: that of the fleet that it orders, if any.
    """

    annex_id: str
    end_s: int
    hold: Hold | None = None
