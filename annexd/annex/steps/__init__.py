"""Lease before money: the order of the steps of an annex.

PutRule and PutTargets come before anything that is billed, so that an annexd that dies for good still
leaves behind the one thing that will end its instances.  Undo runs the other way and may not pass a step
that failed, for the same reason.
"""

from annexd.annex.steps.asking import World
from annexd.annex.steps.get_function import GetFunction
from annexd.annex.steps.limited import Limited
from annexd.annex.steps.put_object import PutObject
from annexd.annex.steps.put_rule import PutRule
from annexd.annex.steps.put_targets import PutTargets
from annexd.annex.steps.request_spot_fleet import RequestSpotFleet
from annexd.workflow import Step


def annex_steps(world: World) -> tuple[Step, ...]:
    """The steps of every annex, in their order: what an Engine of annexes is made with."""
    steps = GetFunction(world), PutRule(world), PutTargets(world), PutObject(world), RequestSpotFleet(world)
    return tuple(Limited(step) for step in steps)


__all__ = ["World", "annex_steps"]
