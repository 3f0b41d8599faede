"""Reserve the maximum cost of an order before it is accepted, in the same transaction of the journal.

Prices are queried first, without any lock.  Then, under one lock, the ledger is updated from the journal, the budgets
are checked, and the order and its reservation are written.  So concurrent orders never exceed a budget together, and a
crash leaves both records or neither.  If no budget applies, nothing is queried and nothing is refused.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.reply import INVALID_REQUEST, INVALID_STATE, NoRoom, NotNow
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.order import ChangeOrder, FleetOrder, GrowOrder
from annexd.annex.steps import StepContext
from annexd.annex.steps.limited import STEP_S
from annexd.annex.steps.move_end import EndMoved
from annexd.annex.steps.request_fleet import RequestFleet
from annexd.annex.worst_case import worst_case
from annexd.aws import time_limit
from annexd.budget.budget import Budget, day_of
from annexd.budget.hold import Hold, Reserved
from annexd.budget.ledger import Account, Amount, AnnexHolds, Ledger
from annexd.budget.money import for_time
from annexd.budget.refusal import fitting, refusals
from annexd.workflow import SUCCESS, State

LEAST_S: Final = 60  # billed of each machine: annexd.annex.spending
Ad: TypeAlias = Mapping[str, Any]


def _every(_applies: str, _ad: Ad) -> bool:
    return True


@dataclass(frozen=True)
class Rules:
    """The administrator's budgets; `is_true` evaluates an APPLIES over an ad of the order."""

    budgets: tuple[Budget, ...] = ()
    is_true: Callable[[str, Ad], bool] = _every

    def applicable(self, owner: str, order: FleetOrder) -> list[Budget]:
        """Return the budgets that apply to an annex of `owner` (user@domain)."""
        if not self.budgets:
            return []
        names = {"Owner": owner.partition("@")[0], "User": owner}
        ad = {**names, "AnnexName": order.annex_name, "Offer": order.offer_name}
        return [each for each in self.budgets if self.is_true(each.applies, ad)]


@dataclass(frozen=True)
class Bounded:
    """An order as it is sent under its budgets, and its reservation; None: no budget applies."""

    order: FleetOrder
    hold: Hold | None = None


@dataclass(frozen=True)
class Preview:
    """The needs of an order in each budget that applies to it, and the state of these budgets."""

    order: FleetOrder
    accounts: tuple[Account, ...] = ()
    needs: Mapping[str, Amount] | None = None
    refusals: tuple[str, ...] = ()
    result: str = SUCCESS  # of the order


@dataclass(frozen=True)
class Settled:
    """The cost of these commands: `spent` in all, and what of it counts in each budget.

    `of_command`: the order in whose history that is kept.
    """

    of_command: str
    command_ids: frozenset[str]
    spent: int
    amounts: Mapping[str, int]


