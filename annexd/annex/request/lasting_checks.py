"""Refuse parts of a request that would outlive its instances and lease: the lease function does not remove them.

The contents of launch templates and images are unknown here: docs/leases.md says what their authors must check.
"""

from collections.abc import Iterator

from annexd.annex.request.config_members import Part, parts, specifications

TERMINATE = "terminate"


def faults_of_lasting(config: Part) -> Iterator[str]:
    for path, specification in specifications(config):
        for where, mapping in parts(specification, "BlockDeviceMappings", path):
            if (mapping.get("Ebs") or {}).get("DeleteOnTermination") is False:
                yield f"{where}Ebs.DeleteOnTermination is false: the volume would outlive the lease, and cost money"
        for where, interface in parts(specification, "NetworkInterfaces", path):
            if interface.get("DeleteOnTermination") is False:
                yield f"{where}DeleteOnTermination is false: the network interface would outlive the lease"
    yield from faults_of_interruption(config)


def faults_of_interruption(config: Part, path: str = "") -> Iterator[str]:
    """Yield the faults of the requested behaviour for instances that AWS takes back."""
    behaviour = config.get("InstanceInterruptionBehavior", TERMINATE)
    if behaviour not in (TERMINATE, None):
        yield (
            f"{path}InstanceInterruptionBehavior must be {TERMINATE}, not {behaviour}: a stopped or hibernated "
            "instance keeps its volumes, and AWS may start it again at any time"
        )
