"""Check the account's quota of Spot instances."""

from collections.abc import Iterator
from typing import Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import View

SPOT_VCPUS: Final = ("ec2", "L-34B43A08")  # All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests


def spot_quota(view: View) -> Iterator[Finding]:
    quota = _quota(view, SPOT_VCPUS)
    if quota is None:
        yield view.unknown("Spot quota", "these credentials may not read it from Service Quotas")
    elif quota < view.vcpus:
        yield view.fault(
            "Spot quota",
            f"the account may run {quota:.0f} vCPUs of Spot instances in this region, fewer than {view.vcpus}",
            _request(view, SPOT_VCPUS, view.vcpus),
        )
    else:
        yield view.ok("Spot quota", f"{quota:.0f} vCPUs of standard instances")


def _quota(view: View, quota: tuple[str, str]) -> float | None:
    service, code = quota
    """Return the account's own quota, or AWS's default, where AWS keeps none for an account that changed none.

    "If the applied quota value is not available for a quota, the quota is not retrieved": Service Quotas API reference,
    ListServiceQuotas; GetServiceQuota then answers NoSuchResourceException.
    """
    quotas, named = view.client("service-quotas"), {"ServiceCode": service, "QuotaCode": code}
    response = view.found("GetServiceQuota", quotas.get_service_quota, **named)
    response = response or view.found("GetAWSDefaultServiceQuota", quotas.get_aws_default_service_quota, **named)
    return float(response["Quota"]["Value"]) if response else None


def _request(view: View, quota: tuple[str, str], value: int) -> str:
    command = f"aws service-quotas request-service-quota-increase --region {view.region}"
    return f"{command} --service-code {quota[0]} --quota-code {quota[1]} --desired-value {value}"
