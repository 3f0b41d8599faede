"""Orders without a file: options become the equivalent config.json, or all their faults are reported at once."""

from __future__ import annotations

from typing import Any

import pytest

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.fleet_checks import faults_of_config
from annexd.annex.request.launch_config import is_arm
from annexd.annex.request.spot_fleet import checked_config
from annexd.tool.command_line import parse
from annexd.tool.errors import USAGE, ToolError
from annexd.tool.launch_options import AMAZON_LINUX, config_of
from annexd.tool.show import OPTION_OF, OPTION_OF_LAUNCH, in_options

ENOUGH = ("-lease-duration", "1h", "-count", "3")
IMAGE = "ami-0123456789abcdef0"
TYPES = ("-instance-type", "m5.large,m6i.large")
NEEDS = ("-cpus", "4", "-memory", "8G")
ROLE = {"IamFleetRole": "arn:aws:iam::123456789012:role/fleet"}


def config(*arguments: str, default_image: str | None = IMAGE) -> dict[str, Any]:
    made, _ = config_of(parse([*ENOUGH, *arguments]), {"ANNEX_DEFAULT_IMAGE": default_image}.get)
    return made


def machines(*arguments: str, **more: Any) -> list[dict[str, Any]]:
    return list(config(*arguments, **more)["LaunchSpecifications"])


def faults(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(ToolError) as raised:
        parse(arguments)
    assert raised.value.status == USAGE
    return raised.value.faults


@pytest.mark.parametrize(
    "options",
    [
        TYPES,
        NEEDS,
        (*NEEDS, "-gpus", "1", "-volume-size", "50G", "-key-name", "me", "-max-price", "0.05"),
        (*TYPES, "-subnet", "subnet-0123456789abcdef0,subnet-0123456789abcdef1", "-spot", "-image", "ssm:/images/ours"),
    ],
    ids=" ".join,
)
def test_options_become_a_faultless_spot_fleet_request_of_aws_model(options: tuple[str, ...]) -> None:
    unknown: list[str] = []
    made = config(*options)
    assert checked_config({**made, **ROLE}, unknown) == {**made, **ROLE}
    assert [*unknown, *faults_of_config({**made, **ROLE}, Defaults())] == []


def test_each_type_is_a_launch_specification_and_aws_chooses_by_price_and_capacity() -> None:
    made = config(*TYPES, "-instance-type", "c5.large")
    assert [each["InstanceType"] for each in made["LaunchSpecifications"]] == ["m5.large", "m6i.large", "c5.large"]
    assert {each["ImageId"] for each in made["LaunchSpecifications"]} == {IMAGE}
    del made["LaunchSpecifications"]
    assert made == {"Type": "request", "TargetCapacity": 3, "AllocationStrategy": "priceCapacityOptimized"}


@pytest.mark.parametrize(
    ("options", "requirements"),
    [
        (NEEDS, {"AcceleratorCount": {"Max": 0}}),
        ((*NEEDS, "-gpus", "2"), {"AcceleratorTypes": ["gpu"], "AcceleratorCount": {"Min": 2}}),
    ],
)
def test_needs_of_a_machine_become_requirements(options: tuple[str, ...], requirements: dict[str, Any]) -> None:
    [only] = machines(*options)
    least = {"VCpuCount": {"Min": 4}, "MemoryMiB": {"Min": 8192}}
    assert only == {"ImageId": IMAGE, "InstanceRequirements": {**least, **requirements}}


def test_on_demand_is_the_whole_capacity() -> None:
    made = config(*TYPES, "-on-demand")
    assert (made["TargetCapacity"], made["OnDemandTargetCapacity"]) == (3, 3)
    assert not {"AllocationStrategy", "SpotPrice"} & made.keys()


def test_common_members_are_in_each_specification() -> None:
    options = ("-subnet", "subnet-0123456789abcdef0", "-subnet", "subnet-0123456789abcdef1", "-key-name", "me")
    for each in machines(*TYPES, *options, "-volume-size", "50"):
        assert each["SubnetId"] == "subnet-0123456789abcdef0,subnet-0123456789abcdef1"
        assert each["KeyName"] == "me"
        [volume] = each["BlockDeviceMappings"]
        assert volume == {
            "DeviceName": "root",
            "Ebs": {"VolumeSize": 50, "VolumeType": "gp3", "DeleteOnTermination": True},
        }


@pytest.mark.parametrize("image", ["ssm:/images/ours", "resolve:ssm:/images/ours"])
def test_an_image_by_a_parameter_is_written_as_aws_writes_it(image: str) -> None:
    assert {each["ImageId"] for each in machines(*TYPES, "-image", image)} == {"resolve:ssm:/images/ours"}
    assert {each["ImageId"] for each in machines(*TYPES, default_image=image)} == {"resolve:ssm:/images/ours"}


@pytest.mark.parametrize(
    ("options", "architecture"), [(TYPES, "x86_64"), (NEEDS, "x86_64"), (("-instance-type", "m7g.large"), "arm64")]
)
def test_without_any_image_it_is_amazon_linux_and_that_it_holds_no_htcondor_is_said(
    options: tuple[str, ...], architecture: str
) -> None:
    made, notes = config_of(parse([*ENOUGH, *options]), lambda _: None)
    assert {each["ImageId"] for each in made["LaunchSpecifications"]} == {
        f"resolve:ssm:{AMAZON_LINUX.format(architecture)}"
    }
    [note] = notes
    assert "Amazon Linux 2023, which has no HTCondor" in note
    assert config_of(parse([*ENOUGH, *options, "-image", IMAGE]), lambda _: None)[1] == []


def test_an_invalid_default_image_is_reported_with_its_knob() -> None:
    with pytest.raises(ToolError, match=r"ANNEX_DEFAULT_IMAGE must be an image ID .* not 'debian'"):
        config(*TYPES, default_image="debian")
    assert machines(*TYPES, "-image", IMAGE, default_image="debian")


@pytest.mark.parametrize("name", ["a1.large", "m6g.large", "c7gn.xlarge", "is4gen.large", "g5g.xlarge", "x2gd.metal"])
def test_arm_is_recognized_by_the_name_of_a_type(name: str) -> None:
    assert is_arm(name)


@pytest.mark.parametrize(
    "name", ["m5.large", "g4dn.xlarge", "g6.xlarge", "m7i-flex.large", "u-6tb1.metal", "hpc7a.96xlarge"]
)
def test_a_type_is_not_arm_for_its_family(name: str) -> None:
    assert not is_arm(name)


def test_types_of_two_architectures_cannot_have_one_image() -> None:
    with pytest.raises(ToolError, match=r"has m7g\.large, which is Arm, and m5\.large, which is not"):
        config("-instance-type", "m5.large,m7g.large")


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("8G", 8192),
        ("8g", 8192),
        ("8GB", 8192),
        ("8GiB", 8192),
        ("8 GiB", 8192),
        ("1.5G", 1536),
        ("8192", 8192),
        ("8192M", 8192),
        ("1T", 2**20),
        ("1", 1),
        ("1K", 1),
        ("64T", 64 * 2**20),
    ],
)
def test_memory_is_read_as_request_memory_is(text: str, mib: int) -> None:
    assert parse([*ENOUGH, "-cpus", "1", "-memory", text]).memory_mib == mib


