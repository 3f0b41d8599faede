"""Translate a Spot Fleet request config into a CreateFleet request: the same capacity, by AWS's newer API.

The translation is documented in docs/fleet-apis.md, and in the tables here.  Members without an equivalent in EC2 Fleet
are reported by name: as a note if their absence changes nothing, and otherwise as a fault, which refuses the order.
Sources: botocore's EC2 model (2016-11-15), SpotFleetRequestConfigData and CreateFleetRequest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from annexd.annex.request.config_members import Part, overrides, specifications, templates
from annexd.annex.request.fleet_api import OPTIONS, SPOT_FLEET
from annexd.annex.request.shapes import template_shape
from annexd.annex.request.spot_fleet import checked_config
from annexd.annex.request.template_data import (
    OWN_METADATA,
    SHUTDOWN,
    TemplateVersion,
    launch_template_data,
    overrides_of,
)
from annexd.annex.request.translation import MOVED, STRATEGIES
from annexd.workflow import Json

OF_MAINTAIN: Final = ("ExcessCapacityTerminationPolicy", "ReplaceUnhealthyInstances")  # CreateFleetRequest
ELSEWHERE: Final = {"LaunchSpecifications", "LaunchTemplateConfigs", "SpotPrice", "TagSpecifications", "IamFleetRole"}
NO_PLACE: Final = {  # members without an equivalent in EC2 Fleet, and why they matter
    "LoadBalancersConfig": "EC2 Fleet does not register instances with load balancers",
}
MOST_OVERRIDES: Final = 300  # EC2 user guide, "Fleet quotas": of a type-request fleet
FLEET: Final = "fleet"  # AWS's type of resource, in tags


@dataclass
class Rendered:
    """The result for a config: the request without the order's own part, its template's versions, and notes."""

    config: Json = field(default_factory=dict)
    versions: list[TemplateVersion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def rendered(config: Mapping[str, Any], *, profile: str | None = None, role_is_own: bool = False) -> Rendered:
    """Translate a Spot Fleet request config without faults.

    `profile`: the instance profile for copies of launch templates that name none.  `role_is_own`: the file names an
    IamFleetRole.
    """
    found = Rendered()
    for name, place in MOVED.items():
        if name in config:
            _put(found.config, place, _spelled(config[name]))
    _capacity(found.config)
    _launch(config, found, profile)
    _tags(config, found)
    found.faults += _without_place(config)
    found.notes += _notes(config, found.config, role_is_own=role_is_own)
    return found


def _put(config: Json, place: str, value: Any) -> None:
    *holders, name = place.split(".")
    for holder in holders:
        config = config.setdefault(holder, {})
    config[name] = value


def _spelled(value: Any) -> Any:
    """Return a value of an enumeration as EC2 Fleet writes it, with hyphens."""
    return STRATEGIES.get(value, value) if isinstance(value, str) else value


def _capacity(config: Json) -> None:
    """Treat all capacity that is not On-Demand as Spot, as a Spot Fleet does."""
    config["TargetCapacitySpecification"]["DefaultTargetCapacityType"] = "spot"
    if config.get("Type") != "maintain":
        for name in OF_MAINTAIN:
            config.pop(name, None)


def _launch(config: Part, found: Rendered, profile: str | None) -> None:
    price, groups = config.get("SpotPrice"), dict[str, Json]()
    for path, specification in specifications(config):
        version = TemplateVersion(path.rstrip("."), launch_template_data(specification))
        _entry(found, groups, version)["Overrides"] += overrides_of(specification, price)
    for path, template in templates(config):
        version = copy_of(path, template["LaunchTemplateSpecification"], profile)
        entry = _entry(found, groups, version)
        entry["Overrides"] += [_override(each, price) for each in template.get("Overrides") or [{}]]
    configs = list(groups.values())
    for entry in configs:
        entry["Overrides"] = [each for each in entry["Overrides"] if each]
    found.config["LaunchTemplateConfigs"] = [{key: each[key] for key in each if each[key]} for each in configs]
    found.faults += faults_of_pools(found.config)


def _entry(found: Rendered, groups: dict[str, Json], version: TemplateVersion) -> Json:
    """Return the LaunchTemplateConfigs entry of this version; equal ones share an entry."""
    number = number_of(version, found)
    named = {"LaunchTemplateSpecification": {"Version": number}, "Overrides": []}
    return groups.setdefault(number, named)


def number_of(version: TemplateVersion, found: Rendered) -> str:
    """Return the number of this version of the template; an equal earlier version is reused."""
    for number, known in enumerate(found.versions, 1):
        if (known.data, known.source) == (version.data, version.source):
            return str(number)
    found.versions.append(version)
    return str(len(found.versions))


def copy_of(path: str, named: Part, profile: str | None) -> TemplateVersion:
    """Return the version that copies the launch template named by `named`, with annexd's additions."""
    data = {**SHUTDOWN, "MetadataOptions": dict(OWN_METADATA)}
    if "LaunchTemplateSpecificationUserData" in named:
        data["UserData"] = named["LaunchTemplateSpecificationUserData"]
    if profile is not None:
        data["IamInstanceProfile"] = {"Arn": profile}
    source = {name: str(value) for name, value in named.items() if name != "LaunchTemplateSpecificationUserData"}
    return TemplateVersion(path.rstrip("."), data, source)


