"""CA_RESIZE_ANNEX, from the command ad to the reply ad: change the size of an annex.

More units are a further fleet of the annex, under its present end: a workflow with the same steps as an order.  To
shrink it, machines are asked to take no more jobs and to leave.  Only its owner or a super user may do either.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Final

from annexd.annex.carry_out import carry_out
from annexd.annex.fleet.inventory import Fleet, fleets_of_annex
from annexd.annex.index import GROW, SHRINK, AnnexIndex, AnnexRecord
from annexd.annex.lease.lease import utc
from annexd.annex.named_annex import OWN_NAMES, Named, NamedAnnex
from annexd.annex.reply import NotNow, ReplyAd, reply, reply_of_growth, reply_of_reduction
from annexd.annex.request.ad_attributes import AdAttributes
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest, shown
from annexd.annex.request.further_fleet import faults_of_size, further_fleet, weights_of
from annexd.annex.request.lease_length import duration, is_too_short
from annexd.annex.request.order import FleetOrder, GrowOrder, OrderOnAnnex, ShrinkOrder
from annexd.annex.request.request import own_of
from annexd.annex.request.same_request import digest_of
from annexd.annex.reservations import Reservations
from annexd.annex.steps import StepContext, further_steps
from annexd.annex.steps.change_checks import is_cancelled, lasting
from annexd.annex.steps.fewer_machines import (
    AskToLeave,
    ChooseMachines,
    StopLaunching,
    TerminateLeaving,
    staying_in,
    units_of,
)
from annexd.annex.steps.further_fleet import CheckAnnex, OfFurtherFleet
from annexd.annex.steps.limited import STEP_S, Limited
from annexd.annex.steps.read_templates import TemplatesRead
from annexd.annex.steps.wait_for_turn import WaitForTurn
from annexd.aws import time_limit
from annexd.budget.hold import Hold
from annexd.workflow import SUCCESS, Engine, Outcome, State, Workflow

COMMAND: Final = "CA_RESIZE_ANNEX"
DEADLINES: Final = 2.5  # as for a change of the end: it may wait for its turn
OWN: Final = OWN_NAMES | {"targetcapacity", "now"}


def add_resizing(engine: Engine, context: StepContext, index: AnnexIndex) -> None:
    """Register the workflows of further fleets and of fewer machines with an Engine of annexes."""
    before = Limited(WaitForTurn(context, engine, index)), Limited(CheckAnnex(context))
    steps = (Limited(OfFurtherFleet(each)) for each in further_steps(context))
    engine.add(GROW, Workflow(GrowOrder, (*before, *steps), deadlines=DEADLINES))
    fewer = StopLaunching(context), ChooseMachines(context), AskToLeave(context), TerminateLeaving(context)
    engine.add(SHRINK, Workflow(ShrinkOrder, (before[0], *(Limited(each) for each in fewer)), patient=True))


@dataclass(frozen=True)
class ResizeRequest:
    """A valid request, which can be carried out if the annex exists."""

    named: Named
    units: int
    now: bool

    @classmethod
    def from_ad(cls, ad: Mapping[str, Any]) -> "ResizeRequest":
        """Parse an ad.  Raises InvalidRequest with every fault."""
        own = own_of(COMMAND, ad, OWN)
        request = cls(Named.read(own), _units(own), own.flag("Now", False))
        if own.faults:
            raise InvalidRequest(own.faults)
        return request


def _units(own: AdAttributes) -> int:
    value = own.value("TargetCapacity")
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    what = "is missing" if value is None else f"must be a number above 0, not {shown(value)}"
    own.faults.append(f"TargetCapacity {what}: the size of the annex (-cancel ends it)")
    return 0


def resize_annex(
    ad: Mapping[str, Any],
    owner: str,
    index: AnnexIndex,
    context: StepContext,
    defaults: Defaults,
    now_s: float,
    claimed: Set[str] = frozenset(),
    *,
    reservations: Reservations | None = None,
    accepted: Callable[[State], None] = lambda _: None,
) -> ReplyAd:
    """Resize the annex in `ad` for `owner` (user@domain), and reply when AWS has its further fleet, or when
    its machines are asked to leave.  Blocks.  `claimed`: the instances with jobs, according to the collector.
    """

    def begin() -> State | ReplyAd:
        request = ResizeRequest.from_ad(ad)
        annex = NamedAnnex(request.named, owner, index, context, defaults, now_s)
        resizing = _Resizing(request, annex, claimed, reservations)
        return resizing.accepted(digest_of(ad)) or resizing.unchanged()

    def answer(state: State, outcome: Outcome) -> ReplyAd:
        return reply_of_growth(outcome) if state.workflow == GROW else reply_of_reduction(outcome)

    return carry_out(ad, owner, index.engine, COMMAND, (GROW, SHRINK), begin, answer, accepted)


@dataclass(frozen=True)
class _Present:
    """The annex's end and size according to AWS, without the leaving machines, and the time by AWS's clock."""

    end_s: int
    units: int
    now_s: float
    running: int  # units of machines


@dataclass(frozen=True)
class _Resizing:
    """A request on its way into the journal."""

    request: ResizeRequest
    annex: NamedAnnex
    claimed: Set[str]
    reservations: Reservations | None

    def accepted(self, asked: str) -> State | None:
        """Return the workflow that does this, or None if the annex has this size.  Raises the errors in ANSWERED."""
        known, index = self._known(), self.annex.index
        self._check_can_change(known)
        before = index.earlier_changes(known.annex_id, "")
        order, annex_order = self.annex.order(known, "resized"), self._order_of(known)
        present = self._present(order, annex_order)
        if self.request.units == present.units:
            return None
        smaller = self.request.units < present.units
        wanted: ShrinkOrder | GrowOrder
        hold = None
        if smaller:
            wanted = self._fewer(order, annex_order, present)
        else:
            wanted, hold = self._bounded(known, self._wanted(known, order, annex_order, present))
        with index.changing:
            self._check_can_change(known)
            if index.earlier_changes(known.annex_id, "") != before:
                raise NotNow(f"annex {known.annex_id} was changed at this moment: ask again")
            command_id, owner = self.annex.named.command_id, self.annex.owner
            if self.reservations is None or isinstance(wanted, ShrinkOrder):
                return index.engine.accept(command_id, owner, wanted, asked)
            return self.reservations.accept(command_id, owner, wanted, asked, hold)

    def _bounded(self, known: AnnexRecord, order: GrowOrder) -> tuple[GrowOrder, Hold | None]:
        """Return the order with the price bounds that its budgets require, and its reservation."""
        if self.reservations is None:
            return order, None
        bounded = self.reservations.bounded(known.owner, order.further, order.target, self.annex.defaults)
        return replace(order, further=bounded.order), bounded.hold

    def unchanged(self) -> ReplyAd:
        """Reply to a request for the size that the annex already has."""
        units, named = self.request.units, self.annex.named
        message = f"it has {units} units already: nothing was ordered"
        known = self._known()
        fleets = self.annex.index.fleet_ids(known.annex_id)
        ad = reply(SUCCESS, command_id=named.command_id)
        return ad | {
            "AnnexID": known.annex_id,
            "BulkRequestID": fleets[0] if fleets else None,
            "TargetCapacity": units,
            "EndOfLease": self.annex.index.end_s(known),
            "Warning": message,
        }

    def _known(self) -> AnnexRecord:
        known = self.annex.known()
        if known is None:
            message = f"annexd has no record of the order of an annex {self.annex.named.annex} of yours"
            raise InvalidRequest([f"{message}, so it cannot make more machines like its own: order a second annex"])
        return known

    def _order_of(self, known: AnnexRecord) -> FleetOrder:
        order = self.annex.index.engine.state(known.command_id).order_as(FleetOrder)
        if order is None:
            raise NotNow(f"the journal's record of the order of annex {known.annex_id} cannot be read")
        return order

    def _check_can_change(self, known: AnnexRecord) -> None:
        """Raise NotNow for an annex that is being ordered or resized, or is cancelled or over."""
        index, annex_id = self.annex.index, known.annex_id
        if index.cancellation(annex_id) is not None:
            raise NotNow(f"annex {annex_id} was cancelled: it cannot be resized")
        if index.engine.state(known.command_id).finished is None:
            raise NotNow(f"annex {annex_id} is still being ordered: resize it when that is done")
        if any(index.engine.state(each).finished is None for each in index.resizes(annex_id)):
            raise NotNow(f"annex {annex_id} is still being resized: ask again when that is done")
        self.annex.check_not_over(known)

    def _present(self, order: OrderOnAnnex, annex_order: FleetOrder) -> _Present:
        """Query AWS.  Blocks.  Raises NotNow, Retry or Refused."""
        with time_limit(STEP_S):
            clients = self.annex.context.access(order.target)
            fleets = lasting(fleets_of_annex(clients.ec2, order.annex_id, order.subject.fleet_ids))
            if not fleets or is_cancelled(fleets):
                raise NotNow(f"annex {order.annex_id} is over by what AWS shows: order a new one")
            weights = weights_of(annex_order)
            leaving = set(self.annex.index.leaving(order.annex_id))
            staying = [staying_in(clients.ec2, fleet.fleet_id, leaving) for fleet in fleets]
            running = [int(units_of(machines, weights or {})) for machines in staying]
            pairs = zip(fleets, running, strict=True)
            units = sum(_units_of(fleet, number, known=weights is not None) for fleet, number in pairs)
            end_s = min(fleet.written_end_s for fleet in fleets)
            return _Present(end_s, units, self.annex.context.aws_now_s(clients), sum(running))

    def _fewer(self, order: OrderOnAnnex, annex_order: FleetOrder, present: _Present) -> ShrinkOrder:
        """Return the order for fewer machines.  Raises InvalidRequest or NotNow."""
        units, annex_id, now = self.request.units, order.annex_id, self.request.now
        if weights_of(annex_order) is None:
            message = f"it is unknown how many units each machine of annex {annex_id} counts as"
            raise InvalidRequest([f"{message}: it cannot be made smaller"])
        if annex_order.join is None and not now:
            message = f"the machines of annex {annex_id} read no object of annexd's, so they cannot be asked to leave"
            raise InvalidRequest([f"{message}: Now terminates them with their jobs"])
        if present.running < units:
            message = f"AWS has started only {present.running} of the {present.units} units of annex {annex_id}"
            raise NotNow(f"{message}: ask again when its provisioning delay is over")
        return ShrinkOrder(
            annex_id,
            order.target,
            present.end_s,
            order.subject,
            command_id=self.annex.named.command_id,
            units=units,
            now=now,
            claimed=tuple(sorted(self.claimed)),
        )

    def _wanted(self, known: AnnexRecord, order: OrderOnAnnex, annex_order: FleetOrder, present: _Present) -> GrowOrder:
        """Return the further fleet.  Raises InvalidRequest or NotNow."""
        defaults, units, annex_id = self.annex.defaults, self.request.units, order.annex_id
        if faults := list(faults_of_size(annex_order, units, defaults)):
            raise InvalidRequest(faults)
        if self.request.now:
            raise InvalidRequest([f"Now is for fewer machines, and annex {annex_id} has only {present.units} units"])
        left_s = present.end_s - present.now_s
        if is_too_short(left_s, defaults):
            least = duration(defaults.shortest_lease_s)
            message = f"annex {annex_id} ends at {utc(present.end_s)}, in less than ANNEX_MIN_LEASE ({least})"
            raise NotNow(f"{message}: extend it first (condor_annex -extend)")
        valid_until_s = int(min(self.annex.now_s + defaults.provisioning_delay_s, present.end_s))
        read = self.annex.index.engine.state(known.command_id).results.of(TemplatesRead)
        more = further_fleet(annex_order, read.versions, units - present.units, present.end_s, valid_until_s)
        return GrowOrder(
            annex_id,
            order.target,
            present.end_s,
            order.subject,
            command_id=self.annex.named.command_id,
            further=more,
            units=units,
        )


def _units_of(fleet: Fleet, running: int, *, known: bool) -> int:
    """Return the units of a fleet: the requested ones while it launches, then those that are left.

    If the units per machine are not `known`, all units that AWS has started count.
    """
    target = fleet.target or 0
    if fleet.is_launching:
        return target
    if not known:
        return target if fleet.fulfilled is None else min(target, int(fleet.fulfilled))
    return running
