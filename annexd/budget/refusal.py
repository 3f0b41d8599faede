"""Why an order is refused: budget, need, what is left and until when, and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from annexd.budget.ledger import NOTHING, Account, Amount
from annexd.budget.money import dollars


def refusals(accounts: Sequence[Account], needs: Mapping[str, Amount]) -> list[str]:
    """Return a sentence for each budget without room for what it would have to reserve."""
    return [message for each in accounts for message in _refusals(each, needs.get(each.budget.key, NOTHING))]


def _refusals(account: Account, need: Amount) -> Iterator[str]:
    name, cap, rate = account.budget.name, account.budget.cap, account.budget.rate
    left, rate_left = account.left, account.rate_left
    if cap is not None and left is not None and need.money > max(0, left):
        yield (
            f"budget {name}: this can cost {dollars(need.money)}, and of {dollars(cap)} {until(account)} "
            f"{dollars(max(0, left))} are left ({dollars(account.spent)} spent, {dollars(account.reserved.money)} "
            f"reserved): order less, or for a shorter time (condor_annex -budget {name})"
        )
    if rate is not None and rate_left is not None and need.rate > max(0, rate_left):
        yield (
            f"budget {name}: this can cost {dollars(need.rate)} an hour, and of {dollars(rate)} an hour at once "
            f"{dollars(max(0, rate_left))} are left: order less, or wait until an annex ends "
            f"(condor_annex -budget {name})"
        )


def until(account: Account) -> str:
    """Return until when the dollars are for."""
    end_s = account.days.end_s
    if end_s is None:
        return "for all time"
    return f"until {datetime.fromtimestamp(end_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
