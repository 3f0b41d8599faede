"""The lease function: whether it is the one that ends leases, may be called, and answers."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import ANEW, View
from annexd.account.errors import AccountError
from annexd.account.session import asking
from annexd.account.template import function_code
from annexd.annex.lambda_runtime import warning
from annexd.annex.lease_code import FILE
from annexd.annex.steps.get_function import may_be_called
from annexd.aws import NoCode, function_files

LEASE: Final = "LeaseFunction"
MAX_ANSWER_BYTES: Final = 10 * 1024 * 1024
PROBE: Final = {"AnnexID": "check-setup", "RuleID": "check-setup", "TargetID": "check-setup"}
PROBE_LEASE_S: Final = 3600  # it only answers that it waits


def lease_function(view: View) -> Iterator[Finding]:
    """The rest is looked at only when there is one."""
    if view.function is None:
        yield view.fault("lease function", "it is gone: no lease ends, and annexd refuses requests", ANEW)
        return
    told = view.function["Configuration"]
    if told.get("State") == "Failed" or told.get("LastUpdateStatus") == "Failed":
        reason = told.get("StateReason") or told.get("LastUpdateStatusReason") or "no reason given"
        yield view.fault("lease function", f"it has failed: {reason}", ANEW)
    elif (view.function.get("Concurrency") or {}).get("ReservedConcurrentExecutions") == 0:
        name = view.name(LEASE)
        yield view.fault(
            "lease function",
            "it is throttled to nothing: none of its calls runs",
            f"aws lambda delete-function-concurrency --region {view.region} --function-name {name}",
        )
    else:
        yield view.ok("lease function", "it is there and active")


def its_code(view: View) -> Iterator[Finding]:
    location = (view.lease_function.get("Code") or {}).get("Location")
    try:
        endpoint_url = view.session.client("lambda", view.region).meta.endpoint_url
        deployed = function_files(str(location), endpoint_url) if location else {}
    except NoCode as error:
        raise AccountError(f"the lease function's code could not be compared with lambda/lease.py: {error}") from error
    if deployed == {FILE: function_code().encode()}:
        yield view.ok("lease function's code", "it is lambda/lease.py, byte for byte")
    else:
        yield view.fault("lease function's code", "it is not lambda/lease.py: leases may not end", ANEW)


def its_runtime(view: View) -> Iterator[Finding]:
    is_so, shall_be = view.lease_function["Configuration"].get("Runtime"), view.deployed.properties(LEASE)["Runtime"]
    if is_so != shall_be:
        command = f"aws lambda update-function-configuration --region {view.region} --function-name {view.name(LEASE)}"
        yield view.fault("lease function's runtime", f"{is_so} is not {shall_be}", f"{command} --runtime {shall_be}")
    else:
        yield view.ok("lease function's runtime", str(is_so))


def end_of_support(view: View) -> Iterator[Finding]:
    today = datetime.now(UTC).date()
    words = warning(today, str(view.lease_function["Configuration"].get("Runtime")))
    if words:
        yield view.fault("end of support", words, "then run condor_annex -setup")
    else:
        yield view.ok("end of support", "it is far enough away")


def permission_for_events(view: View) -> Iterator[Finding]:
    functions, name = view.client("lambda"), view.name(LEASE)
    told = view.found("GetPolicy", functions.get_policy, FunctionName=name)
    if may_be_called(told["Policy"] if told else "{}") and told and _covers_rules(view, told["Policy"]):
        yield view.ok("permission for events", "EventBridge's rules may call it")
    else:
        source = view.deployed.properties("LeasePermission")["SourceArn"]
        yield view.fault(
            "permission for events",
            "EventBridge may not call the lease function: rules fire to no effect",
            f"aws lambda add-permission --region {view.region} --function-name {name} --statement-id annexd "
            f"--action lambda:InvokeFunction --principal events.amazonaws.com --source-arn '{source}'",
        )


def _covers_rules(view: View, policy: str) -> bool:
    """Whether a statement is for all rules of this account and region, as the template's is."""
    source = view.deployed.properties("LeasePermission")["SourceArn"]
    statements: list[dict[str, Any]] = json.loads(policy).get("Statement", [])
    conditions = [
        value
        for statement in statements
        for tests in (statement.get("Condition") or {"": {"AWS:SourceArn": source}}).values()
        for key, value in tests.items()
        if key.lower() == "aws:sourcearn"
    ]
    return source in conditions


def its_answer(view: View) -> Iterator[Finding]:
    """Called as a rule would call it, for a lease of an hour from now: it has to say that it waits."""
    event = json.dumps(PROBE | {"LeaseExpiration": int(time.time()) + PROBE_LEASE_S})
    with asking("Invoke"):
        told = view.client("lambda").invoke(FunctionName=view.name(LEASE), Payload=event)
        payload = told["Payload"].read(MAX_ANSWER_BYTES)
    receipt = _json(payload)
    if not told.get("FunctionError") and isinstance(receipt, dict) and receipt.get("outcome") == "waiting":
        yield view.ok("lease function's answer", "called for a lease that is not over, it waits")
    else:
        words = payload.decode("utf-8", "replace")[:200]
        yield view.fault("lease function's answer", f"called for a test, it answers {words}", ANEW)


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return None
