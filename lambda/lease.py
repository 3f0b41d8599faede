"""End each annex of one region and account whose lease is over, and verify that it is gone.

One EventBridge rule calls `handler` every five minutes.  Runs keep no state: each describes all fleets and their
instances, and ends what is over.  A run may fail, be cut off or overlap at any point; the next one repeats the work.
The stack, annexd and the tests rely on this interface:

Environment  MAX_LEASE_S: seconds after a fleet's creation beyond which no tag moves its end.  ANNEX_BUCKET, optional:
             the bucket from which the objects annex/<annex ID>.tar.gz are removed.
Event        EventBridge's "Scheduled Event": resources[0] is the rule, `time` the tick.  Other events do the same
             work, but the receipt has "tick": false and proves nothing.  Nothing else is read from the event.
Token        <annex ID>_<end, seconds since the epoch>_<16 hexadecimal digits>: the client token of an annex's fleet,
             and the name of its launch template, if it has one.  A template is removed once its annex is gone.
Tags         On a fleet, htcondor:annex-lease-end moves its end and htcondor:annex-cancelled ends it; both are written
             as 2026-11-22T16:20:00Z.  On instances, this function writes STAMPS below.
Receipt      One line of JSON, the last one printed, shorter than 8,000 bytes:
  receipt    "htcondor-annex-lease", a text to filter the log for;  contract  CONTRACT below
  tick       whether the rule called, within ten minutes, in this account and region;  rule  its ARN, or null
  at         the time of the tick, otherwise of the run's start, in seconds since the epoch
  account, region, function (ARN);  digest  SHA-256 of this file;  max_lease_s  null where it is unreadable
  complete   whether all pages of fleets and instances were read
  rights     cancel, terminate, stamp, unprotect: DryRun's result for living annexes; null if unknown
  fleets, instances  of annexes that are not over;  over  fleets that are over but not ended
  ended      instances that this run ended, or saw ended
  stuck      fleets and instances three ticks overdue that this run could not end;  stuck_ids  at most 20
  errors     their number;  error_texts  at most 10;  throttled, calls  numbers of calls;  duration_s
Then the run raises LeaseError if it did not see everything, lacks a right, or found something stuck, so that the
function's error metric shows it.  Asynchronous retries must be 0: the next tick is the retry.

Self-contained: the file is uploaded as it is, and boto3 comes with the runtime.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

CONTRACT = 3  # increased when annexd must not rely on older functions
RECEIPT = "htcondor-annex-lease"
MAX_LEASE_VARIABLE, BUCKET_VARIABLE = "MAX_LEASE_S", "ANNEX_BUCKET"
RIGHTS = ("cancel", "terminate", "stamp", "unprotect")

END_TAG = "htcondor:annex-lease-end"
CANCELLED_TAG = "htcondor:annex-cancelled"
STAMPS = ("htcondor:annex-fleet", "htcondor:annex-id", END_TAG)

TICK_S = 300.0  # the rule's rate
STUCK_S = 3 * TICK_S  # what is overdue by this comes last, for at most a third of the time
FRESH_EVENT_S = 600.0  # an older event was not sent by the rule just now
DEFAULT_MAX_LEASE_S = 31 * 86_400  # if MAX_LEASE_S is unreadable; annexd accepts no orders then

RESERVE_S = 20.0  # start nothing this shortly before the limit: longer than any call
SETTLE_S = 15.0  # time for fleets to end their instances before these are terminated one by one
SLICE_S = 60.0  # of terminating, before the next look at what the fleets have ended meanwhile
ROUNDS = 4  # of describing and terminating, in one run
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 8.0
TRIES = 3  # of a call with a transient error
MAX_PAGES = 2000

# EC2's limits for a new account: DescribeSpotFleetRequests 3 a second after the first 50; TerminateInstances 5 calls
# and 20 instances a second after 100 and 1,000.  Source: EC2 developer guide, "Request throttling".
FLEETS_A_PAGE = 200  # 50 launch specifications with 22 kB of user data each: 600 MiB to parse a page
INSTANCES_A_PAGE = 500
IDS_A_LOOK = 100  # EC2 takes 200 values in a filter
TERMINATE_BATCH = 50  # larger ones gain nothing under these limits, and are longer to halve
STAMP_BATCH = 200
TEMPLATES_A_PAGE = 200  # EC2's limit

THROTTLED = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "SlowDown"}
PASSING = {"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout"}
DENIED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
NOT_TO_CANCEL = {"fleetRequestNotInCancellableState", "fleetRequestIdDoesNotExist"}  # Spot Fleet
NOT_TO_CANCEL |= {"fleetNotInDeletableState", "fleetIdDoesNotExist"}  # EC2 Fleet
ENDED_STATES = {"cancelled", "deleted", "failed"}  # no instances, and no launches
RUNNING_STATES = {"cancelled_running", "deleted_running"}  # no launches, but instances run
TERMINATING_STATES = {"cancelled_terminating", "deleted_terminating"}
LIVING_STATES = ["pending", "running", "stopping", "stopped"]

TOKEN = re.compile(r"([.\-A-Za-z0-9]{1,36})_([0-9]{10})_[0-9a-f]{16}")
UTC_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
UTC_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
EARLIEST_S, LATEST_S = 1_000_000_000, 4_000_000_000  # 2001 to 2096: neither a duration nor milliseconds
RULE = re.compile(r"arn:[a-z\-]+:events:([a-z0-9\-]+):([0-9]{12}):rule/HTCondorAnnexLease")  # the stack's
MAX_IDS, MAX_TEXTS, MAX_TEXT = 20, 10, 200


class LeaseError(Exception):
    """The run did not see all, lacks a right, or found something stuck.  The next tick retries."""


class OutOfTimeError(Exception):
    """The time of this part of the run is used up."""


# The one rule for the end of a lease.  annexd has it too; the same vectors test both.


def utc(moment_s: float) -> str:
    """Format a moment as in the tags."""
    return datetime.fromtimestamp(int(moment_s), UTC).strftime(UTC_FORMAT)


def moment_s(text: object) -> int | None:
    """Parse a moment that `utc` wrote; None for any other text and for absurd dates."""
    if not isinstance(text, str) or not UTC_TEXT.fullmatch(text):
        return None
    try:
        found_s = int(datetime.strptime(text, UTC_FORMAT).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
    return found_s if EARLIEST_S <= found_s <= LATEST_S else None


def read_token(token: object) -> tuple[str, int] | None:
    """Return the annex ID and the ordered end; None for a token that is not ours."""
    match = TOKEN.fullmatch(token) if isinstance(token, str) else None
    return (match[1], int(match[2])) if match and EARLIEST_S <= int(match[2]) <= LATEST_S else None


def lease_end(token: object, tags: Mapping[str, str], created_s: float | None, max_lease_s: float) -> float | None:
    """Return when the lease of a fleet ends; None for a fleet that is not ours.

    An unreadable moved end is ignored.  Without a time of creation no tag moves the end beyond the token's.
    A fleet with CANCELLED_TAG is always over; the result is since when, and not before the creation.
    """
    ordered = read_token(token)
    if ordered is None:
        return None
    moved_s = moment_s(tags.get(END_TAG))
    latest_s = ordered[1] if created_s is None else created_s + max_lease_s
    end_s = min(ordered[1] if moved_s is None else moved_s, latest_s)
    if CANCELLED_TAG not in tags:
        return end_s
    return min(end_s, max(moment_s(tags[CANCELLED_TAG]) or 0, created_s or EARLIEST_S))


@dataclass(frozen=True, slots=True)
class Fleet:
    """One fleet of an annex."""

    fleet_id: str
    annex_id: str
    state: str
    end_s: float
    is_cancelled: bool

    def is_over(self, now_s: float) -> bool:
        return self.is_cancelled or now_s >= self.end_s

    @property
    def may_launch(self) -> bool:
        """Return whether it may start instances, also in states that AWS may add."""
        return self.state not in ENDED_STATES | RUNNING_STATES | TERMINATING_STATES


@dataclass(frozen=True, slots=True)
class Instance:
    """A living instance of a fleet; `fleet_id` is from the tag that only AWS sets."""

    fleet_id: str
    stamp: tuple[str | None, ...]  # the values of STAMPS
    launched_s: float

    @property
    def is_stamped(self) -> bool:
        """Return whether it has a stamp that was not copied from another instance."""
        return self.stamp[0] == self.fleet_id

    def stamped_end_s(self, max_lease_s: float) -> float:
        latest_s = self.launched_s + max_lease_s  # its fleet is older
        end_s = moment_s(self.stamp[2])
        return latest_s if end_s is None else min(end_s, latest_s)


@dataclass(frozen=True)
class Kind:
    """Fleets of one AWS API: the names of its calls and their members."""

    prefix: str  # of IDs
    instance_tag: str  # set by AWS on their instances
    describe: str  # botocore's methods
    order_end: str
    not_found: str  # for an ID
    ids: str  # members of calls and answers
    listed: str
    own_id: str
    state: str
    request: str  # has the client token; empty: the fleet itself
    refused: str
    batch: int  # in one call that ends them

    def call(self, method: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(ec2(), method)
        return found

    def to_end(self, fleet_ids: list[str]) -> list[dict[str, Any]]:
        """Return the ways to end them, the second in case the right to terminate is too narrow for the first.

        EC2 Fleet requires it of its caller; whether a condition on tags of instances is enough is undocumented.
        """
        return [{self.ids: fleet_ids, "TerminateInstances": each} for each in (True, False)]

    def refusals(self, answer: Mapping[str, Any]) -> dict[str, str]:
        """Return the fleets that were not ended, and why.  A success counts once its effect is seen."""
        failed = answer.get(self.refused) or []
        codes = {str(each.get(self.own_id)): str((each.get("Error") or {}).get("Code")) for each in failed}
        return {fleet_id: code for fleet_id, code in codes.items() if code not in NOT_TO_CANCEL}

    def read(self, seen: Mapping[str, Any], max_lease_s: float) -> tuple[str, Fleet | None]:
        """Return the fleet's ID, and the fleet if it belongs to an annex."""
        fleet_id, token = str(seen[self.own_id]), (seen[self.request] if self.request else seen).get("ClientToken")
        tags, created, ordered = tags_of(seen), seen.get("CreateTime"), read_token(token)
        end_s = lease_end(token, tags, None if created is None else created.timestamp(), max_lease_s)
        if ordered is None or end_s is None:
            return fleet_id, None
        return fleet_id, Fleet(fleet_id, ordered[0], str(seen.get(self.state)), end_s, CANCELLED_TAG in tags)


