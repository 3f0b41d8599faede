"""Warn of settings in a request that may keep the machines from joining the pool.

This is a warning, not a refusal: another profile may have the permission, and a subnet without public addresses may
have another route.  The content of a launch template, a subnet or a security group is unknown here
(docs/joining.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from annexd.annex.request.config_members import Part

OTHERWISE: Final = "A machine that cannot join turns itself off, and costs money until then"


def joining_notes(config: Mapping[str, Any], profile: str | None) -> list[str]:
    """Return warnings; `profile` is the ARN of the one that -setup created, if known here."""
    if "LaunchTemplateConfigs" in config:
        what = profile or "an instance profile that may read the annex's object in S3"
        return [f"LaunchTemplateConfigs: the instances join the pool only if the template names {what}"]
    specifications = config["LaunchSpecifications"]
    return [*_notes_of_profiles(specifications, profile), *_notes_of_addresses(specifications)]


def _notes_of_profiles(specifications: Sequence[Part], profile: str | None) -> list[str]:
    """Warn of any profile but -setup's.  If -setup's is unknown, warn only of a missing profile: somebody created the
    others.
    """
    if profile is None:
        lacking = [i for i, each in enumerate(specifications) if "IamInstanceProfile" not in each]
        return [_without_profile(_named(lacking))] if lacking else []
    own = [i for i, each in enumerate(specifications) if _is_another(each.get("IamInstanceProfile"), profile)]
    names = ", ".join(sorted({_name_of(specifications[i]["IamInstanceProfile"]) for i in own}))
    return [_with_another(_named(own), names, _name(profile))] if own else []


def _without_profile(named: str) -> str:
    return (
        f"{named}: without an IamInstanceProfile, and with none in ANNEX_DEFAULT_INSTANCE_PROFILE_ARN, machines "
        f"cannot read the annex's object in S3, by which they join the pool. {OTHERWISE}"
    )


def _with_another(named: str, its: str, profile: str) -> str:
    return (
        f"{named}: with an IamInstanceProfile of their own ({its}), machines join the pool only if that may "
        f"read the annex's object in S3. Leave it out to have {profile}, which may. {OTHERWISE}"
    )


def _notes_of_addresses(specifications: Sequence[Part]) -> list[str]:
    private = [i for i, each in enumerate(specifications) if _is_private(each)]
    return [_without_address(_named(private))] if private else []


def _without_address(named: str) -> str:
    return (
        f"{named}: without a public address (AssociatePublicIpAddress is false), machines join the pool only if "
        f"their subnet has another way to S3, EC2 and the pool, such as a NAT gateway. {OTHERWISE}"
    )


def _is_private(specification: Part) -> bool:
    """Return whether it has no public address; only a lone interface can have one (botocore's EC2 model)."""
    interfaces = specification.get("NetworkInterfaces") or ()
    return any(interface.get("AssociatePublicIpAddress") is False for interface in interfaces)


def _is_another(given: Part | None, profile: str) -> bool:
    return given is not None and given.get("Arn") != profile and _name_of(given) != _name(profile)


def _name_of(given: Part) -> str:
    """Return a profile's ARN, by which profiles differ; a name alone is one of the same account."""
    return str(given.get("Arn") or given.get("Name"))


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _named(indexes: Sequence[int]) -> str:
    """Return `LaunchSpecifications[0], [2] to [5]`: the user looks for them in the file."""
    runs: list[list[int]] = []
    for index in indexes:
        if runs and runs[-1][-1] == index - 1:
            runs[-1][1:] = [index]
        else:
            runs.append([index])
    return "LaunchSpecifications" + ", ".join(" to ".join(f"[{end}]" for end in run) for run in runs)
