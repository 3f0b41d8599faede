"""The capacity pools of an order, from either of AWS's requests: the one module that reads them for a quote.

The rest of a quote knows `Capacity` and `Pool` only, so another form of request needs only another reader.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from annexd.annex.quote.money import price_in

DEFAULT_VOLUME_TYPE: Final = "gp2"  # botocore's EC2 model, EbsBlockDevice.VolumeType; an image has its own
PRICED_APART: Final = ("Iops", "Throughput")


@dataclass(frozen=True)
class Volume:
    """A volume of each instance; `gigabytes` None: the snapshot or the image determines the size."""

    device: str
    gigabytes: int | None
    kind: str | None
    priced_apart: tuple[str, ...] = ()  # the members of PRICED_APART that are set


@dataclass(frozen=True)
class Pool:
    """One way to start an instance, in one or several zones.

    `instance_type` None: AWS or a launch template chooses it.  `price_bound`: dollars per unit and hour, as it is sent;
    None: no bound is sent, and AWS's own applies.
    """

    path: str  # of the part of the file that defines it
    instance_type: str | None
    image: str | None
    weight: Fraction
    price_bound: Fraction | None
    subnets: tuple[str, ...] = ()
    zone: str | None = None
    volumes: tuple[Volume, ...] = ()
    removed_devices: frozenset[str] = frozenset()
    may_have_address: bool = True  # public IPv4; unless the request disables it
    tenancy: str = "default"
    cpu_credits: str | None = None  # of a burstable type, as requested; None: AWS's default


@dataclass(frozen=True)
class Capacity:
    """The requested capacity: units of Spot and of On-Demand capacity, and the pools that may provide them."""

    spot_units: int
    on_demand_units: int
    pools: tuple[Pool, ...]
    replaces: bool = False  # lost instances, for as long as the request is valid
    rebalances: bool = False  # starts replacements while the old instances still run


def capacity_of(config: Mapping[str, Any]) -> Capacity:
    """Read a Spot Fleet request config as it is sent."""
    units, on_demand = int(config["TargetCapacity"]), int(config.get("OnDemandTargetCapacity") or 0)
    default = _price(config.get("SpotPrice"))
    return Capacity(
        units - on_demand,
        on_demand,
        tuple(_pools(config, default)),
        replaces=config.get("Type") == "maintain",
        rebalances="SpotMaintenanceStrategies" in config,
    )


def capacity_of_ec2_fleet(config: Mapping[str, Any], versions: Sequence[Mapping[str, Any]] = ()) -> Capacity:
    """Read a CreateFleet request as it is sent; its launch templates define what its overrides do not.

    `versions`: the data of the versions of annexd's own launch template, where known.
    """
    wanted = config["TargetCapacitySpecification"]
    units, is_spot = int(wanted["TotalTargetCapacity"]), wanted.get("DefaultTargetCapacityType") == "spot"
    on_demand, spot = int(wanted.get("OnDemandTargetCapacity") or 0), int(wanted.get("SpotTargetCapacity") or 0)
    rest = max(0, units - on_demand - spot)
    strategies = (config.get("SpotOptions") or {}).get("MaintenanceStrategies")
    return Capacity(
        spot + (rest if is_spot else 0),
        on_demand + (0 if is_spot else rest),
        tuple(_pools(config, None, versions)),
        replaces=config.get("Type") == "maintain",
        rebalances=bool(strategies),
    )


def _pools(
    config: Mapping[str, Any], default: Fraction | None, versions: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Pool]:
    for i, each in enumerate(config.get("LaunchSpecifications") or ()):
        yield _pool(f"LaunchSpecifications[{i}]", each, default)
    for i, template in enumerate(config.get("LaunchTemplateConfigs") or ()):
        path, said = f"LaunchTemplateConfigs[{i}]", _version(template, versions)
        for j, override in enumerate(template.get("Overrides") or ()):
            yield _pool(f"{path}.Overrides[{j}]", {**said, **override}, default)
        if not template.get("Overrides"):
            yield _pool(path, said, default)


def _version(template: Mapping[str, Any], versions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the template's data; empty if it is unknown."""
    number = str((template.get("LaunchTemplateSpecification") or {}).get("Version"))
    return versions[int(number) - 1] if number.isdigit() and 0 < int(number) <= len(versions) else {}


def _pool(path: str, said: Mapping[str, Any], default: Fraction | None) -> Pool:
    placement, own = said.get("Placement") or {}, _price(said.get("SpotPrice") or said.get("MaxPrice"))
    mappings = [each for each in said.get("BlockDeviceMappings") or () if "DeviceName" in each or "Ebs" in each]
    interfaces = said.get("NetworkInterfaces") or ()
    subnets = ",".join([str(said.get("SubnetId") or ""), *(str(each.get("SubnetId") or "") for each in interfaces)])
    return Pool(
        path,
        said.get("InstanceType"),
        said.get("ImageId"),
        Fraction(repr(said.get("WeightedCapacity", 1))),
        default if own is None else own,
        tuple(each for each in subnets.replace(" ", ",").split(",") if each),
        placement.get("AvailabilityZone") or said.get("AvailabilityZone"),
        tuple(_volume(each) for each in mappings if "Ebs" in each),
        frozenset(str(each.get("DeviceName")) for each in mappings if "NoDevice" in each),
        not interfaces or any(each.get("AssociatePublicIpAddress") is not False for each in interfaces),
        str(placement.get("Tenancy") or "default"),
        (said.get("CreditSpecification") or {}).get("CpuCredits"),
    )


def _volume(mapping: Mapping[str, Any]) -> Volume:
    ebs = mapping["Ebs"]
    size, snapshot = ebs.get("VolumeSize"), ebs.get("SnapshotId")
    kind = ebs.get("VolumeType") or (None if snapshot is None and size is None else DEFAULT_VOLUME_TYPE)
    apart = tuple(name for name in PRICED_APART if name in ebs)
    return Volume(str(mapping.get("DeviceName", "")), None if size is None else int(size), kind, apart)


def _price(text: Any) -> Fraction | None:
    """Return the dollars per unit and hour: botocore's EC2 model, SpotPrice, "per unit hour"."""
    return None if text is None else price_in(str(text))
