"""Settlement after given looks: when a reservation returns, and how much counts as spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from annexd.annex.fleet.capacity_pool import SPOT, CapacityPool, Launch
from annexd.annex.index import AnnexIndex
from annexd.annex.living import LIVES_ON_S, YOUNG_S
from annexd.annex.reconcile import ObservedAnnex
from annexd.annex.request.order import FleetOrder
from annexd.annex.reservations import Reservations, Rules
from annexd.annex.settlement import PATIENCE_S, Settlement
from annexd.annex.status import Snapshot
from annexd.annex.usage import Usage
from annexd.budget.budget import Budget
from annexd.budget.hold import Hold
from annexd.budget.ledger import Account
from annexd.workflow import Journal
from test.annex.orders import fleet_order
from test.budget.steps import OWNER, Runs, engine_of, reservations_of

HOUR = 3600
RATE = 3_600_000  # a thousand micro-dollars a second
LATE_S = 601
BUDGET = Budget("physics", 10**9)
POOL = CapacityPool("m5.large", "us-east-1a", "Linux/UNIX", SPOT)


class Story:
    """One annex with a lease of an hour."""

    def __init__(self, path: Path) -> None:
        self.runs = Runs()
        self.begin_s = int(self.runs.now_s)
        self.journal = Journal(path, now_s=lambda: self.runs.now_s)
        self.index: AnnexIndex
        self.reservations: Reservations
        self.index, self.reservations = reservations_of(engine_of(self.journal, self.runs), self.runs, Rules((BUDGET,)))
        self.order: FleetOrder = fleet_order("annex", self.begin_s + HOUR, valid_until_s=self.begin_s + 300)
        hold = Hold((BUDGET.key,), RATE, RATE, RATE // 10, self.begin_s, LATE_S)
        self.reservations.accept("c", OWNER, self.order, "", hold)
        self.reserved = hold.amount(self.order.end_of_lease_s)
        self.settlement = Settlement(self.index, self.reservations)

    def look(self, after_s: float, instances: int, *, launching: bool = False) -> Account:
        """Sweep after a look that began `after_s` after the lease did, and saw this many machines."""
        self.runs.now_s = self.begin_s + after_s
        known = self.index.engine.state("c").finished is not None
        usage = self.index.usage(self.index.all()[0]) or Usage(0.0, self.order.end_of_lease_s)
        launches = [Launch(self.begin_s + 60.0, POOL)] * instances
        if known:
            self.index.note_usage("c", usage.after(launches, self.runs.now_s))
        seen = ObservedAnnex("annex", OWNER, "fleet", None, None, instances, None, instances, launching)
        annexes = {"annex": seen} if instances or launching else {}
        return self.sweep({self.order.target.key: Snapshot(self.runs.now_s, annexes)})

    def sweep(self, looks: dict[str, Snapshot] | None = None) -> Account:
        self.settlement.sweep(looks or {}, self.runs.now_s)
        [account] = self.reservations.accounts(self.runs.now_s)
        return account

    def price(self, dollars: float) -> None:
        """Set a price per hour from the beginning on."""
        usage = self.index.usage(self.index.all()[0])
        assert usage is not None
        usage = replace(usage, at_s=self.runs.now_s)
        self.index.note_usage("c", usage.priced({POOL: [(self.begin_s - 1.0, dollars)]}))


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path / "command_state")
    story.index.engine.run("c")
    yield story
    story.journal.close()


def test_nothing_returns_while_machines_run_or_may_come(story: Story) -> None:
    for after_s, instances, launching in ((100, 0, True), (200, 1, False), (HOUR + 30, 1, False)):
        account = story.look(after_s, instances, launching=launching)
        assert (account.reserved.money, account.spent) == (story.reserved, 0)
    assert story.look(150, 0).reserved.money == story.reserved, "AWS may show a machine late"


def test_at_the_end_what_ran_counts_with_volumes_and_the_rest_returns(story: Story) -> None:
    story.look(100, 1)
    story.look(HOUR + 60, 0)
    story.price(0.5)
    account = story.look(HOUR + 120, 0)
    assert (account.reserved.money, account.annexes) == (0, 0)
    ran_s = (100 + HOUR + 60) / 2 - 60
    assert account.spent == pytest.approx(0.5e6 * ran_s / HOUR + RATE / 10 * (ran_s + 1780) / HOUR, rel=0.01)


def test_an_annex_whose_machines_are_gone_before_its_end_returns_the_rest_then(story: Story) -> None:
    story.look(100, 1)
    story.look(400, 0)
    story.price(0.5)
    assert story.look(500, 0).reserved.money == story.reserved
    account = story.look(300 + YOUNG_S + 1, 0)
    assert account.reserved.money == 0
    assert 0 < account.spent < story.reserved / 5


def test_without_prices_the_bound_counts_after_an_hour(story: Story) -> None:
    story.look(100, 1)
    assert story.look(HOUR + 60, 0).reserved.money == story.reserved
    account = story.look(HOUR + 60 + PATIENCE_S, 0)
    assert account.reserved.money == 0
    assert story.reserved / 3 < account.spent <= story.reserved


def test_spent_is_never_more_than_reserved_unless_machines_ran_on_after_that(story: Story) -> None:
    story.look(100, 1)
    story.look(HOUR + 60, 0)
    story.price(100.0)
    account = story.look(HOUR + 120, 0)
    assert account.spent == story.reserved


def test_machines_that_outlive_the_reservation_count_as_they_ran(story: Story) -> None:
    story.look(100, 1)
    assert story.look(HOUR + LATE_S + 7200, 1).reserved.money == story.reserved
    story.look(HOUR + LATE_S + 7260, 0)
    story.price(3.6)
    account = story.look(HOUR + LATE_S + 7300, 0)
    assert account.reserved.money == 0
    assert account.spent > story.reserved


def test_an_account_that_nobody_can_see_counts_in_full_a_week_after_the_end(story: Story) -> None:
    story.runs.now_s += HOUR + LATE_S + LIVES_ON_S - 10
    assert story.sweep().reserved.money == story.reserved
    story.runs.now_s += 20
    account = story.sweep()
    assert (account.reserved.money, account.spent) == (0, story.reserved)


def test_an_order_under_way_holds_its_whole_reservation(tmp_path: Path) -> None:
    story = Story(tmp_path / "command_state")
    account = story.look(2 * HOUR, 0)
    assert (account.reserved.money, account.spent) == (story.reserved, 0)
    story.journal.close()
