"""Explain why budgets refuse an order: budget, need, the rest and until when, and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from annexd.budget.ledger import NOTHING, Account, Amount
from annexd.budget.money import dollars


def refusals(accounts: Sequence[Account], needs: Mapping[str, Amount], units: int = 0) -> list[str]:
    """Return a sentence for each budget without room for its reservation, with the number of units if known."""
    left = fitting(accounts, needs, units)
    less = f"order {left} instead of {units}" if left else "order less"
    return [text for each in accounts for text in _refusals(each, needs.get(each.budget.key, NOTHING), less)]


def fitting(accounts: Sequence[Account], needs: Mapping[str, Amount], units: int) -> int:
    """Return for how many of the units, which cost alike, all budgets have room."""
    parts = [units]
    for each in accounts:
        need = needs.get(each.budget.key, NOTHING)
        for wanted, left in ((need.money, each.left), (need.rate, each.rate_left)):
            if left is not None and wanted > 0:
                parts.append(units * max(0, left) // wanted)
    return min(parts)


def _refusals(account: Account, need: Amount, less: str) -> Iterator[str]:
    name, cap, rate = account.budget.name, account.budget.cap, account.budget.rate
    left, rate_left = account.left, account.rate_left
    if cap is not None and left is not None and need.money > max(0, left):
        yield (
            f"budget {name}: this can cost {dollars(need.money)}, and of {dollars(cap)} {until(account)} "
            f"{dollars(max(0, left))} are left ({dollars(account.spent)} spent, {dollars(account.reserved.money)} "
            f"reserved): {less}, or for a shorter time (condor_annex -budget {name})"
        )
    if rate is not None and rate_left is not None and need.rate > max(0, rate_left):
        yield (
            f"budget {name}: this can cost {dollars(need.rate)} an hour, and of {dollars(rate)} an hour at once "
            f"{dollars(max(0, rate_left))} are left: {less}, or wait until an annex ends "
            f"(condor_annex -budget {name})"
        )


def until(account: Account) -> str:
    """Return the end of the period of the dollars."""
    end_s = account.days.end_s
    if end_s is None:
        return "for all time"
    return f"until {datetime.fromtimestamp(end_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
