"""Moving the end of a lease: read where it is, write the tag, see it, tell the machines.

The order's own workflow and earlier changes of the same annex come first, one after another.  What lengthens a lease
costs money, so it needs the lease function seen at work, as an order does; what shortens it does not.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from annexd.annex.fleet.inventory import ENDED, Fleet, fleets_of_annex
from annexd.annex.join.config_bundle import Present
from annexd.annex.lease.heartbeat import TICK_S
from annexd.annex.lease.lease import TAG_LEASE_END, utc
from annexd.annex.request.defaults import DAY_S
from annexd.annex.request.lease_length import GRACE_S, duration, fault_of_length
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S, check_max_lease, enforcer_of
from annexd.annex.steps.context import StepContext
from annexd.annex.steps.put_object import PutObject, put_present
from annexd.annex.steps.request_fleet import RequestFleet
from annexd.annex.steps.tag_fleets import fleets_of, identity_of, wait_for_lost, write_tag
from annexd.aws import Clients
from annexd.workflow import SUCCESS, Engine, Json, Refused, Retry, StepState

LONGEST_WAIT_S: Final = 600.0  # of an extension for its turn and for AWS; then nobody waits for it any more
TOO_LATE_S: Final = 120.0  # before the present end: a run of the function that sees the old one may last so long
LOOK_AGAIN_S: Final = 0.25, 0.5, 1.0, 2.0  # EC2 is eventually consistent: a tag that shows a little late is no lost one
NO_RIGHT: Final = (
    "these keys lack the right to tag Spot Fleet requests (ec2:CreateTags with "
    "htcondor:annex-lease-end): the policies that condor_annex -setup names hold it"
)
UNTOLD: Final = "its machines do not know the earlier end, and do not drain before it"


class WaitForTurn:
    """The annex was ordered, and whoever changed its end before is done."""

    name = "wait_for_turn"
    shows_late = False

    def __init__(self, world: StepContext, engine: Engine, earlier: Callable[[str, str], list[str]]) -> None:
        self._world, self._engine, self._earlier = world, engine, earlier

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{annex_id, subject, order_command_id, command_id}"""
        return {name: order[name] for name in ("annex_id", "subject", "order_command_id", "command_id")}

    def forward(self, order: Json, intent: Json) -> Json:  # noqa: ARG002
        """{fleet_id, ordered_at_s, unclear_at_s}: its fleet; when it was asked for, or 0; when something was written of
        this lease before that was not answered clearly, or 0.
        """
        state = self._engine.state(intent["order_command_id"]) if intent["order_command_id"] else None
        if state is not None and state.finished is None:
            raise Retry(f"annex {intent['annex_id']} is still being ordered", untouched=True)
        if state is not None and (state.is_undone or state.is_given_up):
            raise Refused(f"annex {intent['annex_id']} does not exist: its order failed", untouched=True)
        acts = [] if state is None else [state.step(PutObject.name)]
        for command_id in reversed(self._earlier(intent["subject"], intent["command_id"])):
            change = self._engine.state(command_id)
            if change.finished is None:
                raise Retry(f"{command_id} is still changing the end of this lease", untouched=True)
            acts += change.step(MoveEnd.name), change.step(TellMachines.name)
            if change.finished[0] == SUCCESS and acts[-1].asked_at_s + self._world.settle_s < self._world.now_s():
                break  # those before it were done when its turn came
        unclear_at_s = max(map(_unclear_at_s, acts), default=0.0)
        fleet = state.results[RequestFleet.name]["spot_fleet_request_id"] if state is not None else None
        ordered_at_s = state.step(RequestFleet.name).asked_at_s if state is not None else 0.0
        return {"fleet_id": fleet, "ordered_at_s": ordered_at_s, "unclear_at_s": unclear_at_s}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Nothing was made."""


class ReadLease:
    """Where the lease ends now, and where it is to end."""

    name = "read_lease"
    shows_late = False

    def __init__(self, world: StepContext) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """{annex_id, fleet_id, ordered_at_s, unclear_at_s}"""
        turn = results[WaitForTurn.name]
        return {**_identity_of(order, turn), "unclear_at_s": turn["unclear_at_s"]}

    def forward(self, order: Json, intent: Json) -> Json:
        """{from_s, end_of_lease_s, max_lease_s, checked_at_s}"""
        wait_for_lost(self._world, intent["unclear_at_s"])
        clients, checked_at_s = self._world.access(order), self._world.now_s()
        fleets = fleets_of(self._world, clients.ec2, intent)
        now_s = self._world.aws_now_s(clients)
        from_s = min(fleet.written_end_s for fleet in fleets)
        wanted_s = order["wanted_end_s"]
        end_s = int(from_s + order["extension_s"] if wanted_s is None else wanted_s)
        max_lease_s = self._checked(order, clients, fleets, from_s, end_s)
        end_s = min(end_s, int(_oldest_s(fleets)) + max_lease_s)  # where the function would end it anyway
        _check_times(order, from_s, end_s, now_s)
        if end_s > from_s:
            self._check_extension(order, end_s, now_s)
        return {"from_s": from_s, "end_of_lease_s": end_s, "max_lease_s": max_lease_s, "checked_at_s": checked_at_s}

    def _check_extension(self, order: Json, end_s: int, now_s: float) -> None:
        """Refuse what is beyond ANNEX_MAX_LEASE once all changes before it are counted, and what comes unasked."""
        _check_is_waited_for(order, self._world.now_s())
        if fault := fault_of_length(end_s - now_s, order["longest_s"]):
            raise Refused(fault, untouched=True, result="InvalidRequest")

    def _checked(self, order: Json, clients: Clients, fleets: list[Fleet], from_s: int, end_s: int) -> int:
        """How long its machines may live: the stack's MaxLease, or, where nobody asks for more, what they have."""
        for fleet in fleets:
            _check_lives(fleet)
        oldest_s = _oldest_s(fleets)
        if end_s <= from_s:
            return math.ceil(from_s - oldest_s)
        enforcer = enforcer_of(self._world, order, clients)
        check_max_lease(enforcer, end_s, oldest_s)
        return enforcer.max_lease_s

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Nothing was made."""


class MoveEnd:
    """The tag on each fleet, seen there."""

    name = "move_end"
    shows_late = False

    def __init__(self, world: StepContext) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """{annex_id, fleet_id, ordered_at_s, from_s, end_of_lease_s, max_lease_s, checked_at_s}"""
        return {**_identity_of(order, results[WaitForTurn.name]), **results[ReadLease.name]}

    def forward(self, order: Json, intent: Json) -> Json:
        """{end_of_lease_s}, as the fleets say it now."""
        clients, end_s = self._world.access(order), intent["end_of_lease_s"]
        fleets = fleets_of(self._world, clients.ec2, intent)
        todo, written = [fleet for fleet in fleets if fleet.written_end_s != end_s], list[Fleet]()
        try:
            for fleet in todo:
                self._write(order, intent, clients, fleet)
                written.append(fleet)
            if todo:
                wait_until_seen(self._world, clients.ec2, intent, end_s)
        except (Retry, Refused) as error:
            error.untouched = error.untouched and not written  # whatever AWS said to the last call
            raise
        return {"end_of_lease_s": end_s}

    def _write(self, order: Json, intent: Json, clients: Clients, fleet: Fleet) -> None:
        _check_lives(fleet)
        _check_times(order, intent["from_s"], intent["end_of_lease_s"], self._world.aws_now_s(clients))
        is_longer = intent["end_of_lease_s"] > intent["from_s"]
        if is_longer:
            _check_is_waited_for(order, self._world.now_s())
        if is_longer and not 0 <= self._world.now_s() - intent["checked_at_s"] <= CHECK_AGAIN_S:
            enforcer_of(self._world, order, clients)
        if not write_tag(clients.ec2, fleet.fleet_id, TAG_LEASE_END, utc(intent["end_of_lease_s"])):
            raise Refused(NO_RIGHT, untouched=True)

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Put a longer lease back to where it was, and then tell the machines; no lease is made longer again."""
        if intent["end_of_lease_s"] <= intent["from_s"]:
            return
        ec2 = self._world.access(order).ec2
        listed = fleets_of_annex(ec2, intent["annex_id"], intent["fleet_id"])  # none: nothing is left of it
        if _is_cancelled(listed):
            return
        wait_for_lost(self._world, asked_at_s)
        fleets = [each for each in listed if each.written_end_s == intent["end_of_lease_s"]]
        for fleet in fleets:
            if not write_tag(ec2, fleet.fleet_id, TAG_LEASE_END, utc(intent["from_s"])):
                raise Refused(NO_RIGHT)
        if fleets:
            wait_until_seen(self._world, ec2, intent, intent["from_s"])
        with contextlib.suppress(Refused):  # the lease ends then, whatever its machines believe
            tell(self._world, order, intent, intent["from_s"])