SPOT_FLEETS = Kind(
    prefix="sfr-",
    instance_tag="aws:ec2spot:fleet-request-id",
    describe="describe_spot_fleet_requests",
    order_end="cancel_spot_fleet_requests",
    not_found="InvalidSpotFleetRequestId.NotFound",
    ids="SpotFleetRequestIds",
    listed="SpotFleetRequestConfigs",
    own_id="SpotFleetRequestId",
    state="SpotFleetRequestState",
    request="SpotFleetRequestConfig",
    refused="UnsuccessfulFleetRequests",
    batch=100,
)
EC2_FLEETS = Kind(
    prefix="fleet-",
    instance_tag="aws:ec2:fleet-id",
    describe="describe_fleets",
    order_end="delete_fleets",
    not_found="InvalidFleetId.NotFound",
    ids="FleetIds",
    listed="Fleets",
    own_id="FleetId",
    state="FleetState",
    request="",
    refused="UnsuccessfulFleetDeletions",
    batch=25,  # for type instant a call with more ends none
)
KINDS = (SPOT_FLEETS, EC2_FLEETS)


def tags_of(seen: Mapping[str, Any]) -> dict[str, str]:
    return {str(tag.get("Key")): str(tag.get("Value") or "") for tag in seen.get("Tags") or []}


