"""The reservation of an order: an amount that follows from a rate, and from the end that the lease may have at most."""

from dataclasses import dataclass

from annexd.budget.money import for_time


@dataclass(frozen=True)
class Hold:
    """The worst case of one fleet, under these budgets.

    `rate`: micro-dollars an hour of all its machines, volumes and addresses.  `machine_rate`: of the most expensive
    machine alone, with these; `machine_extra`: of its volumes and its address.  Billed from `begin_s` on, until
    `late_s` after the end of the lease.
    """

    budgets: tuple[str, ...]
    rate: int
    machine_rate: int
    machine_extra: int
    begin_s: int
    late_s: int

    def amount(self, end_s: int) -> int:
        """Return the micro-dollars that it costs at most under a lease with this end."""
        return for_time(self.rate, end_s + self.late_s - self.begin_s)


@dataclass(frozen=True)
class Reserved:
    """The reservation of a command for an annex, as the journal has it beside the command.

    `end_s`: the end of the lease that the command may bring about; `hold`: the fleet that it orders, if it does.
    """

    annex_id: str
    end_s: int
    hold: Hold | None = None
