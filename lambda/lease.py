"""The lease of an annex, enforced by the cloud itself.

An EventBridge rule calls `handler` every five minutes for as long as the annex has a lease. Once the
lease is over, everything the annex started is ended, and looked at again until it is gone; only then are
the target and the rule removed, which is what ends the calls. So a run may fail, be cut off or come twice
at any point: the lease is still there, and the next call goes on from what it sees. Nothing is remembered
between runs.

EC2's answers lag behind: what was requested in the lease's last seconds may not be told of yet.  So that nothing
is there is believed only two minutes after the lease's end, or once AWS calls the annex's own fleet over.

Event: {"AnnexID": ..., "RuleID": ..., "TargetID": ..., "LeaseExpiration": seconds since the epoch}, and where the
annex has a configuration object {"ConfigBucket": ..., "ConfigKey": ...}, which is deleted once they are told to end.
Each run logs one line of JSON. A run that could not end something raises LeaseError after trying all the rest,
so that the function's error metric shows it and Lambda asks again before the next tick.

Self-contained: it is uploaded as it is, and boto3 comes with the runtime.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

FLEET_TAG = "aws:ec2spot:fleet-request-id"  # set by Spot Fleet; nobody else can set an aws: tag
ANNEX_TAG = "htcondor:annex-id"
NOT_GONE = ["pending", "running", "shutting-down", "stopping", "stopped"]
ALREADY_OVER = {"fleetRequestNotInCancellableState", "fleetRequestIdDoesNotExist"}

CANCEL_BATCH = 100  # CancelSpotFleetRequests takes no more
FILTER_BATCH = 100  # EC2 takes at most 200 values in a filter
TERMINATE_BATCH = 500  # EC2 advises at most 1,000
TOLD_AT_MOST = 20  # ids in a log line: 10,000 would not fit

LAG_S = 120.0  # EC2 promises eventual consistency and no number; its answers lag by seconds, in bad hours by more
OBJECT_PATIENCE_S = 86400.0  # after the lease's end; then the bucket's life-cycle rule deletes what S3 would not

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
RESERVE_S = 20.0  # left unused before the time limit, for the last round and the log line
TROUBLED_ROUNDS = 3  # rounds with errors before the rest is left to the next run


class InvalidEventError(Exception):
    """The event names no lease: nothing is touched."""


class LeaseError(Exception):
    """Something could not be ended in this run; the lease stays, and the next run tries again."""


@dataclass(frozen=True)
class ConfigObject:
    """The object from which the instances took their configuration, and a token with it; `fault`: why it is left."""

    bucket: str
    key: str
    fault: str = ""

    @classmethod
    def read(cls, event: dict[str, Any]) -> ConfigObject | None:
        """None when the annex has none.  A name that is not its own is no reason to leave the instances."""
        bucket, key = event.get("ConfigBucket"), event.get("ConfigKey")
        if bucket is None and key is None:
            return None
        own = f"annex/{event['AnnexID']}.tar.gz"
        is_bucket = isinstance(bucket, str) and re.fullmatch(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]", bucket)
        fault = "" if is_bucket and key == own else f"the annex's own is {own} in a bucket: this one is not touched"
        return cls(str(bucket), str(key), fault)


@dataclass(frozen=True)
class Lease:
    """What the target's input says.  A fleet is ours if `annex_id` is all before its token's last `_`."""

    annex_id: str
    rule_id: str
    target_id: str
    expiration_s: float
    config: ConfigObject | None = None

    @classmethod
    def read(cls, event: Any) -> Lease:
        if not isinstance(event, dict):
            raise InvalidEventError(f"the event must be a JSON object, not {type(event).__name__}")
        names = ("AnnexID", "RuleID", "TargetID")
        faults = [f"{name} must be 1 to 64 of [.-_A-Za-z0-9]" for name in names if not _is_name(event.get(name))]
        expiration_s = _epoch_seconds(event.get("LeaseExpiration"))
        if expiration_s is None:
            faults.append(f"LeaseExpiration must be seconds since the epoch, not {event.get('LeaseExpiration')!r}")
        if faults or expiration_s is None:
            raise InvalidEventError("; ".join(faults))
        return cls(event["AnnexID"], event["RuleID"], event["TargetID"], expiration_s, ConfigObject.read(event))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[.\-_A-Za-z0-9]{1,64}", value) is not None


def _epoch_seconds(value: Any) -> float | None:
    """A date between 2001 and 2096, so that neither a duration nor milliseconds are taken for one."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 1_000_000_000 <= value <= 4_000_000_000 else None


