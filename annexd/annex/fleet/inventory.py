"""List the fleets of both kinds, and their instances, that annexd created in an account, and no others.

A fleet belongs to an annex if its client token has annexd's form: only the fleet's requester could set it.
An instance belongs to its fleet by a tag that only AWS can set.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from annexd.annex.fleet.capacity_pool import UNKNOWN_POOL, CapacityPool, pool_in
from annexd.annex.fleet.kinds import (
    ENDED,
    FLEET_TAGS,
    KINDS,
    LAUNCHING,
    RUNNING_ON,
    SPOT_FLEET,
    FleetKind,
    kind_of,
)
from annexd.annex.lease.identifiers import read_leased_token
from annexd.annex.lease.lease import (
    LONGEST_TAG,
    TAG_ANNEX_ID,
    TAG_CANCELLED,
    TAG_FLEET,
    TAG_LEASE_END,
    TAG_OWNER,
    end_in_tag,
    lease_end,
)
from annexd.annex.request.markets import ANY_SCOPE, FleetScope
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, MAX_CODE, MAX_MESSAGE, is_cancelled_already, is_denied, is_not_found
from annexd.workflow import Retry

ENDING: Final = "shutting-down"
RUNNING: Final = "running"
BILLED: Final = frozenset(["pending", "running"])
NOT_GONE: Final = ["pending", "running", "shutting-down", "stopping", "stopped"]  # InstanceStateName
LARGEST_CAPACITY: Final = 2**31  # a fleet has at most 10,000
LONGEST_ACTIVITY: Final = 32
BATCH: Final = 500  # instances in one call


@dataclass(frozen=True)
class Fleet:
    """A fleet of an annex, as AWS shows it; times in seconds since the epoch."""

    fleet_id: str
    annex_id: str
    client_token: str
    state: str
    ordered_end_s: int
    created_s: float | None
    tags: Mapping[str, str] = field(default_factory=dict)
    kind: FleetKind = SPOT_FLEET
    activity: str = ""  # ActivityStatus
    target: int | None = None  # units of capacity, like `fulfilled`
    fulfilled: float | None = None
    valid_until_s: float | None = None
    is_one_time: bool = False  # its Type is request: lost instances are not replaced
    scope: FleetScope = ANY_SCOPE

    @property
    def owner(self) -> str:
        """Read the tag, which anyone with ec2:CreateTags can change; it counts only for annexes not in the journal."""
        return self.tags.get(TAG_OWNER, "")

    @property
    def is_launching(self) -> bool:
        return self.state in LAUNCHING

    @property
    def is_ended(self) -> bool:
        """Return whether it launches no more instances; existing ones may still run."""
        return self.state in ENDED

    @property
    def runs_on(self) -> bool:
        """Return whether it was ended without its instances, as after every provisioning delay."""
        return self.state in RUNNING_ON

    @property
    def is_cancelled(self) -> bool:
        """Return whether its lease was ended early."""
        return TAG_CANCELLED in self.tags

    @property
    def written_end_s(self) -> int:
        """Return the end that annexd wrote: that of the tag, or else that of the token."""
        moved_s = end_in_tag(self.tags.get(TAG_LEASE_END))
        return self.ordered_end_s if moved_s is None else moved_s

    def end_s(self, max_lease_s: float) -> float:
        """Return when its lease ends, as the lease function sees it."""
        end_s = lease_end(self.client_token, self.tags, self.created_s, max_lease_s)
        return float(self.ordered_end_s) if end_s is None else end_s


@dataclass(frozen=True)
class Instance:
    """An instance that is not terminated, its fleet, and the lease function's stamp, if there is one."""

    instance_id: str
    fleet_id: str
    state: str
    annex_id: str | None = None
    owner: str = ""
    stamped_end_s: int | None = None
    launched_s: float | None = None  # by AWS's clock
    pool: CapacityPool = UNKNOWN_POOL

    @property
    def is_running(self) -> bool:
        """Return whether it runs or is about to, as AWS's bill counts it."""
        return self.state in BILLED


@dataclass(frozen=True)
class Inventory:
    """The fleets and instances of an account at one time."""

    fleets: tuple[Fleet, ...]
    instances: tuple[Instance, ...]  # of our fleets, and stamped ones of fleets that no longer exist

    def living(self) -> dict[str, Fleet]:
        """Return the listed fleets that have instances or may launch some, by ID."""
        occupied = {instance.fleet_id for instance in self.instances}
        return {one.fleet_id: one for one in self.fleets if one.is_launching or one.fleet_id in occupied}

    def unlisted(self) -> list[Instance]:
        """Return the instances whose fleet AWS no longer knows."""
        listed = {one.fleet_id for one in self.fleets}
        return [one for one in self.instances if one.fleet_id not in listed]