@pytest.mark.parametrize(
    "text", ["", "0", "0G", "G", "8X", "8GG", "-8G", "1e3", ".5G", "8.G", "65T", "9" * 30, "٣G", "8iB", "nan"]
)
def test_an_invalid_size_is_refused_with_a_valid_example(text: str) -> None:
    [fault] = faults(*ENOUGH, "-cpus", "1", f"-memory={text}")
    assert fault.startswith(
        "-memory must be a size above 0, such as 8G, 8GiB or 8192 (megabytes, as in request_memory), at most"
    )
    assert fault.endswith(f"at most 64T, not {text!r}")
    [fault] = faults(*ENOUGH, *TYPES, f"-volume-size={text}")
    assert fault.startswith("-volume-size must be a size above 0, such as 50G or 50 (gigabytes), at most 65536")


@pytest.mark.parametrize(("text", "gib"), [("50", 50), ("50G", 50), ("50GiB", 50), ("1T", 1024), ("100M", 1)])
def test_a_volume_is_in_gigabytes(text: str, gib: int) -> None:
    assert parse([*ENOUGH, *TYPES, "-volume-size", text]).volume_gib == gib


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-instance-type", "m5"), "-instance-type must be instance types separated by commas"),
        (("-instance-type", "m5.large,,c5.large"), "('' is not one), not 'm5.large,,c5.large'"),
        (("-cpus", "0", "-memory", "1G"), "-cpus must be a number from 1 to 4096, not '0'"),
        (("-cpus", "-1", "-memory", "1G"), "-cpus must be a number from 1 to 4096, not '-1'"),
        (("-cpus", "99999", "-memory", "1G"), "-cpus must be a number from 1 to 4096, not '99999'"),
        ((*NEEDS, "-gpus", "0"), "-gpus must be a number from 1 to 32"),
        ((*TYPES, "-image", "debian"), "-image must be an image ID such as ami-"),
        ((*TYPES, "-image", "ssm:"), "-image must be an image ID such as ami-"),
        ((*TYPES, "-max-price", "0"), "-max-price must be dollars an hour for one machine, above 0"),
        (
            (*TYPES, "-max-price", "1001"),
            "-max-price must be dollars an hour for one machine, above 0 and at most 1000",
        ),
        ((*TYPES, "-max-price", "cheap"), "-max-price must be dollars"),
        ((*TYPES, "-key-name", " "), "-key-name must be the name of a key pair"),
        ((*TYPES, "-subnet", "x"), "-subnet must be a subnet ID such as subnet-0123456789abcdef0, not 'x'"),
        ((*TYPES, *NEEDS), "-instance-type excludes -cpus and -memory: an instance type determines these"),
        ((*TYPES, "-gpus", "1"), "-instance-type excludes -gpus"),
        (("-cpus", "1"), "-memory SIZE is missing beside -cpus: AWS asks for both"),
        (("-memory", "1G"), "-cpus NUMBER is missing beside -memory"),
        (("-gpus", "1"), "-cpus NUMBER and -memory SIZE are missing beside -gpus"),
        (("-image", IMAGE), "what to launch is missing: -instance-type TYPE[,TYPE...], or -cpus"),
        ((*TYPES, "-spot", "-on-demand"), "-spot and -on-demand exclude each other"),
        ((*TYPES, "-on-demand", "-max-price", "1"), "-max-price is for Spot instances"),
        ((*TYPES, "config.json"), "-instance-type cannot be used with a file: put it into config.json, or leave"),
        ((*NEEDS, "-image", IMAGE, "c.json"), "-cpus, -memory and -image cannot be used with a file"),
        (("-subnet", "subnet-0123456789abcdef0", "c.json"), "-subnet cannot be used with a file"),
    ],
)
def test_faults_name_the_options_that_were_typed(options: tuple[str, ...], message: str) -> None:
    [fault] = faults(*ENOUGH, *options)
    assert message in fault