def handler(event: Any, context: Any) -> dict[str, Any]:
    try:
        lease = Lease.read(event)
    except InvalidEventError as error:
        log({"outcome": "refused", "error": str(error), "event": event})
        raise
    left_s = lease.expiration_s - time.time()
    if left_s > 0:
        return log({"outcome": "waiting", "annex_id": lease.annex_id, "left_s": round(left_s)})
    run = Run(lease, *clients(), lambda: context.get_remaining_time_in_millis() / 1000)
    outcome = run.enforce()
    receipt = log(run.receipt(outcome))
    if outcome == "failed":
        raise LeaseError(f"annex {lease.annex_id}: {'; '.join(run.errors)}")
    return receipt


def log(receipt: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(receipt, default=str))
    return receipt


@cache
def clients() -> tuple[Any, Any]:
    """EC2 and EventBridge.  boto3 is imported here: most calls come before the end and need none."""
    import boto3

    return boto3.client("ec2", config=patience()), boto3.client("events", config=patience())


@cache
def s3() -> Any:
    """S3, for the annexes that have an object there."""
    import boto3

    return boto3.client("s3", config=patience())


def patience() -> Any:
    from botocore.config import Config

    return Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 4})


@dataclass(frozen=True)
class Fleet:
    fleet_id: str
    state: str
    kind: str

    @property
    def may_launch(self) -> bool:
        return self.state in ("submitted", "active", "modifying")

    @property
    def is_over(self) -> bool:
        return self.state in ("cancelled", "failed")

    @property
    def replaces(self) -> bool:
        """Whether it would start another instance for one that is ended by itself."""
        return self.may_launch and self.kind != "request"


@dataclass(frozen=True)
class Instance:
    fleet_id: str | None
    state: str


