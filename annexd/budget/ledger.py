"""The ledger: the reservations of annexes that may still cost something, and the spent amounts, by budget and day.

A reservation counts in full, in every period, until its machines are gone; then their cost counts in the period in
which it is settled.  So the real cost within a period is never more than the sum of its spent and reserved amounts,
wherever the period ends.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from annexd.budget.budget import Budget, Days, day_of, days_of
from annexd.budget.hold import Hold, Reserved

T = TypeVar("T")


@dataclass(frozen=True)
class Amount:
    """Micro-dollars, and micro-dollars an hour."""

    money: int = 0
    rate: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.money + other.money, self.rate + other.rate)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.money - other.money, self.rate - other.rate)


NOTHING = Amount()


@dataclass(frozen=True)
class AnnexHolds:
    """The reservations of the commands on one annex, by command ID.

    `end_s`: the present end; `wanted`: the ends that commands under way, or given up, may cause.
    """

    end_s: int = 0
    holds: Mapping[str, Hold] = field(default_factory=dict)
    wanted: Mapping[str, int] = field(default_factory=dict)
    commands: frozenset[str] = frozenset()  # all of them, including those that no longer hold anything

    @property
    def latest_end_s(self) -> int:
        return max(self.end_s, *self.wanted.values(), 0)

    @property
    def over_s(self) -> int:
        """Return the latest time at which all of it is over, if the lease function works."""
        return self.latest_end_s + max((each.late_s for each in self.holds.values()), default=0)

    def reserved(self) -> dict[str, Amount]:
        """Return the amount that it holds in each budget."""
        found: dict[str, Amount] = {}
        for hold in self.holds.values():
            amount = Amount(hold.amount(self.latest_end_s), hold.rate)
            found |= {name: found.get(name, NOTHING) + amount for name in hold.budgets}
        return found

    def with_command(self, command_id: str, reserved: Reserved) -> "AnnexHolds":
        holds = self.holds if reserved.hold is None else {**self.holds, command_id: reserved.hold}
        wanted = {**self.wanted, command_id: reserved.end_s}
        return replace(self, holds=holds, wanted=wanted, commands=self.commands | {command_id})

    def ended_at(self, command_id: str, end_s: int) -> "AnnexHolds":
        """Return the holds after the command has set this end."""
        return replace(self, end_s=end_s, wanted=_without(self.wanted, {command_id}))

    def released(self, command_id: str) -> "AnnexHolds":
        """Return the holds without the command, which had no effect or left nothing."""
        return replace(self, holds=_without(self.holds, {command_id}), wanted=_without(self.wanted, {command_id}))

    def without(self, command_ids: frozenset[str]) -> "AnnexHolds":
        return replace(
            self,
            holds=_without(self.holds, command_ids),
            wanted=_without(self.wanted, command_ids),
            commands=self.commands - command_ids,
        )


def _without(known: Mapping[str, T], gone: Collection[str]) -> Mapping[str, T]:
    return {key: each for key, each in known.items() if key not in gone}


@dataclass(frozen=True)
class Account:
    """The state of a budget, in micro-dollars."""

    budget: Budget
    days: Days
    spent: int
    reserved: Amount
    annexes: int  # annexes that have reserved

    @property
    def left(self) -> int | None:
        return None if self.budget.cap is None else self.budget.cap - self.spent - self.reserved.money

    @property
    def rate_left(self) -> int | None:
        return None if self.budget.rate is None else self.budget.rate - self.reserved.rate


class Ledger:
    """Sums that are updated at each change.  Not thread-safe."""

    def __init__(self, spent: Mapping[tuple[str, int], int]) -> None:
        self._spent: dict[str, dict[int, int]] = {}
        self._entries: dict[str, AnnexHolds] = {}
        self._reserved: dict[str, Amount] = {}
        self._numbers: dict[str, int] = {}  # number of annexes with a reservation, by budget
        for (name, day), amount in spent.items():
            self._spend(name, day, amount)

    def entries(self) -> dict[str, AnnexHolds]:
        """Return the open reservations, by annex ID."""
        return dict(self._entries)

    def entry(self, annex_id: str) -> AnnexHolds:
        return self._entries.get(annex_id, AnnexHolds())

    def account(self, budget: Budget, now_s: float) -> Account:
        days = days_of(budget.period, now_s)
        spent = sum(amount for day, amount in self._spent.get(budget.key, {}).items() if days.has(day))
        reserved = self._reserved.get(budget.key, NOTHING)
        return Account(budget, days, spent, reserved, self._numbers.get(budget.key, 0))

    def needs(self, command_id: str, reserved: Reserved) -> dict[str, Amount]:
        """Return what a command would reserve beyond its annex's present reservation, by budget."""
        before = self.entry(reserved.annex_id)
        after, had = before.with_command(command_id, reserved).reserved(), before.reserved()
        return {name: amount - had.get(name, NOTHING) for name, amount in after.items()}

    def reserve(self, command_id: str, reserved: Reserved) -> None:
        self.change(reserved.annex_id, self.entry(reserved.annex_id).with_command(command_id, reserved))

    def change(self, annex_id: str, entry: AnnexHolds) -> None:
        """Replace the annex's entry; an entry without commands is removed."""
        before, after = self.entry(annex_id).reserved(), entry.reserved()
        for name in before.keys() | after.keys():
            difference = after.get(name, NOTHING) - before.get(name, NOTHING)
            self._reserved[name] = self._reserved.get(name, NOTHING) + difference
            self._numbers[name] = self._numbers.get(name, 0) + (name in after) - (name in before)
        self._entries[annex_id] = entry
        if not entry.commands:
            del self._entries[annex_id]

    def settle(self, annex_id: str, command_ids: frozenset[str], at_s: float, spent: Mapping[str, int]) -> None:
        """Count the cost of these commands, by budget, and release the rest."""
        self.change(annex_id, self.entry(annex_id).without(command_ids))
        for name, amount in spent.items():
            self._spend(name, day_of(at_s), amount)

    def _spend(self, name: str, day: int, amount: int) -> None:
        days = self._spent.setdefault(name, {})
        days[day] = days.get(day, 0) + amount
