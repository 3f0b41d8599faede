"""Moving the end of a lease: read where it is, write the tag, see it, tell the machines.

The order's own workflow and earlier changes of the same annex come first, one after another.  What lengthens a lease
costs money, so it needs the lease function seen at work, as an order does; what shortens it does not.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from annexd.annex.heartbeat import TICK_S
from annexd.annex.inventory import ENDED, Fleet
from annexd.annex.lease import TAG_LEASE_END, utc
from annexd.annex.lease_length import GRACE_S, duration
from annexd.annex.parcel import Present
from annexd.annex.steps.asking import World
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S, check_max_lease, enforcer_of
from annexd.annex.steps.put_object import put_present
from annexd.annex.steps.tag_fleets import fleets_of, identity_of, wait_until, write_tag
from annexd.aws import Clients
from annexd.workflow import Engine, Json, Refused, Retry

LONGEST_WAIT_S: Final = 600.0  # of an extension for its turn and for AWS; then nobody waits for it any more
TOO_LATE_S: Final = 120.0  # before the present end: a run of the function that sees the old one may last so long
NO_RIGHT: Final = ("these keys lack the right to tag Spot Fleet requests (ec2:CreateTags with "
                   "htcondor:annex-lease-end): the policies that condor_annex -setup names hold it")


class WaitForTurn:
    """The annex was ordered, and whoever changed its end before is done."""

    name = "wait_for_turn"

    def __init__(self, world: World, engine: Engine, earlier: Callable[[str, str], list[str]]) -> None:
        self._world, self._engine, self._earlier = world, engine, earlier

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{annex_id, subject, order_command_id, command_id}"""
        return {name: order[name] for name in ("annex_id", "subject", "order_command_id", "command_id")}

    def forward(self, order: Json, intent: Json) -> Json:  # noqa: ARG002
        """{fleet_id, settled_at_s}: its fleet; when no earlier change can take effect any more."""
        state = self._engine.state(intent["order_command_id"]) if intent["order_command_id"] else None
        if state is not None and state.finished is None:
            raise Retry(f"annex {intent['annex_id']} is still being ordered", untouched=True)
        if state is not None and (state.is_undone or state.is_given_up):
            raise Refused(f"annex {intent['annex_id']} does not exist: its order failed", untouched=True)
        asked_at_s = 0.0
        for command_id in self._earlier(intent["subject"], intent["command_id"]):
            change = self._engine.state(command_id)
            if change.finished is None:
                raise Retry(f"{command_id} is still changing the end of this lease", untouched=True)
            asked_at_s = max(asked_at_s, change.step(MoveEnd.name).unsettled_at_s)
        fleet = state.results["request_fleet"]["spot_fleet_request_id"] if state is not None else None
        return {"fleet_id": fleet, "settled_at_s": asked_at_s + self._world.settle_s if asked_at_s else 0.0}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Nothing was made."""


class ReadLease:
    """Where the lease ends now, and where it is to end."""

    name = "read_lease"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """{annex_id, fleet_id, settled_at_s}"""
        turn = results[WaitForTurn.name]
        return {**identity_of(order), "settled_at_s": turn["settled_at_s"]} | _known_fleet(turn)

    def forward(self, order: Json, intent: Json) -> Json:
        """{from_s, end_of_lease_s, max_lease_s, checked_at_s}"""
        wait_until(self._world, intent["settled_at_s"])
        clients, checked_at_s = self._world.access(order), self._world.now_s()
        fleets = fleets_of(clients.ec2, intent)
        now_s = self._world.aws_now_s(clients)
        from_s = min(fleet.written_end_s for fleet in fleets)
        wanted_s = order["wanted_end_s"]
        end_s = int(from_s + order["extension_s"] if wanted_s is None else wanted_s)
        max_lease_s = self._checked(order, clients, fleets, from_s, end_s)
        _check_times(order, from_s, end_s, now_s)
        if end_s > from_s:
            self._check_extension(order, from_s, end_s, now_s)
        return {"from_s": from_s, "end_of_lease_s": end_s, "max_lease_s": max_lease_s, "checked_at_s": checked_at_s}

    def _check_extension(self, order: Json, from_s: int, end_s: int, now_s: float) -> None:
        """Refuse what is beyond ANNEX_MAX_LEASE once all changes before it are counted, and what comes unasked."""
        _check_is_waited_for(order, self._world.now_s())
        if end_s - now_s > order["longest_s"] + GRACE_S:
            words = (f"the new end would be {utc(end_s)}, since the lease ends at {utc(from_s)}: that is "
                     f"further away than ANNEX_MAX_LEASE ({duration(order['longest_s'])})")
            raise Refused(words, untouched=True, result="InvalidRequest")

    def _checked(self, order: Json, clients: Clients, fleets: list[Fleet], from_s: int, end_s: int) -> int:
        """How long its machines may live: the stack's MaxLease, or, where nobody asks for more, what they have."""
        for fleet in fleets:
            _check_lives(fleet)
        oldest_s = min(fleet.created_s or 0.0 for fleet in fleets)
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

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """{annex_id, fleet_id, from_s, end_of_lease_s, max_lease_s, checked_at_s}"""
        return {**identity_of(order), **results[ReadLease.name]} | _known_fleet(results[WaitForTurn.name])

    def forward(self, order: Json, intent: Json) -> Json:
        """{end_of_lease_s}, as the fleets say it now."""
        clients, end_s = self._world.access(order), intent["end_of_lease_s"]
        fleets = fleets_of(clients.ec2, intent)
        todo = [fleet for fleet in fleets if fleet.written_end_s != end_s]
        for fleet in todo:
            self._write(order, intent, clients, fleet)
        if todo:
            raise_unless_seen(clients.ec2, intent, end_s)
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
        wait_until(self._world, asked_at_s + self._world.settle_s if asked_at_s else 0.0)
        ec2 = self._world.access(order).ec2
        try:
            fleets = [each for each in fleets_of(ec2, intent) if each.written_end_s == intent["end_of_lease_s"]]
        except Refused:
            return  # nothing is left of it
        for fleet in fleets:
            if not write_tag(ec2, fleet.fleet_id, TAG_LEASE_END, utc(intent["from_s"])):
                raise Refused(NO_RIGHT)
        if fleets:
            raise_unless_seen(ec2, intent, intent["from_s"])
        if not any(fleet.is_cancelled for fleet in fleets):
            with contextlib.suppress(Refused):  # the lease ends then, whatever its machines believe
                tell(self._world, order, intent["from_s"], intent["max_lease_s"])