def _override(override: Part, price: str | None) -> Json:
    bound = override.get("SpotPrice") or price
    rest = {name: value for name, value in override.items() if name != "SpotPrice"}
    return {**rest, **({"MaxPrice": bound} if bound else {})}


def _tags(config: Part, found: Rendered) -> None:
    tags = [tag for entry in config.get("TagSpecifications") or () for tag in entry.get("Tags") or ()]
    if tags:
        found.config["TagSpecifications"] = [{"ResourceType": FLEET, "Tags": tags}]


def faults_of_pools(config: Part) -> Iterator[str]:
    """Yield the faults of the overrides as a whole that AWS refuses: too many, or two of one instance pool.

    It refuses the latter with InvalidFleetConfig; a Spot Fleet accepts them.
    """
    seen: set[tuple[Any, ...]] = set()
    number = 0
    for _, override in overrides(config):
        number += 1
        for subnet in str(override.get("SubnetId") or "").split(","):
            pool = (override.get("InstanceType"), subnet, override.get("AvailabilityZone"))
            if "InstanceType" in override and pool in seen:
                where = " in ".join(str(each) for each in pool if each)
                yield f"{where} appears twice, but EC2 Fleet accepts each type and subnet once: {_by_spot_fleet()}"
                return
            seen.add(pool)
    if number > MOST_OVERRIDES:
        yield f"the launch specifications become {number} overrides of an EC2 Fleet, the limit is {MOST_OVERRIDES}"


def _by_spot_fleet() -> str:
    return f"leave one out, or order it with -fleet-api {OPTIONS[SPOT_FLEET]}"


def _without_place(config: Part) -> Iterator[str]:
    for name, why in NO_PLACE.items():
        if name in config:
            yield f"{name}: {why}: leave it out, or order it with -fleet-api {OPTIONS[SPOT_FLEET]}"
    unknown = config.keys() - MOVED.keys() - NO_PLACE.keys() - ELSEWHERE
    yield from (
        f"EC2 Fleet has no {name}: leave it out, or order it with -fleet-api {OPTIONS[SPOT_FLEET]}"
        for name in sorted(unknown)
    )
    for path, specification in specifications(config):
        faults: list[str] = []
        checked_config(launch_template_data(specification), faults, template_shape(), path)
        yield from (f"{fault}: a launch template of EC2 cannot hold it" for fault in faults)


def _notes(config: Part, request: Part, *, role_is_own: bool) -> Iterator[str]:
    if role_is_own:
        yield "IamFleetRole was left out: an EC2 Fleet has none, AWSServiceRoleForEC2Fleet starts its instances"
    for name in OF_MAINTAIN:
        if name in config and name not in request:
            yield f"{name} was left out: EC2 Fleet accepts it only for fleets of type maintain"
    addressed = [path.rstrip(".") for path, each in specifications(config) if "AddressingType" in each]
    if addressed:
        yield f"{addressed[0]}.AddressingType was left out: AWS no longer uses it"
