"""Build the config of an order without a file, from the requirements on its machines.

From then on it is an order like any other: annexd checks it, fills in what -setup created, and leases it.  dataclasses
are not used: importing them takes as long as the rest of a usage message.
"""

from typing import Any, Final, NamedTuple

Config = dict[str, Any]
NO_GPUS: Final = {"AcceleratorCount": {"Max": 0}}  # otherwise AWS also chooses types with accelerators


class LaunchChoice(NamedTuple):
    """Machines of these types or, without types, with at least this much of each resource."""

    image: str
    target_capacity: int | None
    instance_types: tuple[str, ...] = ()
    cpus: int | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    on_demand: bool = False
    max_price: str | None = None  # dollars per instance and hour
    key_name: str | None = None
    subnet_ids: tuple[str, ...] = ()
    volume_gib: int | None = None


def launch_config(launch: LaunchChoice) -> Config:
    """Return the Spot Fleet config that requests these machines."""
    kinds: list[Config] = [{"InstanceType": each} for each in launch.instance_types] or [_requirements(launch)]
    machine = _machine(launch)
    return {**_capacity(launch), "LaunchSpecifications": [{**kind, **machine} for kind in kinds]}


def is_arm(instance_type: str) -> bool:
    """Return whether AWS's name means Graviton, by a `g` after the generation (EC2 user guide, "naming conventions").

    a1 is older than that rule.
    """
    family = instance_type.partition(".")[0]
    attributes = family.lstrip("abcdefghijklmnopqrstuvwxyz-").lstrip("0123456789")
    return "g" in attributes or family == "a1"


def _capacity(launch: LaunchChoice) -> Config:
    """Choose price-capacity-optimized, as AWS recommends (botocore's EC2 model, AllocationStrategy)."""
    count = launch.target_capacity
    if launch.on_demand:
        return {"Type": "request", "TargetCapacity": count, "OnDemandTargetCapacity": count}
    price = {"SpotPrice": launch.max_price} if launch.max_price else {}
    return {"Type": "request", "TargetCapacity": count, "AllocationStrategy": "priceCapacityOptimized", **price}


def _requirements(launch: LaunchChoice) -> Config:
    """Return requirements; AWS itself excludes types of more than twice (Spot) or 1.2 times the lowest price."""
    gpus = {"AcceleratorTypes": ["gpu"], "AcceleratorCount": {"Min": launch.gpus}} if launch.gpus else NO_GPUS
    return {
        "InstanceRequirements": {
            "VCpuCount": {"Min": launch.cpus},
            "MemoryMiB": {"Min": launch.memory_mib},
            **gpus,
        }
    }


def _machine(launch: LaunchChoice) -> Config:
    """Return the part shared by all kinds of machines.  `root` is the image's root volume: annexd looks up its name."""
    volume = {"VolumeSize": launch.volume_gib, "VolumeType": "gp3", "DeleteOnTermination": True}
    return {
        "ImageId": launch.image,
        **({"KeyName": launch.key_name} if launch.key_name else {}),
        **({"SubnetId": ",".join(launch.subnet_ids)} if launch.subnet_ids else {}),
        **({"BlockDeviceMappings": [{"DeviceName": "root", "Ebs": volume}]} if launch.volume_gib else {}),
    }
