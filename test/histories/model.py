"""Define the promises about annexes, as simply as possible, and check them after every event.

A fleet's end is the one in its own token, unless its tags move or cut it; it is never later than MaxLease after the
fleet's creation.  The model reads fleets, instances and objects from the cloud's own record, and the lease function's
runs from the runner's record.  It trusts neither annexd, nor the function, nor any log.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from test.cloud.fleets import Fleet
from test.cloud.instances import Instance
from test.cloud.request import Request
from test.histories.cloud import CANCELLED_TAG, END_TAG, OURS, Cloud, annex_of
from test.histories.faults import TICK_S
from test.histories.function import Function

REACTION_S = 60.0  # of the lease function, which checks again until all is gone
SILENT_S = 900.0  # three ticks, after which the lease function counts as dead
CHECKED_S = 60.0 + 60.0  # maximum age of a read of its log, plus that of the check that used it
CALL_S = 60.0 + 30.0  # the tries of one step, plus the last call's timeout
NEVER_S = float("inf")
FOR_FLEETS = ("RequestSpotFleet", "CreateFleet")


@dataclass
class Annex:
    """The promises to one order, and the outcomes of its changes, by command ID."""

    annex_id: str
    ordered_end_s: float
    command_id: str
    finished: str = ""  # the result, once it is in the journal
    cancels: dict[str, str] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)
    moved_s: dict[str, float] = field(default_factory=dict)  # the end that a change has read, by its command ID
    entangled: set[str] = field(default_factory=set)  # concurrent changes
    held_s: float = 0.0  # it must not end before this time
    promised_s: float = 0.0  # the end in the latest response
    latest_s: float = 0.0  # the latest requested end
    cancelled_s: float = NEVER_S  # when it was reported as cancelled
    refused_s: float = NEVER_S  # when a cancellation failed although a fleet was alive

    def __post_init__(self) -> None:
        self.held_s = self.promised_s = self.latest_s = self.ordered_end_s


@dataclass
class Watch:
    """One fleet's current end, the time since which it is over, and the maximum delay of its instances."""

    end_s: float
    over_s: float | None = None
    late_s: float = 0.0


