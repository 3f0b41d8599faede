"""Read the present end of a lease, and check whether it may be moved as requested.

A longer lease costs money, so it requires a working lease function, as an order does; a shorter lease
does not.
"""

import math
from typing import Final

from annexd.annex.fleet.inventory import Fleet
from annexd.annex.lease.lease import utc
from annexd.annex.request.lease_length import fault_of_length
from annexd.annex.request.order import ChangeOrder
from annexd.annex.steps.change_checks import LeaseRead, Turn, check_is_waited_for, check_lives, check_times, lasting
from annexd.annex.steps.check_lease_function import check_max_lease, lease_function_of
from annexd.annex.steps.context import StepContext, require_settled
from annexd.annex.steps.tag_fleets import fleets_of
from annexd.aws import Clients
from annexd.workflow import Refused, Results

OTHER_END: Final = (
    "annex {annex_id} ends at {end} by AWS, so that the new end would be later than what its budget has reserved for: "
    "give the new end with -until"
)


class ReadLease:
    """Reads the present end of the lease and computes the new one."""

    name = "read_lease"
    intent_type = Turn
    shows_late = False
    result_type = LeaseRead

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: ChangeOrder, results: Results) -> Turn:
        return results.of(Turn)

    def forward(self, order: ChangeOrder, intent: Turn) -> LeaseRead:
        require_settled(self._context, intent.unclear_at_s)
        clients, checked_at_s = self._context.access(order.target), self._context.now_s()
        fleets = lasting(fleets_of(self._context, clients.ec2, intent.fleets))
        now_s = self._context.aws_now_s(clients)
        from_s = min(fleet.written_end_s for fleet in fleets)
        wanted_s = order.wanted_end_s
        end_s = from_s + (order.extension_s or 0) if wanted_s is None else wanted_s
        max_lease_s = self._checked(order, clients, fleets, from_s, end_s)
        end_s = min(end_s, int(_oldest_s(fleets)) + max_lease_s)  # where the function would end it anyway
        check_times(order, from_s, end_s, now_s)
        if end_s > from_s:
            self._check_extension(order, end_s, now_s)
        if order.reserved_end_s is not None and end_s > order.reserved_end_s:
            raise Refused(OTHER_END.format(annex_id=order.annex_id, end=utc(from_s)), untouched=True)
        return LeaseRead(from_s, end_s, max_lease_s, checked_at_s)

    def _check_extension(self, order: ChangeOrder, end_s: int, now_s: float) -> None:
        """Refuse an extension that was delayed too long, and an end beyond ANNEX_MAX_LEASE after earlier changes."""
        check_is_waited_for(order, self._context.now_s())
        if fault := fault_of_length(end_s - now_s, order.longest_s):
            raise Refused(fault, untouched=True, result="InvalidRequest")

    def _checked(self, order: ChangeOrder, clients: Clients, fleets: list[Fleet], from_s: int, end_s: int) -> int:
        """Return the machines' longest life: the stack's MaxLease, or the present one if the end is not extended."""
        for fleet in fleets:
            check_lives(fleet)
        oldest_s = _oldest_s(fleets)
        if end_s <= from_s:
            return math.ceil(from_s - oldest_s)
        enforcer = lease_function_of(self._context, order.target, clients)
        check_max_lease(enforcer, end_s, oldest_s)
        return enforcer.max_lease_s

    def backward(self, _order: ChangeOrder, _intent: Turn, _asked_at_s: float) -> None:
        """Do nothing: this step creates nothing."""


def _oldest_s(fleets: list[Fleet]) -> float:
    return min(fleet.created_s or 0.0 for fleet in fleets)