def test_all_faults_of_an_order_without_a_file_are_reported_at_once() -> None:
    reported = faults("-instance-type", "m5", "-memory", "0", "-on-demand", "-max-price", "no", "-image", "x")
    expected = (
        "-instance-type must be",
        "-memory must be",
        "-max-price must be",
        "-image must be",
        "-lease-duration is missing",
        "-instance-type excludes -memory",
        "-max-price is for",
        "-count is missing",
    )
    for message in expected:
        assert any(fault.startswith(message) for fault in reported), (message, reported)
    assert len(reported) == len(expected)


def test_without_a_file_and_without_these_options_both_ways_are_named() -> None:
    [fault] = faults("-lease-duration", "1h")
    assert fault.startswith("the file is missing")
    assert "without one, -instance-type TYPE[,TYPE...], or -cpus NUMBER and -memory SIZE" in fault


@pytest.mark.parametrize("task", [("-status",), ("-cancel", "x"), ("-setup",), ("-extend", "1h", "x")])
def test_they_are_of_an_order_only(task: tuple[str, ...]) -> None:
    assert any("-cpus cannot be used with" in fault for fault in faults(*task, "-cpus", "1"))


def test_a_fault_that_annexd_finds_names_the_option_and_is_shown_once_for_all_types() -> None:
    message = (
        "TargetCapacity is 20000, the most allowed here is 10000 (ANNEX_MAX_TARGET_CAPACITY); "
        "LaunchSpecifications[0].SubnetId is wrong; LaunchSpecifications[1].SubnetId is wrong"
    )
    assert in_options(message, OPTION_OF_LAUNCH) == (
        "-count is 20000, the most allowed here is 10000 (ANNEX_MAX_TARGET_CAPACITY); -subnet is wrong"
    )
    assert in_options(message, OPTION_OF) == message