class TellMachines:
    """The annex's object in S3 says the new end."""

    name = "tell_machines"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{from_s, end_of_lease_s, max_lease_s}"""
        read = results[ReadLease.name]
        return {name: read[name] for name in ("from_s", "end_of_lease_s", "max_lease_s")}

    def forward(self, order: Json, intent: Json) -> Json:
        """{warning}: empty, or what the machines make of it."""
        is_longer = intent["end_of_lease_s"] > intent["from_s"]
        try:
            tell(self._world, order, intent["end_of_lease_s"], intent["max_lease_s"])
        except (Retry, Refused) as error:
            if is_longer:
                raise
            return {"warning": f"its machines do not know the earlier end, and do not drain before it: {error}"}
        drains_s = intent["from_s"] - order["drain_s"] - TICK_S
        if is_longer and order["drain_s"] and self._world.now_s() > drains_s:
            return {"warning": "machines that have begun to drain for the earlier end leave the pool all the same"}
        return {"warning": ""}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:  # noqa: ARG002
        """Wait for what may still be written.  The old end is told once the tag says it: money comes first."""
        wait_until(self._world, asked_at_s + self._world.settle_s if asked_at_s else 0.0)


def tell(world: World, order: Json, end_s: int, max_lease_s: int) -> None:
    """Write the end into the annex's object.  Raises Retry or Refused."""
    annex_order = order["annex_order"]
    if annex_order is not None:
        put_present(world, world.access(order), annex_order, Present(end_s, max_lease_s))


def raise_unless_seen(ec2: Any, intent: Json, end_s: int) -> None:
    """AWS shows a tag some time after it took it."""
    for fleet in fleets_of(ec2, intent):
        if fleet.written_end_s != end_s:
            raise Retry(f"{fleet.fleet_id} does not show its new end yet, it is looked at again")


def _known_fleet(turn: Json) -> Json:
    return {"fleet_id": turn["fleet_id"]} if turn["fleet_id"] else {}


def _check_lives(fleet: Fleet) -> None:
    if fleet.is_cancelled:
        words = f"annex {fleet.annex_id} was cancelled: its end cannot be moved"
        raise Refused(words, untouched=True, result="InvalidState")
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
        words = (f"the new end is only {duration(max(0, int(end_s - now_s)))} away, and the machines need up to "
                 f"{duration(int(nearest_s))} to hear of it and to drain: -now ends the lease all the same")
        raise Refused(words, untouched=True, result="InvalidRequest")
