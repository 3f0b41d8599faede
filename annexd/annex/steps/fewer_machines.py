"""The steps that make an annex smaller: no more launches, then machines that take no more jobs and leave by themselves.

The leaving machines are chosen once, idle ones first according to the collector's ads.  Those ads may be old, so
nothing depends on them: a machine that is listed in the annex's object in S3 refuses new jobs and is turned off once it
has none.  Only `now` terminates it with its jobs.
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annexd.annex.fleet.inventory import ENDING, Instance, living_instances, stop_fleet, terminate
from annexd.annex.join.config_bundle import Present
from annexd.annex.request.further_fleet import weights_of
from annexd.annex.request.order import ShrinkOrder
from annexd.annex.steps.change_checks import Turn, is_cancelled, lasting
from annexd.annex.steps.context import StepContext, require_settled
from annexd.annex.steps.put_object import put_present
from annexd.annex.steps.tag_fleets import AnnexFleets, fleets_of
from annexd.workflow import Nothing, Refused, Results, Retry


@dataclass(frozen=True)
class Leaving:
    """The instances that leave, how many had jobs, and the annex's end and longest life as in its object."""

    instance_ids: tuple[str, ...]
    busy: int
    end_s: int
    max_lease_s: int


@dataclass(frozen=True)
class LeavingIntent:
    """The annex's fleets with all instances that leave, and the choice."""

    fleets: AnnexFleets
    leaving: Leaving


class StopLaunching:
    """Ends the fleets without their instances, so that nothing is launched in place of the leaving machines."""

    name = "stop_launching"
    intent_type = Turn
    shows_late = False
    result_type = Nothing

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: ShrinkOrder, results: Results) -> Turn:
        return results.of(Turn)

    def forward(self, order: ShrinkOrder, intent: Turn) -> Nothing:
        require_settled(self._context, intent.unclear_at_s)
        ec2 = self._context.access(order.target).ec2
        fleets = lasting(fleets_of(self._context, ec2, intent.fleets))
        if is_cancelled(fleets):
            message = f"annex {order.annex_id} was cancelled: all its machines end"
            raise Refused(message, untouched=True, result="InvalidState")
        launching = [fleet.fleet_id for fleet in fleets if not fleet.is_ended]
        for fleet_id in launching:
            stop_fleet(ec2, fleet_id)
        if launching:
            raise Retry(f"{launching[0]} was asked to launch no more; annexd checks it again")
        return Nothing()

    def backward(self, _order: ShrinkOrder, _intent: Turn, _asked_at_s: float) -> None:
        """Do nothing: a fleet that launches no more cannot be made to launch again."""


class ChooseMachines:
    """Chooses the machines that leave: those without jobs first, the newest of them first.  Changes nothing."""

    name = "choose_machines"
    intent_type = Turn
    shows_late = False
    result_type = Leaving

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: ShrinkOrder, results: Results) -> Turn:
        return results.of(Turn)

    def forward(self, order: ShrinkOrder, intent: Turn) -> Leaving:
        ec2 = self._context.access(order.target).ec2
        fleets = lasting(fleets_of(self._context, ec2, intent.fleets))
        staying = [one for fleet in fleets for one in staying_in(ec2, fleet.fleet_id, intent.fleets.leaving)]
        staying.sort(key=lambda one: _reluctance(one, order))
        chosen = tuple(_chosen(staying, order))
        end_s = min(fleet.written_end_s for fleet in fleets)
        oldest_s = min(fleet.created_s or 0.0 for fleet in fleets)
        return Leaving(chosen, len(set(chosen) & set(order.claimed)), end_s, math.ceil(end_s - oldest_s))

    def backward(self, _order: ShrinkOrder, _intent: Turn, _asked_at_s: float) -> None:
        """Do nothing: this step creates nothing."""


def staying_in(ec2: Any, fleet_id: str, leaving: Container[str]) -> list[Instance]:
    """Return the instances of a fleet that neither end nor were asked to leave.  Raises Retry or Refused."""
    living = living_instances(ec2, fleet_id)
    return [one for one in living if one.state != ENDING and one.instance_id not in leaving]


def units_of(machines: Iterable[Instance], weights: Mapping[str, float]) -> float:
    """Return how many units these machines count, by their instance types."""
    return sum(weights.get(one.pool.kind, 1.0) for one in machines)


def _chosen(staying: Sequence[Instance], order: ShrinkOrder) -> Iterator[str]:
    """Yield machines, in this order, as long as enough units are left."""
    weights = (weights_of(order.subject.order) if order.subject.order else None) or {}
    left = units_of(staying, weights)
    for one in staying:
        weight = units_of([one], weights)
        if left - weight >= order.units:
            left -= weight
            yield one.instance_id


def _reluctance(one: Instance, order: ShrinkOrder) -> tuple[bool, float]:
    return one.instance_id in order.claimed, -(one.launched_s or 0.0)


class AskToLeave:
    """Lists the leaving machines in the annex's object."""

    name = "ask_to_leave"
    intent_type = LeavingIntent
    shows_late = False
    result_type = Nothing

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: ShrinkOrder, results: Results) -> LeavingIntent:
        fleets, leaving = results.of(Turn).fleets, results.of(Leaving)
        return LeavingIntent(replace(fleets, leaving=(*fleets.leaving, *leaving.instance_ids)), leaving)

    def forward(self, order: ShrinkOrder, intent: LeavingIntent) -> Nothing:
        if order.subject.order is not None and intent.leaving.instance_ids:
            present = Present(intent.leaving.end_s, intent.leaving.max_lease_s, leaving=intent.fleets.leaving)
            put_present(self._context, self._context.access(order.target), order.subject.order, present)
        return Nothing()

    def backward(self, _order: ShrinkOrder, _intent: LeavingIntent, _asked_at_s: float) -> None:
        """Do nothing: the next change of the annex rewrites the list, and no jobs are lost."""


class TerminateLeaving:
    """Terminates the leaving machines even if they have jobs, if `now` is set."""

    name = "terminate_leaving"
    intent_type = LeavingIntent
    shows_late = False
    result_type = Nothing

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: ShrinkOrder, results: Results) -> LeavingIntent:
        return LeavingIntent(results.of(Turn).fleets, results.of(Leaving))

    def forward(self, order: ShrinkOrder, intent: LeavingIntent) -> Nothing:
        if not order.now or not intent.leaving.instance_ids:
            return Nothing()
        ec2, leaving = self._context.access(order.target).ec2, set(intent.leaving.instance_ids)
        living = [one for fleet_id in intent.fleets.fleet_ids for one in living_instances(ec2, fleet_id)]
        running = [one.instance_id for one in living if one.instance_id in leaving and one.state != ENDING]
        if running:
            terminate(ec2, running)
            raise Retry(f"{running[0]} was terminated; annexd checks it again")
        return Nothing()

    def backward(self, _order: ShrinkOrder, _intent: LeavingIntent, _asked_at_s: float) -> None:
        """Do nothing: terminated machines do not come back."""
