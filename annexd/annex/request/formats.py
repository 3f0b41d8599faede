"""Check the format of names, IDs and prices in a Spot Fleet request.

AWS accepts a request with a wrong image, subnet or profile and reports it only at the launch: the fleet then stays
empty, with an error in its history (DescribeSpotFleetRequestHistory, `spotFleetRequestConfigurationInvalid`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from annexd.annex.request.config_members import texts
from annexd.annex.request.faults import shown
from annexd.annex.request.placeholders import PUT_YOUR_OWN, is_placeholder

# EC2 user guide, "Resource IDs": 8 or 17 characters behind the prefix; all known ones are hexadecimal.
ID: Final = r"[0-9a-f]{8,}"
AMI: Final = re.compile(f"ami-{ID}")
IMAGE_PARAMETER: Final = re.compile(r"resolve:ssm:([A-Za-z0-9_.:/-]{1,2048})")  # as in launch templates (botocore)
ROLE: Final = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[!-~]+")
PROFILE: Final = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:instance-profile/[!-~]+")
INSTANCE_TYPE: Final = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
PRICE: Final = re.compile(r"[0-9]{0,30}(\.[0-9]{1,30})?", re.ASCII)
LAUNCH_TEMPLATE_VERSION: Final = re.compile(r"[1-9][0-9]*|\$Latest|\$Default", re.ASCII)
EXAMPLE: Final = "0123456789abcdef0"


def faults_of_formats(config: Mapping[str, Any]) -> Iterator[str]:
    for path, name, text in texts(config):
        fault = _FORMATS[name](path, text) if name in _FORMATS else None
        if is_placeholder(text):
            yield f"{path} is {shown(text)}: {PUT_YOUR_OWN}"
        elif fault:
            yield f"{path} must be {fault}, not {shown(text)}"


def _matching(pattern: "re.Pattern[str]", expected: str) -> Callable[[str, str], str | None]:
    return lambda _, text: None if pattern.fullmatch(text) else expected


def _id(prefix: str, of: str) -> Callable[[str, str], str | None]:
    return _matching(re.compile(f"{prefix}-{ID}"), f"the ID of {of}, like {prefix}-{EXAMPLE}")


def _arn(path: str, text: str) -> str | None:
    """Check an `Arn`: here it is that of the profile, or of a load balancer's target group."""
    if not path.endswith("IamInstanceProfile.Arn") or PROFILE.fullmatch(text):
        return None
    return "like arn:aws:iam::123456789012:instance-profile/NAME"


def _subnets(path: str, text: str) -> str | None:
    """Check subnet IDs: a launch specification has several in one text, separated by commas (botocore's SubnetId)."""
    separated = [text] if path.startswith("LaunchTemplateConfigs") else text.split(",")
    if all(re.fullmatch(f"subnet-{ID}", each.strip()) for each in separated):
        return None
    return f"the ID of a subnet, like subnet-{EXAMPLE}"


def _image(_: str, text: str) -> str | None:
    if AMI.fullmatch(text) or IMAGE_PARAMETER.fullmatch(text):
        return None
    if text.startswith(("resolve:", "ssm:")):
        return "resolve:ssm:PARAMETER, like resolve:ssm:/images/ours, or the ID of an image"
    return f"the ID of an image, like ami-{EXAMPLE}"


def _price(_: str, text: str) -> str | None:
    """Check a price in dollars; AWS's model has it as text."""
    return None if PRICE.fullmatch(text) and text.strip("0.") else "a number above 0, like 0.05"


_FORMATS: Final[Mapping[str, Callable[[str, str], str | None]]] = {
    "IamFleetRole": _matching(ROLE, "like arn:aws:iam::123456789012:role/NAME"),
    "Arn": _arn,
    "ImageId": _image,
    "SubnetId": _subnets,
    "GroupId": _id("sg", "a security group"),
    "Groups": _id("sg", "a security group"),
    "SnapshotId": _id("snap", "a snapshot"),
    "LaunchTemplateId": _id("lt", "a launch template"),
    "InstanceType": _matching(INSTANCE_TYPE, "an instance type, like m5.large"),
    "Version": _matching(LAUNCH_TEMPLATE_VERSION, "a version's number, $Latest or $Default"),
    "SpotPrice": _price,
    "MaxPrice": _price,
    "MaxTotalPrice": _price,
    "SpotMaxTotalPrice": _price,
    "OnDemandMaxTotalPrice": _price,
}
