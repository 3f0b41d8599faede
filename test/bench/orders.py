"""The cost of one order by each API for fleets: its calls to AWS, cold and warm, and annexd's CPU time by its size.

A real annexd under condor_master takes the orders; the emulated AWS counts the calls.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from test.bench.daemons import cpu_s
from test.cloud import Cloud
from test.replies import accepted
from test.system.site import Site

APIS: Final = {"SpotFleet": 5, "EC2Fleet": 6}  # the most calls of an order with everything cold; warm two fewer
AIM_S: Final = 0.1  # of annexd's own CPU time
LOOKS: Final = (
    "DescribeSpotFleetRequests",
    "DescribeFleets",
    "DescribeInstances",
    "DescribeSpotPriceHistory",
    "GetProducts",
    "DescribeSpotFleetRequestHistory",
    "DescribeFleetHistory",
)
ALSO_OF_A_LOOK: Final = ("GetFunction", "FilterLogEvents")  # once with each DescribeSpotFleetRequests
LARGEST: Final = 10_000  # instances: more than any account's first quota
TYPES: Final = [  # one per launch specification of the largest file; EC2 Fleet accepts a type once
    f"{family}.{size}"
    for family in ("m5", "m5a", "m5d", "m5n", "c5", "c5a", "c5d", "r5", "r5a", "r5d", "r5n", "i3")
    for size in ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")
]
WITHOUT_INSTANCES: Final = {"fleet_trouble": "capacity"}  # otherwise annexd's polls of them would be counted


@dataclass(frozen=True)
class Size:
    """A request, by its number of instances and of launch specifications."""

    instances: int
    specifications: int

    def changes(self, site: Site) -> dict[str, Any]:
        first = site.request()["LaunchSpecifications"][0]
        pools = [{**first, "InstanceType": each} for each in TYPES[: self.specifications]]
        return {"TargetCapacity": self.instances, "LaunchSpecifications": pools}

    def __str__(self) -> str:
        return f"{self.instances} instances of {self.specifications} launch specifications"


SIZES: Final = (Size(1, 1), Size(LARGEST, 1), Size(1, len(TYPES)))


@dataclass(frozen=True)
class Calls:
    """The calls of the first order of a fresh annexd, and of a later one, by operation."""

    cold: Counter[str]
    warm: Counter[str]


def calls_of(cloud: Cloud, api: str) -> Calls:
    """Return the calls of two orders to an annexd that has not called AWS yet."""
    with Site(cloud) as site:
        return Calls(_calls(site, api), _calls(site, api))


def _calls(site: Site, api: str) -> Counter[str]:
    """Count the calls of an order, without annexd's own polling of AWS meanwhile."""
    site.cloud.clear_audit()
    accepted(site.order(FleetAPI=api))
    asked = Counter(each["operation"] for each in site.cloud.audit() if each["kind"] == "call")
    looks = Counter(dict.fromkeys(ALSO_OF_A_LOOK, asked["DescribeSpotFleetRequests"]))
    return Counter({name: times for name, times in (asked - looks).items() if name not in LOOKS})


def cpu_of(site: Site, api: str, size: Size, orders: int) -> float:
    """Return the median of annexd's own CPU seconds for one order."""
    spent = []
    for _ in range(orders):
        before_s = cpu_s(site.pid())
        accepted(site.order(FleetAPI=api, **size.changes(site)))
        spent.append(cpu_s(site.pid()) - before_s)
    return median(spent)


def compare(orders: int) -> None:
    print("\nCalls to AWS of one order, by each API for fleets")
    with Cloud(speed=0, behaviour=WITHOUT_INSTANCES) as cloud:
        for api, most in APIS.items():
            found = calls_of(cloud, api)
            for name, calls, aim in (("cold", found.cold, most), ("warm", found.warm, most - 2)):
                print(f"{api:10}{name:6}{calls.total():3} (at most {aim}): {', '.join(sorted(calls.elements()))}")
    print("\nannexd's own CPU time of one order, by its size")
    with ExitStack() as stack:
        cloud = stack.enter_context(Cloud(speed=0, behaviour=WITHOUT_INSTANCES))
        site = stack.enter_context(Site(cloud, f"ANNEX_MAX_TARGET_CAPACITY = {LARGEST}"))
        for api in APIS:
            for size in SIZES:
                spent_s = cpu_of(site, api, size, orders)
                print(f"{api:10}{size!s:50}{1000 * spent_s:6.0f} ms (aim: {1000 * AIM_S:.0f})")