class Reservations:
    """The ledger of a journal, and all its changes.  Thread-safe; its methods raise JournalError."""

    def __init__(self, index: AnnexIndex, context: StepContext, rules: Rules = Rules()) -> None:
        self._index, self._engine, self._context, self._rules = index, index.engine, context, rules
        self._lock = threading.Lock()  # held from the check of a budget until the order is in the journal
        self._known: Ledger | None = None
        self._seq = 0
        self._under_way: dict[str, str] = {}  # command ID: annex ID
        self._born: dict[str, int] = {}  # failed commands whose machines may have run, and for how long (seconds)

    def reconfigure(self, rules: Rules) -> None:
        """Apply the budgets of these rules to everything that is accepted from now on."""
        self._rules = rules

    # Methods that reserve.  Each returns the accepted workflow, and raises NotNow for a budget without room.

    def order(self, command_id: str, owner: str, order: FleetOrder, asked: str, defaults: Defaults) -> State:
        """Accept a new annex.  Raises InvalidRequest for a cost without a bound, Retry or Refused if AWS cannot be
        queried.
        """
        bounded = self.bounded(owner, order, order.target, defaults)
        return self.accept(command_id, owner, bounded.order, asked, bounded.hold)

    def accept(
        self, command_id: str, owner: str, order: FleetOrder | GrowOrder, asked: str, hold: Hold | None
    ) -> State:
        """Accept a fleet that is `bounded` and holds this; None: no budget applies."""
        reserved = None if hold is None else Reserved(order.annex_id, order.end_of_lease_s, hold)
        return self._accept(command_id, owner, order, asked, reserved)

    def change(self, command_id: str, owner: str, order: ChangeOrder, asked: str, known: AnnexRecord) -> State:
        """Accept a change of the end of an annex: a later one reserves the difference first, an earlier one returns it.

        Also raises NotNow for a later end of an annex with a fleet that a budget that applies does not know.
        """
        annex_order = order.subject.order
        applicable = self._rules.applicable(known.owner, annex_order) if annex_order else []
        entry = self.entries().get(order.annex_id, AnnexHolds())
        if order.end_of_lease_s > self._index.end_s(known):
            self._check_is_known(order, entry, applicable)
        if not entry.holds:
            return self._engine.accept(command_id, owner, order, asked)
        order = replace(order, reserved_end_s=order.end_of_lease_s)
        return self._accept(command_id, owner, order, asked, Reserved(order.annex_id, order.end_of_lease_s))

    def bounded(self, owner: str, order: FleetOrder, target: AccountTarget, defaults: Defaults) -> Bounded:
        """Return what the order reserves and sends; prices are queried with the keys of `target`.  Blocks.

        Raises InvalidRequest, Retry or Refused.
        """
        budgets = self._rules.applicable(owner, order)
        if not budgets:
            return Bounded(order)
        with time_limit(STEP_S):
            clients = self._context.access(target)
            worst = worst_case(order, target, clients, defaults)
            begin_s = int(self._context.aws_now_s(clients))
        if worst.faults:
            names = ", ".join(each.name for each in budgets)
            raise InvalidRequest([f"budget {names}: this order has no bound: {each}" for each in worst.faults])
        keys = tuple(each.key for each in budgets)
        hold = Hold(keys, worst.rate, worst.machine_rate, worst.machine_extra, begin_s, worst.late_s)
        return Bounded(worst.order, hold)

    def preview(self, owner: str, order: FleetOrder, defaults: Defaults) -> Preview:
        """Return what the order would reserve, and why it would be refused, without reserving anything.  Blocks."""
        try:
            bounded = self.bounded(owner, order, order.target, defaults)
        except InvalidRequest as error:
            return Preview(order, refusals=tuple(error.faults), result=INVALID_REQUEST)
        if bounded.hold is None:
            return Preview(order)
        amount = Amount(bounded.hold.amount(order.end_of_lease_s), bounded.hold.rate)
        needs = dict.fromkeys(bounded.hold.budgets, amount)
        accounts = [each for each in self.accounts(self._context.now_s()) if each.budget.key in needs]
        found = refusals(accounts, needs, _units(bounded.order))
        return Preview(bounded.order, tuple(accounts), needs, tuple(found), INVALID_STATE if found else SUCCESS)

    def _check_is_known(self, order: ChangeOrder, entry: AnnexHolds, applicable: Sequence[Budget]) -> None:
        """Raise NotNow if an annex to be extended has a fleet that did not reserve in a budget."""
        fleets = {str(order.subject.order_command_id), *self._index.grows(order.annex_id)}
        for budget in applicable:
            if any(each not in entry.holds or budget.key not in entry.holds[each].budgets for each in fleets):
                message = (
                    f"annex {order.annex_id} has machines that were ordered when budget {budget.name} did not apply"
                )
                raise NotNow(f"{message}, or are gone: nothing bounds their price; order a new annex")

    def _accept(self, command_id: str, owner: str, order: object, asked: str, reserved: Reserved | None) -> State:
        if reserved is None:
            return self._engine.accept(command_id, owner, order, asked)
        with self._lock:
            known = self._engine.find(command_id, owner)
            if known is not None:
                return known
            needs = self._ledger().needs(command_id, reserved)
            accounts = [each for each in self._accounts(self._context.now_s()) if each.budget.key in needs]
            if found := refusals(accounts, needs, units := _units(order)):
                raise NoRoom("; ".join(found), fitting(accounts, needs, units))
            return self._engine.accept(command_id, owner, order, asked, reserved)

    # Queries.

    def accounts(self, now_s: float) -> list[Account]:
        """Return the state of each budget."""
        with self._lock:
            return self._accounts(now_s) if self._rules.budgets else []

    def entries(self) -> dict[str, AnnexHolds]:
        """Return the reservations of annexes, by annex ID."""
        with self._lock:
            return self._ledger().entries()

    def is_under_way(self, entry: AnnexHolds) -> bool:
        """Return whether one of its commands is unfinished, as of the newest look at the journal."""
        with self._lock:
            return not entry.commands.isdisjoint(self._under_way)

    def born(self, entry: AnnexHolds) -> dict[str, int]:
        """Return its failed commands whose machines may have run, and their maximum cost."""
        with self._lock:
            found = {each: self._born[each] for each in entry.commands & self._born.keys() if each in entry.holds}
        end_s, holds = entry.latest_end_s, entry.holds
        return {
            each: min(for_time(holds[each].rate, ran_s + LEAST_S), holds[each].amount(end_s))
            for each, ran_s in found.items()
        }

    def settle(self, annex_id: str, settlement: "Settled", now_s: float) -> None:
        """Record the cost of commands and release the rest of their reservations, unless one is under way."""
        command_ids = settlement.command_ids
        with self._lock:
            ledger = self._ledger()
            if not command_ids <= ledger.entry(annex_id).commands or not self._under_way.keys().isdisjoint(command_ids):
                return
            day, amounts = day_of(now_s), settlement.amounts
            self._engine.settle(settlement.of_command, command_ids, day, settlement.spent, amounts)
            ledger.settle(annex_id, command_ids, now_s, amounts)
            self._born = {each: ran_s for each, ran_s in self._born.items() if each not in command_ids}

    # The fold, under the lock.

    def _accounts(self, now_s: float) -> list[Account]:
        ledger = self._ledger()
        return [ledger.account(each, now_s) for each in self._rules.budgets]

    def _ledger(self) -> Ledger:
        """Return the ledger, updated from the journal."""
        if self._known is None:
            self._known = Ledger(self._engine.spent())
        self._seq, found = self._engine.reserved(Reserved, self._seq)
        for command_id, reserved in found:
            self._known.reserve(command_id, reserved)
            self._under_way[command_id] = reserved.annex_id
        if self._under_way:
            unfinished = set(self._engine.unfinished())
            states = [self._engine.state(each) for each in self._under_way.keys() - unfinished]
            for state in sorted(states, key=lambda each: (each.finished_at_s, each.seq)):
                self._finish(self._known, state, self._under_way.pop(state.command_id))
        return self._known

    def _finish(self, ledger: Ledger, state: State, annex_id: str) -> None:
        """Take in the outcome of a command; one that cannot be read, or was given up, keeps its reservation."""
        entry, command_id = ledger.entry(annex_id), state.command_id
        if state.finished is None or state.is_given_up:
            return
        if state.finished[0] == SUCCESS:
            if (end_s := _end_s(state)) is not None:
                ledger.change(annex_id, entry.ended_at(command_id, end_s))
        elif (asked_at_s := state.step(RequestFleet.name).effective_at_s) > 0:
            self._born[command_id] = int(state.finished_at_s - asked_at_s) + 1
        else:
            ledger.change(annex_id, entry.released(command_id))


def _end_s(state: State) -> int | None:
    """Return the end of the lease after a command that was carried out."""
    moved, fleet = state.results.get(EndMoved), state.order_as(FleetOrder) or state.order_as(GrowOrder)
    return moved.end_of_lease_s if moved else fleet.end_of_lease_s if fleet else None


def _units(order: object) -> int:
    """Return the number of units of a new annex, which cost alike under the bound; 0 for other orders."""
    units = order.units if isinstance(order, FleetOrder) else None
    return units if isinstance(units, int) else 0