class TellMachines:
    """The annex's object in S3 says the new end."""

    name = "tell_machines"
    shows_late = False

    def __init__(self, world: StepContext) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """{annex_id, fleet_id, ordered_at_s, from_s, end_of_lease_s, max_lease_s}"""
        read = results[ReadLease.name]
        ends = {name: read[name] for name in ("from_s", "end_of_lease_s", "max_lease_s")}
        return {**_identity_of(order, results[WaitForTurn.name]), **ends}

    def forward(self, order: Json, intent: Json) -> Json:
        """{warning}: empty, or what the machines make of it."""
        is_longer = intent["end_of_lease_s"] > intent["from_s"]
        if order["annex_order"] is None:
            return {"warning": f"{UNTOLD}: annexd has no record of their order"}
        try:
            if not tell(self._world, order, intent, intent["end_of_lease_s"]):
                raise _was_cancelled(intent["annex_id"])
        except (Retry, Refused) as error:
            if is_longer:
                raise
            return {"warning": f"{UNTOLD}: {error}"}
        drains_s = intent["from_s"] - order["drain_s"] - TICK_S
        if is_longer and order["drain_s"] and self._world.now_s() > drains_s:
            return {"warning": "machines that have begun to drain for the earlier end leave the pool all the same"}
        return {"warning": ""}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:  # noqa: ARG002
        """Wait for what may still be written.  The old end is told once the tag says it: money comes first."""
        wait_for_lost(self._world, asked_at_s)


