"""What a request names and only AWS knows: an image behind a parameter, and the device of an image's root volume.

`"ImageId": "resolve:ssm:PARAMETER"` is AWS's own spelling.  EC2 resolves it in launch templates, but not for our
fleets: botocore's EC2 model (2016-11-15), RequestLaunchTemplateData.ImageId: "Only EC2 Fleets of type instant support
specifying a Systems Manager parameter", "For EC2 Fleets of type maintain or request, or for Spot Fleets, you must
specify the AMI ID".  So annexd asks, and what is sent and journaled is the ID.

`"DeviceName": "root"` in BlockDeviceMappings means the root volume of the image.  Images name it /dev/xvda, /dev/sda1
and more (EC2 user guide, "Device names"); any other name would add a second volume instead of enlarging the first.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from annexd.annex.request.formats import IMAGE_PARAMETER

ROOT: Final = "root"
Part = dict[str, Any]


def parameters_in(request: Any) -> list[str]:
    """Return the parameters that stand for images, each once."""
    found: dict[str, None] = {}

    def look(part: Part) -> Part:
        if parameter := _parameter(_member(part, "ImageId")):
            found[parameter] = None
        return part

    _changed(request, look)
    return list(found)


def with_images(request: Mapping[str, Any], images: Mapping[str, str]) -> Part:
    """Return the request with the images' IDs in place of these parameters."""

    def put(part: Part) -> Part:
        image = images.get(_parameter(_member(part, "ImageId")) or "")
        return part if image is None else {**part, _spelled(part, "ImageId"): image}

    return dict(_changed(request, put))


def root_sizes_in(request: Any) -> dict[str, list[object]]:
    """Return the images whose root volume is named, each with the sizes in GiB that it is to have."""
    found: dict[str, list[object]] = {}

    def look(part: Part) -> Part:
        image = _member(part, "ImageId")
        for mapping in _root_mappings(part) if isinstance(image, str) else ():
            ebs = _member(mapping, "Ebs")
            found.setdefault(image, []).append(_member(ebs, "VolumeSize") if isinstance(ebs, Mapping) else None)
        return part

    _changed(request, look)
    return found


def with_root_devices(request: Mapping[str, Any], devices: Mapping[str, str]) -> Part:
    """Return the request with the names of the root devices of these images."""

    def put(part: Part) -> Part:
        device = devices.get(str(_member(part, "ImageId")))
        for mapping in _root_mappings(part) if device else ():
            mapping[_spelled(mapping, "DeviceName")] = device
        return part

    return dict(_changed(request, put))


def _parameter(image: Any) -> str | None:
    found = IMAGE_PARAMETER.fullmatch(image) if isinstance(image, str) else None
    return found[1] if found else None


def _root_mappings(part: Part) -> list[Part]:
    mappings = _member(part, "BlockDeviceMappings")
    among = mappings if isinstance(mappings, list) else []
    return [each for each in among if isinstance(each, dict) and _member(each, "DeviceName") == ROOT]


def _changed(value: Any, change: Callable[[Part], Part]) -> Any:
    """Return a copy in which each object, the inner ones first, is what `change` makes of it."""
    if isinstance(value, Mapping):
        return change({name: _changed(inner, change) for name, inner in value.items()})
    if isinstance(value, list | tuple):
        return [_changed(inner, change) for inner in value]
    return value


def _spelled(part: Mapping[str, Any], name: str) -> str:
    """As the request has it: an ad does not tell names by case."""
    return next((written for written in part if written.lower() == name.lower()), name)


def _member(part: Mapping[str, Any], name: str) -> Any:
    return part.get(_spelled(part, name))
