"""Ads of jobs and machines, shortened from what condor_submit and condor_startd of HTCondor 25.14.1 write.

The Requirements, WithinResourceLimits and RequestDisk were printed by its condor_q and condor_status.
"""

from __future__ import annotations

from collections.abc import Mapping

JOB = {
    "MyType": '"Job"',
    "JobUniverse": "5",
    "JobStatus": "1",
    "Owner": '"alice"',
    "User": '"alice@annexd.test"',
    "FileSystemDomain": '"annexd.test"',
    "TransferInputSizeMB": "0",
    "RequestCpus": "1",
    "RequestMemory": "1000",
    "RequestDisk": "MAX({ 1024,(TransferInputSizeMB + 1) * 1.25 }) * 1024",
    "RequireGPUs": "Capability >= GPUsMinCapability",
    "Requirements": """(TARGET.Arch == "X86_64") && (TARGET.OpSys == "LINUX") &&
        (versionGE(split(TARGET.CondorVersion)[1],"25.12.0") || (TARGET.Disk >= RequestDisk)) &&
        (TARGET.Memory >= RequestMemory) && (TARGET.Cpus >= RequestCpus) &&
        ((TARGET.FileSystemDomain == MY.FileSystemDomain) || (TARGET.HasFileTransfer))""",
}
GPU_CLAUSE = " && (countMatches(MY.RequireGPUs,TARGET.AvailableGPUs) >= RequestGPUs)"
MACHINE = {
    "MyType": '"Machine"',
    "Arch": '"X86_64"',
    "OpSys": '"LINUX"',
    "CondorVersion": '"$CondorVersion: 25.14.1 2026-01-01 BuildID: 1 $"',
    "FileSystemDomain": '"cloud.test"',
    "HasFileTransfer": "true",
    "State": '"Unclaimed"',
    "PartitionableSlot": "true",
    "Cpus": "8",
    "Memory": "16000",
    "Disk": "100000000",
    "GPUs": "0",
    "Start": "true",
    "Requirements": "Start && WithinResourceLimits",
    "WithinResourceLimits": """MY.Cpus > 0 && TARGET.RequestCpus <= MY.Cpus && MY.Memory > 0 &&
        TARGET.RequestMemory <= MY.Memory && MY.Disk > 0 && (TARGET.RequestDisk - ifthenelse(MappingMethod ?: "" !=
        "Copy",ifthenelse(RequestedCatalogs =?= undefined || catalogs =?= undefined,0,
        sum(evalInEachContext(member(CatalogID,RequestedCatalogIDs) ? CatalogSize : 0,catalogs))),0)) <= MY.Disk &&
        (TARGET.RequestGPUs =?= undefined || MY.GPUs >= TARGET.RequestGPUs)""",
}

# Each doubles the work of the one before; the first one is known only with a TARGET.
ENDLESS = {
    "W0": "TARGET.MyType",
    **{f"W{n + 1}": f"strcat(W{n}, W{n})" for n in range(40)},
    "Requirements": "size(W40) > 0",
}


def ad(attributes: Mapping[str, object]) -> str:
    return "[\n" + "".join(f"  {name} = {text};\n" for name, text in attributes.items()) + "]"


def job(**changes: object) -> str:
    """Return the ad of a job, with these attributes in place of the ordinary ones or in addition to them."""
    return ad({**JOB, **changes})


def gpu_job(capability: float, **changes: object) -> str:
    own = {"RequestGPUs": 1, "GPUsMinCapability": capability, "Requirements": JOB["Requirements"] + GPU_CLAUSE}
    return job(**{**own, **changes})


def machine(start: str = "true", **changes: object) -> str:
    return ad({**MACHINE, "Start": start, **changes})


def gpu_machine(capability: float, gpus: int = 1, start: str = "true") -> str:
    device = f'[ Id = "GPU_1"; Capability = {capability}; GlobalMemoryMb = 24000 ]'
    return machine(start, GPUs=gpus, AvailableGPUs="{ GPUs_GPU_1 }", GPUs_GPU_1=device)
