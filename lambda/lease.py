"""The lease of an annex, enforced by the cloud itself.

An EventBridge rule calls `handler` every five minutes for as long as the annex has a lease.  Once the lease is over,
everything the annex started is ended, and looked at again until it is gone; only then are the target and the rule
removed, which is what ends the calls.  So a run may fail, be cut off or come twice at any point: the lease is still
there, and the next call goes on from what it sees.  Nothing is remembered between runs.

Event: {"AnnexID": ..., "RuleID": ..., "TargetID": ..., "LeaseExpiration": seconds since the epoch}.
Each run logs one line of JSON.  A run that met an error raises LeaseError after doing all that it could, so that the
function's error metric shows it and Lambda asks again before the next tick.

Self-contained: it is uploaded as it is, and boto3 comes with the runtime.
"""

import json
import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache

FLEET_TAG = "aws:ec2spot:fleet-request-id"  # set by Spot Fleet on its instances; nobody else can set an aws: tag
ANNEX_TAG = "htcondor:annex-id"
NOT_GONE = ["pending", "running", "shutting-down", "stopping", "stopped"]
ALREADY_OVER = {"fleetRequestNotInCancellableState", "fleetRequestIdDoesNotExist"}

CANCEL_BATCH = 100  # CancelSpotFleetRequests takes no more
FILTER_BATCH = 100  # EC2 takes at most 200 values in a filter
TERMINATE_BATCH = 500  # EC2 advises at most 1,000
TOLD_AT_MOST = 20  # ids in a log line: 10,000 would not fit

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
RESERVE_S = 20.0  # left unused before the time limit, for a last look and the log line
TROUBLED_LOOKS = 3  # rounds with errors before the run leaves the rest to the next one


class InvalidEvent(Exception):
    """The event names no lease: nothing is touched."""


class LeaseError(Exception):
    """Something could not be ended in this run; the lease stays, and the next run tries again."""


@dataclass(frozen=True)
class Lease:
    """What the target's input says.  `annex_id` owns a fleet by being all that stands before its token's last `_`."""

    annex_id: str
    rule_id: str
    target_id: str
    expiration_s: float

    @classmethod
    def read(cls, event):
        if not isinstance(event, dict):
            raise InvalidEvent(f"the event must be a JSON object, not {type(event).__name__}")
        names = ("AnnexID", "RuleID", "TargetID")
        faults = [f"{name} must be 1 to 64 of [.-_A-Za-z0-9]" for name in names if not _is_name(event.get(name))]
        expiration_s = _epoch_seconds(event.get("LeaseExpiration"))
        if expiration_s is None:
            told = event.get("LeaseExpiration")
            faults.append(f"LeaseExpiration must be in seconds since the epoch, not {told!r}")
        if faults:
            raise InvalidEvent("; ".join(faults))
        return cls(*(event[name] for name in names), expiration_s)


def _is_name(value):
    return isinstance(value, str) and re.fullmatch(r"[.\-_A-Za-z0-9]{1,64}", value) is not None


