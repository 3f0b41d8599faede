"""CA_CANCEL_ANNEX, from the command ad to the reply ad: an annex ends before its lease would have ended it.

Which annex is meant the journal tells; for one that it does not know, such as after the loss of its disk, the cloud.
Only who ordered it may end it, or a super user.  From there it is a workflow as an order is one: it goes on whoever
dies, and the same CommandID gets the same answer.  One annex has one cancellation: who asks again joins it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.adoption import Place, own_place
from annexd.annex.asked import check_same, digest_of
from annexd.annex.defaults import Defaults
from annexd.annex.faults import InvalidRequest, shown
from annexd.annex.joining import object_key
from annexd.annex.lease import NOT_IN_TAGS, utc
from annexd.annex.reply import ANSWERED, NotNow, ReplyAd, reply, reply_of_cancel, reply_of_error
from annexd.annex.request import (
    REFERENCE,
    check_command,
    command_id_in,
    command_id_of,
    key_pair,
    own_of,
)
from annexd.annex.roll import CANCEL, FLEET_STEP, Known, Roll
from annexd.annex.steps import World
from annexd.annex.steps.end_lease import EndLease
from annexd.annex.steps.limited import STEP_S, Limited
from annexd.annex.steps.stop_order import StopOrder
from annexd.annex.survey import Fleet, survey
from annexd.aws import time_limit
from annexd.workflow import SUCCESS, Engine, Json, NotOwner, State, Workflow

COMMAND: Final = "CA_CANCEL_ANNEX"
OWN: Final = frozenset(
    ["command", "requestversion", "commandid", "annex", "publickeyfile", "secretkeyfile", "forcex"]
)
PLACE: Final = ("owner", "accounts", "endpoints", "public_key_file", "secret_key_file", "lease_function_arn")


def add_cancelling(engine: Engine, world: World) -> None:
    """Give an Engine of annexes the workflow of their cancellations."""
    engine.add(CANCEL, Workflow((StopOrder(world, engine), Limited(EndLease(world))), patient=True))


@dataclass(frozen=True)
class CancelRequest:
    """A request that can be carried out if there is such an annex."""

    command_id: str
    annex: str
    public_key_file: str | None
    secret_key_file: str | None
    forcex: bool

    @classmethod
    def from_ad(cls, ad: Mapping[str, Any]) -> "CancelRequest":
        """Raises InvalidRequest with every fault."""
        own = own_of(COMMAND, ad, OWN)
        annex = own.text("Annex", _fault_of_reference)
        if annex is None and own.missing("Annex"):
            own.faults.append("Annex is missing: say which, by its ID, its Spot Fleet request's or your name for it")
        public, secret, missing = key_pair(own)
        if len(missing) == 1:
            own.faults.append(f"{missing[0]} is missing: key files come in pairs")
        command_id, forcex = command_id_in(own), own.flag("ForceX", False)
        if own.faults:
            raise InvalidRequest(own.faults)
        return cls(command_id, annex or "", public, secret, forcex)


def cancel_annex(
    ad: Mapping[str, Any],
    owner: str,
    roll: Roll,
    world: World,
    defaults: Defaults,
    now_s: float,
    *,
    accepted: Callable[[str], None] = lambda _: None,
) -> ReplyAd:
    """Cancel what `ad` names for `owner` (user@domain), and answer when its lease has ended.  Blocks."""
    command_id, begun = command_id_of(ad), False
    try:
        check_command(ad, COMMAND)
        state = roll.engine.find(command_id, owner) if command_id else None
        if state is None:
            cancelling = _Cancelling(CancelRequest.from_ad(ad), owner, roll, world, defaults, now_s, digest_of(ad))
            if cancelling.request.forcex:
                return cancelling.given_up()
            state = cancelling.accepted()
        elif state.workflow != CANCEL:
            raise InvalidRequest([f"CommandID {command_id} is that of another command"])
        else:
            check_same(state, ad)
        again = state.finished is not None and state.command_id != command_id
        command_id, begun = state.command_id, True
        accepted(command_id)
        return reply_of_cancel(roll.engine.run(command_id), again=again)
    except ANSWERED as error:
        return reply_of_error(error, command_id, begun=begun)


@dataclass(frozen=True)
class _Cancelling:
    """A request on its way into the journal."""

    request: CancelRequest
    owner: str
    roll: Roll
    world: World
    defaults: Defaults
    now_s: float
    asked: str

    def accepted(self) -> State:
        """The workflow that carries it out.  Raises what ANSWERED names."""
        known = self._meant()
        if known is None:
            order = self._found_in_the_cloud()
            return self._joined_or_begun(order["annex_id"], lambda: order)
        self._check_owner(known.owner, known.annex_id)
        return self._joined_or_begun(known.annex_id, lambda: self._order(known))

    def _joined_or_begun(self, annex_id: str, order: Callable[[], Json]) -> State:
        with self.roll.cancelling:  # two at once would each change the order to their keys, in turn and for ever
            return self._joined(annex_id) or self._accept(order())

    def _joined(self, annex_id: str) -> State | None:
        """The cancellation that there is already; with this requester's keys from now on, if some were given."""
        state = self.roll.cancellation(annex_id)
        if state is not None and state.finished is None and (keys := self._own_keys()):
            self.roll.engine.change(state.command_id, {**keys, "keys": keys})
        return state

    def _accept(self, order: Json) -> State:
        return self.roll.engine.accept(self.request.command_id, self.owner, order, self.asked)

    def given_up(self) -> ReplyAd:
        """Close what cannot be undone, or cancelled, any more; answer with what may be left.  Raises as accepted()."""
        known = self._meant()
        if known is None:
            raise InvalidRequest([f"annexd knows no annex {self.request.annex}"])
        if self.owner not in self.defaults.super_users:
            raise NotOwner("-forcex is for QUEUE_SUPER_USERS")
        state, cancellation = self.roll.engine.state(known.command_id), self.roll.cancellation(known.annex_id)
        stuck = [one for one in (state, cancellation) if one is not None and one.is_stuck]
        if not stuck:
            raise NotNow(f"nothing of annex {known.annex_id} is stuck: -forcex is for what cannot be undone")
        words = f"given up by {self.owner}; {left_over(state)}"
        for one in stuck:
            self.roll.engine.close(one.command_id, words)
        return {**reply(SUCCESS, command_id=self.request.command_id), "AnnexID": known.annex_id, "Warning": words}

    # Which annex?

    def _meant(self) -> Known | None:
        """None when the journal knows none that could be meant."""
        called = self.roll.called(self.request.annex, self.owner)
        live = [one for one in called if self._is_live(one)]
        if len(live) > 1:
            names = ", ".join(f"{one.annex_id} (until {utc(one.end_of_lease_s)})" for one in live)
            raise InvalidRequest([f"{self.request.annex} is the name of {len(live)} annexes of yours: {names}"])
        return next(iter(live or called), None)

    def _is_live(self, known: Known) -> bool:
        state = self.roll.engine.state(known.command_id)
        if state.finished is None:
            return True
        is_leased = state.finished[0] == SUCCESS and known.end_of_lease_s > self.now_s
        return is_leased and self.roll.cancellation(known.annex_id) is None

    def _check_owner(self, owner: str, annex_id: str) -> None:
        if self.owner != owner and self.owner not in self.defaults.super_users:
            raise NotOwner(f"annex {annex_id} is another user's")

    # What the journal knows of it.

    def _order(self, known: Known) -> Json:
        """Raises NotNow for an annex that is over."""
        state = self.roll.engine.state(known.command_id)
        order, annex_id = state.order or {}, known.annex_id
        if state.finished is not None and state.is_given_up:
            raise NotNow(f"annex {annex_id} cannot be cancelled any more, it was {state.finished[1]}")
        if state.finished is not None and state.finished[0] != SUCCESS:
            raise NotNow(f"annex {annex_id} does not exist: its order failed, and all of it is undone")
        if state.finished is not None and known.end_of_lease_s <= self.now_s:
            raise NotNow(f"annex {annex_id} is over: its lease ended at {utc(known.end_of_lease_s)}")
        join, keys = order.get("join"), self._own_keys()
        return {
            **{name: order[name] for name in PLACE},
            **keys,
            "workflow": CANCEL,
            "annex_id": annex_id,
            "annex_name": known.name,
            "annex_owner": known.owner,
            "end_of_lease_s": known.end_of_lease_s,
            "spot_fleet_request_id": state.results.get(FLEET_STEP, {}).get("spot_fleet_request_id"),
            "config_object": [join["bucket"], join["key"]] if join else None,
            "order_command_id": known.command_id,
            "cancelled_by": self.owner,
            "keys": keys,
        }

    def _own_keys(self) -> Json:
        """The requester's keys, if some were given; else those of the order stay."""
        if self.request.public_key_file is None:
            return {}
        keys = {"public_key_file": self.request.public_key_file, "secret_key_file": self.request.secret_key_file}
        return {**keys, "owner": self.owner, "accounts": self.defaults.accounts_of(self.owner)}

    # What the cloud knows of it.

    def _found_in_the_cloud(self) -> Json:
        """Raises InvalidRequest, NotOwner, Retry or Refused."""
        place = self._place()
        if place is None:
            words = f"annexd knows no annex {self.request.annex} of yours; with key files it is looked for in AWS"
            raise InvalidRequest([words])
        with time_limit(STEP_S):
            seen = survey(self.world.access(place.access_order))
        fleet = next(filter(self._is_meant, seen.fleets), None)
        if fleet is None:
            region = place.order["endpoints"]["region"]
            words = f"annexd knows no annex {self.request.annex} of yours, and AWS shows these keys none in {region}"
            raise InvalidRequest([words])
        if fleet.owner != NOT_IN_TAGS.sub("_", self.owner):
            self._check_owner(fleet.owner, fleet.annex_id)
        if fleet.annex_id not in seen.alive():
            raise NotNow(f"annex {fleet.annex_id} is over: nothing of it runs")
        return {
            **place.order,
            "lease_function_arn": place.lease_function_arn,
            "workflow": CANCEL,
            "annex_id": fleet.annex_id,
            "annex_name": None,
            "annex_owner": fleet.owner,
            "spot_fleet_request_id": fleet.fleet_id,
            "config_object": [place.bucket, object_key(fleet.annex_id)] if place.bucket else None,
            "end_of_lease_s": int(fleet.end_of_lease_s or self.now_s),
            "order_command_id": None,
            "cancelled_by": self.owner,
            "keys": {},
        }

    def _is_meant(self, fleet: Fleet) -> bool:
        return self.request.annex in (fleet.annex_id, fleet.fleet_id)

    def _place(self) -> Place | None:
        """annexd's own region, with the requester's keys or annexd's."""
        own = own_place(self.defaults, keyed=self.request.public_key_file is not None)
        return None if own is None else Place({**own.order, **self._own_keys()}, own.lease_function_arn, own.bucket)


def _fault_of_reference(text: str) -> str | None:
    words = "must be an annex's ID, its Spot Fleet request's or its name"
    return None if REFERENCE.fullmatch(text) else f"{words}, not {shown(text)}"


def left_over(state: State) -> str:
    """Say what may be left of an order in AWS, by the names under which it can be found there."""
    order = state.order or {}
    names = {"fleet with client token": order.get("client_token"), "rule": state.step("put_rule").intent
             and order.get("annex_id"), "object": (order.get("join") or {}).get("key")}
    left = ", ".join(f"{what} {name}" for what, name in names.items() if name)
    end = utc(order["end_of_lease_s"]) if isinstance(order.get("end_of_lease_s"), int) else "its end"
    return f"what may be left in AWS ({left or 'nothing that is known'}) is ended by its lease, at {end}"
