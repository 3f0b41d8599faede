"""EC2 Fleet's own JSON, as `aws ec2 create-fleet --cli-input-json` takes it: checked, and sent unchanged, except for
the following.

Type is `request` unless the file sets it (AWS's default is maintain).  ValidUntil and TerminateInstancesWithExpiration
are annexd's.  The launch templates that it names are copied into versions of annexd's own, so that nobody changes them
while a fleet uses them, and so that they contain what a lease needs.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from annexd.annex.request.capacity_checks import faults_of_total
from annexd.annex.request.config_members import Part, overrides, templates
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.ec2_fleet import FLEET, OF_MAINTAIN, Rendered, copy_of, faults_of_pools, number_of
from annexd.annex.request.formats import faults_of_formats
from annexd.annex.request.lasting_checks import faults_of_interruption
from annexd.annex.request.launch_checks import faults_of_templates
from annexd.annex.request.shapes import create_fleet_shape
from annexd.annex.request.spot_fleet import checked_config
from annexd.annex.request.tag_checks import faults_of_tags

TOTAL: Final = "TargetCapacitySpecification.TotalTargetCapacity"
KINDS: Final = ("request", "maintain")
# CreateFleetRequest, of overrides: "only available for fleets of type instant"
OF_INSTANT: Final = ("ImageId", "KeyName", "BlockDeviceMappings", "IamInstanceProfile", "MetadataOptions")
BLOCKS: Final = ("capacity-block", "reserved-capacity")  # likewise for fleets of type instant


def read_ec2_fleet(fleet: Mapping[str, Any], defaults: Defaults, *, profile: str | None) -> Rendered:
    """Return the fleet made from the attributes of a CreateFleet request, with all faults.

    `profile`: as in `rendered` of a Spot Fleet's.
    """
    found = Rendered()
    config = checked_config(fleet, found.faults, create_fleet_shape())
    found.faults += _faults(config, defaults)
    if not found.faults:
        _complete(config, found, profile)
    return found


def _faults(config: Part, defaults: Defaults) -> Iterator[str]:
    if config.get("DryRun"):
        yield "DryRun is true, which only checks a request: remove it, condor_annex orders"
    kind = config.get("Type", "request")
    if kind not in (*KINDS, None):
        yield f"Type must be request or maintain, not {kind}: AWS does not list fleets of type instant"
    yield from _faults_of_capacity(config.get("TargetCapacitySpecification") or {}, config, defaults)
    yield from faults_of_templates(config)
    for path, override in overrides(config):
        yield from (
            f"{path}{name}: EC2 Fleet accepts it only for type instant" for name in OF_INSTANT if name in override
        )
    yield from faults_of_formats(config)
    yield from faults_of_tags(config, FLEET)
    yield from faults_of_interruption(config.get("SpotOptions") or {}, "SpotOptions.")
    yield from faults_of_pools(config)


def _faults_of_capacity(wanted: Part, config: Part, defaults: Defaults) -> Iterator[str]:
    """Yield faults: AWS refuses parts that exceed the total, and a remainder without a type (EC2 user guide)."""
    total, parts = wanted.get("TotalTargetCapacity"), ("OnDemandTargetCapacity", "SpotTargetCapacity")
    yield from faults_of_total(config, total, defaults.max_target_capacity, TOTAL)
    numbers = [wanted.get(name) or 0 for name in parts]
    yield from (
        f"TargetCapacitySpecification.{name} must not be negative" for name in parts if (wanted.get(name) or 0) < 0
    )
    if total is not None and sum(numbers) > total > 0:
        yield f"{' and '.join(parts)} come to {sum(numbers)}, more than the {TOTAL} (-count) of {total}"
    if wanted.get("DefaultTargetCapacityType") in BLOCKS:
        market = wanted["DefaultTargetCapacityType"]
        yield f"DefaultTargetCapacityType {market}: EC2 Fleet accepts it only for type instant"


def _complete(config: dict[str, Any], found: Rendered, profile: str | None) -> None:
    config.pop("DryRun", None)
    config.setdefault("Type", "request")
    for name in OF_MAINTAIN if config["Type"] == "request" else ():
        if config.pop(name, None):
            found.notes.append(f"{name} was left out: EC2 Fleet accepts it only for fleets of type maintain")
    wanted = config["TargetCapacitySpecification"]
    parts = (wanted.get("OnDemandTargetCapacity") or 0) + (wanted.get("SpotTargetCapacity") or 0)
    if parts < wanted["TotalTargetCapacity"]:
        wanted.setdefault("DefaultTargetCapacityType", "spot")  # AWS refuses a remainder without a type
    for path, template in templates(config):
        version = copy_of(path, template["LaunchTemplateSpecification"], profile)
        template["LaunchTemplateSpecification"] = {"Version": number_of(version, found)}  # type: ignore[index]
    found.config = config