@dataclass
class Model:
    """The model; `violations` are sentences, and the list must stay empty."""

    cloud: Cloud
    function: Function
    excuse_s: float = 0.0
    clocks_s: float = 0.0  # maximum error of annexd's clock
    annexes: dict[str, Annex] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    watches: dict[str, Watch] = field(default_factory=dict)
    early: dict[str, str] = field(default_factory=dict)  # by instance: the annex whose lease it ended before, or ""
    closed_s: float = NEVER_S
    denied: bool = False  # AWS denied a call or reported not found

    def expect(self, annex: Annex) -> None:
        self.annexes[annex.annex_id] = annex

    # After every event.

    def observe(self) -> None:
        """Check that each fleet has its end in its token, one order has one fleet, and none ends too early."""
        now_s, fleets_of = self.cloud.fleets.settle(), dict[str, int]()
        for fleet in self.cloud.fleets.fleets.values():
            annex = self.annexes.get(annex_of(fleet) or "")
            if annex is None:
                continue
            fleets_of[annex.annex_id] = fleets_of.get(annex.annex_id, 0) + 1
            self._watch(fleet, annex, now_s)
            if annex.finished not in ("", "Success") and is_alive(fleet, now_s):
                self._violated(f"{annex.annex_id} was called undone and something of it is alive")
        for annex_id, count in fleets_of.items():
            if count > 1:
                self._violated(f"{annex_id} has {count} fleets")
            self._check_informed(self.annexes[annex_id])
        if self.cloud.function.is_closed == (self.closed_s == NEVER_S):
            self.closed_s = now_s if self.cloud.function.is_closed else NEVER_S

    def _check_informed(self, annex: Annex) -> None:
        """Check that the end in the annex's object, which its machines follow, is not earlier than its user allowed."""
        packed = self.cloud.objects.contents.get(f"annex/{annex.annex_id}.tar.gz")
        if packed is not None and not annex.cancels and told_s(packed) < annex.held_s:
            self._violated(f"the machines of {annex.annex_id} got an earlier end than its user")

    def _watch(self, fleet: Fleet, annex: Annex, now_s: float) -> None:
        end_s = self.end_s(fleet, annex, now_s)
        watch = self.watches.get(fleet.fleet_id)
        if watch is None:
            watch = self.watches[fleet.fleet_id] = Watch(end_s)
            if token_end_s(fleet) != annex.ordered_end_s:
                self._violated(f"{fleet.fleet_id} of {annex.annex_id} has another end in its token than was ordered")
        if end_s > annex.latest_s and annex.annex_id not in self.cloud.by_hand:
            self._violated(f"the end of {annex.annex_id} is later than anybody asked for")
        if watch.over_s is not None and end_s > now_s:  # it was moved too late
            self._take_lateness(fleet, watch, now_s)
            watch.over_s = None
        elif watch.over_s is None and end_s <= now_s:
            watch.over_s = end_s if end_s == watch.end_s else now_s
        watch.end_s = end_s
        for instance in fleet.instances:
            ended_s = instance.terminating_at_s
            if ended_s is not None and instance.instance_id not in self.early:
                self.early[instance.instance_id] = annex.annex_id if ended_s < min(annex.held_s, end_s) else ""

    def end_s(self, fleet: Fleet, annex: Annex, now_s: float) -> float:
        """Return the time at which the fleet must end, as known at `now_s`."""
        tags = fleet.tags.at(now_s)
        tagged_s = (fleet.tags.last_changed_s(CANCELLED_TAG, now_s) or now_s) if CANCELLED_TAG in tags else NEVER_S
        moved_s = _moment_s(tags.get(END_TAG))
        wanted_s = token_end_s(fleet) if moved_s is None else moved_s
        return min(wanted_s, fleet.created_at_s + self.cloud.function.max_lease_s, tagged_s, annex.cancelled_s)

    def _take_lateness(self, fleet: Fleet, watch: Watch, now_s: float) -> None:
        for instance in fleet.instances:
            gone_s = instance.gone_at_s()
            watch.late_s = max(watch.late_s, (now_s if gone_s is None else gone_s) - (watch.over_s or now_s))

    def asks_money(self, request: Request) -> None:
        """Check that costly calls and extensions follow a recent run of the lease function."""
        if request.operation not in (*FOR_FLEETS, "CreateTags") or not self._costs(request):
            return
        now_s = self.cloud.timeline.now_s
        limit_s = CHECKED_S + CALL_S + self.clocks_s
        good_s = max((run.at_s for run in self.function.runs if run.is_tick and run.is_good), default=-NEVER_S)
        if now_s - good_s > SILENT_S + limit_s:
            self._violated(f"{request.operation} was sent although no rule had called the lease function")
        if now_s - self.closed_s > limit_s:
            self._violated(f"{request.operation} was sent although the lease function was closed")

    def _costs(self, request: Request) -> bool:
        if request.operation in FOR_FLEETS:
            return True
        asked = request.parameters()
        ends_s = [_moment_s(tag["Value"]) or 0.0 for tag in asked["Tags"] if tag["Key"] == END_TAG]
        watches = [self.watches[each] for each in asked["Resources"] if each in self.watches]
        return any(end_s > watch.end_s for end_s in ends_s for watch in watches)

    # Responses must be true when they are sent.

    def fleets(self, annex: Annex) -> list[Fleet]:
        return [fleet for fleet in self.cloud.fleets.fleets.values() if annex_of(fleet) == annex.annex_id]

    def has_object(self, annex: Annex) -> bool:
        return f"annex/{annex.annex_id}.tar.gz" in self.cloud.objects.contents

    def has_template(self, annex: Annex) -> bool:
        matches = (OURS.fullmatch(each.name) for each in self.cloud.fleets.templates.known(0.0))
        return any(match is not None and match["annex"] == annex.annex_id for match in matches)

    def finished(self, annex: Annex, result: str) -> None:
        """Check the response to an order."""
        annex.finished = result
        now_s, fleets = self.cloud.fleets.settle(), self.fleets(annex)
        if result == "Success" and not fleets:
            self._violated(f"{annex.annex_id} was called a success and has no fleet")
        if result != "Success" and self.has_object(annex):
            self._violated(f"{annex.annex_id} was called undone and its token is there to be read")
        self.observe()
        is_over = any(self.end_s(fleet, annex, now_s) <= now_s for fleet in fleets)
        if result == "Success" and not is_over and not self.has_object(annex):
            self._violated(f"{annex.annex_id} was called a success and its instances cannot join")

    def cancelled(self, annex: Annex, command_id: str, result: str) -> None:
        """Check that a cancelled annex is ending or gone."""
        annex.cancels[command_id] = result
        now_s = self.cloud.fleets.settle()
        if result == "Success":
            annex.cancelled_s = min(annex.cancelled_s, now_s)
            for fleet in self.fleets(annex):
                if fleet.state(now_s) in ("submitted", "active"):
                    self._violated(f"{annex.annex_id} was called cancelled and its fleet is active")
            self.observe()
        elif any(is_alive(fleet, now_s) for fleet in self.fleets(annex)):
            annex.refused_s = now_s

    def wants(self, annex: Annex, command_id: str, end_s: float | None, extension_s: float | None) -> None:
        """Note a request for another end."""
        others = {each for each, result in annex.changes.items() if not result}
        annex.entangled |= {*others, command_id} if others else set()
        annex.changes[command_id] = ""
        if end_s is not None:
            annex.held_s = min(annex.held_s, end_s)
        annex.latest_s = max(annex.latest_s, end_s or annex.latest_s + (extension_s or 0.0))

    def changed(self, annex: Annex, command_id: str, result: str) -> None:
        """Check that a changed end is the reported one, and that a failed change did not extend the lease."""
        annex.changes[command_id] = result
        now_s = self.cloud.fleets.settle()
        if result == "Success":
            moved_s, is_alone = annex.moved_s[command_id], command_id not in annex.entangled
            annex.held_s = moved_s if is_alone else min(annex.held_s, moved_s)
            annex.promised_s = moved_s if is_alone else max(annex.promised_s, moved_s)
        if annex.annex_id in self.cloud.by_hand or command_id in annex.entangled or annex.cancels:
            return
        latest_s = [fleet.created_at_s + self.cloud.function.max_lease_s for fleet in self.fleets(annex)]
        for fleet in self.fleets(annex):
            end_s = self.end_s(fleet, annex, now_s)
            if result == "Success" and end_s != min(annex.promised_s, *latest_s):
                self._violated(f"the end of {annex.annex_id} was called moved and is elsewhere")
            if result != "Success" and end_s > annex.promised_s:
                self._violated(f"a change of {annex.annex_id} was called a failure and made its lease longer")

    # At the end.

    def conclude(self, *, daemon_gone: bool, journal_lost: bool) -> None:
        """Check that nothing runs after the end, a tick and the termination, and that nothing is left behind.

        There is one exception: a daemon that is gone for good between object and fleet may leave the object, because
        nothing knows that it is over.  The bucket's own life-cycle rule removes it.
        """
        now_s = self.cloud.fleets.settle()
        self.observe()
        for annex in self.annexes.values():
            fleets = self.fleets(annex)
            for fleet in fleets:
                self._check_end(fleet, annex, now_s)
            if self.has_object(annex) and (fleets or not (daemon_gone or journal_lost)):
                self._violated(f"the token of {annex.annex_id} is left behind")
            if self.has_template(annex):
                self._violated(f"the launch template of {annex.annex_id} is left behind")
            if annex.refused_s < NEVER_S and not self.denied:
                self._violated(f"a cancellation of {annex.annex_id}, which was alive, was called a failure")
            unanswered = "" in (annex.finished, *annex.cancels.values(), *annex.changes.values())
            if unanswered and not (daemon_gone or journal_lost):
                self._violated(f"a command about {annex.annex_id} never came to its end")

    def _check_end(self, fleet: Fleet, annex: Annex, now_s: float) -> None:
        watch = self.watches[fleet.fleet_id]
        if is_alive(fleet, now_s):
            self._violated(f"{fleet.fleet_id} of {annex.annex_id} is alive at the end of the history")
        if watch.over_s is not None:
            self._take_lateness(fleet, watch, now_s)
        allowed_s = TICK_S + REACTION_S + self.cloud.fleets.timing.termination_s + self.excuse_s
        if watch.late_s > allowed_s:
            self._violated(f"{fleet.fleet_id} of {annex.annex_id} ended {watch.late_s:.0f} s after its lease")
        kept = annex.finished == "Success" and not annex.cancels and annex.annex_id not in self.cloud.by_hand
        if kept and any(self._is_early(each) for each in fleet.instances):
            self._violated(f"an instance of {annex.annex_id} ended before its lease")

    def _is_early(self, instance: Instance) -> bool:
        return bool(self.early.get(instance.instance_id))

    def _violated(self, message: str) -> None:
        if message not in self.violations:
            self.violations.append(message)
            self.cloud.points.note(f"VIOLATION: {message}")


def token_end_s(fleet: Fleet) -> float:
    match = OURS.fullmatch(fleet.client_token or "")
    return float(match["end"]) if match else -NEVER_S


@lru_cache(maxsize=64)
def told_s(packed: bytes) -> float:
    """Return the end in an annex's object."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        manifest = tar.extractfile("annex.json")
        return float(json.load(manifest)["LeaseEnd"]) if manifest else NEVER_S


def is_alive(fleet: Fleet, now_s: float) -> bool:
    """Return whether the fleet has instances or may still launch some."""
    may_launch = fleet.cancelled_at_s is None and now_s < fleet.valid_until_s
    return may_launch or any(not instance.is_gone(now_s) for instance in fleet.instances)


def _moment_s(text: str | None) -> float | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
