"""An order without a file: its options become the config.json that says the same.

From there on it is an order like any other: annexd checks it, fills in what -setup made, and leases it.
"""

from collections.abc import Callable
from typing import Any, Final

from annexd.tool.errors import USAGE, ToolError
from annexd.tool.launch_values import image
from annexd.tool.options import ToolOptions

Config = dict[str, Any]

DEFAULT_IMAGE: Final = "ANNEX_DEFAULT_IMAGE"
# What Amazon Linux 2023's user guide has for its newest image, by architecture.
AMAZON_LINUX: Final = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
NO_HTCONDOR: Final = (
    f"neither -image nor {DEFAULT_IMAGE} names an image, so it is Amazon Linux 2023, which has no HTCondor: its "
    "machines join the pool only if their user data installs it and condor-annex-ec2 (docs/joining.md)"
)


def config_of(options: ToolOptions, param: Callable[[str], str | None]) -> tuple[Config, list[str]]:
    """Return the config that the options ask for, and what to say about it.  Raises ToolError.

    Instances of a fleet with one image must be of its architecture.  With InstanceRequirements AWS sees to that
    (botocore's EC2 model, CpuManufacturers: "a compatible CPU architecture based on the Amazon Machine Image").
    """
    named, notes = _image(options, param)
    kinds: list[Config] = [{"InstanceType": each} for each in options.instance_types] or [_requirements(options)]
    machine = _machine(options, named)
    return {**_capacity(options), "LaunchSpecifications": [{**kind, **machine} for kind in kinds]}, notes


def _capacity(options: ToolOptions) -> Config:
    """price-capacity-optimized is what AWS recommends (botocore's EC2 model, AllocationStrategy)."""
    count = options.target_capacity
    if options.on_demand:
        return {"Type": "request", "TargetCapacity": count, "OnDemandTargetCapacity": count}
    price = {"SpotPrice": options.max_price} if options.max_price else {}
    return {"Type": "request", "TargetCapacity": count, "AllocationStrategy": "priceCapacityOptimized", **price}


def _requirements(options: ToolOptions) -> Config:
    """AWS adds a protection: no type that costs more than twice (Spot) or 1.2 times (On-Demand) the cheapest."""
    gpus = {"AcceleratorTypes": ["gpu"], "AcceleratorCount": {"Min": options.gpus}} if options.gpus else NO_GPUS
    return {
        "InstanceRequirements": {
            "VCpuCount": {"Min": options.cpus},
            "MemoryMiB": {"Min": options.memory_mib},
            **gpus,
        }
    }


NO_GPUS: Final = {"AcceleratorCount": {"Max": 0}}  # else AWS takes types with accelerators, too


def _machine(options: ToolOptions, named: str) -> Config:
    """What all kinds of machines have in common.  `root` is the image's root volume: annexd asks for its name."""
    volume = {"VolumeSize": options.volume_gib, "VolumeType": "gp3", "DeleteOnTermination": True}
    return {
        "ImageId": named,
        **({"KeyName": options.key_name} if options.key_name else {}),
        **({"SubnetId": ",".join(options.subnet_ids)} if options.subnet_ids else {}),
        **({"BlockDeviceMappings": [{"DeviceName": "root", "Ebs": volume}]} if options.volume_gib else {}),
    }


def _image(options: ToolOptions, param: Callable[[str], str | None]) -> tuple[str, list[str]]:
    arm = [each for each in options.instance_types if is_arm(each)]
    if arm and len(arm) < len(options.instance_types):
        other = next(each for each in options.instance_types if each not in arm)
        message = (
            f"-instance-type has {arm[0]}, which is Arm, and {other}, which is not: one image does not start on both"
        )
        raise ToolError(USAGE, f"{message}; order them one after the other, each with its -image")
    if options.image:
        return options.image, []
    if configured := param(DEFAULT_IMAGE):
        return _configured(configured), []
    parameter = AMAZON_LINUX.format("arm64" if arm else "x86_64")
    return f"resolve:ssm:{parameter}", [NO_HTCONDOR]


def _configured(text: str) -> str:
    try:
        return image(text)
    except ValueError as error:
        raise ToolError(USAGE, f"{DEFAULT_IMAGE} must be {error}, not {text!r}: correct it, or give -image") from error


def is_arm(instance_type: str) -> bool:
    """Whether AWS's name says Graviton, by a `g` behind the generation (EC2 user guide, "naming conventions").

    a1 is older than that rule.
    """
    family = instance_type.partition(".")[0]
    attributes = family.lstrip("abcdefghijklmnopqrstuvwxyz-").lstrip("0123456789")
    return "g" in attributes or family == "a1"
