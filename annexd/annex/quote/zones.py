"""The zones in which an order may start instances: those of its subnets, or the one that it names."""

from typing import Any, Final

from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.pools import Capacity, Pool
from annexd.aws import answers

RIGHT: Final = "ec2:DescribeSubnets"


def zones_of_subnets(capacity: Capacity, ec2: Any, optional: OptionalCalls) -> dict[str, str]:
    """Return the zones of the named subnets, by subnet; empty if AWS shows none."""
    named = sorted({subnet for pool in capacity.pools for subnet in pool.subnets})
    if not named:
        return {}
    return optional.call(RIGHT, lambda: _described(ec2, named)) or {}


def _described(ec2: Any, subnets: list[str]) -> dict[str, str]:
    rows = answers.listed(ec2, "describe_subnets", "Subnets", SubnetIds=subnets)
    return {answers.text(each, "SubnetId"): answers.text(each, "AvailabilityZone") for each in rows}


def zones_of(pool: Pool, subnets: dict[str, str]) -> tuple[str, ...] | None:
    """Return the zones of a pool; None means any."""
    if pool.subnets:
        known = [subnets.get(subnet) for subnet in pool.subnets]
        return tuple(sorted({zone for zone in known if zone})) if all(known) else None
    return (pool.zone,) if pool.zone else None
