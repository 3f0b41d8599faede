"""Find the annex that a command names, check who may act on it, and read its state from the journal or AWS.

An annex that the journal does not know, such as after the loss of its disk, is looked for in the cloud: with the
requester's keys, or with annexd's own.
"""

from dataclasses import dataclass, replace
from typing import Final

from annexd.annex.fleet.inventory import Fleet, fleets_of_annex, living_instances, take_inventory
from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.lease.lease import NOT_IN_TAGS, utc
from annexd.annex.reply import NotNow
from annexd.annex.request.account_target import AccountTarget, Requester, own_target
from annexd.annex.request.ad_attributes import AdAttributes, fault_of_reference
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.key_source import KEY_NAMES, KeySource
from annexd.annex.request.order import FleetOrder, OrderOnAnnex, Subject
from annexd.annex.request.request import command_id_in
from annexd.annex.steps import StepContext
from annexd.annex.steps.limited import STEP_S
from annexd.aws import time_limit
from annexd.workflow import SUCCESS, NotOwner, State

OWN_NAMES: Final = KEY_NAMES | {"command", "requestversion", "commandid", "annex"}


@dataclass(frozen=True)
class Named:
    """The common part of every command on one annex."""

    command_id: str
    annex: str
    keys: KeySource

    @classmethod
    def read(cls, own: AdAttributes) -> "Named":
        """Read it from an ad; add faults to `own.faults`, in which case the result is unusable."""
        annex = own.text("Annex", fault_of_reference)
        if annex is None and own.missing("Annex"):
            own.faults.append("Annex is missing: give an annex ID, a fleet ID or an annex name")
        return cls(command_id_in(own), annex or "", KeySource.read(own))