def take_inventory(ec2: Any) -> Inventory:
    """Take the inventory.  Since a list may lack a fleet, an unlisted fleet with instances is looked up by its ID.

    Raises Retry or Refused.
    """
    listed = {fleet_id: fleet for kind in KINDS for fleet_id, fleet in _list(ec2, kind).items()}
    filters = [{"Name": "tag-key", "Values": FLEET_TAGS}, {"Name": "instance-state-name", "Values": NOT_GONE}]
    instances = _instances(ec2, filters)
    for fleet_id in sorted({one.fleet_id for one in instances if one.annex_id is not None} - listed.keys()):
        listed |= _asked_for(ec2, fleet_id)
    fleets = tuple(fleet for fleet in listed.values() if fleet is not None)
    fleet_ids = {fleet.fleet_id for fleet in fleets}
    ours = [one for one in instances if one.fleet_id in fleet_ids or (one.annex_id and one.fleet_id not in listed)]
    return Inventory(fleets, tuple(ours))


def _list(ec2: Any, kind: FleetKind) -> dict[str, Fleet | None]:
    with translate_aws_errors(kind.describe):
        return dict(_listed(ec2, kind))


def _asked_for(ec2: Any, fleet_id: str) -> dict[str, Fleet | None]:
    """Look up a fleet that is in no list, which proves nothing; return no fleet if AWS says that it does not exist."""
    kind = kind_of(fleet_id)
    with translate_aws_errors(f"{kind.describe} {fleet_id}"):
        try:
            return dict(_listed(ec2, kind, [fleet_id]))
        except AWS_ERRORS as error:
            if is_not_found(error):
                return {}
            raise


def fleets_of_annex(ec2: Any, annex_id: str, fleet_ids: Sequence[str]) -> list[Fleet]:
    """Return the fleets of one annex: by their IDs if any is known, else from the lists.  Raises Retry or Refused.

    Each is requested in a call of its own: if one of several no longer exists, EC2 returns none of them.
    """
    looks = [_asked_for(ec2, each) for each in fleet_ids] or [_list(ec2, kind) for kind in KINDS]
    found = [fleet for look in looks for fleet in look.values()]
    return [fleet for fleet in found if fleet is not None and fleet.annex_id == annex_id]


def fleets_with_token(ec2: Any, client_token: str, kind: FleetKind = SPOT_FLEET) -> list[Fleet]:
    """Return the fleets of this kind with exactly this token.  Raises Retry or Refused."""
    found = _list(ec2, kind).values()
    return [fleet for fleet in found if fleet is not None and fleet.client_token == client_token]


def living_instances(ec2: Any, fleet_id: str) -> list[Instance]:
    """Return the instances of one fleet that are not terminated.  Raises Retry or Refused."""
    own = {"Name": f"tag:{kind_of(fleet_id).instance_tag}", "Values": [fleet_id]}
    return _instances(ec2, [own, {"Name": "instance-state-name", "Values": NOT_GONE}])


def end_fleet(ec2: Any, fleet_id: str, state: str) -> None:
    """Return when a fleet has ended and, after that, has no instances.  Raises Retry until then."""
    if state not in ENDED:
        cancel_fleet(ec2, fleet_id)
        raise Retry(f"{fleet_id} was cancelled; annexd checks it again")
    left = living_instances(ec2, fleet_id)
    running = [one.instance_id for one in left if one.state != ENDING]
    if running:  # cancelled by someone else without its instances, or launched at that moment
        terminate(ec2, running)
    if left:
        raise Retry(f"{fleet_id} still has {len(left)} instances, the first is {left[0].instance_id}")


def cancel_fleet(ec2: Any, fleet_id: str) -> None:
    """End a fleet with its instances; a fleet that has already ended is not an error.  Raises Retry or Refused.

    If AWS denies that, the fleet is ended without them, and `terminate` ends them: EC2 Fleet requires its caller's
    right to terminate instances, and it is undocumented whether that right on fleet instances is enough.
    """
    kind = kind_of(fleet_id)
    with translate_aws_errors(f"{kind.end} {fleet_id}"):
        try:
            answer = _end(ec2, kind, fleet_id, with_instances=True)
        except AWS_ERRORS as error:
            if kind is SPOT_FLEET or not is_denied(error):
                raise
            answer = _end(ec2, kind, fleet_id, with_instances=False)
    _check_refusals(answer, kind, fleet_id)


