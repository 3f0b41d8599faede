"""The facts about an offer's machines before one exists: from its order and AWS's description of instance types."""

from __future__ import annotations

from typing import Any

import classad2
import pytest

from annexd.condor import bindings
from annexd.demand.machine_ad import UnknownMachine, facts_of, machine_ad
from annexd.demand.offer import Offer, fault_of_weights, instance_types, sized, volume_gib
from annexd.demand.packing import Resources

GIB = 1024 * 1024


def row(kind: str, cpus: int = 2, memory_mib: int = 8192, arch: str = "x86_64", **more: Any) -> dict[str, Any]:
    """Return a row of DescribeInstanceTypes (botocore's EC2 model, InstanceTypeInfo)."""
    return {
        "InstanceType": kind,
        "VCpuInfo": {"DefaultVCpus": cpus},
        "MemoryInfo": {"SizeInMiB": memory_mib},
        "ProcessorInfo": {"SupportedArchitectures": [arch]},
        **more,
    }


GPU_ROW = row(
    "g5.12xlarge",
    48,
    196608,
    GpuInfo={"Gpus": [{"Name": "A10G", "Manufacturer": "NVIDIA", "Count": 4, "MemoryInfo": {"SizeInMiB": 22888}}]},
)


def ad_of(*rows: dict[str, Any], start: str = "true") -> Any:
    values, expressions = machine_ad(
        "gpu", start, facts_of(rows, None), "g5.12xlarge", "$CondorVersion: 25.14.1 2026-08-01 $", ("pool", "pool")
    )
    return classad2.ClassAd(str(bindings.make_ad(values, expressions)))


def test_the_smallest_of_several_types_counts() -> None:
    facts = facts_of([row("m5.large"), row("c5.xlarge", 4, 4096)], 100)
    assert facts.has == Resources(2, int(4096 * 0.925), 75 * GIB)


def test_types_of_two_architectures_are_no_offer() -> None:
    with pytest.raises(UnknownMachine, match="make an offer of each"):
        facts_of([row("m5.large"), row("m6g.large", arch="arm64")], None)


@pytest.mark.parametrize("rows", [[], [row("mac1.metal", arch="x86_64_mac")]])
def test_a_type_that_aws_does_not_describe_is_no_offer(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(UnknownMachine):
        facts_of(rows, None)


def test_a_job_that_names_a_gpu_matches_a_machine_that_has_it() -> None:
    job = classad2.ClassAd(
        '[ Requirements = TARGET.Arch == "X86_64" && TARGET.OpSys == "LINUX" && TARGET.Disk >= RequestDisk &&'
        " TARGET.Memory >= RequestMemory && TARGET.Cpus >= RequestCpus && TARGET.HasFileTransfer &&"
        " countMatches(MY.RequireGPUs, TARGET.AvailableGPUs) >= RequestGPUs &&"
        ' versionGE(split(TARGET.CondorVersion)[1], "25.12.0");'
        " RequestGPUs = 2; RequestCpus = 1; RequestMemory = 1024; RequestDisk = 1024;"
        ' RequireGPUs = GlobalMemoryMb > 20000 && DeviceName == "NVIDIA A10G" ]'
    )
    assert job.symmetricMatch(ad_of(GPU_ROW))
    assert not job.symmetricMatch(ad_of(row("m5.large")))


@pytest.mark.parametrize(("asked", "is_met"), [(8.6, True), (8.9, False)])
def test_a_job_that_asks_for_a_capability_matches_before_any_machine_has_joined(asked: float, is_met: bool) -> None:
    wanted = f"RequestGPUs = 1; RequireGPUs = Capability >= {asked}"
    job = classad2.ClassAd(f"[ Requirements = countMatches(MY.RequireGPUs, TARGET.AvailableGPUs) >= 1; {wanted} ]")
    assert job.symmetricMatch(ad_of(GPU_ROW)) == is_met


def test_no_capability_is_made_up_for_a_gpu_that_is_not_known() -> None:
    gpus = [{"Name": "Z9", "Manufacturer": "NVIDIA", "Count": 1, "MemoryInfo": {"SizeInMiB": 1}}]
    assert "Capability" not in str(ad_of(row("z9.large", GpuInfo={"Gpus": gpus})))


def test_a_machine_takes_only_what_the_offers_start_takes() -> None:
    start = "TARGET.WantAnnex =?= true"
    assert classad2.ClassAd("[ Requirements = true; WantAnnex = true ]").symmetricMatch(ad_of(GPU_ROW, start=start))
    assert not classad2.ClassAd("[ Requirements = true ]").symmetricMatch(ad_of(GPU_ROW, start=start))


SPECIFICATION = {"InstanceType": "m5.large", "ImageId": "ami-1", "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 50}}]}


def test_an_offer_orders_what_its_config_says_in_its_own_number_and_market() -> None:
    config = {"TargetCapacity": 7, "OnDemandTargetCapacity": 1, "LaunchSpecifications": [SPECIFICATION]}
    offer = Offer("small", config, "true", 3600, 10)
    assert sized(offer, 3) == {"TargetCapacity": 3, "LaunchSpecifications": [SPECIFICATION]}
    by_demand = Offer("small", config, "true", 3600, 10, on_demand=True)
    assert sized(by_demand, 3)["OnDemandTargetCapacity"] == 3


@pytest.mark.parametrize(
    ("config", "types", "gib"),
    [
        ({"LaunchSpecifications": [SPECIFICATION, {**SPECIFICATION, "InstanceType": "c5.large"}]}, 2, 50),
        ({"LaunchSpecifications": [SPECIFICATION, {"InstanceRequirements": {}}]}, 0, None),
        ({"LaunchTemplateConfigs": [{"Overrides": [{"InstanceType": "m5.large"}]}]}, 1, None),
        ({"LaunchTemplateConfigs": [{}]}, 0, None),
        ({}, 0, None),
    ],
)
def test_the_types_and_the_volume_are_read_from_both_kinds_of_order(
    config: dict[str, Any], types: int, gib: int | None
) -> None:
    assert (len(instance_types(config)), volume_gib(config)) == (types, gib)


def test_machines_that_count_as_several_units_are_refused() -> None:
    assert "WeightedCapacity is 4" in str(fault_of_weights({"LaunchSpecifications": [{"WeightedCapacity": 4}]}))
    assert fault_of_weights({"LaunchSpecifications": [{"WeightedCapacity": 1}, {}]}) is None
