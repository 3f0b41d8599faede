"""Check the lease function: open, with our code and settings, able to run, and callable only by its rule."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import RECREATE, REMADE, REOPEN, View
from annexd.account.errors import AccountError
from annexd.account.template import FUNCTION, LOG_GROUP, LOGICAL_ID, function_code
from annexd.annex.lease.heartbeat import is_closed
from annexd.annex.lease.lambda_runtime import warning
from annexd.annex.lease.lease_code import FILE
from annexd.aws import NoCode, function_files

SETTINGS: Final = ("Handler", "Runtime", "Timeout", "MemorySize", "Role")
NOT_ONE_RUN: Final = "no call runs, and no lease ends"


def lease_function(view: View) -> Iterator[Finding]:
    """Check that it exists; the other checks depend on it."""
    if view.function is None:
        yield view.fault("lease function", "it was deleted: no lease ends, and annexd refuses orders", REMADE)
        return
    response = view.function["Configuration"]
    if response.get("State") == "Failed" or response.get("LastUpdateStatus") == "Failed":
        reason = response.get("StateReason") or response.get("LastUpdateStatusReason") or "no reason given"
        yield view.fault("lease function", f"it has failed: {reason}", RECREATE)
    elif is_closed(response):
        yield view.fault("lease function", "a -teardown closed it: it ends annexes, but annexd refuses orders", REOPEN)
    else:
        yield view.ok("lease function", "it exists and is active")


def its_code(view: View) -> Iterator[Finding]:
    location = (view.lease_function.get("Code") or {}).get("Location")
    try:
        endpoint_url = view.session.client("lambda", view.region).meta.endpoint_url
        deployed = function_files(str(location), endpoint_url) if location else {}
    except NoCode as error:
        raise AccountError(f"cannot compare the lease function's code with lambda/lease.py: {error}") from error
    if deployed == {FILE: function_code().encode()}:
        yield view.ok("lease function's code", "it is identical to lambda/lease.py")
    else:
        yield view.fault("lease function's code", "it differs from lambda/lease.py: leases may not end", RECREATE)


def its_settings(view: View) -> Iterator[Finding]:
    """Compare its settings with the template, with this stack's values."""
    response, expected = view.lease_function["Configuration"], view.deployed.properties(LOGICAL_ID)
    wrong = [
        f"{key} is {response.get(key)}, not {expected[key]}" for key in SETTINGS if response.get(key) != expected[key]
    ]
    wrong += _unlike(
        "environment", (response.get("Environment") or {}).get("Variables") or {}, expected["Environment"]["Variables"]
    )
    log = (response.get("LoggingConfig") or {}).get("LogGroup", LOG_GROUP)
    wrong += [] if log == LOG_GROUP else [f"it writes to the log group {log}, which annexd does not read"]
    if wrong:
        command = f"aws lambda update-function-configuration --region {view.region} --function-name {FUNCTION}"
        yield view.fault(
            "lease function's settings", "; ".join(wrong), f"restore them with {command} ..., or {RECREATE}"
        )
    else:
        yield view.ok("lease function's settings", f"they match the template; {response['Runtime']}")


