"""Check the rule, the log group, and the heartbeat: annexd's orders depend on them."""

from collections.abc import Iterator

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import RECREATE, REMADE, View
from annexd.account.template import FUNCTION, LOG_GROUP, MAX_LEASE
from annexd.annex.lease.heartbeat import CHECK
from annexd.annex.request.lease_length import duration

RULE = "LeaseRule"


def rule(view: View) -> Iterator[Finding]:
    events, expected = view.client("events"), view.deployed.properties(RULE)
    response = view.found("DescribeRule", events.describe_rule, Name=FUNCTION)
    if response is None:
        yield view.fault("rule", f"{FUNCTION} was deleted: nothing calls the lease function", REMADE)
    elif response.get("State") != "ENABLED":
        yield view.fault(
            "rule",
            f"{FUNCTION} is disabled: nothing calls the lease function",
            f"aws events enable-rule --region {view.region} --name {FUNCTION}",
        )
    elif response.get("ScheduleExpression") != expected["ScheduleExpression"]:
        yield view.fault(
            "rule",
            f"its schedule is {response.get('ScheduleExpression')}, not {expected['ScheduleExpression']}",
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
    put_back = f"restore it in EventBridge, or {RECREATE}"
    if not same:
        yield view.fault("rule's target", "the rule does not call the lease function", put_back)
    elif len(found) > 1:
        yield view.fault(
            "rule's target",
            f"the rule has {len(found)} targets: it calls the lease function too often, or something else",
            put_back,
        )
    elif set(same[0]) & {"Input", "InputPath", "InputTransformer"}:
        yield view.fault("rule's target", "the rule does not pass its own event: heartbeats are invalid", put_back)
    elif same[0].get("RetryPolicy") != expected["RetryPolicy"]:
        response = same[0].get("RetryPolicy")
        yield view.fault("rule's target", f"its retry policy is {response}: runs may pile up", put_back)
    else:
        yield view.ok("rule's target", "the rule calls the lease function")


def log_group(view: View) -> Iterator[Finding]:
    paginate = view.client("logs").get_paginator("describe_log_groups").paginate
    pages = view.found("DescribeLogGroups", lambda **asked: list(paginate(**asked)), logGroupNamePrefix=LOG_GROUP) or []
    groups = [each for page in pages for each in page["logGroups"] if each["logGroupName"] == LOG_GROUP]
    if not groups:
        yield view.fault(
            "log group",
            f"{LOG_GROUP} was deleted: heartbeats are lost, and annexd refuses orders",
            f"aws logs create-log-group --region {view.region} --log-group-name {LOG_GROUP}",
        )
    else:
        yield view.ok("log group", LOG_GROUP)


def max_lease(view: View) -> Iterator[Finding]:
    """Compare MaxLease with ANNEX_MAX_LEASE; annexd refuses leases longer than MaxLease."""
    ours, theirs = view.max_lease_s, view.param("ANNEX_MAX_LEASE") or ""
    if theirs.isdecimal() and int(theirs) > ours:
        what = f"annexes end after {duration(ours)}, but ANNEX_MAX_LEASE is {duration(int(theirs))}"
        repair = f"lower ANNEX_MAX_LEASE to {ours}, or condor_annex -setup -max-lease {theirs}"
        yield view.fault(MAX_LEASE, what, repair)
    else:
        yield view.ok(MAX_LEASE, f"every annex ends at most {duration(ours)} after its start")


def heartbeat(view: View) -> Iterator[Finding]:
    """Check the heartbeat as an order does, and faults that an order tolerates."""
    arn = str(view.lease_function["Configuration"].get("FunctionArn"))
    receipt = view.enforcer.receipt(arn)
    fault = view.enforcer.fault_of(receipt, arn)
    if fault is not None or receipt is None:
        what = (fault or "there is none").removesuffix(f": {CHECK}")
        repair = "fix the faults above; the rule calls it every five minutes, and condor_annex -setup waits for it"
        yield view.fault("heartbeat", what, repair)
    elif receipt.max_lease_s != view.max_lease_s:
        what = f"its {MAX_LEASE} is {receipt.max_lease_s} s, not {view.max_lease_s} s"
        yield view.fault("heartbeat", what, "wait five minutes, then run condor_annex -setup")
    elif receipt.lacking:
        what = f"it lacks the permission to {', '.join(receipt.lacking)}"
        yield view.fault("heartbeat", what, f"restore it in IAM, or {RECREATE}")
    elif receipt.stuck:
        names = ", ".join(receipt.stuck_ids[:5])
        why = f" ({receipt.error_texts[0]})" if receipt.error_texts else ""
        yield view.fault(
            "heartbeat",
            f"{receipt.stuck} are overdue and could not be ended: {names}{why}",
            "end them in the EC2 console; annexd still accepts orders",
        )
    else:
        yield view.ok("heartbeat", "the rule called the function, which saw all fleets and instances")