def _check_refusals(answer: Mapping[str, Any], kind: FleetKind, fleet_id: str) -> None:
    with translate_aws_errors(f"{kind.end} {fleet_id}"):
        refusals = [refusal.get("Error", {}) for refusal in answer.get(kind.refused) or ()]
    for each in refusals:
        code, message = str(each.get("Code", ""))[:MAX_CODE], str(each.get("Message"))[:MAX_MESSAGE]
        if not is_cancelled_already(code):
            raise Retry(f"{fleet_id} could not be cancelled ({code}): {message}")


def stop_fleet(ec2: Any, fleet_id: str) -> None:
    """Stop a fleet from launching more; its instances keep running.  Raises Retry or Refused.

    Both APIs end fleets of either type in this way: only the type maintain allows a change of the target.
    """
    kind = kind_of(fleet_id)
    with translate_aws_errors(f"{kind.end} {fleet_id}"):
        answer = _end(ec2, kind, fleet_id, with_instances=False)
    _check_refusals(answer, kind, fleet_id)


def _end(ec2: Any, kind: FleetKind, fleet_id: str, *, with_instances: bool) -> Mapping[str, Any]:
    call: Mapping[str, Any] = {kind.ids: [fleet_id], "TerminateInstances": with_instances}
    answer: Mapping[str, Any] = getattr(ec2, kind.end_method)(**call)
    return answer


def terminate(ec2: Any, instance_ids: list[str]) -> None:
    """Terminate these instances.  Raises Retry or Refused."""
    with translate_aws_errors("TerminateInstances"):
        for first in range(0, len(instance_ids), BATCH):
            ec2.terminate_instances(InstanceIds=instance_ids[first : first + BATCH])


def _listed(ec2: Any, kind: FleetKind, fleet_ids: list[str] | None = None) -> Iterator[tuple[str, Fleet | None]]:
    """Yield each fleet's ID, and the fleet if it belongs to an annex."""
    if fleet_ids:  # EC2's calls that take IDs take no page size beside them
        found = answers.rows(getattr(ec2, kind.describe_method)(**{kind.ids: fleet_ids}), kind.listed)
    else:
        found = list(answers.listed(ec2, kind.describe_method, kind.listed))
    for seen in found:
        yield answers.text(seen, kind.own_id), _fleet(seen, kind)


def _fleet(seen: Mapping[str, Any], kind: FleetKind) -> Fleet | None:
    request = kind.request_of(seen)
    token = request.get("ClientToken")
    leased = read_leased_token(token)
    if leased is None:
        return None
    target = _amount(kind.target_of(seen))
    return Fleet(
        fleet_id=answers.text(seen, kind.own_id),
        annex_id=leased.annex_id,
        client_token=str(token),
        state=answers.text(seen, kind.state),
        ordered_end_s=leased.end_of_lease_s,
        created_s=_moment_s(seen.get("CreateTime")),
        tags=_tags(seen),
        kind=kind,
        activity=str(seen.get("ActivityStatus", ""))[:LONGEST_ACTIVITY],
        target=None if target is None else int(target),
        fulfilled=_amount(request.get("FulfilledCapacity")),
        valid_until_s=_moment_s(request.get("ValidUntil")),
        is_one_time=request.get("Type") == "request",
        scope=FleetScope.of(request),
    )


def _moment_s(value: object) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None


def _amount(value: object) -> float | None:
    """Return a capacity; None for a value that no fleet can have."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < LARGEST_CAPACITY else None  # type: ignore[operator, arg-type]


def _instances(ec2: Any, filters: list[dict[str, Any]]) -> list[Instance]:
    with translate_aws_errors("DescribeInstances"):
        return [
            _instance(seen)
            for reservation in answers.listed(ec2, "describe_instances", "Reservations", Filters=filters)
            for seen in answers.rows(reservation, "Instances")
        ]


def _instance(seen: Mapping[str, Any]) -> Instance:
    tags, state = _tags(seen), answers.text(seen.get("State"), "Name")
    launched_s, pool = _moment_s(seen.get("LaunchTime")), pool_in(seen)
    fleet_id = next((tags[tag] for tag in FLEET_TAGS if tag in tags), "")
    if not fleet_id or tags.get(TAG_FLEET) != fleet_id or TAG_ANNEX_ID not in tags:  # not stamped, or with copied tags
        return Instance(answers.text(seen, "InstanceId"), fleet_id, state, launched_s=launched_s, pool=pool)
    return Instance(
        answers.text(seen, "InstanceId"),
        fleet_id,
        state,
        tags[TAG_ANNEX_ID],
        tags.get(TAG_OWNER, ""),
        end_in_tag(tags.get(TAG_LEASE_END)),
        launched_s,
        pool,
    )


def _tags(seen: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags, with values cut to AWS's limit: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions."""
    return {tag["Key"]: str(tag.get("Value", ""))[:LONGEST_TAG] for tag in seen.get("Tags") or ()}
