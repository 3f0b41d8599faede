"""Look up the facts about a request's images that only AWS knows, with the requester's keys.

This happens before the order is accepted: nothing is created yet, and the journal holds the result.  A value that is
not an image's ID is never shown: with lent keys it would be one of the administrator's secrets.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.formats import AMI
from annexd.annex.request.images import parameters_in, root_sizes_in, with_images, with_root_devices
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import Clients, answers, time_limit
from annexd.aws.errors import AWS_ERRORS, is_denied, is_not_found
from annexd.workflow import Refused, Retry

LOOK_S: Final = 60.0  # for all of it: a call takes a tenth of a second, and an order's thread waits
MOST: Final = 10  # parameters, or images, of one request: each parameter is a call
NO_RIGHT: Final = (
    "templates/policies grants {action} on what AWS publishes below /aws/service; for another parameter the keys need "
    "that right, too, or name the image by its ID"
)


def resolved(
    ad: Mapping[str, Any], access: Callable[[], Clients], look_s: float = LOOK_S
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the command ad with the IDs of its images and the names of their root devices, and its notes.

    AWS is not called if the ad names neither a parameter nor a root volume.  Raises InvalidRequest, Refused or Retry.
    """
    parameters, sizes = parameters_in(ad), root_sizes_in(ad)
    if not parameters and not sizes:
        return dict(ad), ()
    if len(parameters) > MOST or len(sizes) > MOST:
        raise InvalidRequest(
            [f"ImageId: at most {MOST} images can be looked up for one request; name them by their IDs"]
        )
    try:
        with time_limit(look_s):
            return _resolved(ad, parameters, access())
    except Retry as error:
        raise Retry(f"{error}; nothing was ordered: order again", untouched=True) from error


def _resolved(ad: Mapping[str, Any], parameters: list[str], clients: Clients) -> tuple[dict[str, Any], tuple[str, ...]]:
    images = {parameter: _image(clients.ssm, parameter) for parameter in parameters}
    ad = with_images(ad, images)
    if sizes := root_sizes_in(ad):
        ad = with_root_devices(ad, _root_devices(clients.ec2, sizes))
    return dict(ad), tuple(
        f"the image is {image}, the present value of {parameter}" for parameter, image in images.items()
    )


def _image(ssm: Any, parameter: str) -> str:
    try:
        with translate_aws_errors(f"GetParameter {parameter}"):
            answer = _parameter(ssm, parameter)
            value = answers.value(answers.value(answer, "Parameter", dict), "Value", str)
    except Refused as error:
        raise _explained(error, "ssm:GetParameter") from error
    if not AMI.fullmatch(value):
        raise InvalidRequest([f"ImageId: the parameter {parameter} has a value that is not an image ID (ami-...)"])
    return str(value)


def _parameter(ssm: Any, parameter: str) -> Any:
    try:
        return ssm.get_parameter(Name=parameter)
    except AWS_ERRORS as error:
        if is_not_found(error):
            message = f"ImageId: there is no parameter {parameter} in {ssm.meta.region_name}: look it up with "
            raise InvalidRequest([f"{message}`aws ssm get-parameters-by-path`, or name the image by its ID"]) from error
        raise


def _explained(error: Refused, action: str) -> Refused:
    denied = isinstance(error.__cause__, Exception) and is_denied(error.__cause__)
    message = f"{error}; {NO_RIGHT.format(action=action)}" if denied else str(error)
    return Refused(message, untouched=True, local=error.local)


def _root_devices(ec2: Any, sizes: Mapping[str, list[object]]) -> dict[str, str]:
    """Return the names by image.  Raises InvalidRequest for images that are missing or larger than their volume."""
    faults: list[str] = []
    devices = {image: _root_device(ec2, image, wanted, faults) for image, wanted in sizes.items()}
    if faults:
        raise InvalidRequest(faults)
    return devices


def _root_device(ec2: Any, image: str, wanted: list[object], faults: list[str]) -> str:
    with translate_aws_errors(f"DescribeImages {image}"):
        found = _described(ec2, image)
        if not found:
            faults.append(
                f"ImageId: this account sees no image {image} in {ec2.meta.region_name}: an image belongs to one "
                "region, and a private one must be shared with the account"
            )
            return ""
        device = answers.text(found[0], "RootDeviceName")
        least = _size_of(found[0], device)
    if small := [size for size in wanted if isinstance(size, int) and size < least]:
        faults.append(f"VolumeSize is {min(small)}, and the root volume of {image} has {least} GiB at least")
    return device


def _described(ec2: Any, image: str) -> list[Mapping[str, Any]]:
    try:
        return answers.rows(ec2.describe_images(ImageIds=[image]), "Images")
    except AWS_ERRORS as error:
        if is_not_found(error):
            return []
        raise


def _size_of(image: Mapping[str, Any], device: str) -> int:
    """Return the size of the snapshot of its root volume, in GiB; 0 if the image does not specify it."""
    for mapping in image.get("BlockDeviceMappings") or ():
        if mapping.get("DeviceName") == device and (size := (mapping.get("Ebs") or {}).get("VolumeSize")):
            return int(size)
    return 0
