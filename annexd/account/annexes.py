"""Find the annexes of every pool and annexd in one region: whatever has a client token of ours, or a stamp.

Asked before the enforcer is taken away, or MaxLease is lowered.  So what is doubtful counts as an annex, and a look
that fails is an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from annexd.account.session import asking
from annexd.annex.identifiers import read_leased_token
from annexd.annex.lease import LONGEST_TAG, TAG_ANNEX_ID, TAG_CANCELLED, TAG_OWNER, lease_end, utc
from annexd.aws import answers

FLEET_TAG: Final = "aws:ec2spot:fleet-request-id"  # set by Spot Fleet; nobody else can set an aws: tag
LAUNCHING: Final = frozenset({"submitted", "active", "modifying"})  # BatchState
NOT_GONE: Final = ["pending", "running", "shutting-down", "stopping", "stopped"]  # InstanceStateName


@dataclass(frozen=True)
class Annex:
    """A fleet of an annex of which something lives; or an instance whose fleet AWS does not list (no token)."""

    annex_id: str
    owner: str
    token: str
    tags: Mapping[str, str]
    created_s: float | None

    def end_s(self, max_lease_s: float) -> float | None:
        """Return when the function ends it; None where only AWS's list of fleets would tell."""
        return lease_end(self.token, self.tags, self.created_s, max_lease_s)

    def words(self, max_lease_s: float) -> str:
        end_s = self.end_s(max_lease_s)
        end = "unknown" if end_s is None else utc(end_s)
        whose = f" of {self.owner}" if self.owner else ""
        state = "is being ended" if TAG_CANCELLED in self.tags else "runs"
        return f"annex {self.annex_id}{whose} {state}; its lease ends at {end}"


def annexes(ec2: Any) -> list[Annex]:
    """Return one for each annex, the fleet whose lease ends last.  Raises AccountError."""
    with asking("DescribeSpotFleetRequests"):
        listed = list(answers.listed(ec2, "describe_spot_fleet_requests", "SpotFleetRequestConfigs"))
    with asking("DescribeInstances"):
        instances = list(_instances(ec2))
    occupied = {fleet_id for fleet_id, _ in instances}
    known = {answers.text(told, "SpotFleetRequestId") for told in listed}
    found = [one for told in listed if _lives(told, occupied) and (one := _of_fleet(told))]
    found += [_of_instance(tags) for fleet_id, tags in instances if fleet_id not in known and tags.get(TAG_ANNEX_ID)]
    found.sort(key=lambda one: (one.annex_id, one.end_s(float("inf")) or 0.0))
    return list({one.annex_id: one for one in found}.values())


def _instances(ec2: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the fleet and the tags of each instance that a Spot Fleet started."""
    filters = [{"Name": "tag-key", "Values": [FLEET_TAG]}, {"Name": "instance-state-name", "Values": NOT_GONE}]
    for reservation in answers.listed(ec2, "describe_instances", "Reservations", Filters=filters):
        for told in answers.rows(reservation, "Instances"):
            tags = _tags(told)
            yield tags.get(FLEET_TAG, ""), tags


def _lives(told: Mapping[str, Any], occupied: set[str]) -> bool:
    state, fleet_id = answers.text(told, "SpotFleetRequestState"), answers.text(told, "SpotFleetRequestId")
    return state in LAUNCHING or fleet_id in occupied


def _of_fleet(told: Mapping[str, Any]) -> Annex | None:
    token, tags, created = told["SpotFleetRequestConfig"].get("ClientToken"), _tags(told), told.get("CreateTime")
    ours = read_leased_token(token)
    if ours is None:
        return None
    created_s = created.timestamp() if isinstance(created, datetime) else None
    return Annex(ours.annex_id, tags.get(TAG_OWNER, ""), token, tags, created_s)


def _of_instance(tags: Mapping[str, str]) -> Annex:
    return Annex(tags[TAG_ANNEX_ID], tags.get(TAG_OWNER, ""), "", tags, None)


def _tags(told: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: str(tag.get("Value", ""))[:LONGEST_TAG] for tag in told.get("Tags") or ()}
