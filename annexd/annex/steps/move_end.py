"""Move the end of a lease: write the tag on each of its fleets, and verify it."""

from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.fleet.inventory import Fleet, fleets_of_annex
from annexd.annex.lease.lease import TAG_LEASE_END, utc
from annexd.annex.request.order import ChangeOrder
from annexd.annex.steps.change_checks import (
    LeaseRead,
    MoveIntent,
    Turn,
    check_is_waited_for,
    check_lives,
    check_times,
    is_cancelled,
    lasting,
)
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S, lease_function_of
from annexd.annex.steps.context import StepContext, require_settled
from annexd.annex.steps.inform_machines import inform
from annexd.annex.steps.tag_fleets import AnnexFleets, fleets_of, write_tag
from annexd.aws import Clients
from annexd.workflow import Refused, Results, Retry

LOOK_AGAIN_S: Final = 0.25, 0.5, 1.0, 2.0  # EC2 is eventually consistent: a tag that appears a little late is not lost
NO_RIGHT: Final = (
    "these keys lack the right to tag fleets (ec2:CreateTags with htcondor:annex-lease-end): the policies that "
    "condor_annex -setup lists grant it"
)


@dataclass(frozen=True)
class EndMoved:
    """The end in the fleets' tags now."""

    end_of_lease_s: int


class MoveEnd:
    """Writes the tag on each fleet and verifies it."""

    name = "move_end"
    intent_type = MoveIntent
    shows_late = False
    result_type = EndMoved

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: ChangeOrder, results: Results) -> MoveIntent:
        return MoveIntent(results.of(Turn).fleets, results.of(LeaseRead))

    def forward(self, order: ChangeOrder, intent: MoveIntent) -> EndMoved:
        clients, end_s = self._context.access(order.target), intent.lease.end_of_lease_s
        fleets = lasting(fleets_of(self._context, clients.ec2, intent.fleets))
        todo, written = [fleet for fleet in fleets if fleet.written_end_s != end_s], list[Fleet]()
        try:
            for fleet in todo:
                self._write(order, intent.lease, clients, fleet)
                written.append(fleet)
            if todo:
                wait_until_seen(self._context, clients.ec2, intent.fleets, end_s)
        except (Retry, Refused) as error:
            error.untouched = error.untouched and not written  # whatever AWS's response to the last call was
            raise
        return EndMoved(end_s)

    def _write(self, order: ChangeOrder, lease: LeaseRead, clients: Clients, fleet: Fleet) -> None:
        check_lives(fleet)
        check_times(order, lease.from_s, lease.end_of_lease_s, self._context.aws_now_s(clients))
        if lease.is_longer:
            check_is_waited_for(order, self._context.now_s())
        if lease.is_longer and not 0 <= self._context.now_s() - lease.checked_at_s <= CHECK_AGAIN_S:
            lease_function_of(self._context, order.target, clients)
        if not write_tag(clients.ec2, fleet.fleet_id, TAG_LEASE_END, utc(lease.end_of_lease_s)):
            raise Refused(NO_RIGHT, untouched=True)

    def backward(self, order: ChangeOrder, intent: MoveIntent, asked_at_s: float) -> None:
        """Restore the end of an extended lease, then inform the machines; a shortened lease is not extended again."""
        lease, annex = intent.lease, intent.fleets
        if not lease.is_longer:
            return
        ec2 = self._context.access(order.target).ec2
        listed = fleets_of_annex(ec2, annex.annex_id, annex.fleet_ids)  # no fleets: nothing is left of it
        if is_cancelled(listed):
            return
        require_settled(self._context, asked_at_s)
        fleets = [each for each in listed if each.written_end_s == lease.end_of_lease_s]
        for fleet in fleets:
            if not write_tag(ec2, fleet.fleet_id, TAG_LEASE_END, utc(lease.from_s)):
                raise Refused(NO_RIGHT)
        if fleets:
            wait_until_seen(self._context, ec2, annex, lease.from_s)
        try:
            inform(self._context, order, intent, lease.from_s)
        except (Retry, Refused) as error:  # the lease ends then, even if its machines have another end
            if isinstance(error, Retry) and error.wait is None:
                raise


def wait_until_seen(context: StepContext, ec2: Any, annex: AnnexFleets, end_s: int) -> None:
    """Return when the fleets show this end.  Raises Retry if they do not within seconds."""
    for pause_s in LOOK_AGAIN_S:
        if all(fleet.written_end_s == end_s for fleet in lasting(fleets_of(context, ec2, annex))):
            return
        context.pause(pause_s)
    raise Retry(f"annex {annex.annex_id} does not show its new end yet; annexd checks it again")