def tell(world: StepContext, order: Json, intent: Json, end_s: int) -> bool:
    """Write the end into the annex's object; False for an annex that was cancelled, whose machines were told to go.

    `intent` has annex_id, fleet_id and max_lease_s.  Raises Retry or Refused.
    """
    annex_order, clients = order["annex_order"], world.access(order)
    if annex_order is None or annex_order.get("join") is None:
        return True
    if _is_cancelled(fleets_of_annex(clients.ec2, intent["annex_id"], intent["fleet_id"])):
        return False
    put_present(world, clients, annex_order, Present(end_s, intent["max_lease_s"]))
    if not _is_cancelled(fleets_of_annex(clients.ec2, intent["annex_id"], intent["fleet_id"])):
        return True
    now_s = int(world.aws_now_s(clients))  # it was cancelled meanwhile, and its machines told so before
    put_present(world, clients, annex_order, Present(now_s, DAY_S, cancelled_s=now_s))
    return False


def _oldest_s(fleets: list[Fleet]) -> float:
    return min(fleet.created_s or 0.0 for fleet in fleets)


def wait_until_seen(world: StepContext, ec2: Any, intent: Json, end_s: int) -> None:
    """Return when the fleets show this end.  Raises Retry when they do not within seconds."""
    for pause_s in LOOK_AGAIN_S:
        if all(fleet.written_end_s == end_s for fleet in fleets_of(world, ec2, intent)):
            return
        world.pause(pause_s)
    raise Retry(f"annex {intent['annex_id']} does not show its new end yet, it is looked at again")


def _is_cancelled(fleets: list[Fleet]) -> bool:
    """Whether no end counts any more, such as a lost call may still bring."""
    return bool(fleets) and all(fleet.is_cancelled for fleet in fleets)


def _unclear_at_s(step: StepState) -> float:
    """Return when tag or object were last written without a clear answer, forward or back; 0 if never."""
    told = step.result is None or not step.result.get("warning")
    back_at_s = step.undo_at_s if step.undo_attempts > 1 else 0.0
    return max(step.unsettled_at_s if told else step.asked_at_s, back_at_s)


def _identity_of(order: Json, turn: Json) -> Json:
    """{annex_id, fleet_id, ordered_at_s}"""
    known = {"fleet_id": turn["fleet_id"]} if turn["fleet_id"] else {}
    return {**identity_of(order), **known, "ordered_at_s": turn["ordered_at_s"]}


def _was_cancelled(annex_id: str) -> Refused:
    return Refused(f"annex {annex_id} was cancelled: its end cannot be moved", untouched=True, result="InvalidState")


def _check_lives(fleet: Fleet) -> None:
    if fleet.is_cancelled:
        raise _was_cancelled(fleet.annex_id)
    if fleet.state in ENDED and fleet.state != "cancelled_running":  # which a fleet is after its provisioning delay
        words = f"too late: {fleet.fleet_id} of annex {fleet.annex_id} is {fleet.state}"
        raise Refused(words, untouched=True, result="InvalidState")


def _check_is_waited_for(order: Json, now_s: float) -> None:
    """Refuse an extension that annexd was too long away for: it would cost money that its user has given up on."""
    if now_s - order["asked_at_s"] > LONGEST_WAIT_S:
        words = f"annexd could not extend the lease within {LONGEST_WAIT_S / 60:.0f} minutes: ask again"
        raise Refused(words, untouched=True)


def _check_times(order: Json, from_s: int, end_s: int, now_s: float) -> None:
    """Refuse what comes too late, and what comes sooner than the machines can drain, unless -now says so."""
    if from_s - now_s < TOO_LATE_S:
        words = f"too late: the lease ends at {utc(from_s)}, and a change needs {TOO_LATE_S:.0f} s before"
        raise Refused(words, untouched=True, result="InvalidState")
    nearest_s = 2 * TICK_S + order["drain_s"]
    if end_s - now_s < nearest_s - min(GRACE_S, nearest_s / 10) and end_s < from_s and not order["now"]:
        words = (
            f"the new end is only {duration(max(0, int(end_s - now_s)))} away, and the machines need up to "
            f"{duration(int(nearest_s))} to hear of it and to drain: -now ends the lease all the same"
        )
        raise Refused(words, untouched=True, result="InvalidRequest")
