"""One history of money from a seed: orders, growth, changed ends, failures, crashes, price storms, the archive.

The truth is kept apart from the ledger: each second of each machine is paid for at a rate that is never above its
bound, and counts in the period in which it ran.  At any time, the money truly spent within a period is not above the
cap, nor is the sum of spent and reserved money.  A ledger that is read again equals the one before, and no annex costs
more than it had reserved.
"""

from collections import Counter
from pathlib import Path
from random import Random

from annexd.annex.expiry import is_over
from annexd.annex.index import AnnexRecord
from annexd.annex.reply import NotNow
from annexd.annex.request.order import ChangeOrder, FleetOrder, GrowOrder, Subject
from annexd.annex.reservations import Rules, Settled
from annexd.budget.budget import DAY_S, Budget, Period, day_of, days_of
from annexd.budget.hold import Hold
from annexd.budget.ledger import Account
from annexd.workflow import Journal
from test.annex.orders import fleet_order
from test.budget.steps import OWNER, Runs, engine_of, reservations_of
from test.workflow.store import Crash, CrashingJournal

LATE_S = 601
BUDGETS = (
    Budget("daily", 40_000_003, Period.DAY, 9_000_001),
    Budget("monthly", 300_000_007, Period.MONTH),
    Budget("ever", 2_000_000_011, Period.ONCE),
)


