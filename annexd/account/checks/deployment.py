"""Check the stack: it exists, is complete, has this annexd's template, and was not changed since."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import AGAIN, RECREATE, View
from annexd.account.errors import AccountError
from annexd.account.session import translate_aws_errors
from annexd.account.setup import is_current, missing_outputs

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
PATIENCE_S: Final = 120.0


def stack(view: View) -> Iterator[Finding]:
    """Check that it is complete; the other checks depend on it."""
    seen = view.seen
    if seen is None:
        yield view.fault("stack", f"there is no stack {view.stack_name}", AGAIN)
    elif seen.is_busy:
        yield view.fault("stack", f"{view.stack_name} is being changed: {seen.status}", "-setup waits for it")
    elif not seen.is_good:
        reasons = "".join(f"; {reason}" for reason in view.stack.failures()[:1])
        yield view.fault("stack", f"{view.stack_name} is incomplete: {seen.status}{reasons}", AGAIN)
    else:
        yield view.ok("stack", f"{view.stack_name} is {seen.status}")


def outputs(view: View) -> Iterator[Finding]:
    lacking = missing_outputs(view.seen.outputs if view.seen else {})
    if lacking:
        yield view.fault("outputs", f"the stack has no {', '.join(lacking)}", "condor_annex -setup updates it")
    else:
        yield view.ok("outputs", "all of them exist")


def template(view: View) -> Iterator[Finding]:
    if is_current(view.stack):
        yield view.ok("template", "the stack has this annexd's template")
    else:
        yield view.fault("template", "the stack has another annexd's template", "condor_annex -setup updates it")


def drift(view: View) -> Iterator[Finding]:
    """Run CloudFormation's drift detection."""
    cloudformation = view.client("cloudformation")
    with translate_aws_errors(f"DetectStackDrift {view.stack_name}"):
        detection = cloudformation.detect_stack_drift(StackName=view.stack_name)["StackDriftDetectionId"]
        response = _detected(cloudformation, detection)
        if response["DetectionStatus"] != "DETECTION_COMPLETE":
            reason = response.get("DetectionStatusReason", "it gives no reason")
            yield view.unknown("drift", f"CloudFormation could not detect drift: {reason}")
            return
        changed = list(_changed(cloudformation, view.stack_name))
    if changed:
        yield view.fault("drift", f"changed since its creation: {', '.join(changed)}", f"restore it, or {RECREATE}")
    else:
        yield view.ok("drift", "nothing was changed since its creation")


def _detected(cloudformation: Any, detection: str) -> Mapping[str, Any]:
    deadline_s, pause_s = time.monotonic() + PATIENCE_S, FIRST_PAUSE_S
    while True:
        response: Mapping[str, Any] = cloudformation.describe_stack_drift_detection_status(
            StackDriftDetectionId=detection
        )
        if response["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            return response
        if time.monotonic() > deadline_s:
            raise AccountError("CloudFormation's drift detection takes too long")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _changed(cloudformation: Any, stack_name: str) -> Iterator[str]:
    call = {"StackName": stack_name, "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
    while True:
        page = cloudformation.describe_stack_resource_drifts(**call)
        for each in page["StackResourceDrifts"]:
            paths = [difference["PropertyPath"] for difference in each.get("PropertyDifferences") or ()]
            what = "is gone" if each["StackResourceDriftStatus"] == "DELETED" else " ".join(paths)
            yield f"{each['LogicalResourceId']} ({what})"
        if not page.get("NextToken"):
            return
        call["NextToken"] = page["NextToken"]
