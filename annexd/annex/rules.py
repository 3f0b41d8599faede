"""What a Spot Fleet request config must be beyond AWS's model: what AWS would refuse only after the lease
is made.

Each rule is one function from the config, as far as it could be read, to its faults.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

from annexd.annex.defaults import Defaults
from annexd.annex.lease import OWN_TAGS, TAG_NAME

LARGEST_USER_DATA: Final = 16384  # bytes, before base64: EC2's limit
LAUNCH_WAYS: Final = ("LaunchSpecifications", "LaunchTemplateConfigs")


def faults_of_config(config: Mapping[str, Any], defaults: Defaults) -> list[str]:
    """All faults of `config`, which may hold None where a value was wrong already."""
    return [*_capacity(config, defaults), *_launch(config), *_user_data(config), *_tags(config)]


def _capacity(config: Mapping[str, Any], defaults: Defaults) -> Iterator[str]:
    capacity = config.get("TargetCapacity")
    if capacity is None:
        return
    if capacity <= 0:
        yield f"TargetCapacity must be a positive integer, not {capacity}"
    elif capacity > defaults.max_target_capacity:
        yield f"TargetCapacity is {capacity}, the most allowed here is {defaults.max_target_capacity}"


def _launch(config: Mapping[str, Any]) -> Iterator[str]:
    given = [way for way in LAUNCH_WAYS if config.get(way)]
    if len(given) == 2:
        yield "LaunchSpecifications and LaunchTemplateConfigs exclude each other"
    elif not given and not any(way in config and config[way] is None for way in LAUNCH_WAYS):
        yield "LaunchSpecifications or LaunchTemplateConfigs is missing: nothing says what to launch"


def _specifications(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for i, specification in enumerate(config.get("LaunchSpecifications") or ()):
        if specification is not None:
            yield f"LaunchSpecifications[{i}].", specification


def _user_data(config: Mapping[str, Any]) -> Iterator[str]:
    for path, specification in _specifications(config):
        text = specification.get("UserData")
        if text is None:
            continue
        try:
            content = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            yield f"{path}UserData must be base64"
            continue
        if len(content) > LARGEST_USER_DATA:
            yield f"{path}UserData is {len(content)} bytes, the most is {LARGEST_USER_DATA}"


def _tags(config: Mapping[str, Any]) -> Iterator[str]:
    for path, holder in (("", config), *_specifications(config)):
        for i, specification in enumerate(holder.get("TagSpecifications") or ()):
            for tag in (specification or {}).get("Tags") or ():
                if tag and tag.get("Key") in OWN_TAGS | {TAG_NAME}:
                    yield f"{path}TagSpecifications[{i}] has the tag {tag['Key']}, which is annexd's to set"
