"""The rest of the account's vCPUs, by the kinds of instances that AWS counts together.

The quotas are those of "Amazon EC2 quotas" in the EC2 user guide ("On-Demand Instance quotas", "Spot Instance
quotas"), by the codes of Service Quotas.  The used part is the vCPUs of the instances that DescribeInstances shows now.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.pools import Capacity
from annexd.annex.quote.sums import most_instances
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, is_not_found

QUOTA: Final = "servicequotas:GetServiceQuota"
DEFAULT_QUOTA: Final = "servicequotas:GetAWSDefaultServiceQuota"
TYPES: Final = "ec2:DescribeInstanceTypes"
INSTANCES: Final = "ec2:DescribeInstances"
OF_AWS: Final = -1.0  # the value of an account that has no row of its own
MOST_TYPES: Final = 100  # of one DescribeInstanceTypes
SPOT: Final = "Spot"
ON_DEMAND: Final = "On-Demand"
CODES: Final = {  # by the letters that a type begins with: (Spot, On-Demand)
    "standard": ("L-34B43A08", "L-1216C47A"),  # A, C, D, H, I, M, R, T, Z
    "dl": ("L-85EED4F7", "L-6E869C2A"),
    "f": ("L-88CF9481", "L-74FC7D96"),
    "g": ("L-3819A6DF", "L-DB2E81BA"),  # G and VT
    "inf": ("L-B5D1601B", "L-1945791B"),
    "p": ("L-7212CCBC", "L-417A185B"),
    "trn": ("L-6B0D517C", "L-2C3B7624"),
    "x": ("L-E3A00192", "L-7295265B"),
}
STANDARD: Final = frozenset("acdhimrtz")


@dataclass(frozen=True)
class Quota:
    """vCPUs of one quota; None: unknown."""

    name: str
    code: str
    value: float | None
    used: int | None
    needed: int | None

    @property
    def is_short(self) -> bool:
        """Return whether it is certain that the order does not fit beside what runs."""
        return None not in (self.value, self.needed) and (self.needed or 0) + (self.used or 0) > (self.value or 0)


def class_of(kind: str) -> str | None:
    """Return the key of CODES; None for a type whose quota is not known here."""
    family = re.match(r"[a-z]+", kind)
    letters = family[0] if family else ""
    if letters == "vt":
        return "g"
    if letters in CODES:
        return letters
    return "standard" if letters[:1] in STANDARD and letters not in ("hpc", "mac", "inf", "trn") else None


def quotas_of(capacity: Capacity, ec2: Any, quotas: Any | None, optional: OptionalCalls) -> list[Quota]:
    """Return each quota that the order may touch."""
    kinds = {pool.instance_type for pool in capacity.pools if pool.instance_type}
    running = optional.call(INSTANCES, lambda: _running(ec2))
    vcpus = _vcpus(ec2, kinds | {kind for _, kind in running or ()}, optional)
    found = []
    for market, units in ((SPOT, capacity.spot_units), (ON_DEMAND, capacity.on_demand_units)):
        for group in sorted({group for kind in kinds if (group := class_of(kind))}) if units else ():
            code = CODES[group][market == ON_DEMAND]
            found.append(
                Quota(
                    f"vCPUs of {market} instances ({group.upper() if group != 'standard' else group})",
                    code,
                    _value(quotas, code, optional),
                    _used(running, market, group, vcpus),
                    _needed(capacity, units, group, vcpus),
                )
            )
    return found


def _needed(capacity: Capacity, units: int, group: str, vcpus: Mapping[str, int]) -> int | None:
    """Return the upper bound: all units from the worst pool of this quota."""
    pools = [pool for pool in capacity.pools if pool.instance_type and class_of(pool.instance_type) == group]
    if not all(pool.instance_type in vcpus for pool in pools):
        return None
    return max(most_instances(units, [pool.weight]) * vcpus[str(pool.instance_type)] for pool in pools)


def _used(running: Counter[tuple[str, str]] | None, market: str, group: str, vcpus: Mapping[str, int]) -> int | None:
    if running is None:
        return None
    mine = {kind: number for (of, kind), number in running.items() if of == market and class_of(kind) == group}
    return None if mine.keys() - vcpus.keys() else sum(number * vcpus[kind] for kind, number in mine.items())


def _running(ec2: Any) -> Counter[tuple[str, str]]:
    """Count the instances that run or start, by market and type."""
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    reservations = answers.listed(ec2, "describe_instances", "Reservations", Filters=states)
    return Counter(
        (SPOT if each.get("InstanceLifecycle") == "spot" else ON_DEMAND, str(each.get("InstanceType")))
        for reservation in reservations
        for each in reservation.get("Instances") or ()
    )


def _vcpus(ec2: Any, kinds: set[str], optional: OptionalCalls) -> dict[str, int]:
    """Return the vCPUs of known types, by type.  It uses a filter, since a call that names an unknown type fails."""
    found: dict[str, int] = {}
    wanted = sorted(kinds)
    for i in range(0, min(len(wanted), 5 * MOST_TYPES), MOST_TYPES):
        named = [{"Name": "instance-type", "Values": wanted[i : i + MOST_TYPES]}]
        found |= optional.call(TYPES, partial(_types, ec2, named)) or {}
    return found


def _types(ec2: Any, named: list[dict[str, Any]]) -> dict[str, int]:
    return {
        answers.text(each, "InstanceType"): answers.number(answers.value(each, "VCpuInfo", dict), "DefaultVCpus")
        for each in answers.listed(ec2, "describe_instance_types", "InstanceTypes", Filters=named)
    }


def _value(quotas: Any | None, code: str, optional: OptionalCalls) -> float | None:
    if quotas is None:
        return None
    value = optional.call(QUOTA, lambda: _applied(quotas, code))
    if value != OF_AWS:
        return value
    return optional.call(DEFAULT_QUOTA, lambda: _quota(quotas.get_aws_default_service_quota, code))


def _applied(quotas: Any, code: str) -> float:
    """Return the account's own value; OF_AWS if it has AWS's default, for which there may be no row."""
    try:
        return _quota(quotas.get_service_quota, code)
    except AWS_ERRORS as error:
        if is_not_found(error):
            return OF_AWS
        raise


def _quota(call: Any, code: str) -> float:
    quota = answers.value(call(ServiceCode="ec2", QuotaCode=code), "Quota", dict)
    return float(answers.value(quota, "Value", (int, float)))
