"""CA_CHANGE_LEASE, from the command ad to the reply ad: move the end of an annex's lease.

Only its owner or a super user may change it.  A change is a workflow, as an order is; changes of one annex's end are
carried out one after another.  A change that cannot be carried out within minutes is undone and reported as failed:
nobody waits for it longer, and an extension that comes much later would cost money that nobody wants to spend any more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.carry_out import carry_out
from annexd.annex.index import CHANGE, AnnexIndex
from annexd.annex.named_annex import OWN_NAMES, Named, NamedAnnex
from annexd.annex.reply import NotNow, ReplyAd, reply_of_change
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.lease_length import LONGEST_S, fault_of_new_end
from annexd.annex.request.order import ChangeOrder, OrderOnAnnex
from annexd.annex.request.request import own_of
from annexd.annex.request.same_request import digest_of
from annexd.annex.reservations import Reservations
from annexd.annex.steps import StepContext
from annexd.annex.steps.inform_machines import InformMachines
from annexd.annex.steps.limited import Limited
from annexd.annex.steps.move_end import MoveEnd
from annexd.annex.steps.read_lease import ReadLease
from annexd.annex.steps.wait_for_turn import WaitForTurn
from annexd.workflow import Engine, Outcome, State, Workflow

COMMAND: Final = "CA_CHANGE_LEASE"
DEADLINES: Final = 2.5  # of an order's step: a call without a response takes effect sooner (StepContext.settle_s)
OWN: Final = OWN_NAMES | {"leaseextension", "endoflease", "now"}


def add_changing(engine: Engine, context: StepContext, index: AnnexIndex) -> None:
    """Register the workflow that moves the end of leases with an Engine of annexes."""
    turn = Limited(WaitForTurn(context, engine, index))
    steps = turn, Limited(ReadLease(context)), Limited(MoveEnd(context)), Limited(InformMachines(context))
    engine.add(CHANGE, Workflow(ChangeOrder, steps, deadlines=DEADLINES))


@dataclass(frozen=True)
class ChangeRequest:
    """A valid request, which can be carried out if the annex exists and its lease has not ended."""

    named: Named
    extension_s: int | None
    end_of_lease_s: int | None
    now: bool

    @classmethod
    def from_ad(cls, ad: Mapping[str, Any], now_s: float, defaults: Defaults) -> "ChangeRequest":
        """Parse an ad.  Raises InvalidRequest with every fault."""
        own = own_of(COMMAND, ad, OWN)
        named, end_s = Named.read(own), own.value("EndOfLease")
        extension_s, now = own.seconds("LeaseExtension", LONGEST_S), own.flag("Now", False)
        if own.missing("LeaseExtension") == own.missing("EndOfLease"):
            own.faults.append("a change needs either LeaseExtension or EndOfLease (-extend or -until)")
        elif end_s is not None and (fault := fault_of_new_end(end_s, now_s, defaults)):
            own.faults.append(fault)
        if own.faults:
            raise InvalidRequest(own.faults)
        return cls(named, extension_s, end_s, now)


def change_lease(
    ad: Mapping[str, Any],
    owner: str,
    index: AnnexIndex,
    context: StepContext,
    defaults: Defaults,
    now_s: float,
    *,
    reservations: Reservations | None = None,
    accepted: Callable[[State], None] = lambda _: None,
) -> ReplyAd:
    """Move the end of the annex in `ad` for `owner` (user@domain), and reply when its fleet shows it.  Blocks."""

    def begin() -> State:
        request = ChangeRequest.from_ad(ad, now_s, defaults)
        annex = NamedAnnex(request.named, owner, index, context, defaults, now_s)
        return _accepted(request, annex, digest_of(ad), reservations)

    def answer(_: State, outcome: Outcome) -> ReplyAd:
        return reply_of_change(outcome)

    return carry_out(ad, owner, index.engine, COMMAND, (CHANGE,), begin, answer, accepted)


def _accepted(request: ChangeRequest, annex: NamedAnnex, asked: str, reservations: Reservations | None) -> State:
    """Return the workflow that carries it out.  Raises the errors in ANSWERED."""
    known = annex.known()
    if known is not None:
        annex.check_not_over(known)
    order = _wanted(request, annex, annex.order_from_the_cloud() if known is None else annex.order(known, "changed"))
    with annex.index.changing:
        if annex.index.cancellation(order.subject.key) is not None:
            raise NotNow(f"annex {order.annex_id} was cancelled: its end cannot be moved")
        if reservations is None or known is None:
            return annex.index.engine.accept(annex.named.command_id, annex.owner, order, asked)
        return reservations.change(annex.named.command_id, annex.owner, order, asked, known)


def _wanted(request: ChangeRequest, annex: NamedAnnex, order: OrderOnAnnex) -> ChangeOrder:
    """Return the requested change.

    `end_of_lease_s` is the resulting end as far as the journal knows; annexd looks after the annex until then.  AWS
    shows later when the lease ends now, and so whether the new end is within bounds.
    """
    present_s, extension_s = order.end_of_lease_s, request.extension_s or 0
    latest_s = present_s + extension_s if request.end_of_lease_s is None else request.end_of_lease_s
    if latest_s > present_s:
        fault = fault_of_new_end(latest_s, annex.now_s, annex.defaults)
        if fault is not None:
            raise InvalidRequest([fault])
    annex_order = order.subject.order
    if annex_order is None and latest_s > present_s:
        raise NotNow(
            f"annexd has no record of the order of annex {order.annex_id}, so its machines would not hear "
            "of the new end: it can only be shortened or cancelled"
        )
    return ChangeOrder(
        order.annex_id,
        order.target,
        max(present_s, latest_s),
        order.subject,
        command_id=annex.named.command_id,
        extension_s=request.extension_s,
        wanted_end_s=request.end_of_lease_s,
        now=request.now,
        asked_at_s=annex.now_s,
        longest_s=annex.defaults.max_lease_s,
        drain_s=annex_order.join.drain_s if annex_order and annex_order.join else 0,
    )
