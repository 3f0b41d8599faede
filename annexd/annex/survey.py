"""What of annexd's there is in an account: every fleet, instance and rule, on all pages, and nobody else's.

A fleet is ours if its client token has our form and its tag names the same annex; a rule, if its description is
the one we write for its own name.  Whatever is only like it is another's.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.identifiers import ANNEX_ID, annex_of_client_token, is_end, rule_name, target_id
from annexd.annex.lease import (
    LONGEST_TAG,
    OWN_TAGS,
    TAG_ANNEX_ID,
    TAG_LEASE_END,
    TAG_OWNER,
    annex_and_end_of,
    moment_s,
)
from annexd.annex.steps.asking import asking
from annexd.aws import Clients, answers
from annexd.aws.errors import AWS_ERRORS, is_not_found

FLEET_TAG: Final = "aws:ec2spot:fleet-request-id"  # set by Spot Fleet; nobody else can set an aws: tag
LAUNCHING: Final = frozenset({"submitted", "active", "modifying"})  # BatchState
LONGEST_KEY: Final = 1024  # bytes, of an object in S3
NOT_GONE: Final = ["pending", "running", "shutting-down", "stopping", "stopped"]  # InstanceStateName


@dataclass(frozen=True)
class Fleet:
    """A Spot Fleet request of an annex; `end_of_lease_s` by its tag."""

    fleet_id: str
    annex_id: str
    client_token: str
    owner: str
    end_of_lease_s: float | None
    launching: bool


@dataclass(frozen=True)
class Instance:
    """One that is not gone; an annex ID only with all of our tags."""

    instance_id: str
    fleet_id: str
    annex_id: str | None
    owner: str
    end_of_lease_s: float | None


@dataclass(frozen=True)
class Rule:
    """The lease of an annex.  `armed`: it fires, and at our target; `pure`: it has no other target.

    `config_object`: bucket and key, where its target names them; `function_arn`: what that target is.
    """

    annex_id: str
    end_of_lease_s: float
    armed: bool
    pure: bool
    config_object: tuple[str, str] | None = None
    function_arn: str | None = None


@dataclass(frozen=True)
class Survey:
    """All of it, as one look saw it: fleets first, since a lease is made before its fleet."""

    fleets: tuple[Fleet, ...]
    instances: tuple[Instance, ...]  # of our fleets, and of fleets that AWS no longer lists
    rules: Mapping[str, Rule]

    def alive(self) -> dict[str, tuple[str, float | None]]:
        """Each annex of which something runs or may be launched: its owner, and its lease's end by its tags."""
        occupied = {instance.fleet_id for instance in self.instances}
        running: list[Fleet | Instance] = [one for one in self.fleets if one.launching or one.fleet_id in occupied]
        running += [one for one in self.instances if one.annex_id is not None]
        return {str(one.annex_id): (one.owner, one.end_of_lease_s) for one in reversed(running)}


def rule_of(events: Any, annex_id: str) -> Rule | None:
    """The lease of one annex as it is now; None when there is none.  Raises Retry or Refused."""
    with asking("DescribeRule"):
        try:
            told = events.describe_rule(Name=rule_name(annex_id))
        except AWS_ERRORS as error:
            if is_not_found(error):
                return None
            raise
    with asking("ListTargetsByRule"):
        try:
            return _told_rule(events, told)
        except AWS_ERRORS as error:
            if is_not_found(error):
                return None
            raise


def survey(clients: Clients) -> Survey:
    """Look.  Raises Retry or Refused."""
    with asking("DescribeSpotFleetRequests"):
        listed = list(_fleets(clients.ec2))
    ours = tuple(fleet for _, fleet in listed if fleet is not None)
    others = {fleet_id for fleet_id, fleet in listed if fleet is None}
    with asking("DescribeInstances"):
        instances = tuple(_instances(clients.ec2, {fleet.fleet_id for fleet in ours}, others))
    with asking("ListRules"):
        rules = {rule.annex_id: rule for rule in _rules(clients.events)}
    return Survey(ours, instances, rules)


