"""What setup made in the account fills what a request leaves out: its fleet role, instance profile, security group.

What the request says wins, always.  Into a launch template nobody can look from here: there it is only told.
"""

from collections.abc import Mapping
from typing import Any

from annexd.annex.defaults import Defaults

FLEET_ROLE = "IamFleetRole"


def with_fleet_role(fleet: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    """The request's own attributes, of which AWS demands this one."""
    given = any(name.lower() == FLEET_ROLE.lower() and value is not None for name, value in fleet.items())
    if given or defaults.fleet_role_arn is None:
        return dict(fleet)
    others = {name: value for name, value in fleet.items() if name.lower() != FLEET_ROLE.lower()}
    return {**others, FLEET_ROLE: defaults.fleet_role_arn}


def filled(config: Mapping[str, Any], defaults: Defaults, *, joins: bool) -> tuple[dict[str, Any], list[str]]:
    """A config without faults, with what is missing in its launch specifications; and what to tell about it.

    The profile lets an instance read how it joins: one that does not join needs none.
    """
    profile = defaults.instance_profile_arn if joins else None
    if "LaunchSpecifications" in config:
        specifications = [_filled(each, profile, defaults.security_group_id) for each in config["LaunchSpecifications"]]
        return {**config, "LaunchSpecifications": specifications}, []
    if joins:
        what = profile or "an instance profile that may read the annex's object in S3"
        return dict(config), [f"LaunchTemplateConfigs: the instances join the pool only if the template names {what}"]
    return dict(config), []


def _filled(specification: Mapping[str, Any], profile: str | None, group: str | None) -> dict[str, Any]:
    """Our security group is of the default VPC: a specification that names another place keeps that one's groups."""
    whole = dict(specification)
    if profile is not None and "IamInstanceProfile" not in whole:
        whole["IamInstanceProfile"] = {"Arn": profile}
    if group is not None and not whole.keys() & {"SecurityGroups", "NetworkInterfaces", "SubnetId"}:
        whole["SecurityGroups"] = [{"GroupId": group}]
    return whole
