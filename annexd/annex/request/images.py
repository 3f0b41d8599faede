"""Facts of a request that only AWS knows: an image behind a parameter, and the device of an image's root volume.

`"ImageId": "resolve:ssm:PARAMETER"` is AWS's own spelling.  EC2 resolves it in launch templates, but not for our
fleets: botocore's EC2 model (2016-11-15), RequestLaunchTemplateData.ImageId: "Only EC2 Fleets of type instant support
specifying a Systems Manager parameter", "For EC2 Fleets of type maintain or request, or for Spot Fleets, you must
specify the AMI ID".  So annexd resolves it, and sends and journals the ID.

`"DeviceName": "root"` in BlockDeviceMappings means the root volume of the image.  Images name it /dev/xvda, /dev/sda1
and more (EC2 user guide, "Device names"); any other name would add a second volume instead of enlarging the first.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from annexd.annex.request.formats import IMAGE_PARAMETER

ROOT: Final = "root"
SPECIFICATIONS: Final = "LaunchSpecifications"  # for launch templates; AWS takes neither in fleets like ours
Part = Mapping[str, Any]


def parameters_in(ad: Part) -> list[str]:
    """Return the parameters in place of images in a command ad, each once."""
    named = (_parameter(_member(each, "ImageId")) for each in _specifications(ad))
    return list(dict.fromkeys(each for each in named if each))


def with_images(ad: Part, images: Mapping[str, str]) -> dict[str, Any]:
    """Return the ad with the images' IDs in place of these parameters."""

    def put(specification: Part) -> Part:
        image = images.get(_parameter(_member(specification, "ImageId")) or "")
        return specification if image is None else {**specification, _spelled(specification, "ImageId"): image}

    return _changed(ad, put)


def root_sizes_in(ad: Part) -> dict[str, list[object]]:
    """Return the images whose root volume is named, each with the requested sizes in GiB."""
    found: dict[str, list[object]] = {}
    for specification in _specifications(ad):
        image = _member(specification, "ImageId")
        for mapping in _mappings(specification) if isinstance(image, str) else ():
            if _is_root(mapping):
                ebs = _member(mapping, "Ebs")
                found.setdefault(image, []).append(_member(ebs, "VolumeSize") if isinstance(ebs, Mapping) else None)
    return found


def with_root_devices(ad: Part, devices: Mapping[str, str]) -> dict[str, Any]:
    """Return the ad with the names of the root devices of these images."""

    def put(specification: Part) -> Part:
        device = devices.get(str(_member(specification, "ImageId")))
        if device is None:
            return specification
        named = [
            {**each, _spelled(each, "DeviceName"): device} if _is_root(each) else each
            for each in _mappings(specification)
        ]
        return {**specification, _spelled(specification, "BlockDeviceMappings"): named}

    return _changed(ad, put)


def _parameter(image: Any) -> str | None:
    found = IMAGE_PARAMETER.fullmatch(image) if isinstance(image, str) else None
    return found[1] if found else None


def _specifications(ad: Part) -> list[Part]:
    return _objects(_member(ad, SPECIFICATIONS))


def _mappings(specification: Part) -> list[Part]:
    return _objects(_member(specification, "BlockDeviceMappings"))


def _objects(value: Any) -> list[Part]:
    """Return the objects of a list; other values in it were refused before."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def _is_root(mapping: Part) -> bool:
    return bool(_member(mapping, "DeviceName") == ROOT)


def _changed(ad: Part, change: Callable[[Part], Part]) -> dict[str, Any]:
    return {**ad, _spelled(ad, SPECIFICATIONS): [change(each) for each in _specifications(ad)]}


def _spelled(part: Part, name: str) -> str:
    """Return the name as the request spells it: attribute names of an ad are case-insensitive."""
    return name if name in part else next((written for written in part if written.lower() == name.lower()), name)


def _member(part: Part, name: str) -> Any:
    return part.get(_spelled(part, name))