def _fleets(ec2: Any) -> Iterator[tuple[str, Fleet | None]]:
    for told in answers.listed(ec2, "describe_spot_fleet_requests", "SpotFleetRequestConfigs"):
        yield answers.text(told, "SpotFleetRequestId"), _fleet(told)


def _fleet(told: Mapping[str, Any]) -> Fleet | None:
    token = answers.value(told, "SpotFleetRequestConfig", dict).get("ClientToken") or ""
    annex_id, tags = annex_of_client_token(token), _tags(told)
    if annex_id is None or tags.get(TAG_ANNEX_ID) != annex_id:
        return None
    fleet_id, state = answers.text(told, "SpotFleetRequestId"), answers.text(told, "SpotFleetRequestState")
    return Fleet(fleet_id, annex_id, token, tags.get(TAG_OWNER, ""), _end(tags), state in LAUNCHING)


def _instances(ec2: Any, ours: set[str], others: set[str]) -> Iterator[Instance]:
    filters = [{"Name": "tag-key", "Values": [FLEET_TAG]}, {"Name": "instance-state-name", "Values": NOT_GONE}]
    for reservation in answers.listed(ec2, "describe_instances", "Reservations", Filters=filters):
        for told in answers.rows(reservation, "Instances"):
            instance = _instance(told)
            if instance.fleet_id in ours or (instance.annex_id and instance.fleet_id not in others):
                yield instance


def _instance(told: Mapping[str, Any]) -> Instance:
    tags = _tags(told)
    annex_id = tags.get(TAG_ANNEX_ID) if tags.keys() >= OWN_TAGS else None
    is_ours = annex_id is not None and ANNEX_ID.fullmatch(annex_id) is not None
    fleet_id, owner = tags.get(FLEET_TAG, ""), tags.get(TAG_OWNER, "")
    return Instance(answers.text(told, "InstanceId"), fleet_id, annex_id if is_ours else None, owner, _end(tags))


def _tags(told: Mapping[str, Any]) -> dict[str, str]:
    """As AWS bounds them: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions."""
    return {tag["Key"]: str(tag.get("Value", ""))[:LONGEST_TAG] for tag in told.get("Tags") or ()}


def _end(tags: Mapping[str, str]) -> float | None:
    """None also for one that is no end: then the lease is over."""
    end_s = moment_s(tags.get(TAG_LEASE_END, ""))
    return end_s if end_s is not None and is_end(int(end_s)) else None


def _rules(events: Any) -> Iterator[Rule]:
    for told in answers.listed(events, "list_rules", "Rules"):
        rule = _told_rule(events, told)
        if rule is not None:
            yield rule


def _told_rule(events: Any, told: Mapping[str, Any]) -> Rule | None:
    """None for a rule that is not ours, or tells of no end."""
    annex_id, end_of_lease_s = annex_and_end_of(told.get("Description") or "")
    if annex_id is None or end_of_lease_s is None or not is_end(int(end_of_lease_s)):
        return None
    if annex_id != answers.text(told, "Name"):
        return None
    return _rule(events, annex_id, end_of_lease_s, enabled=told.get("State") == "ENABLED")


def _rule(events: Any, annex_id: str, end_of_lease_s: float, *, enabled: bool) -> Rule:
    targets = list(answers.listed(events, "list_targets_by_rule", "Targets", Rule=annex_id))
    ours = [target for target in targets if _is_target_of(annex_id, target)]
    config_object, function_arn = None, None
    for target in ours:
        function_arn = answers.text(target, "Arn")
        told = json.loads(target["Input"])
        end_of_lease_s, bucket, key = told["LeaseExpiration"], told.get("ConfigBucket"), told.get("ConfigKey")
        config_object = (str(bucket)[:LONGEST_TAG], str(key)[:LONGEST_KEY]) if bucket and key else None
    armed, pure = enabled and bool(ours), len(ours) == len(targets)
    return Rule(annex_id, end_of_lease_s, armed, pure, config_object, function_arn)


def _is_target_of(annex_id: str, target: Mapping[str, Any]) -> bool:
    try:
        told = json.loads(target.get("Input") or "")
        right = told["AnnexID"] == annex_id == told["RuleID"] and is_end(told["LeaseExpiration"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return right and target.get("Id") == target_id(annex_id)
