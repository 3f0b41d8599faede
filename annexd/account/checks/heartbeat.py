"""The rule, the log group, and the heartbeat that comes of both: what annexd's orders rest on."""

from collections.abc import Iterator

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import ANEW, REMADE, View
from annexd.account.template import FUNCTION, LOG_GROUP, MAX_LEASE
from annexd.annex.lease.heartbeat import CHECK
from annexd.annex.request.lease_length import duration

RULE = "LeaseRule"


def rule(view: View) -> Iterator[Finding]:
    events, expected = view.client("events"), view.deployed.properties(RULE)
    told = view.found("DescribeRule", events.describe_rule, Name=FUNCTION)
    if told is None:
        yield view.fault("rule", f"{FUNCTION} is gone: nothing calls the lease function", REMADE)
    elif told.get("State") != "ENABLED":
        yield view.fault(
            "rule",
            f"{FUNCTION} is disabled: nothing calls the lease function",
            f"aws events enable-rule --region {view.region} --name {FUNCTION}",
        )
    elif told.get("ScheduleExpression") != expected["ScheduleExpression"]:
        yield view.fault(
            "rule",
            f"it calls at {told.get('ScheduleExpression')}, not {expected['ScheduleExpression']}",
            f"aws events put-rule --region {view.region} --name {FUNCTION} "
            f"--schedule-expression '{expected['ScheduleExpression']}'",
        )
    else:
        yield view.ok("rule", f"it is enabled, {expected['ScheduleExpression']}")


def target(view: View) -> Iterator[Finding]:
    paginate = view.client("events").get_paginator("list_targets_by_rule").paginate
    pages = view.found("ListTargetsByRule", lambda **asked: list(paginate(**asked)), Rule=FUNCTION) or []
    found = [each for page in pages for each in page["Targets"]]
    [expected] = view.deployed.properties(RULE)["Targets"]
    same = [each for each in found if each["Arn"] == expected["Arn"]]
    put_back = f"put it back in EventBridge, or {ANEW}"
    if not same:
        yield view.fault("rule's target", "the rule does not call the lease function", put_back)
    elif len(found) > 1:
        yield view.fault(
            "rule's target",
            f"the rule has {len(found)} targets: the lease function is called too often, or something else is called",
            put_back,
        )
    elif set(same[0]) & {"Input", "InputPath", "InputTransformer"}:
        yield view.fault("rule's target", "the rule does not pass its own event: no heartbeat would count", put_back)
    elif same[0].get("RetryPolicy") != expected["RetryPolicy"]:
        told = same[0].get("RetryPolicy")
        yield view.fault("rule's target", f"its retry policy is {told}: runs may pile up", put_back)
    else:
        yield view.ok("rule's target", "the rule calls the lease function")


def log_group(view: View) -> Iterator[Finding]:
    paginate = view.client("logs").get_paginator("describe_log_groups").paginate
    pages = view.found("DescribeLogGroups", lambda **asked: list(paginate(**asked)), logGroupNamePrefix=LOG_GROUP) or []
    groups = [each for page in pages for each in page["logGroups"] if each["logGroupName"] == LOG_GROUP]
    if not groups:
        yield view.fault(
            "log group",
            f"{LOG_GROUP} is gone: no heartbeat is kept, and annexd orders nothing",
            f"aws logs create-log-group --region {view.region} --log-group-name {LOG_GROUP}",
        )
    else:
        yield view.ok("log group", LOG_GROUP)


def max_lease(view: View) -> Iterator[Finding]:
    """The stack's, against what annexd lets users order; it refuses what goes beyond the stack's."""
    ours, theirs = view.max_lease_s, view.param("ANNEX_MAX_LEASE") or ""
    if theirs.isdecimal() and int(theirs) > ours:
        what = f"annexes end after {duration(ours)}, but ANNEX_MAX_LEASE is {duration(int(theirs))}"
        repair = f"lower ANNEX_MAX_LEASE to {ours}, or condor_annex -setup -max-lease {theirs}"
        yield view.fault(MAX_LEASE, what, repair)
    else:
        yield view.ok(MAX_LEASE, f"every annex ends {duration(ours)} after its start, at the latest")


def heartbeat(view: View) -> Iterator[Finding]:
    """As an order judges it, and what an order does not mind."""
    arn = str(view.lease_function["Configuration"].get("FunctionArn"))
    receipt = view.enforcer.receipt(arn)
    fault = view.enforcer.fault_of(receipt, arn)
    if fault is not None or receipt is None:
        what = (fault or "there is none").removesuffix(f": {CHECK}")
        repair = "fix the faults above; the rule calls it every five minutes, and condor_annex -setup waits for it"
        yield view.fault("heartbeat", what, repair)
    elif receipt.max_lease_s != view.max_lease_s:
        what = f"it works with a {MAX_LEASE} of {receipt.max_lease_s} s, not {view.max_lease_s} s"
        yield view.fault("heartbeat", what, "wait five minutes, then condor_annex -setup")
    elif receipt.lacking:
        what = f"it lacks the right to {', '.join(receipt.lacking)}"
        yield view.fault("heartbeat", what, f"put it back in IAM, or {ANEW}")
    elif receipt.stuck:
        names = ", ".join(receipt.stuck_ids[:5])
        why = f" ({receipt.error_texts[0]})" if receipt.error_texts else ""
        yield view.fault(
            "heartbeat",
            f"{receipt.stuck} should have ended and could not be ended: {names}{why}",
            "end them in the EC2 console; orders go on",
        )
    else:
        yield view.ok("heartbeat", "the rule called it, and it saw all fleets and instances")
