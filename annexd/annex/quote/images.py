"""The parts of an order that its images determine: their volumes, and the platform by which AWS prices it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.pools import Pool, Volume
from annexd.aws import answers

RIGHT: Final = "ec2:DescribeImages"
LINUX: Final = "Linux/UNIX"
# By an image's PlatformDetails (EC2 user guide, "AMI billing information"): operatingSystem of a price list.  The same
# word is a ProductDescription of DescribeSpotPriceHistory.
SYSTEMS: Final = {
    LINUX: "Linux",
    "Red Hat Enterprise Linux": "RHEL",
    "SUSE Linux": "SUSE",
    "Windows": "Windows",
}


@dataclass(frozen=True)
class Image:
    """`platform`: AWS's PlatformDetails."""

    platform: str
    volumes: tuple[Volume, ...]


def images_of(pools: tuple[Pool, ...], ec2: Any, optional: OptionalCalls) -> dict[str, Image]:
    """Return AWS's description of the images, by ID."""
    wanted = sorted({pool.image for pool in pools if pool.image})
    found: dict[str, Image] = {}
    for image in wanted[:20]:  # one by one: an unknown ID fails a whole call
        response = optional.call(RIGHT, partial(_described, ec2, image))
        if response is not None:
            found[image] = response
    return found


def _described(ec2: Any, image: str) -> Image:
    for each in answers.rows(ec2.describe_images(ImageIds=[image]), "Images"):
        if each.get("ImageId") == image:
            return _image(each)
    raise answers.UnknownShape(what=f"the answer is not about {image}")


def _image(response: Mapping[str, Any]) -> Image:
    mappings = [each for each in response.get("BlockDeviceMappings") or () if each.get("Ebs")]
    return Image(str(response.get("PlatformDetails") or LINUX), tuple(_volume(each) for each in mappings))


def _volume(mapping: Mapping[str, Any]) -> Volume:
    ebs = mapping["Ebs"]
    size = ebs.get("VolumeSize")
    apart = tuple(name for name in ("Iops",) if ebs.get(name) and ebs.get("VolumeType") in ("io1", "io2"))
    return Volume(str(mapping.get("DeviceName")), None if size is None else int(size), ebs.get("VolumeType"), apart)


def volumes_of(pool: Pool, images: Mapping[str, Image]) -> tuple[tuple[Volume, ...], list[str]]:
    """Return the volumes of each instance of a pool, and what is unknown about them.

    The order's mapping of a device replaces the image's (EC2 user guide, "Block device mappings").
    """
    image = images.get(pool.image or "")
    own = {each.device: each for each in pool.volumes}
    if image is None:
        return pool.volumes, [f"the volumes of the image of {pool.path}"]
    theirs = {each.device: each for each in image.volumes if each.device not in pool.removed_devices}
    whole = [_filled(own.get(device, each), each) for device, each in theirs.items()]
    return (*whole, *(each for device, each in own.items() if device not in theirs)), []


def _filled(own: Volume, theirs: Volume) -> Volume:
    size = theirs.gigabytes if own.gigabytes is None else own.gigabytes
    return Volume(own.device, size, own.kind or theirs.kind, own.priced_apart)
