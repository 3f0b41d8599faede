"""Ended annexes cost the ledger nothing, neither at the start nor at an order."""

from pathlib import Path

from annexd.annex.reservations import Rules, Settled
from annexd.budget.budget import DAY_S, Budget
from annexd.budget.hold import Hold
from annexd.workflow import Journal, Kind
from test.annex.orders import fleet_order
from test.budget.steps import OWNER, Runs, engine_of, reservations_of

BUDGET = Budget("physics", 10**12)
ANNEXES, DAYS = 60, 3


class CountingJournal(Journal):
    """Counts the records that are read."""

    read = 0

    def _select(self, where, *values):  # type: ignore[no-untyped-def]
        found = super()._select(where, *values)
        self.read += len(found)
        return found


def test_settled_costs_are_one_sum_a_day_and_are_not_read_again(tmp_path: Path) -> None:
    runs, path = Runs(), tmp_path / "command_state"
    journal = CountingJournal(path, now_s=lambda: runs.now_s)
    engine = engine_of(journal, runs)
    _, reservations = reservations_of(engine, runs, Rules((BUDGET,)))
    for number in range(ANNEXES):
        name, now_s = f"annex-{number}", int(runs.now_s)
        hold = Hold((BUDGET.key,), 10**6, 10**6, 0, now_s, 601)
        reservations.accept(name, OWNER, fleet_order(name, now_s + 3600), "", hold)
        engine.run(name)
        reservations.accounts(runs.now_s)
        reservations.settle(name, Settled(name, frozenset([name]), 7, {BUDGET.key: 7}), runs.now_s)
        runs.now_s += DAYS * DAY_S / ANNEXES
    assert journal.of_kind(Kind.RESERVED) == ()
    assert len(journal.spent()) in (DAYS, DAYS + 1)
    journal.read = 0
    _, again = reservations_of(engine, runs, Rules((BUDGET,)))
    [account] = again.accounts(runs.now_s)
    assert (account.spent, account.reserved.money) == (7 * ANNEXES, 0)
    assert journal.read == 0
    journal.close()
