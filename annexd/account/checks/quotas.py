"""What the account is allowed: how many instances."""

from collections.abc import Iterator
from typing import Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import View

SPOT_VCPUS: Final = ("ec2", "L-34B43A08")  # All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests


def spot_quota(view: View) -> Iterator[Finding]:
    quota = _quota(view, SPOT_VCPUS)
    if quota is None:
        yield view.unknown("Spot quota", "Service Quotas does not tell it to you")
    elif quota < view.vcpus:
        yield view.fault(
            "Spot quota",
            f"the account may run {quota:.0f} vCPUs of Spot instances here, fewer than {view.vcpus}",
            _request(view, SPOT_VCPUS, view.vcpus),
        )
    else:
        yield view.ok("Spot quota", f"{quota:.0f} vCPUs of standard instances")


def _quota(view: View, quota: tuple[str, str]) -> float | None:
    """Return the account's quota, or AWS's default: of one that was never changed, GetServiceQuota may know nothing.

    None for one that has no default either.  Raises AccountError.
    """
    client = view.client("service-quotas")
    asked = {"ServiceCode": quota[0], "QuotaCode": quota[1]}
    told = view.found("GetServiceQuota", client.get_service_quota, **asked) or view.found(
        "GetAWSDefaultServiceQuota", client.get_aws_default_service_quota, **asked
    )
    return float(told["Quota"]["Value"]) if told else None


def _request(view: View, quota: tuple[str, str], value: int) -> str:
    command = f"aws service-quotas request-service-quota-increase --region {view.region}"
    return f"{command} --service-code {quota[0]} --quota-code {quota[1]} --desired-value {value}"