@dataclass
class Run:
    """One run after the end of the lease: what it sees, does, and could not do."""

    lease: Lease
    ec2: Any
    events: Any
    remaining_s: Callable[[], float]
    fleets: list[Fleet] = field(default_factory=list)  # ours, as of the last look
    foreign: set[str] = field(default_factory=set)  # all others
    alive: dict[str, Instance] = field(default_factory=dict)  # ours, as of the last look
    seen: set[str] = field(default_factory=set)  # every instance that was alive in some look
    cancelled: set[str] = field(default_factory=set)  # fleets that could launch until this run
    errors: list[str] = field(default_factory=list)  # of the last round
    overcome: int = 0
    rounds: int = 0
    seen_gone_at: str | None = None
    config_object: str | None = None  # deleted, or why it is left; None: there is none, or it is there still

    def enforce(self) -> str:
        """ended: all is gone, the lease too.  ending, failed: the next run goes on; failed had errors."""
        pause_s, troubled = FIRST_PAUSE_S, 0
        while not (self.all_gone() and self.object_removed() and self.lease_removed()):
            if self.rounds == 1:
                self.object_removed()  # at once as well: nobody shall join any more, should this be the last run
            troubled += bool(self.errors)
            if troubled >= TROUBLED_ROUNDS or self.remaining_s() < RESERVE_S + pause_s:
                return "failed" if self.errors else "ending"
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return "ended"

    def all_gone(self) -> bool:
        """One round: look, end what is there, and tell whether there was nothing left to end.

        A fleet that could still launch until this run has to be seen `cancelled`.  One that an earlier run
        cancelled has not: fleets are known to stay `cancelled_running` for ever with nothing in them.
        """
        self.rounds += 1
        self.overcome += len(self.errors)
        self.errors = []
        if not self.attempt(self.look_for_fleets):
            return False
        self.cancelled |= {fleet.fleet_id for fleet in self.fleets if fleet.may_launch}
        ending = self.cancel([fleet.fleet_id for fleet in self.fleets if _is_cancellable(fleet)])
        if self.attempt(self.look_for_instances):
            self.terminate(ending)
        if self.errors or self.alive or not self.is_certain():
            return False
        self.seen_gone_at = datetime.now(UTC).isoformat(timespec="seconds")
        return True

    def is_certain(self) -> bool:
        """Whether there is nothing, now that nothing was seen.  An annex has one fleet.

        That it is over says AWS itself: all its instances are gone.  As long as it does not, or no fleet is to be
        seen, there may be more than EC2 tells.
        """
        if any(fleet.fleet_id in self.cancelled and not fleet.is_over for fleet in self.fleets):
            return False
        told_over = bool(self.fleets) and all(fleet.is_over for fleet in self.fleets)
        return told_over or time.time() >= self.lease.expiration_s + LAG_S

    def attempt(self, call: Callable[..., None], *arguments: Any) -> bool:
        """Whether `call` went through: an error of AWS's is kept, so that the others still get their turn."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            call(*arguments)
        except (BotoCoreError, ClientError) as error:
            self.errors.append(f"{call.__name__}: {error}")
            return False
        return True

    def look_for_fleets(self) -> None:
        """Every fleet of this annex, and nobody else's: `test` owns neither `test2`'s nor `test_1`'s."""
        fleets, foreign = [], set()
        for told in pages(self.ec2.describe_spot_fleet_requests, "SpotFleetRequestConfigs"):
            config = told.get("SpotFleetRequestConfig") or {}
            annex_id, _, _ = (config.get("ClientToken") or "").rpartition("_")
            fleet = Fleet(told["SpotFleetRequestId"], told["SpotFleetRequestState"], config.get("Type", "maintain"))
            if annex_id == self.lease.annex_id:
                fleets.append(fleet)
            else:
                foreign.add(fleet.fleet_id)
        self.fleets, self.foreign = fleets, foreign

    def cancel(self, fleet_ids: list[str]) -> set[str]:
        """Cancel with termination; the fleets that are now ending their instances by themselves."""
        ending: set[str] = set()
        for batch in batches(fleet_ids, CANCEL_BATCH):
            self.attempt(self.cancel_batch, batch, ending)
        return ending

    def cancel_batch(self, fleet_ids: list[str], ending: set[str]) -> None:
        answer = self.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=fleet_ids, TerminateInstances=True)
        ending |= {each["SpotFleetRequestId"] for each in answer.get("SuccessfulFleetRequests") or []}
        for failure in answer.get("UnsuccessfulFleetRequests") or []:
            error = failure.get("Error") or {}
            if error.get("Code") not in ALREADY_OVER:
                self.errors.append(f"cancel {failure.get('SpotFleetRequestId')}: {error}")

    def look_for_instances(self) -> None:
        """By Spot Fleet's own tag, by the annex's tag, and as the fleets list them: no one of these is all.

        An instance with our tag in somebody else's fleet (made from a copy of our request) is not ours.
        """
        alive: dict[str, Instance] = {}
        for batch in batches([fleet.fleet_id for fleet in self.fleets], FILTER_BATCH):
            alive |= self.instances("tag:" + FLEET_TAG, batch, NOT_GONE)
        tagged = self.instances("tag:" + ANNEX_TAG, [self.lease.annex_id], NOT_GONE)
        alive |= {each: one for each, one in tagged.items() if one.fleet_id and one.fleet_id not in self.foreign}
        self.alive = alive | self.listed_only(alive)
        self.seen |= set(self.alive)

    def instances(self, name: str, values: list[str], states: list[str]) -> dict[str, Instance]:
        filters = [{"Name": name, "Values": values}, {"Name": "instance-state-name", "Values": states}]
        found = {}
        for reservation in pages(self.ec2.describe_instances, "Reservations", Filters=filters):
            for told in reservation["Instances"]:
                tags = {tag["Key"]: tag.get("Value") for tag in told.get("Tags") or []}
                found[told["InstanceId"]] = Instance(tags.get(FLEET_TAG), told["State"]["Name"])
        return found

    def listed_only(self, known: dict[str, Instance]) -> dict[str, Instance]:
        """What fleets list beyond `known`, unless it is gone: an instance may be there before its tags."""
        listed: dict[str, Instance] = {}
        for fleet_id in [fleet.fleet_id for fleet in self.fleets if not fleet.is_over]:
            told = pages(self.ec2.describe_spot_fleet_instances, "ActiveInstances", SpotFleetRequestId=fleet_id)
            listed |= {each["InstanceId"]: Instance(fleet_id, "listed") for each in told}
        unknown = [each for each in listed if each not in known]
        gone: set[str] = set()
        for batch in batches(unknown, FILTER_BATCH):
            gone |= set(self.instances("instance-id", batch, ["terminated"]))
        return {each: listed[each] for each in unknown if each not in gone}

    def terminate(self, ending: set[str]) -> None:
        """By themselves, those that no fleet is ending, and that none would replace."""
        spared = ending | {fleet.fleet_id for fleet in self.fleets if fleet.replaces}
        left = [each for each, one in self.alive.items() if one.state != "shutting-down" and one.fleet_id not in spared]
        for batch in batches(left, TERMINATE_BATCH):
            self.attempt(self.terminate_batch, batch)

    def terminate_batch(self, instance_ids: list[str]) -> None:
        """All of them; or, when one of them spoils the call for all, each half by itself."""
        from botocore.exceptions import ClientError

        try:
            self.ec2.terminate_instances(InstanceIds=instance_ids)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ("InvalidInstanceID.NotFound", "UnauthorizedOperation"):
                raise
            if len(instance_ids) > 1:
                middle = len(instance_ids) // 2
                self.attempt(self.terminate_batch, instance_ids[:middle])
                self.attempt(self.terminate_batch, instance_ids[middle:])
            elif code == "UnauthorizedOperation":
                raise

    def object_removed(self) -> bool:
        """Whether it keeps the lease no more."""
        config = self.lease.config
        if config is None or self.attempt(self.delete_object, config):
            return True
        if time.time() < self.lease.expiration_s + OBJECT_PATIENCE_S:
            return False
        self.config_object = f"left to the bucket's life-cycle rule: {self.errors.pop()}"
        return True

    def delete_object(self, config: ConfigObject) -> None:
        """S3 says yes as well when it is not there."""
        if not config.fault:
            with contextlib.suppress(s3().exceptions.NoSuchBucket):
                s3().delete_object(Bucket=config.bucket, Key=config.key)
        self.config_object = config.fault or "deleted"

    def lease_removed(self) -> bool:
        """Target, then rule; that one is gone already is as good."""
        return self.attempt(self.remove_target) and not self.errors and self.attempt(self.delete_rule)

    def remove_target(self) -> None:
        try:
            answer = self.events.remove_targets(Rule=self.lease.rule_id, Ids=[self.lease.target_id])
        except self.events.exceptions.ResourceNotFoundException:
            return
        for failure in answer.get("FailedEntries") or []:
            if failure.get("ErrorCode") != "ResourceNotFoundException":
                self.errors.append(f"remove_target: {failure}")

    def delete_rule(self) -> None:
        try:
            self.events.delete_rule(Name=self.lease.rule_id)
        except self.events.exceptions.ResourceNotFoundException:
            return

    def receipt(self, outcome: str) -> dict[str, Any]:
        return {
            "outcome": outcome,
            "annex_id": self.lease.annex_id,
            "rule_id": self.lease.rule_id,
            "target_id": self.lease.target_id,
            "late_s": round(time.time() - self.lease.expiration_s, 1),
            "fleets": {fleet.fleet_id: fleet.state for fleet in self.fleets[:TOLD_AT_MOST]},
            "fleets_found": len(self.fleets),
            "fleets_cancelled": len(self.cancelled),
            "instances": sorted(self.seen)[:TOLD_AT_MOST],
            "instances_ended": len(self.seen) - len(self.alive),
            "instances_alive": len(self.alive),
            "seen_gone_at": self.seen_gone_at,
            "config_object": self.config_object,
            "rounds": self.rounds,
            "errors_overcome": self.overcome,
            "errors": self.errors[:TOLD_AT_MOST],
        }


def _is_cancellable(fleet: Fleet) -> bool:
    """Also one that was cancelled without its instances: AWS takes a second order for them."""
    return fleet.may_launch or fleet.state == "cancelled_running"


def pages(call: Callable[..., dict[str, Any]], key: str, **asked: Any) -> Iterator[dict[str, Any]]:
    """What all the pages of `call` hold under `key`."""
    answer = call(**asked)
    yield from answer.get(key) or []
    while token := answer.get("NextToken"):
        answer = call(**asked, NextToken=token)
        yield from answer.get(key) or []


def batches(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
