"""Steps for tests that change an annex: order it, check a refusal, end it, silence its lease function."""

from __future__ import annotations

from typing import Any

from test.annex.fleets import by_hand
from test.annex.site import BYSTANDER, Site, wait_for


def ordered(site: Site, **changes: Any) -> dict[str, Any]:
    reply = site.order(**({"AnnexName": "physics"} | changes))
    assert reply["Result"] == "Success", reply
    site.cloud.clear_audit()
    return dict(reply)


def refused(reply: dict[str, Any], result: str, *message: str) -> None:
    assert reply["Result"] == result, reply
    for each in message:
        assert each in str(reply["ErrorString"]), reply


def end(site: Site, annex: dict[str, Any]) -> None:
    """End the annex as the lease function does, and wait until its instances are gone."""
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=True)
    wait_for(lambda: not site.cloud.running_instances(), "its instances to be gone")


def silence(site: Site) -> None:
    """Delete the log group with the lease function's receipts."""
    site.cloud.client("logs", BYSTANDER).delete_log_group(logGroupName="/aws/lambda/HTCondorAnnexLease")
