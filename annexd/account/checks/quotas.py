"""What the account is allowed: instances, and leases at once."""

from collections.abc import Iterator
from typing import Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import View

SPOT_VCPUS: Final = ("ec2", "L-34B43A08")  # All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests
RULES: Final = ("events", "L-244521F2")  # rules of an event bus: one for each annex
FEW_RULES: Final = 5


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


def rule_quota(view: View) -> Iterator[Finding]:
    quota = _quota(view, RULES)
    if quota is None:
        yield view.unknown("rule quota", "Service Quotas does not tell it to you")
        return
    paginator = view.client("events").get_paginator("list_rules")
    used = view.found("ListRules", lambda: sum(len(page["Rules"]) for page in paginator.paginate()))
    left = quota - (used or 0)
    if left < FEW_RULES:
        what = f"{left:.0f} of {quota:.0f} EventBridge rules are left, and each annex needs one"
        yield view.fault("rule quota", what, _request(view, RULES, int(2 * quota)))
    else:
        yield view.ok("rule quota", f"{left:.0f} annexes more")


def _quota(view: View, quota: tuple[str, str]) -> float | None:
    service, code = quota
    get = view.client("service-quotas").get_service_quota
    told = view.found("GetServiceQuota", get, ServiceCode=service, QuotaCode=code)
    return float(told["Quota"]["Value"]) if told else None


def _request(view: View, quota: tuple[str, str], value: int) -> str:
    command = f"aws service-quotas request-service-quota-increase --region {view.region}"
    return f"{command} --service-code {quota[0]} --quota-code {quota[1]} --desired-value {value}"
