"""The ad of a machine that does not exist yet, built from AWS's data about its instance types.

It has the attributes that jobs of HTCondor's own submit tools require of a slot.  The ad of a real machine of the same
offer, once one has joined, is better: it also has what that machine's own configuration adds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annexd.demand.packing import Resources

# The fraction of an instance's memory that Linux and HTCondor leave: Karpenter subtracts 7.5 % for any type
# (VM_MEMORY_OVERHEAD_PERCENT in its settings), and the first machine that joins shows the real value.
MEMORY_PART: Final = 0.925
DISK_PART: Final = 0.75  # of the root volume, which holds the image itself
DEFAULT_VOLUME_GIB: Final = 8  # of Amazon's own images
KIB_IN_GIB: Final = 1024 * 1024
ARCHITECTURES: Final = {"x86_64": "X86_64", "arm64": "aarch64"}
# Capabilities of GPUs by EC2's names, since EC2 does not give them: developer.nvidia.com/cuda-gpus and
# cuda-legacy-gpus, 2026-11-29.  A10G is EC2's own kind of A10, T4g a T4 beside Graviton.
CAPABILITY: Final = {
    "M60": 5.2,
    "V100": 7.0,
    "T4": 7.5,
    "T4g": 7.5,
    "A100": 8.0,
    "A10G": 8.6,
    "L4": 8.9,
    "L40S": 8.9,
    "H100": 9.0,
    "H200": 9.0,
    "B200": 10.0,
    "B300": 10.3,
    "RTX PRO 4500": 12.0,
    "RTX PRO Server 6000": 12.0,
}


class UnknownMachine(Exception):
    """Nothing certain is known about an offer's machines; the text says what, and the next step."""


@dataclass(frozen=True)
class Gpu:
    name: str
    count: int
    memory_mib: int
    capability: float | None = None  # None: not in CAPABILITY


@dataclass(frozen=True)
class MachineFacts:
    """The minimum resources of every machine of an offer."""

    has: Resources
    arch: str
    gpu: Gpu | None = None


def facts_of(rows: Iterable[Mapping[str, Any]], volume_gib: int | None) -> MachineFacts:
    """Return what all of these types have, from rows of DescribeInstanceTypes.  Raises UnknownMachine."""
    facts = [_facts(row, volume_gib or DEFAULT_VOLUME_GIB) for row in rows]
    if not facts:
        raise UnknownMachine("AWS describes none of its instance types")
    if len({each.arch for each in facts}) > 1:
        raise UnknownMachine("its instance types have different architectures: make an offer of each")
    least = Resources(
        min(each.has.cpus for each in facts),
        min(each.has.memory_mib for each in facts),
        min(each.has.disk_kib for each in facts),
        min(each.has.gpus for each in facts),
    )
    return MachineFacts(least, facts[0].arch, facts[0].gpu if least.gpus else None)


def _facts(row: Mapping[str, Any], volume_gib: int) -> MachineFacts:
    cpus, memory_mib = row["VCpuInfo"]["DefaultVCpus"], row["MemoryInfo"]["SizeInMiB"]
    supported = [each for each in row["ProcessorInfo"]["SupportedArchitectures"] if each in ARCHITECTURES]
    if not supported:
        raise UnknownMachine(f"{row['InstanceType']} has no architecture of HTCondor's")
    gpu = _gpu(row)
    disk_kib = int(volume_gib * KIB_IN_GIB * DISK_PART)
    has = Resources(int(cpus), int(memory_mib * MEMORY_PART), disk_kib, gpu.count if gpu else 0)
    return MachineFacts(has, ARCHITECTURES[supported[0]], gpu)


def _gpu(row: Mapping[str, Any]) -> Gpu | None:
    listed = (row.get("GpuInfo") or {}).get("Gpus") or ()
    if not listed:
        return None
    one = listed[0]
    name = f"{one.get('Manufacturer', '')} {one.get('Name', '')}".strip()
    memory_mib = (one.get("MemoryInfo") or {}).get("SizeInMiB") or 0
    count = sum(int(each.get("Count") or 0) for each in listed)
    return Gpu(name, count, int(memory_mib), CAPABILITY.get(str(one.get("Name"))))


def machine_ad(
    offer: str, start: str, facts: MachineFacts, instance_type: str, version: str, domains: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the ad's values, and its expressions; `version`: CondorVersion; `domains`: UidDomain, FileSystemDomain.

    The Capability of a new kind of GPU is unknown until a machine has joined: only then do jobs that require it match.
    """
    has, name = facts.has, f"slot1@{offer}.offer"
    sizes = {"Cpus": has.cpus, "Memory": has.memory_mib, "Disk": has.disk_kib}
    values: dict[str, Any] = {
        "MyType": "Machine",
        "Name": name,
        "Machine": f"{offer}.offer",
        "AnnexOffer": offer,
        "IsAnnex": True,
        "State": "Unclaimed",
        "Activity": "Idle",
        "SlotType": "Partitionable",
        "PartitionableSlot": True,
        "SlotID": 1,
        **sizes,
        **{f"Total{each}": value for each, value in sizes.items()},
        **{f"TotalSlot{each}": value for each, value in sizes.items()},
        "Arch": facts.arch,
        "OpSys": "LINUX",
        "HasFileTransfer": True,
        "HasJobDeferral": True,
        "HasPerFileEncryption": True,
        "CondorVersion": version,
        "UidDomain": domains[0],
        "FileSystemDomain": domains[1],
        "CloudVMType": instance_type,
        "CloudProvider": "AWS",
    }
    expressions = {"Start": start, "Requirements": "START"}
    if facts.gpu:
        values |= {"GPUs": has.gpus, "TotalGPUs": has.gpus, "TotalSlotGPUs": has.gpus}
        values["GPUs_DeviceName"] = facts.gpu.name
        expressions |= _gpu_ads(facts.gpu)
    return values, expressions


def _gpu_ads(gpu: Gpu) -> dict[str, str]:
    """Return the properties that require_gpus uses, with the names of condor_gpu_discovery."""
    names = [f"GPUs_GPU_{number}" for number in range(1, gpu.count + 1)]
    device = gpu.name.replace("\\", "").replace('"', "")
    known = f'DeviceName = "{device}"; GlobalMemoryMb = {gpu.memory_mib}'
    known += "" if gpu.capability is None else f"; Capability = {gpu.capability}"
    ads = {name: f'[ Id = "{name[5:]}"; {known} ]' for name in names}
    return {**ads, "AvailableGPUs": f"{{ {', '.join(names)} }}"}
