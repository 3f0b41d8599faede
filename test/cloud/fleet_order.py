"""The order in a fleet request of either of AWS's two APIs: one model of a fleet, in two vocabularies.

Spot Fleet (RequestSpotFleet) and EC2 Fleet (CreateFleet) have the same shape: a token, tags, a window in which capacity
is provisioned, states, an end with or without the instances, a history.  CERTAIN: botocore's EC2 model, and the user
guide's pages on the states of both, which differ in one word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """A fleet as ordered; times are in seconds since the epoch.  `kind` is AWS's Type."""

    kind: str
    target: float
    on_demand: float
    strategy: str
    plain_strategy: str  # of the On-Demand part
    terminates_at_expiry: bool
    tags: Mapping[str, str]
    valid_from_s: float | None = None
    valid_until_s: float | None = None
    instance_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def maintains(self) -> bool:
        return self.kind == "maintain"


@dataclass(frozen=True)
class Api:
    """The vocabulary of one API; `read` turns its request into an Order.

    `instance_tag`: the tag that AWS, and nobody else, puts on its instances.  CERTAIN for both: EC2 user guide, "Tag an
    EC2 Fleet" and "Tag a Spot Fleet"; for their On-Demand instances LIKELY (aws-managed policies condition on it).
    """

    prefix: str
    instance_tag: str
    resource: str  # in tags and in ARNs
    ended: str  # the prefix of the states after its end
    not_found: str  # LIKELY for EC2 Fleet: github.com/hashicorp/terraform-provider-aws, internal/service/ec2/errors.go
    read: Callable[[Config], Order]


def _tags(groups: Sequence[Config] | None, kind: str) -> dict[str, str]:
    found = (group for group in groups or [] if group.get("ResourceType", kind) == kind)
    return {tag["Key"]: tag.get("Value", "") for group in found for tag in group.get("Tags") or []}


def _moment_s(config: Config, name: str) -> float | None:
    return None if config.get(name) is None else float(config[name])


def _spot_fleet(config: Config) -> Order:
    """Read a request of Spot Fleet.  Only launch templates have an On-Demand part: CERTAIN, EC2 user guide."""
    has_templates = bool(config.get("LaunchTemplateConfigs"))
    return Order(
        kind=config.get("Type") or "maintain",  # AWS's defaults, here and below
        target=float(config["TargetCapacity"]),
        on_demand=float(config.get("OnDemandTargetCapacity") or 0) if has_templates else 0.0,
        strategy=config.get("AllocationStrategy") or "lowestPrice",
        plain_strategy=config.get("OnDemandAllocationStrategy") or "lowestPrice",
        terminates_at_expiry=bool(config.get("TerminateInstancesWithExpiration")),
        tags=_tags(config.get("TagSpecifications"), "spot-fleet-request"),
        valid_from_s=_moment_s(config, "ValidFrom"),
        valid_until_s=_moment_s(config, "ValidUntil"),
    )


def _ec2_fleet(config: Config) -> Order:
    """Read a request of EC2 Fleet.

    Its default end is UNKNOWN: the same model has "7 days from the current date" and "until you cancel it".  No end is
    the harder reading.
    """
    return Order(
        kind=config.get("Type") or "maintain",
        target=total(config),
        on_demand=on_demand_part(config),
        strategy=_camel((config.get("SpotOptions") or {}).get("AllocationStrategy")),
        plain_strategy=_camel((config.get("OnDemandOptions") or {}).get("AllocationStrategy")),
        terminates_at_expiry=bool(config.get("TerminateInstancesWithExpiration")),
        tags=_tags(config.get("TagSpecifications"), "fleet"),
        valid_from_s=_moment_s(config, "ValidFrom"),
        valid_until_s=_moment_s(config, "ValidUntil"),
        instance_tags=_tags(
            [each for each in config.get("TagSpecifications") or [] if "ResourceType" in each], "instance"
        ),
    )


def total(config: Config) -> float:
    return float(config["TargetCapacitySpecification"]["TotalTargetCapacity"])


def on_demand_part(config: Config) -> float:
    """Return how much of the target is On-Demand.

    CERTAIN: EC2 user guide, DefaultTargetCapacityType: what the two parts leave of the total is of that type.
    """
    wanted = config["TargetCapacitySpecification"]
    if wanted.get("DefaultTargetCapacityType") == "on-demand":
        return total(config) - float(wanted.get("SpotTargetCapacity") or 0)
    return float(wanted.get("OnDemandTargetCapacity") or 0)


def _camel(strategy: str | None) -> str:
    """Return a strategy as Spot Fleet writes it."""
    first, *others = (strategy or "lowest-price").split("-")
    return first + "".join(each.title() for each in others)


SPOT_FLEET = Api(
    "sfr-",
    "aws:ec2spot:fleet-request-id",
    "spot-fleet-request",
    "cancelled",
    "InvalidSpotFleetRequestId.NotFound",
    _spot_fleet,
)
EC2_FLEET = Api("fleet-", "aws:ec2:fleet-id", "fleet", "deleted", "InvalidFleetId.NotFound", _ec2_fleet)
APIS = (SPOT_FLEET, EC2_FLEET)


def api_of(fleet_id: str) -> Api | None:
    return next((api for api in APIS if fleet_id.startswith(api.prefix)), None)