class History:
    """A history; `play` makes a number of moves, and checks the invariants after each."""

    def __init__(self, home: Path, seed: int) -> None:
        self._path, self._random = home / "command_state", Random(seed)  # noqa: S311  a history, not a secret
        self.runs = Runs(self._random)
        self.refused = self.accepted = self.crashes = self.settled = self.archived = 0
        self._number = 0
        self._cost: Counter[str] = Counter()  # by annex, in micro-dollars
        self._paid: Counter[tuple[str, int]] = Counter()  # by budget and day
        self._holds: dict[str, Hold] = {}  # by client token
        self._open()

    def _open(self) -> None:
        journal: Journal
        if self._random.random() < 0.5:
            at, written = self._random.randint(2, 9), self._random.random() < 0.5
            journal = CrashingJournal(self._path, at=at, written=written, now_s=lambda: self.runs.now_s)
        else:
            journal = Journal(self._path, now_s=lambda: self.runs.now_s)
        self._journal, self._engine = journal, engine_of(journal, self.runs)
        self._index, self._reservations = reservations_of(self._engine, self.runs, Rules(BUDGETS))

    def play(self, moves: int) -> None:
        """Raises AssertionError for a history in which money is lost or overspent."""
        try:
            for _ in range(moves):
                self._survive(self._random.choice(MOVES))
                self._check()
        finally:
            self._journal.close()

    def _survive(self, move: "Move") -> None:
        try:
            move(self)
        except Crash:
            self._reopen()

    def _reopen(self) -> None:
        self.crashes += 1
        self._journal.close()
        self._open()
        try:
            for command_id in self._engine.unfinished():
                self._engine.run(command_id)
        except Crash:
            self._reopen()

    # Moves.

    def order(self) -> None:
        annex_id, now_s = self._name("annex"), int(self.runs.now_s)
        end_s = now_s + self._random.randint(600, 2 * DAY_S)
        order = fleet_order(annex_id, end_s)
        self._run(order, order, self._hold(now_s))

    def grow(self) -> None:
        if (annex_id := self._any()) is not None:
            end_s, now_s = self.runs.ends_s[annex_id], int(self.runs.now_s)
            further = fleet_order(annex_id, end_s, client_token=self._name("token"))
            order = GrowOrder(annex_id, further.target, end_s, self._subject(annex_id), "", further, 9)
            self._run(order, further, self._hold(now_s))

    def change(self) -> None:
        if (annex_id := self._any()) is None:
            return
        end_s, now_s = self.runs.ends_s[annex_id], int(self.runs.now_s)
        wanted_s = max(now_s + 1, end_s + self._random.randint(-DAY_S, DAY_S))
        latest_s = max(end_s, wanted_s)
        target = fleet_order(annex_id).target
        order = ChangeOrder(
            annex_id, target, latest_s, self._subject(annex_id), "", None, wanted_s, False, now_s, 10**9, 0
        )
        command_id, known = self._name("change"), self._known(annex_id)
        try:
            self._reservations.change(command_id, OWNER, order, "", known)
        except NotNow:
            self.refused += 1
            return
        self._engine.run(command_id)

    def pass_time(self) -> None:
        """Let machines run, at prices that change; midnight is never within a step."""
        until_s = int(self.runs.now_s) + self._random.choice([1, 60, 3600, 20_000, DAY_S, 5 * DAY_S])
        while self.runs.now_s < until_s:
            now_s = int(self.runs.now_s)
            next_s = min(until_s, (now_s // DAY_S + 1) * DAY_S)
            for token, each in list(self.runs.fleets.items()):
                end_s = self.runs.ends_s[each.annex_id] + self._random.randint(0, LATE_S)
                hold = self._holds[token]
                each.rate = hold.rate if self._random.random() < 0.5 else self._random.randint(0, hold.rate)
                cost = each.rate * max(0, min(next_s, end_s) - now_s) // 3600
                self._cost[each.annex_id] += cost
                self._paid.update({(name, day_of(now_s)): cost for name in hold.budgets})
                if end_s < next_s:
                    del self.runs.fleets[token]
            self.runs.now_s = float(next_s)

    def end(self) -> None:
        """End all machines of an annex, as a cancellation does."""
        if (annex_id := self._any()) is not None:
            gone = [token for token, each in self.runs.fleets.items() if each.annex_id == annex_id]
            for token in gone:
                del self.runs.fleets[token]

    def settle(self) -> None:
        living = {each.annex_id for each in self.runs.fleets.values()}
        known = {each.annex_id: each for each in self._index.all()}
        for annex_id, entry in self._reservations.entries().items():
            for command_id, cost in self._reservations.born(entry).items():
                amounts = dict.fromkeys(entry.holds[command_id].budgets, cost)
                self._settle(annex_id, Settled(command_id, frozenset([command_id]), 0, amounts))
            left = self._reservations.entries().get(annex_id)
            if left is not None and annex_id not in living and not self._reservations.is_under_way(left):
                most = {name: each.money for name, each in left.reserved().items()}
                spent = self._cost[annex_id] - self._engine.state(known[annex_id].command_id).spent
                whole = sum(each.amount(left.latest_end_s) for each in left.holds.values())
                assert spent <= whole, f"{annex_id} cost {spent}, reserved are {whole}"
                amounts = {name: min(spent, each) for name, each in most.items()}
                self._settle(annex_id, Settled(known[annex_id].command_id, left.commands, spent, amounts))

    def archive(self) -> None:
        held = self._reservations.entries().keys()
        moved = self._engine.move_to_archive(
            lambda state, at_s: is_over(state, at_s, self.runs.now_s, self._index.latest_end_s, held)
        )
        self._index.forget(moved)
        self.archived += len(moved)

    def _settle(self, annex_id: str, settled: Settled) -> None:
        self._reservations.settle(annex_id, settled, self.runs.now_s)
        self.settled += 1

    def _run(self, order: FleetOrder | GrowOrder, fleet: FleetOrder, hold: Hold) -> None:
        command_id = self._name("command")
        self._holds[fleet.client_token] = hold
        try:
            self._reservations.accept(command_id, OWNER, order, "", hold)
        except NotNow:
            self.refused += 1
            return
        self.accepted += 1
        self._engine.run(command_id)

    def _hold(self, now_s: int) -> Hold:
        names = [each.key for each in BUDGETS if self._random.random() < 0.7] or ["daily"]
        rate = self._random.randint(1, 3_000_000)
        return Hold(tuple(names), rate, rate, 0, now_s, LATE_S)

    def _any(self) -> str | None:
        """Return a living annex whose lease is not over, if one exists."""
        living = {each.annex_id for each in self.runs.fleets.values()}
        fit = sorted(each for each in living if self.runs.ends_s[each] > self.runs.now_s)
        return self._random.choice(fit) if fit else None

    def _subject(self, annex_id: str) -> Subject:
        return Subject(annex_id, (), self._known(annex_id).command_id, None)

    def _known(self, annex_id: str) -> AnnexRecord:
        [known] = [each for each in self._index.all() if each.annex_id == annex_id]
        return known

    def _name(self, what: str) -> str:
        self._number += 1
        return f"{what}-{self._number}"

    # Invariants.

    def _check(self) -> None:
        try:
            accounts = self._reservations.accounts(self.runs.now_s)
        except Crash:
            self._reopen()
            accounts = self._reservations.accounts(self.runs.now_s)
        for each in accounts:
            assert each.left is not None
            assert each.left >= 0, f"{each.budget.name} is exceeded by {-each.left}"
            assert each.rate_left is None or each.rate_left >= 0
            self._check_truth(each)
        _, again = reservations_of(self._engine, self.runs, Rules(BUDGETS))
        assert again.accounts(self.runs.now_s) == accounts, "a ledger that is read again is another one"

    def _check_truth(self, account: Account) -> None:
        days, name = days_of(account.budget.period, self.runs.now_s), account.budget.key
        paid = sum(amount for (budget, day), amount in self._paid.items() if budget == name and days.has(day))
        assert paid <= account.spent + account.reserved.money, f"{name}: {paid} were truly spent"


class Move:
    """A method of History."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, history: History) -> None:
        getattr(history, self.name)()


MOVES = [
    Move(name)
    for name, times in {"order": 6, "grow": 2, "change": 4, "pass_time": 5, "end": 1, "settle": 3, "archive": 1}.items()
    for _ in range(times)
]