# Calls.


@cache
def ec2() -> Any:
    import boto3

    return boto3.client("ec2", config=patience())


@cache
def s3() -> Any:
    import boto3

    return boto3.client("s3", config=patience())


def patience() -> Any:
    """Allow one try of 15 s: Work retries, and knows how much time is left."""
    from botocore.config import Config

    return Config(connect_timeout=3, read_timeout=12, retries={"total_max_attempts": 1})


def code_of(error: Any) -> str:
    """Return AWS's error code; empty for an error that is not a response of AWS."""
    response = getattr(error, "response", None) or {}  # None for a lost connection
    return str(response.get("Error", {}).get("Code", ""))


def batches(ids: list[str], size: int) -> deque[list[str]]:
    return deque(ids[start : start + size] for start in range(0, len(ids), size))


def halves(batch: list[str]) -> deque[list[str]]:
    return batches(batch, (len(batch) + 1) // 2)


def in_turn(work: deque[list[str]], now_s: float) -> deque[list[str]]:
    """Rotate the work differently at each tick, so that every part soon comes first, however little a run does."""
    share = int(now_s / TICK_S) * 0.6180339887 % 1  # multiples of the golden ratio leave no gaps
    work.rotate(-int(share * len(work)))
    return work


@dataclass
class Work:
    """The calls of a run, its remaining time, and its errors."""

    started_s: float
    deadline_s: float
    calls: int = 0
    throttled: int = 0
    errors: int = 0
    texts: list[str] = field(default_factory=list)

    def share(self, part: float) -> float:
        """Return when this part of the remaining time is used up."""
        now_s = time.time()
        return now_s + part * max(0.0, self.deadline_s - now_s)

    def pause(self, seconds: float, until_s: float) -> None:
        time.sleep(max(0.0, min(seconds, until_s - time.time())))

    def call(self, until_s: float, function: Callable[..., Any], **asked: Any) -> Any:
        """Make one call, and retry it while AWS throttles, and a few times after a transient error."""
        from botocore.exceptions import ClientError, HTTPClientError

        pause_s, failures = FIRST_PAUSE_S, 0
        while time.time() < until_s:
            self.calls += 1
            try:
                return function(**asked)
            except (ClientError, HTTPClientError) as error:
                if code_of(error) in THROTTLED:
                    self.throttled += 1
                elif failures == TRIES - 1 or (code_of(error) or "Unavailable") not in PASSING:
                    raise
                else:
                    failures += 1
            self.pause(pause_s, until_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise OutOfTimeError("no time left")

    def pages(self, until_s: float, function: Callable[..., Any], given: str, wanted: str, asked: Any) -> Iterator[Any]:
        """Yield all pages; `given` is the member with the next token, `wanted` the parameter for it."""
        seen: set[str] = set()
        while True:
            answer = self.call(until_s, function, **asked)
            yield answer
            token = answer.get(given)
            if not token:
                return
            if token in seen or len(seen) >= MAX_PAGES:
                raise LeaseError(f"the pages do not end: one came twice, or after {len(seen)} others")
            seen.add(token)
            asked = {**asked, wanted: token}

    def note(self, what: str, error: object) -> None:
        self.errors += 1
        if len(self.texts) < MAX_TEXTS:
            name = f"{type(error).__name__}: " if isinstance(error, Exception) else ""
            self.texts.append(f"{what}: {name}{error}".encode("ascii", "replace").decode()[:MAX_TEXT])

    def attempt(self, act: Callable[..., None], *arguments: Any) -> bool:
        """Return whether it succeeded.  A failure does not stop the run."""
        try:
            act(*arguments)
        except Exception as error:  # noqa: BLE001
            self.note(act.__name__, error)
            return False
        return True

    def drain(
        self,
        work: deque[list[str]],
        act: Callable[[list[str], float], None],
        until_s: float,
        split: Callable[[list[str]], Iterable[list[str]]] = halves,
    ) -> set[str]:
        """Delete everything and return the IDs that failed.  A failed batch is halved and queued behind all others."""
        failed: set[str] = set()
        while work:
            batch = work[0]
            try:
                act(batch, until_s)
            except OutOfTimeError:
                return failed
            except Exception as error:  # noqa: BLE001
                if len(batch) > 1:
                    work.extend(split(batch))
                else:
                    failed.add(batch[0])
                    self.note(batch[0], error)
            work.popleft()
        return failed


# Describe.


@dataclass
class Inventory:
    """The annexes as AWS describes them, and which of them should be gone."""

    work: Work
    max_lease_s: int
    kinds: tuple[Kind, ...]
    fleets: dict[str, Fleet] = field(default_factory=dict)  # ours
    foreign: set[str] = field(default_factory=set)  # fleets
    gone: set[str] = field(default_factory=set)  # fleets with the error NotFound
    instances: dict[str, Instance] = field(default_factory=dict)  # ours, the living ones
    is_complete: bool = True

    def look(self) -> None:
        work, keys = self.work, [kind.instance_tag for kind in self.kinds]
        for kind in self.kinds:
            self.is_complete &= work.attempt(self.look_at_fleets, kind, work.share(0.4))
        self.is_complete &= work.attempt(self.look_at_instances, {"Name": "tag-key", "Values": keys}, work.share(0.4))
        for kind in self.kinds:
            self.is_complete &= work.attempt(self.look_by_id, kind, work.share(0.3))
        self.instances = {key: each for key, each in self.instances.items() if self.is_ours(each)}

    def look_at_fleets(self, kind: Kind, until_s: float) -> None:
        asked = {"MaxResults": FLEETS_A_PAGE}
        for answer in self.work.pages(until_s, kind.call(kind.describe), "NextToken", "NextToken", asked):
            self.take_fleets(kind, answer)

    def take_fleets(self, kind: Kind, answer: Mapping[str, Any]) -> None:
        for seen in answer.get(kind.listed) or []:
            try:
                fleet_id, fleet = kind.read(seen, self.max_lease_s)
            except Exception as error:  # noqa: BLE001  an unreadable fleet affects no other
                self.work.note(f"fleet {seen.get(kind.own_id)}", error)
                continue
            if fleet is None:
                self.foreign.add(fleet_id)
            else:
                self.fleets[fleet_id] = fleet

    def look_by_id(self, kind: Kind, until_s: float) -> None:
        """Describe fleets that have instances and are missing in the list, which proves nothing."""
        unknown = {each.fleet_id for each in self.instances.values()} - self.fleets.keys() - self.foreign
        todo = batches(sorted(each for each in unknown if each.startswith(kind.prefix)), IDS_A_LOOK)
        self.work.drain(todo, partial(self.ask_for_fleets, kind), until_s)
        if todo:
            raise OutOfTimeError(f"{len(todo)} requests left")

    def ask_for_fleets(self, kind: Kind, fleet_ids: list[str], until_s: float) -> None:
        """Describe several: an unknown one fails the call for all."""
        try:
            self.take_fleets(kind, self.work.call(until_s, kind.call(kind.describe), **{kind.ids: fleet_ids}))
        except Exception as error:
            if len(fleet_ids) > 1 or code_of(error) != kind.not_found:
                raise
            self.gone.add(fleet_ids[0])

    def look_at_instances(self, wanted: Mapping[str, Any], until_s: float) -> None:
        """Find the living instances of all fleets, also of unlisted ones."""
        filters = [wanted, {"Name": "instance-state-name", "Values": LIVING_STATES}]
        asked = {"Filters": filters, "MaxResults": INSTANCES_A_PAGE}
        for answer in self.work.pages(until_s, ec2().describe_instances, "NextToken", "NextToken", asked):
            for seen in (each for group in answer.get("Reservations") or [] for each in group.get("Instances") or []):
                try:
                    self.take_instance(seen)
                except Exception as error:  # noqa: BLE001  an unreadable instance affects no other
                    self.work.note(f"instance {seen.get('InstanceId')}", error)

    def take_instance(self, seen: Mapping[str, Any]) -> None:
        tags, launched = tags_of(seen), seen.get("LaunchTime")
        fleet_id = next((tags[kind.instance_tag] for kind in self.kinds if kind.instance_tag in tags), None)
        if fleet_id is not None and fleet_id not in self.foreign:
            launched_s = self.work.started_s if launched is None else launched.timestamp()
            stamp = tuple(tags.get(key) for key in STAMPS)
            self.instances[str(seen["InstanceId"])] = Instance(fleet_id, stamp, launched_s)

    def look_again(self, kind: Kind, fleet_ids: list[str], until_s: float) -> None:
        """Describe the instances of these fleets again; if that fails, keep what is known."""
        known, fleets = self.instances, set(fleet_ids)
        self.instances = {}
        try:
            self.look_at_instances({"Name": "tag:" + kind.instance_tag, "Values": fleet_ids}, until_s)
        except Exception:
            self.instances = known | self.instances
            raise
        rest = {key: each for key, each in known.items() if each.fleet_id not in fleets}
        self.instances = rest | {key: each for key, each in self.instances.items() if self.is_ours(each)}

    def is_ours(self, instance: Instance) -> bool:
        """Decide by the token of its fleet; if unreadable, by its stamp."""
        known = instance.fleet_id in self.fleets
        return known or (instance.is_stamped and instance.fleet_id not in self.foreign)

    def due_s(self, instance: Instance) -> float:
        """Return when it must end.  If its fleet could not be described, its stamp may be old."""
        fleet = self.fleets.get(instance.fleet_id)
        if fleet is not None:
            return min(fleet.end_s, self.work.started_s) if fleet.is_cancelled else fleet.end_s
        end_s = instance.stamped_end_s(self.max_lease_s)
        return end_s if instance.fleet_id in self.gone else end_s + STUCK_S

    def over(self) -> dict[str, float]:
        """Return the instances that were over when the run began, and for how many seconds.

        A lease that ends during the run is left to the next one: it may have been extended meanwhile.
        """
        late_s = {instance_id: self.work.started_s - self.due_s(each) for instance_id, each in self.instances.items()}
        return {instance_id: seconds for instance_id, seconds in late_s.items() if seconds >= 0}

    def over_fleets(self) -> list[Fleet]:
        return [fleet for fleet in self.fleets.values() if fleet.is_over(self.work.started_s)]


# End.


@dataclass
class Run:
    """One run, in an order in which no annex delays another."""

    work: Work
    inventory: Inventory
    bucket: str
    rights: dict[str, bool | None] = field(default_factory=lambda: dict.fromkeys(RIGHTS))
    accepted: set[str] = field(default_factory=set)  # instances whose termination AWS accepted since the last look
    ended: set[str] = field(default_factory=set)  # instances missing in a later look
    failed: set[str] = field(default_factory=set)  # fleets and instances that AWS refused to end
    fresh: deque[list[str]] = field(default_factory=deque)  # instances to terminate
    stuck: deque[list[str]] = field(default_factory=deque)  # the same, overdue by STUCK_S or more

    def enforce(self) -> None:
        self.inventory.look()
        acts = self.cancel, self.try_rights, self.terminate, self.stamp, self.clean
        for act in (*acts, self.terminate_the_rest, self.stamp_the_rest, self.sweep):
            self.work.attempt(act)

    def cancel(self) -> None:
        """Cancel every fleet that is over, also if only its instances' stamps show it."""
        over = sorted(self.inventory.over_fleets(), key=lambda fleet: -fleet.end_s)
        ids = [fleet.fleet_id for fleet in over if fleet.may_launch or fleet.state in RUNNING_STATES]
        stamped = {self.inventory.instances[each].fleet_id for each in self.inventory.over()}
        ids += sorted(stamped - self.inventory.fleets.keys() - self.inventory.gone)
        for kind in self.inventory.kinds:
            todo = batches([each for each in ids if each.startswith(kind.prefix)], kind.batch)
            self.failed |= self.work.drain(todo, partial(self.cancel_batch, kind), self.work.share(0.5))

    def cancel_batch(self, kind: Kind, fleet_ids: list[str], until_s: float) -> None:
        order_end, (with_instances, without) = kind.call(kind.order_end), kind.to_end(fleet_ids)
        try:
            answer = self.work.call(until_s, order_end, **with_instances)
        except Exception as error:
            if code_of(error) not in DENIED:
                raise
            answer = self.work.call(until_s, order_end, **without)  # their instances are terminated one by one
        for fleet_id, code in kind.refusals(answer).items():
            self.failed.add(fleet_id)
            self.work.note(f"cancel {fleet_id}", code)

    def try_rights(self) -> None:
        """Check by DryRun whether this function may end a living annex of each kind."""
        over, fleets = self.inventory.over(), self.inventory.fleets
        known = {key: each for key, each in self.inventory.instances.items() if each.fleet_id in fleets}
        for kind in self.inventory.kinds:
            of_kind = (key for key, each in known.items() if each.fleet_id.startswith(kind.prefix))
            instance_id = min(of_kind, key=lambda key: (key in over, key), default=None)
            if instance_id is None:
                continue
            self.dry_run("cancel", kind.call(kind.order_end), *kind.to_end([known[instance_id].fleet_id]))
            self.dry_run("terminate", ec2().terminate_instances, {"InstanceIds": [instance_id]})
            self.dry_run("stamp", ec2().create_tags, self.stamped([instance_id]))
            self.dry_run("unprotect", ec2().modify_instance_attribute, unprotected(instance_id))

    def dry_run(self, right: str, function: Callable[..., Any], *ways: dict[str, Any]) -> None:
        """Note whether one of these ways works.  A right missing for one kind is missing."""
        has = None
        for asked in ways:
            try:
                self.work.call(self.work.share(0.05), function, DryRun=True, **asked)
            except OutOfTimeError:
                return
            except Exception as error:  # noqa: BLE001
                code = code_of(error)
                has = True if code == "DryRunOperation" else False if code in DENIED else None
                if code in DENIED and asked is not ways[-1]:
                    continue
                if code not in {"DryRunOperation", "UnsupportedOperation"}:  # Spot instances have no protection
                    self.work.note(f"DryRun of {right}", error)
            break
        self.rights[right] = False if False in (has, self.rights[right]) else self.rights[right] or has

    def terminate(self) -> None:
        """Terminate what the fleets did not end, whatever their cancellation returned."""
        self.look_again(self.work.share(0.4))
        self.terminate_all(self.fresh, min(self.work.share(0.6), time.time() + SLICE_S))
        third_s = (self.work.deadline_s - self.work.started_s) / 3
        self.terminate_all(self.stuck, min(self.work.share(0.8), time.time() + third_s))

    def terminate_the_rest(self) -> None:
        """Terminate what there was no time for, and what AWS still shows."""
        for _ in range(ROUNDS):
            if time.time() >= self.work.deadline_s or not self.inventory.over().keys() - self.failed:
                return
            self.look_again(self.work.deadline_s)
            self.terminate_all(self.fresh, min(self.work.deadline_s, time.time() + SLICE_S))
            self.terminate_all(self.stuck, min(self.work.deadline_s, time.time() + SLICE_S))
        self.look_again(self.work.deadline_s)

    def look_again(self, until_s: float) -> None:
        """Wait, describe the instances of all that is over, and queue living ones."""
        inventory, before = self.inventory, set(self.inventory.over())
        fleets = {inventory.instances[each].fleet_id for each in before}
        fleets |= {fleet.fleet_id for fleet in inventory.over_fleets() if fleet.may_launch}
        if fleets:
            self.work.pause(SETTLE_S, until_s)
        for kind in inventory.kinds:
            for batch in batches(sorted(each for each in fleets if each.startswith(kind.prefix)), IDS_A_LOOK):
                if time.time() < until_s and self.work.attempt(inventory.look_again, kind, batch, until_s):
                    self.accepted -= {key for key, each in inventory.instances.items() if each.fleet_id in batch}
        self.ended |= before - inventory.instances.keys()
        left = {key: late_s for key, late_s in inventory.over().items() if key not in self.failed}
        order = sorted(left, key=lambda key: (inventory.instances[key].fleet_id, key))  # those of one annex together
        self.fresh = self.queue(self.fresh, [key for key in order if left[key] < STUCK_S])
        self.stuck = self.queue(self.stuck, [key for key in order if left[key] >= STUCK_S])

    def queue(self, work: deque[list[str]], instance_ids: list[str]) -> deque[list[str]]:
        """Keep waiting batches halved as they are, or each look would start over; add new ones before."""
        wanted = set(instance_ids)
        waiting = [[key for key in batch if key in wanted] for batch in work]
        known = {key for batch in waiting for key in batch}
        new = batches([key for key in instance_ids if key not in known], TERMINATE_BATCH)
        return in_turn(new, self.work.started_s) + deque(filter(None, waiting))

    def halves(self, batch: list[str]) -> tuple[list[str], list[str]]:
        """Cut between two annexes, if there are several: most often one of them fails as a whole."""
        fleets, places = [self.inventory.instances[key].fleet_id for key in batch], range(1, len(batch))
        gaps = [each for each in places if fleets[each] != fleets[each - 1]] or places
        cut = min(gaps, key=lambda each: abs(2 * each - len(batch)))
        return batch[:cut], batch[cut:]

    def terminate_all(self, todo: deque[list[str]], until_s: float) -> None:
        self.failed |= self.work.drain(todo, self.terminate_batch, until_s, self.halves)

    def terminate_batch(self, instance_ids: list[str], until_s: float) -> None:
        try:
            self.work.call(until_s, ec2().terminate_instances, InstanceIds=instance_ids)
        except Exception as error:
            if len(instance_ids) > 1 or code_of(error) not in {"OperationNotPermitted", "InvalidInstanceID.NotFound"}:
                raise
            if code_of(error) == "OperationNotPermitted":  # it is protected
                self.work.call(until_s, ec2().modify_instance_attribute, **unprotected(instance_ids[0]))
                self.work.call(until_s, ec2().terminate_instances, InstanceIds=instance_ids)
        self.accepted |= set(instance_ids)

    def stamp(self) -> None:
        """Tag instances with fleet, annex and end, in case their fleet becomes unreadable."""
        self.stamp_all(self.inventory.over().keys())

    def stamp_the_rest(self) -> None:
        """Stamp what could not be ended, too."""
        self.stamp_all(self.accepted)

    def stamp_all(self, left_out: Set[str]) -> None:
        if self.rights["stamp"] is False:
            return  # the receipt says so
        unlike: dict[str, list[str]] = {}
        for key, each in self.inventory.instances.items():
            if each.fleet_id in self.inventory.fleets and key not in left_out and each.stamp != self.stamp_of(each):
                unlike.setdefault(each.fleet_id, []).append(key)
        todo = deque(batch for keys in unlike.values() for batch in batches(keys, STAMP_BATCH))
        self.work.drain(in_turn(todo, self.work.started_s), self.stamp_batch, self.work.share(0.6))

    def stamp_of(self, instance: Instance) -> tuple[str | None, ...]:
        fleet = self.inventory.fleets[instance.fleet_id]
        return fleet.fleet_id, fleet.annex_id, utc(fleet.end_s)

    def stamped(self, instance_ids: list[str]) -> dict[str, Any]:
        """Build the call for one fleet's instances."""
        values = self.stamp_of(self.inventory.instances[instance_ids[0]])
        tags = [{"Key": key, "Value": value} for key, value in zip(STAMPS, values, strict=True)]
        return {"Resources": instance_ids, "Tags": tags}

    def stamp_batch(self, instance_ids: list[str], until_s: float) -> None:
        self.work.call(until_s, ec2().create_tags, **self.stamped(instance_ids))
        instances = self.inventory.instances
        for key in instance_ids:
            instances[key] = replace(instances[key], stamp=self.stamp_of(instances[key]))

    def clean(self) -> None:
        """Remove the objects of annexes that are over and gone, and no others."""
        over = {f"annex/{annex_id}.tar.gz" for annex_id in self.annexes()[1]}
        if not self.bucket or not self.inventory.is_complete or not over:
            return
        asked, until_s = {"Bucket": self.bucket, "Prefix": "annex/"}, self.work.share(0.5)
        tokens = "NextContinuationToken", "ContinuationToken"
        for answer in self.work.pages(until_s, s3().list_objects_v2, *tokens, asked):
            if keys := [{"Key": each["Key"]} for each in answer.get("Contents") or [] if each["Key"] in over]:
                removed = self.work.call(until_s, s3().delete_objects, Bucket=self.bucket, Delete={"Objects": keys})
                for failure in removed.get("Errors") or []:
                    self.work.note(f"object {failure.get('Key')}", failure.get("Code"))

    def annexes(self) -> tuple[set[str], set[str]]:
        """Return the IDs of annexes in use, and of those that are over and gone."""
        begin_s, fleets = self.work.started_s, self.inventory.fleets
        living = {each.fleet_id: each.stamp[1] for each in self.inventory.instances.values()}
        used = {each.annex_id for each in fleets.values() if not each.is_over(begin_s) or each.fleet_id in living}
        used |= {str(annex_id) for fleet_id, annex_id in living.items() if fleet_id not in fleets}
        return used, {each.annex_id for each in fleets.values()} - used

    def sweep(self) -> None:
        """Remove launch templates of annexes that are gone; without a fleet, after the ordered end."""
        used, over = self.annexes()
        asked = {"Filters": [{"Name": "tag-key", "Values": [STAMPS[1]]}], "MaxResults": TEMPLATES_A_PAGE}
        if not self.inventory.is_complete:
            return
        found: list[str] = []
        tokens = "NextToken", "NextToken"
        for answer in self.work.pages(self.work.share(0.5), ec2().describe_launch_templates, *tokens, asked):
            for seen in answer.get("LaunchTemplates") or []:
                ordered = read_token(seen.get("LaunchTemplateName"))
                if ordered and ordered[0] not in used and (ordered[0] in over or ordered[1] <= self.work.started_s):
                    found.append(str(seen.get("LaunchTemplateId")))
        todo = in_turn(batches(found, 1), self.work.started_s)
        self.work.drain(todo, self.remove_template, self.work.deadline_s)

    def remove_template(self, template_ids: list[str], until_s: float) -> None:
        try:
            self.work.call(until_s, ec2().delete_launch_template, LaunchTemplateId=template_ids[0])
        except Exception as error:
            if code_of(error) != "InvalidLaunchTemplateId.NotFound":  # annexd may have been faster
                raise

    def stuck_ids(self) -> list[str]:
        """Return what is three ticks overdue and was not seen to end."""
        begin_s = self.work.started_s
        late = {each.fleet_id for each in self.inventory.over_fleets() if begin_s - each.end_s >= STUCK_S}
        living = {key for key, late_s in self.inventory.over().items() if late_s >= STUCK_S}
        return sorted(late & self.failed) + sorted(living - self.accepted)

    def counts(self) -> dict[str, Any]:
        work, inventory = self.work, self.inventory
        over, alive = inventory.over().keys(), {each.fleet_id for each in inventory.instances.values()}
        shown, stuck_ids = inventory.fleets.values(), self.stuck_ids()
        fleets = [each for each in shown if each.state not in ENDED_STATES or each.fleet_id in alive]
        over_fleets = sum(each.is_over(work.started_s) for each in fleets)
        return {
            "complete": inventory.is_complete,
            "rights": self.rights,
            "fleets": len(fleets) - over_fleets,
            "instances": len(inventory.instances.keys() - over),
            "over": over_fleets,
            "ended": len(self.ended | self.accepted),
            "stuck": len(stuck_ids),
            "stuck_ids": stuck_ids[:MAX_IDS],
            "errors": work.errors,
            "error_texts": work.texts,
            "throttled": work.throttled,
            "calls": work.calls,
            "duration_s": round(time.time() - work.started_s, 1),
        }


def unprotected(instance_id: str) -> dict[str, Any]:
    return {"InstanceId": instance_id, "DisableApiTermination": {"Value": False}}


# Entry.


def origin(event: Any, function_arn: str, now_s: float) -> dict[str, Any]:
    """Describe the caller and this function."""
    region, account = [*function_arn.split(":"), *[""] * 5][3:5]
    rule, at_s = tick(event) if isinstance(event, dict) else ("", None)
    match = RULE.fullmatch(rule)
    is_tick = bool(match and match.groups() == (region, account) and at_s and abs(now_s - at_s) <= FRESH_EVENT_S)
    return {
        "receipt": RECEIPT,
        "contract": CONTRACT,
        "tick": is_tick,
        "rule": rule if is_tick else None,
        "at": at_s if is_tick else int(now_s),
        "account": account,
        "region": region,
        "function": function_arn,
        "digest": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
    }


def tick(event: dict[str, Any]) -> tuple[str, int | None]:
    """Return the event's rule and time; neither for other events."""
    named = event.get("resources")
    is_scheduled = (event.get("source"), event.get("detail-type")) == ("aws.events", "Scheduled Event")
    rule = named[0] if is_scheduled and isinstance(named, list) and named else None
    return (rule, moment_s(event.get("time"))) if isinstance(rule, str) else ("", None)


def max_lease_s() -> int | None:
    text = os.environ.get(MAX_LEASE_VARIABLE, "")
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else None


def fault(receipt: Mapping[str, Any]) -> str:
    """Return the faults for an administrator; empty if all is well."""
    faults = [] if receipt["complete"] else ["not everything could be described"]
    faults += [] if receipt["max_lease_s"] else [f"{MAX_LEASE_VARIABLE} must be a number of seconds"]
    faults += [f"the right to {right} is missing" for right, has in receipt["rights"].items() if has is False]
    faults += [f"{receipt['stuck']} could not be ended, {receipt['stuck_ids'][0]} first"] if receipt["stuck"] else []
    return "; ".join(faults + receipt["error_texts"][:1] if faults else [])


def handler(event: Any, context: Any) -> dict[str, Any]:
    started_s, longest_s = time.time(), max_lease_s()
    work = Work(started_s, started_s + context.get_remaining_time_in_millis() / 1000 - RESERVE_S)
    inventory = Inventory(work, longest_s or DEFAULT_MAX_LEASE_S, KINDS)
    run = Run(work, inventory, os.environ.get(BUCKET_VARIABLE, ""))
    run.enforce()
    receipt = origin(event, context.invoked_function_arn, started_s) | {"max_lease_s": longest_s} | run.counts()
    print(json.dumps(receipt), flush=True)
    if why := fault(receipt):
        raise LeaseError(why)
    return receipt
