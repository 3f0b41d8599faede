"""Compute the maximum cost of a rehearsal before it begins: published prices, the worst case, and a margin.

Prices are in US dollars, of us-east-1, without taxes.  Evidence (read in November 2026), none of which is an invoice:
instances: t3.nano 0.0052 and t4g.nano 0.0042, from AWS's price list of 20 July 2026 in
github.com/aws/karpenter-provider-aws (pkg/providers/pricing/zz_generated.pricing_aws.go); 0.0061 and 0.0049 in GovCloud
(CERTAIN).  A Spot instance costs less.
Surplus credits of T instances, which a machine that is always busy would use up: 0.05 for a vCPU hour of T3, 0.04 of
T4g (gitlab.com/gitlab-org/ci-cd/docker-machine, merge request 118; a table of 2021 in
matthiaskraaz.blogspot.com/2021/08/aws-ec2-price-of-maxed-out-burstable.html: 0.101 in all for t3.nano): LIKELY, and the
largest part of the sum.
Public IPv4 0.005 an hour in all regions (CERTAIN: AWS announced it for 1 February 2024).  gp3 0.08 for a GB a month
(LIKELY: the same repository of GitLab's, merge request 45).  Lambda 0.0000166667 for a GB second, logs 0.50 for a GB,
S3 0.005 for 1,000 PUTs: LIKELY, as of 2025 (aws.amazon.com/lambda/pricing, /cloudwatch/pricing, /s3/pricing).
LIKELY: no region is twice as expensive (GovCloud: 17% more); China's prices are in yuan and of the same order.
CloudFormation, IAM, EventBridge's scheduled rules and Spot Fleet itself cost nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from test.live.pace import Durations

INSTANCE_HOUR: Final[Mapping[str, float]] = {"t3.nano": 0.0052, "t4g.nano": 0.0042}
SURPLUS_HOUR: Final = 0.10  # of T3, for each of two vCPUs 0.05; T4g costs less
ADDRESS_HOUR: Final = 0.005
VOLUME_HOUR: Final = 8 * 0.08 / 730  # 8 GB of gp3; a month of AWS has 730 hours
LAMBDA_GB_SECOND: Final = 0.0000166667
LAMBDA_GB: Final = 1.0
LAMBDA_RUN_S: Final = 240.0  # its limit; a run in an empty account takes some seconds
LOGS_GB: Final = 0.50
REQUEST: Final = 0.000005  # of S3, each PUT; others cost less
REQUESTS: Final = 2000
MARGIN: Final = 2.0  # for other regions, and prices that rose
TICKS: Final = 2  # the maximum delay of an end
MOST: Final = 1.00  # the budget, unless --budget says less


@dataclass(frozen=True)
class Line:
    """One item of the sum."""

    what: str
    dollars: float


def lines(instance_type: str, lifetimes_s: Sequence[float], rehearsal_s: float) -> list[Line]:
    """Return the items for instances that are always busy and run until two ticks after the end of their leases."""
    hours = sum(lifetimes_s) / 3600
    hour = INSTANCE_HOUR[instance_type] + SURPLUS_HOUR + ADDRESS_HOUR + VOLUME_HOUR
    runs = rehearsal_s / 300 + 1
    return [
        Line(
            f"{len(lifetimes_s)} x {instance_type}, {hours:.1f} instance hours at most, each with volume and address",
            hours * hour,
        ),
        Line(
            f"{runs:.0f} runs of the lease function, each of maximum length",
            runs * LAMBDA_RUN_S * LAMBDA_GB * LAMBDA_GB_SECOND,
        ),
        Line("logs (10 MB) and requests", 0.01 * LOGS_GB + REQUESTS * REQUEST),
    ]


def at_most(parts: Sequence[Line]) -> float:
    return MARGIN * sum(each.dollars for each in parts)


def lifetimes_s(pace: Durations, chosen: Sequence[str]) -> list[float]:
    """Return the lifetimes of the chosen steps' instances, until the end of their leases and TICKS more ticks."""
    late_s = TICKS * pace.tick_s
    leases_s = {
        "annex": pace.lease_s + pace.extension_s,
        "ec2-fleet": pace.lease_s,
        "short-lease": pace.short_lease_s,
        "expiry": pace.own_lease_s,
        "protection": pace.own_lease_s,
    }
    return [leases_s[each] + late_s for each in chosen if each in leases_s]
