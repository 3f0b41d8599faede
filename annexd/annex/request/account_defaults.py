"""Fill in missing parts of a request from the account's setup: fleet role, instance profile and network.

Values in the request always win.  The content of a launch template is unknown here.
"""

from collections.abc import Mapping
from typing import Any

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.join_notes import joining_notes
from annexd.annex.request.network_defaults import in_network, notes_of_network

FLEET_ROLE = "IamFleetRole"


def with_fleet_role(fleet: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    """Return the request's attributes, plus the fleet role that AWS requires."""
    given = any(name.lower() == FLEET_ROLE.lower() for name in fleet)
    if given or defaults.fleet_role_arn is None:
        return dict(fleet)
    return {**fleet, FLEET_ROLE: defaults.fleet_role_arn}


def filled(config: Mapping[str, Any], defaults: Defaults, *, joins: bool) -> tuple[dict[str, Any], list[str]]:
    """Complete the launch specifications of a valid config; return it and notes for the requester.

    The profile lets an instance read how to join the pool, so an instance that does not join needs none.
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
    """Delete the volume with its instance unless the request says otherwise.

    Without a value the image decides: EC2 user guide, "Preserve data when an instance is terminated".
    """
    return {**mapping, "Ebs": {"DeleteOnTermination": True, **mapping["Ebs"]}} if "Ebs" in mapping else dict(mapping)
