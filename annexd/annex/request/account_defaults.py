"""What setup made in the account fills what a request leaves out: its fleet role, instance profile and network.

What the request says wins, always.  Into a launch template nobody can look from here.
"""

from collections.abc import Mapping
from typing import Any

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.join_notes import joining_notes
from annexd.annex.request.network_defaults import in_network, notes_of_network

FLEET_ROLE = "IamFleetRole"


def with_fleet_role(fleet: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    """The request's own attributes, each of which has a value, and the one that AWS demands."""
    given = any(name.lower() == FLEET_ROLE.lower() for name in fleet)
    if given or defaults.fleet_role_arn is None:
        return dict(fleet)
    return {**fleet, FLEET_ROLE: defaults.fleet_role_arn}


def filled(config: Mapping[str, Any], defaults: Defaults, *, joins: bool) -> tuple[dict[str, Any], list[str]]:
    """A config without faults, with what is missing in its launch specifications; and what to tell about it.

    The profile lets an instance read how it joins: one that does not join needs none.
    """
    profile = defaults.instance_profile_arn if joins else None
    notes = [*(joining_notes(config, profile) if joins else []), *notes_of_network(config, defaults)]
    if "LaunchSpecifications" not in config:
        return dict(config), notes
    specifications = [_filled(each, profile, defaults) for each in config["LaunchSpecifications"]]
    return {**config, "LaunchSpecifications": specifications}, notes


def _filled(specification: Mapping[str, Any], profile: str | None, defaults: Defaults) -> dict[str, Any]:
    whole = in_network(specification, defaults)
    if profile is not None and "IamInstanceProfile" not in whole:
        whole["IamInstanceProfile"] = {"Arn": profile}
    if "UserData" in whole:
        whole["UserData"] = "".join(whole["UserData"].split())
    if "BlockDeviceMappings" in whole:
        whole["BlockDeviceMappings"] = [_deleted_with_its_instance(each) for each in whole["BlockDeviceMappings"]]
    return whole


def _deleted_with_its_instance(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Where the request is silent the image says: EC2 user guide, "Preserve data when an instance is terminated"."""
    return {**mapping, "Ebs": {"DeleteOnTermination": True, **mapping["Ebs"]}} if "Ebs" in mapping else dict(mapping)