def _epoch_seconds(value):
    """A date between 2001 and 2096, so that a duration or milliseconds is not taken for one; otherwise None."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 1_000_000_000 <= value <= 4_000_000_000 else None


def handler(event, context):
    try:
        lease = Lease.read(event)
    except InvalidEvent as error:
        log({"outcome": "refused", "error": str(error), "event": event})
        raise
    now_s = time.time()
    if now_s < lease.expiration_s:
        return log({"outcome": "waiting", "annex_id": lease.annex_id, "left_s": round(lease.expiration_s - now_s)})
    run = Run(lease, *clients(), lambda: context.get_remaining_time_in_millis() / 1000)
    outcome = run.enforce()
    receipt = log(run.receipt(outcome))
    if outcome == "failed":
        raise LeaseError(f"annex {lease.annex_id}: {'; '.join(run.errors)}")
    return receipt


def log(receipt):
    print(json.dumps(receipt, default=str))
    return receipt


@cache
def clients():
    """EC2 and EventBridge.  boto3 is imported here since most calls come before the lease is over and need none."""
    import boto3
    from botocore.config import Config

    patience = Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 4})
    return boto3.client("ec2", config=patience), boto3.client("events", config=patience)


@dataclass(frozen=True)
class Fleet:
    fleet_id: str
    state: str
    kind: str

    @property
    def is_uncancelled(self):
        return self.state in ("submitted", "active", "modifying")

    @property
    def may_have_instances(self):
        return self.state not in ("cancelled", "failed")

    @property
    def starts_no_more(self):
        """Whether an instance that is ended by itself stays ended."""
        return not self.is_uncancelled or self.kind == "request"


@dataclass
class Run:
    """One run after the end of the lease: what it did, saw and could not do."""

    lease: Lease
    ec2: object
    events: object
    remaining_s: object
    cancelled: set = field(default_factory=set)  # fleets that were active until this run
    ended: set = field(default_factory=set)  # instances that were there
    alive: dict = field(default_factory=dict)  # instance -> fleet, as of the last look
    fleets: list = field(default_factory=list)
    errors: list = field(default_factory=list)  # of the last round
    overcome: int = 0
    looks: int = 0
    seen_gone_at: str = ""

    def enforce(self):
        """ended: all is gone, the lease too; ending: the next run goes on; failed: it does too, but say so."""
        pause_s, troubled = FIRST_PAUSE_S, 0
        while not (self.all_gone() and self.lease_removed()):
            troubled += bool(self.errors)
            if troubled >= TROUBLED_LOOKS or self.remaining_s() < RESERVE_S + pause_s:
                return "failed" if self.errors else "ending"
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return "ended"

    def all_gone(self):
        """One round: look, end what is there, and say whether there was nothing left to end."""
        self.looks += 1
        self.overcome += len(self.errors)
        self.errors = []
        if not self.attempt(self.look_for_fleets):
            return False
        uncancelled = [fleet for fleet in self.fleets if fleet.is_uncancelled]
        self.cancel([fleet for fleet in self.fleets if fleet.is_uncancelled or fleet.state == "cancelled_running"])
        if self.attempt(self.look_for_instances):
            self.terminate()
        settling = [fleet for fleet in self.fleets if fleet.may_have_instances and fleet.fleet_id in self.cancelled]
        self.cancelled.update(fleet.fleet_id for fleet in uncancelled)
        if self.errors or self.alive or uncancelled or settling:
            return False
        self.seen_gone_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return True

    def attempt(self, call, *arguments):
        """Whether `call` went through: an error of AWS's is kept, so that the others still get their turn."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            call(*arguments)
        except (BotoCoreError, ClientError) as error:
            self.errors.append(f"{call.__name__}: {error}")
            return False
        return True

    def look_for_fleets(self):
        """Every fleet of this annex, and nobody else's: `test` does not own `test2`, nor `test_1`'s."""
        self.fleets, self.foreign = [], set()
        for told in pages(self.ec2.describe_spot_fleet_requests, "SpotFleetRequestConfigs"):
            config = told.get("SpotFleetRequestConfig") or {}
            annex_id, _, _ = (config.get("ClientToken") or "").rpartition("_")
            fleet_id = told["SpotFleetRequestId"]
            if annex_id == self.lease.annex_id:
                self.fleets.append(Fleet(fleet_id, told["SpotFleetRequestState"], config.get("Type", "maintain")))
            else:
                self.foreign.add(fleet_id)

    def cancel(self, fleets):
        for batch in batches([fleet.fleet_id for fleet in fleets], CANCEL_BATCH):
            self.attempt(self.cancel_batch, batch)

    def cancel_batch(self, fleet_ids):
        answer = self.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=fleet_ids, TerminateInstances=True)
        for failure in answer.get("UnsuccessfulFleetRequests") or []:
            error = failure.get("Error") or {}
            if error.get("Code") not in ALREADY_OVER:
                self.errors.append(f"cancel {failure.get('SpotFleetRequestId')}: {error}")

    def look_for_instances(self):
        """By Spot Fleet's own tag, by the annex's tag, and what a fleet itself lists (that is there before the tags).

        After a cancel no single one of them is the whole truth.  An instance with our tag in a fleet that is
        described and not ours (a copied request) is not ours either.
        """
        alive = {}
        for batch in batches([fleet.fleet_id for fleet in self.fleets], FILTER_BATCH):
            alive |= self.instances(("tag:" + FLEET_TAG, batch), ("instance-state-name", NOT_GONE))
        tagged = self.instances(("tag:" + ANNEX_TAG, [self.lease.annex_id]), ("instance-state-name", NOT_GONE))
        alive |= {each: fleet for each, fleet in tagged.items() if fleet and fleet not in self.foreign}
        self.alive = alive | self.listed_but_untagged(alive)
        self.ended |= set(self.alive)

    def instances(self, *filters):
        """{instance: its fleet, or None} of all that match."""
        asked = [{"Name": name, "Values": values} for name, values in filters]
        found = {}
        for reservation in pages(self.ec2.describe_instances, "Reservations", Filters=asked):
            for instance in reservation["Instances"]:
                tags = {tag["Key"]: tag.get("Value") for tag in instance.get("Tags") or []}
                found[instance["InstanceId"]] = tags.get(FLEET_TAG)
        return found

    def listed_but_untagged(self, known):
        """What the fleets list beyond `known` and DescribeInstances does not call terminated: {instance: fleet}."""
        listed = {}
        for fleet in self.fleets:
            if fleet.may_have_instances:
                told = pages(
                    self.ec2.describe_spot_fleet_instances, "ActiveInstances", SpotFleetRequestId=fleet.fleet_id
                )
                listed |= {each["InstanceId"]: fleet.fleet_id for each in told}
        unknown = [each for each in listed if each not in known]
        gone = set()
        for batch in batches(unknown, FILTER_BATCH):
            gone |= set(self.instances(("instance-id", batch), ("instance-state-name", ["terminated"])))
        return {each: listed[each] for each in unknown if each not in gone}

    def terminate(self):
        """What is still there although its fleet was cancelled before this round; a fleet's own end comes first."""
        replacing = {fleet.fleet_id for fleet in self.fleets if not fleet.starts_no_more}
        for batch in batches([each for each, fleet in self.alive.items() if fleet not in replacing], TERMINATE_BATCH):
            self.attempt(self.terminate_batch, batch)

    def terminate_batch(self, instance_ids):
        """All of them; or, when one of them spoils the call, each half by itself."""
        from botocore.exceptions import ClientError

        try:
            self.ec2.terminate_instances(InstanceIds=instance_ids)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "InvalidInstanceID.NotFound" and len(instance_ids) == 1:
                return
            if code not in ("InvalidInstanceID.NotFound", "UnauthorizedOperation") or len(instance_ids) == 1:
                raise
            middle = len(instance_ids) // 2
            self.attempt(self.terminate_batch, instance_ids[:middle])
            self.attempt(self.terminate_batch, instance_ids[middle:])

    def lease_removed(self):
        """Target, then rule.  Both were asked for by name, so that both being gone already is success."""
        return self.attempt(self.remove_target) and not self.errors and self.attempt(self.delete_rule)

    def remove_target(self):
        try:
            answer = self.events.remove_targets(Rule=self.lease.rule_id, Ids=[self.lease.target_id])
        except self.events.exceptions.ResourceNotFoundException:
            return
        for failure in answer.get("FailedEntries") or []:
            if failure.get("ErrorCode") != "ResourceNotFoundException":
                self.errors.append(f"remove_targets: {failure}")

    def delete_rule(self):
        try:
            self.events.delete_rule(Name=self.lease.rule_id)
        except self.events.exceptions.ResourceNotFoundException:
            return

    def receipt(self, outcome):
        return {
            "outcome": outcome,
            "annex_id": self.lease.annex_id,
            "rule_id": self.lease.rule_id,
            "target_id": self.lease.target_id,
            "late_s": round(time.time() - self.lease.expiration_s, 1),
            "fleets": {fleet.fleet_id: fleet.state for fleet in self.fleets[:TOLD_AT_MOST]},
            "fleets_found": len(self.fleets),
            "fleets_cancelled": len(self.cancelled),
            "instances": sorted(self.ended)[:TOLD_AT_MOST],
            "instances_ended": len(self.ended) - len(self.alive),
            "instances_alive": len(self.alive),
            "seen_gone_at": self.seen_gone_at or None,
            "looks": self.looks,
            "errors_overcome": self.overcome,
            "errors": self.errors[:TOLD_AT_MOST],
        }


def pages(call, key, **asked):
    """What all the pages of `call` hold under `key`."""
    answer = call(**asked)
    yield from answer.get(key) or []
    while token := answer.get("NextToken"):
        answer = call(**asked, NextToken=token)
        yield from answer.get(key) or []


def batches(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]