def _unlike(what: str, response: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    keys = sorted(response.keys() | expected.keys())
    return [
        f"{key} of its {what} is {response.get(key)}, not {expected.get(key)}"
        for key in keys
        if response.get(key) != expected.get(key)
    ]


def end_of_support(view: View) -> Iterator[Finding]:
    today = datetime.now(UTC).date()
    message = warning(today, str(view.lease_function["Configuration"].get("Runtime")))
    if message:
        yield view.fault("end of support", message, "then run condor_annex -setup")
    else:
        yield view.ok("end of support", "it is far enough away")


def its_concurrency(view: View) -> Iterator[Finding]:
    """Check its own concurrency, or the account's unreserved concurrency."""
    functions = view.client("lambda")
    response = view.found("GetFunctionConcurrency", functions.get_function_concurrency, FunctionName=FUNCTION) or {}
    reserved = response.get("ReservedConcurrentExecutions")
    account = (view.found("GetAccountSettings", functions.get_account_settings) or {})["AccountLimit"]
    left = account["UnreservedConcurrentExecutions"]
    if reserved == 0:
        remove = f"aws lambda delete-function-concurrency --region {view.region} --function-name {FUNCTION}"
        yield view.fault("lease function's concurrency", f"its reserved concurrency is 0: {NOT_ONE_RUN}", remove)
    elif reserved is None and left < 1:
        what = f"other functions reserve the account's concurrency, {account['ConcurrentExecutions']}: {NOT_ONE_RUN}"
        yield view.fault("lease function's concurrency", what, "reserve less for them, or request a higher quota")
    else:
        yield view.ok("lease function's concurrency", f"{left if reserved is None else reserved} concurrent runs")


def its_calls(view: View) -> Iterator[Finding]:
    """Check how Lambda handles calls that fail or wait."""
    get = view.client("lambda").get_function_event_invoke_config
    response = view.found("GetFunctionEventInvokeConfig", get, FunctionName=FUNCTION, Qualifier="$LATEST") or {}
    expected = view.deployed.properties("LeaseCalls")
    keys = "MaximumRetryAttempts", "MaximumEventAgeInSeconds"
    if wrong := [
        f"{key} is {response.get(key)}, not {expected[key]}" for key in keys if response.get(key) != expected[key]
    ]:
        command = (
            f"aws lambda put-function-event-invoke-config --region {view.region} --function-name {FUNCTION} "
            "--maximum-retry-attempts 0 --maximum-event-age-in-seconds 300"
        )
        what = f"{'; '.join(wrong)}: runs may pile up"
        yield view.fault("lease function's calls", what, command)
    else:
        yield view.ok("lease function's calls", "none is retried, or queued for longer than a tick")


def permission_for_events(view: View) -> Iterator[Finding]:
    """Check that of EventBridge only the rule may call it, and that no statement denies it."""
    response = view.found("GetPolicy", view.client("lambda").get_policy, FunctionName=FUNCTION)
    statements = _listed(json.loads(response["Policy"]).get("Statement")) if response else []
    source = view.deployed.properties("LeasePermission")["SourceArn"]
    allowing = [each for each in statements if each.get("Effect") == "Allow" and _is_for_events(each)]
    denying = [each for each in statements if each.get("Effect") == "Deny"]
    title, add = (
        "permission for events",
        (
            f"aws lambda add-permission --region {view.region} --function-name {FUNCTION} --statement-id annexd "
            f"--action lambda:InvokeFunction --principal events.amazonaws.com --source-arn '{source}'"
        ),
    )
    if denying:
        names = ", ".join(str(each.get("Sid", "without a name")) for each in denying)
        yield view.fault(
            title,
            f"its policy denies calls (statement {names})",
            f"aws lambda remove-permission --region {view.region} --function-name {FUNCTION} --statement-id ...",
        )
    elif not any(_sources(each) in ([source], []) for each in allowing):
        yield view.fault(title, "EventBridge may not call the lease function: its rule has no effect", add)
    elif any(_sources(each) != [source] for each in allowing):
        yield view.fault(
            title,
            f"EventBridge may call it for other rules than {FUNCTION}",
            f"aws lambda remove-permission for the others, and {add}",
        )
    else:
        yield view.ok(title, "only its rule may call it")


def _is_for_events(statement: Mapping[str, Any]) -> bool:
    principal, actions = statement.get("Principal"), _listed(statement.get("Action"))
    services = _listed(principal.get("Service")) if isinstance(principal, dict) else [principal]
    return bool({"events.amazonaws.com", "*"} & {str(each) for each in services}) and bool(
        {"lambda:InvokeFunction", "lambda:*", "*"} & {str(each) for each in actions}
    )


def _sources(statement: Mapping[str, Any]) -> list[str]:
    """Return the rules that a statement is limited to; an empty list if it is unlimited."""
    tests = (statement.get("Condition") or {}).values()
    return [
        str(value)
        for test in tests
        for key, found in test.items()
        if key.lower() == "aws:sourcearn"
        for value in _listed(found)
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