@dataclass(frozen=True)
class NamedAnnex:
    """The annex that `owner` (user@domain) means."""

    named: Named
    owner: str
    index: AnnexIndex
    context: StepContext
    defaults: Defaults
    now_s: float

    def known(self) -> AnnexRecord | None:
        """Return its record in the journal, once the owner is checked; None if the journal does not have it.

        Raises InvalidRequest for a name of several, or NotOwner.
        """
        called = self.index.called(self.named.annex, self.owner, of_all=self.owner in self.defaults.super_users)
        live = [one for one in called if self._is_live(one)]
        if len(live) > 1:
            of = {one.annex_id: "" if one.owner == self.owner else f"of {one.owner}, " for one in live}
            names = ", ".join(f"{one.annex_id} ({of[one.annex_id]}until {utc(self.index.end_s(one))})" for one in live)
            yours = " of yours" if not any(of.values()) else ""
            raise InvalidRequest([f"{self.named.annex} is the name of {len(live)} annexes{yours}: {names}"])
        known = next(iter(live or called), None)
        if known is not None:
            self._check_owner(known.owner, known.annex_id)
        return known

    def order(self, known: AnnexRecord, verb: str) -> OrderOnAnnex:
        """Return the data that a workflow on it needs, from the journal; `verb` as in "cancelled".  Raises NotNow."""
        state, annex_id = self.index.engine.state(known.command_id), known.annex_id
        if state.finished is not None and state.is_given_up:
            raise NotNow(f"annex {annex_id} can no longer be {verb}: it was {state.finished[1]}")
        if state.finished is not None and state.finished[0] != SUCCESS:
            raise NotNow(f"annex {annex_id} does not exist: its order failed and was undone")
        order = _order_in(state)
        subject = Subject(annex_id, self.index.fleet_ids(annex_id), known.command_id, order)
        return OrderOnAnnex(annex_id, self._with_given_keys(order.target), self.index.end_s(known), subject)

    def check_not_over(self, known: AnnexRecord) -> None:
        """Look in the cloud for an annex whose end has passed according to the journal, since it may have been moved.
        Blocks.

        Raises NotNow, Retry or Refused.
        """
        state, end_s = self.index.engine.state(known.command_id), self.index.end_s(known)
        if state.finished is None or state.finished[0] != SUCCESS or end_s > self.now_s:
            return
        if self.index.cancellation(known.annex_id) is not None:
            raise NotNow(f"annex {known.annex_id} is cancelled: its lease ended at {utc(end_s)}")
        with time_limit(STEP_S):
            ec2 = self.context.access(self._with_given_keys(_order_in(state).target)).ec2
            fleets = fleets_of_annex(ec2, known.annex_id, self.index.fleet_ids(known.annex_id))
            if not any(fleet.is_launching or living_instances(ec2, fleet.fleet_id) for fleet in fleets):
                raise NotNow(f"annex {known.annex_id} is over: its lease ended at {utc(end_s)}")

    def order_from_the_cloud(self) -> OrderOnAnnex:
        """Return the same for an annex that the journal does not know.

        Raises InvalidRequest, NotOwner, NotNow, Retry or Refused.
        """
        target = self._target()
        if target is None:
            message = (
                f"annexd knows no annex {self.named.annex} of yours; with keys (files, a profile) annexd also looks "
                "for it"
            )
            raise InvalidRequest([f"{message} in AWS"])
        with time_limit(STEP_S):
            inventory = take_inventory(self.context.access(target).ec2)
        living, owner = inventory.living(), NOT_IN_TAGS.sub("_", self.owner)
        meant = sorted(
            filter(self._is_meant, inventory.fleets),
            key=lambda fleet: (fleet.fleet_id not in living, fleet.owner != owner),
        )
        if not meant:
            message = f"annexd knows no annex {self.named.annex} of yours, and AWS shows these keys none in"
            raise InvalidRequest([f"{message} {target.endpoints.region}"])
        fleet = meant[0]  # a living one, if any; of those, the requester's own
        if fleet.owner != owner:
            self._check_owner(fleet.owner, fleet.annex_id)
        self._check_unknown(fleet)
        if fleet.fleet_id not in living:
            raise NotNow(f"annex {fleet.annex_id} is over: nothing of it is left")
        fleet_ids = [each.fleet_id for each in meant if (each.annex_id, each.owner) == (fleet.annex_id, fleet.owner)]
        subject = Subject(fleet.fleet_id, tuple(fleet_ids), order_command_id=None, order=None)
        return OrderOnAnnex(fleet.annex_id, target, fleet.written_end_s, subject)

    def given_keys(self) -> Requester | None:
        """Return the requester with the given keys, or None if those of the order remain in use."""
        if not self.named.keys.is_given:
            return None
        return Requester(self.owner, self.defaults.account_of(self.owner), self.named.keys)

    def _with_given_keys(self, target: AccountTarget) -> AccountTarget:
        return replace(target, requester=self.given_keys() or target.requester)

    def _is_live(self, known: AnnexRecord) -> bool:
        state = self.index.engine.state(known.command_id)
        if state.finished is None:
            return True
        is_leased = state.finished[0] == SUCCESS and self.index.end_s(known) > self.now_s
        return is_leased and self.index.cancellation(known.annex_id) is None

    def _check_owner(self, owner: str, annex_id: str) -> None:
        if self.owner != owner and self.owner not in self.defaults.super_users:
            raise NotOwner(f"annex {annex_id} belongs to another user")

    def _check_unknown(self, fleet: Fleet) -> None:
        """Refuse a fleet of an annex that is in the journal.

        Its order shows its owner: a fleet's token and tags may be copied.
        """
        for known in self.index.called(fleet.annex_id, self.owner):
            self._check_owner(known.owner, known.annex_id)
            raise InvalidRequest([f"{fleet.fleet_id} belongs to annex {fleet.annex_id}: use that ID"])

    def _is_meant(self, fleet: Fleet) -> bool:
        return self.named.annex in (fleet.annex_id, fleet.fleet_id)

    def _target(self) -> AccountTarget | None:
        """Return annexd's own region, with the requester's keys or annexd's."""
        own = own_target(self.defaults, keyed=self.named.keys.is_given)
        return None if own is None else self._with_given_keys(own)


def _order_in(state: State) -> FleetOrder:
    order = state.order_as(FleetOrder)
    if order is None:
        raise NotNow(f"the journal of {state.command_id} is unusable: {state.damage}")
    return order
