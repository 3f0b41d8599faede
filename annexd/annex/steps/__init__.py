"""Lease before money: the order of the steps of an annex.

The fleet comes last and brings its lease with it, in one call; before that comes the check that the lease function
works.  Undo runs in reverse and never passes a step that failed.
"""

from typing import Any

from annexd.annex.request.order import FleetOrder
from annexd.annex.steps.check_lease_function import CheckLeaseFunction
from annexd.annex.steps.context import StepContext
from annexd.annex.steps.create_template import CreateTemplate
from annexd.annex.steps.limited import Limited
from annexd.annex.steps.put_object import PutObject
from annexd.annex.steps.read_templates import ReadTemplates
from annexd.annex.steps.request_fleet import RequestFleet
from annexd.workflow import Step, Workflow


def annex_steps(context: StepContext) -> Workflow[FleetOrder]:
    """Return the steps of every annex, in their order, for an Engine of annexes."""
    steps = (
        Limited(CheckLeaseFunction(context)),
        Limited(ReadTemplates(context)),
        Limited(PutObject(context)),
        Limited(CreateTemplate(context)),
        Limited(RequestFleet(context)),
    )
    return Workflow(FleetOrder, steps)


def further_steps(context: StepContext) -> tuple[Step[FleetOrder, Any, Any], ...]:
    """Return the steps of a further fleet of an annex, whose object in S3 exists."""
    return CheckLeaseFunction(context), ReadTemplates(context), CreateTemplate(context), RequestFleet(context)


__all__ = ["StepContext", "annex_steps", "further_steps"]
