"""Convert the options of an order without a file into the equivalent config.json.

From then on it is an order like any other: annexd checks it, fills in what -setup created, and leases it.
"""

from collections.abc import Callable
from typing import Final

from annexd.annex.request.launch_config import Config, LaunchChoice, is_arm, launch_config
from annexd.annex.request.launch_values import image
from annexd.tool.errors import USAGE, ToolError
from annexd.tool.options import ToolOptions

DEFAULT_IMAGE: Final = "ANNEX_DEFAULT_IMAGE"
# The parameters of the newest image in Amazon Linux 2023's user guide, by architecture.
AMAZON_LINUX: Final = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
NO_HTCONDOR: Final = (
    f"neither -image nor {DEFAULT_IMAGE} names an image, so it is Amazon Linux 2023, which has no HTCondor: its "
    "machines join the pool only if their user data installs it and condor-annex-ec2 (docs/joining.md)"
)


def config_of(options: ToolOptions, param: Callable[[str], str | None]) -> tuple[Config, list[str]]:
    """Return the config for the options, and notes for the user.  Raises ToolError.

    Instances of a fleet with one image must have its architecture.  With InstanceRequirements AWS ensures that
    (botocore's EC2 model, CpuManufacturers: "a compatible CPU architecture based on the Amazon Machine Image").
    """
    named, notes = _image(options, param)
    launch = LaunchChoice(named, **{name: getattr(options, name) for name in LaunchChoice._fields[1:]})
    return launch_config(launch), notes


def _image(options: ToolOptions, param: Callable[[str], str | None]) -> tuple[str, list[str]]:
    arm = [each for each in options.instance_types if is_arm(each)]
    if arm and len(arm) < len(options.instance_types):
        other = next(each for each in options.instance_types if each not in arm)
        message = (
            f"-instance-type has {arm[0]}, which is Arm, and {other}, which is not: one image does not start on both"
        )
        raise ToolError(USAGE, f"{message}; order them one after the other, each with its -image")
    if options.image:
        return options.image, []
    if configured := param(DEFAULT_IMAGE):
        return _configured(configured), []
    parameter = AMAZON_LINUX.format("arm64" if arm else "x86_64")
    return f"resolve:ssm:{parameter}", [NO_HTCONDOR]


def _configured(text: str) -> str:
    try:
        return image(text)
    except ValueError as error:
        raise ToolError(USAGE, f"{DEFAULT_IMAGE} must be {error}, not {text!r}: correct it, or give -image") from error
