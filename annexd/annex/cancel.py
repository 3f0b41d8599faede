"""CA_CANCEL_ANNEX, from the command ad to the reply ad: end an annex before the end of its lease.

The journal shows which annex is meant.  If it does not know the annex, such as after the loss of its disk, the cloud
shows it.  Only its owner or a super user may end it.  It is a workflow like an order: it continues after any crash, and
the same CommandID gets the same answer.  One annex has one cancellation; a repeated request joins it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from annexd.annex.carry_out import carry_out
from annexd.annex.index import CANCEL, AnnexIndex
from annexd.annex.lease.lease import utc
from annexd.annex.named_annex import OWN_NAMES, Named, NamedAnnex
from annexd.annex.reply import NotNow, ReplyAd, reply, reply_of_cancel
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.order import CancelOrder, FleetOrder, OrderOnAnnex, with_requester
from annexd.annex.request.request import command_id_of, own_of
from annexd.annex.request.same_request import digest_of
from annexd.annex.steps import StepContext
from annexd.annex.steps.end_fleets import EndFleets
from annexd.annex.steps.limited import Limited
from annexd.annex.steps.stop_order import StopOrder
from annexd.workflow import SUCCESS, Engine, NotOwner, Outcome, State, Workflow

COMMAND: Final = "CA_CANCEL_ANNEX"
OWN: Final = OWN_NAMES | {"forcex"}


def add_cancelling(engine: Engine, context: StepContext, index: AnnexIndex) -> None:
    """Register the workflow of cancellations with an Engine of annexes."""
    engine.add(CANCEL, Workflow(CancelOrder, (StopOrder(engine, index), Limited(EndFleets(context))), patient=True))


@dataclass(frozen=True)
class CancelRequest:
    """A valid request, which can be carried out if the annex exists."""

    named: Named
    forcex: bool

    @classmethod
    def from_ad(cls, ad: Mapping[str, Any]) -> "CancelRequest":
        """Parse an ad.  Raises InvalidRequest with every fault."""
        own = own_of(COMMAND, ad, OWN)
        request = cls(Named.read(own), own.flag("ForceX", False))
        if own.faults:
            raise InvalidRequest(own.faults)
        return request


def cancel_annex(
    ad: Mapping[str, Any],
    owner: str,
    index: AnnexIndex,
    context: StepContext,
    defaults: Defaults,
    now_s: float,
    *,
    accepted: Callable[[State], None] = lambda _: None,
) -> ReplyAd:
    """Cancel the annex in `ad` for `owner` (user@domain), and reply when its fleet has ended.  Blocks."""

    def begin() -> State | ReplyAd:
        request = CancelRequest.from_ad(ad)
        annex = NamedAnnex(request.named, owner, index, context, defaults, now_s)
        cancelling = _Cancelling(annex, digest_of(ad))
        return cancelling.given_up() if request.forcex else cancelling.accepted()

    def answer(state: State, outcome: Outcome) -> ReplyAd:
        again = state.finished is not None and state.command_id != command_id_of(ad)
        return reply_of_cancel(outcome, again=again)

    return carry_out(ad, owner, index.engine, COMMAND, (CANCEL,), begin, answer, accepted)


@dataclass(frozen=True)
class _Cancelling:
    """A request on its way into the journal."""

    annex: NamedAnnex
    asked: str

    def accepted(self) -> State:
        """Return the workflow that carries it out.  Raises the errors in ANSWERED."""
        known = self.annex.known()
        if known is None:
            order = self.annex.order_from_the_cloud()
            return self._joined_or_begun(order.subject.key, lambda: order)
        if self.annex.index.cancellation(known.annex_id) is None:
            self.annex.check_not_over(known)
        return self._joined_or_begun(known.annex_id, lambda: self.annex.order(known, "cancelled"))

    def _joined_or_begun(self, subject: str, order: Callable[[], OrderOnAnnex]) -> State:
        with self.annex.index.changing:  # two at once would switch the order to their own keys in turn, endlessly
            return self._joined(subject) or self._accept(order())

    def _joined(self, subject: str) -> State | None:
        """Return the existing cancellation, which uses this requester's keys from now on if some were given."""
        state, given = self.annex.index.cancellation(subject), self.annex.given_keys()
        order = state.order_as(CancelOrder) if state is not None else None
        if state is not None and state.finished is None and given is not None and order is not None:
            self.annex.index.engine.change(state.command_id, replace(with_requester(order, given), given=given))
        return state

    def _accept(self, order: OrderOnAnnex) -> State:
        owner, command_id = self.annex.owner, self.annex.named.command_id
        cancel = CancelOrder(
            order.annex_id, order.target, order.end_of_lease_s, order.subject, owner, self.annex.given_keys()
        )
        return self.annex.index.engine.accept(command_id, owner, cancel, self.asked)

    def given_up(self) -> ReplyAd:
        """Close the workflows that can no longer be undone or cancelled; reply with what may be left.  Raises as
        accepted().
        """
        index, named = self.annex.index, self.annex.named
        if self.annex.owner not in self.annex.defaults.super_users:
            raise NotOwner("only QUEUE_SUPER_USERS may use -forcex")
        known = self.annex.known()
        if known is None:
            raise InvalidRequest([f"annexd knows no annex {named.annex}"])
        state, cancellation = index.engine.state(known.command_id), index.cancellation(known.annex_id)
        changes = map(index.engine.state, index.earlier_changes(known.annex_id, ""))
        stuck = [one for one in (state, cancellation, *changes) if one is not None and one.is_stuck]
        if not stuck:
            raise NotNow(f"nothing of annex {known.annex_id} is stuck: -forcex gives up only what cannot be undone")
        message = f"given up by {self.annex.owner}; {left_over(state)}"
        for one in stuck:
            index.engine.close(one.command_id, message)
        return {**reply(SUCCESS, command_id=named.command_id), "AnnexID": known.annex_id, "Warning": message}


def left_over(state: State) -> str:
    """Describe what may be left of an order in AWS, so that it can be found there."""
    order = state.order_as(FleetOrder)
    if order is None:
        return "anything left in AWS ends with its lease"
    left = [f"fleet with client token {order.client_token}", *([f"object {order.join.key}"] if order.join else [])]
    return f"anything left in AWS ({', '.join(left)}) ends with its lease, at {utc(order.end_of_lease_s)}"
