"""Nothing is ordered unless the lease function was recently seen at work, called by the rule of its stack."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from annexd.annex.bulk_request import bulk_request
from annexd.annex.lease.heartbeat import AHEAD_S, CLOSED_DESCRIPTION, KEPT_S, STALE_S, Heartbeats, is_closed, read
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.steps.check_lease_function import lease_function_of
from annexd.aws import ClientCache
from annexd.aws.traffic import ClientHooks
from annexd.workflow import Engine
from test.annex.ads import OWNER
from test.annex.clouds import deployed
from test.annex.fleets import target
from test.annex.site import BYSTANDER, PACE, READ_TIMEOUT_S, Site
from test.annex.strange import NOW, answering
from test.aws.endpoint import endpoint, relays
from test.replies import accepted

__all__ = ["deployed"]  # a cloud of its own: its function's log is forged

GROUP, STREAM = "/aws/lambda/HTCondorAnnexLease", "made by a test"
LOOK = ["GetFunction", "FilterLogEvents"]


@dataclass
class Log:
    """The function's log group, with nothing but what a test writes; `newest` is a receipt as the function wrote it."""

    site: Site
    newest: dict[str, Any]

    def say(self, **changes: Any) -> None:
        """Write a receipt of a tick of this second, unless the changes say otherwise."""
        self.write(json.dumps(self.newest | {"at": int(time.time())} | changes))

    def write(self, *lines: str) -> None:
        now_ms = int(time.time() * 1000)
        self.site.cloud.client("logs", BYSTANDER).put_log_events(
            logGroupName=GROUP,
            logStreamName=STREAM,
            logEvents=[{"timestamp": now_ms, "message": line} for line in lines],
        )


def empty(site: Site) -> None:
    """Empty the log group."""
    logs = site.cloud.client("logs", BYSTANDER)
    with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
        logs.delete_log_group(logGroupName=GROUP)
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)


@pytest.fixture
def log(site: Site) -> Iterator[Log]:
    events = site.cloud.client("logs", BYSTANDER).filter_log_events(logGroupName=GROUP)["events"]
    newest = [each["message"] for each in events if each["message"].startswith('{"receipt"')][-1]
    empty(site)
    site.cloud.clear_audit()
    yield Log(site, json.loads(newest))
    site.cloud.behave(empty_log_pages=0, log_page=10_000)
    functions = site.cloud.client("lambda", BYSTANDER)
    functions.delete_function_concurrency(FunctionName=site.arn)
    functions.update_function_configuration(FunctionName=site.arn, Description="Ends every annex")
    empty(site)


def refusal(site: Site, calls: list[str] = LOOK) -> str:
    """Order, and return why annexd refused after exactly these calls."""
    reply = site.order()
    assert reply["Result"] == "Failure", reply
    assert site.operations() == calls
    site.cloud.clear_audit()
    return str(reply["ErrorString"])


def test_an_order_reads_function_and_heartbeat_and_nothing_else_before_it_asks_for_instances(site: Site) -> None:
    site.cloud.clear_audit()
    accepted(site.order())
    assert site.operations() == [*LOOK, "RequestSpotFleet"]


RIGHTS = {"cancel": True, "terminate": True, "stamp": True, "unprotect": True}
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"tick": False}, "has not been called by its rule for 30 minutes or more"),
    ({"ago_s": STALE_S + 5}, "was last called by its rule 15 minutes ago, but should be called every 5 minutes"),
    ({"ago_s": -AHEAD_S - 25}, "was last called by its rule 5 minutes in the future"),
    ({"account": "210987654321"}, "is of account 210987654321 and region us-east-1, not of 123456789012 and us-east-1"),
    ({"region": "eu-west-1"}, "is of account 123456789012 and region eu-west-1, not of"),
    ({"function": "arn:aws:lambda:us-east-1:123456789012:function:other"}, "is of another function, arn:aws:lambda:"),
    ({"contract": 2}, "belongs to an older annexd: update the stack (condor_annex -setup)"),
    ({"contract": True}, "belongs to an older annexd"),
    ({"max_lease_s": None}, "has no readable MAX_LEASE_S: update the stack"),
    ({"max_lease_s": 0}, "has no readable MAX_LEASE_S"),
    ({"max_lease_s": 10**400}, "has no readable MAX_LEASE_S"),
    (
        {"complete": False, "error_texts": ["look_at_fleets: ClientError"]},
        "could not see all fleets and instances, look_at_fleets: ClientError",
    ),
    ({"rights": RIGHTS | {"cancel": False}}, "lacks the right to cancel instances: update the stack"),
    ({"rights": RIGHTS | {"terminate": False, "stamp": False}}, "lacks the right to terminate and stamp instances"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS, ids=[message[:40] for _, message in FAULTS])
def test_a_heartbeat_that_shows_no_enforcer_opens_nothing_and_says_what_is_wrong(
    site: Site, log: Log, changes: dict[str, Any], message: str
) -> None:
    ago_s = changes.get("ago_s", 0)
    log.say(**({"at": int(time.time() - ago_s)} | {key: each for key, each in changes.items() if key != "ago_s"}))
    reported = refusal(site)
    assert message in reported
    assert "condor_annex -check-setup says why" in reported or "update the stack (condor_annex -setup)" in reported


@pytest.mark.parametrize(
    "changes",
    [
        {"at_ago_s": STALE_S - 60},
        {"rights": RIGHTS},
        {"rights": dict.fromkeys(RIGHTS)},
        {"rights": RIGHTS | {"unprotect": False}},
        {"contract": 4, "digest": "of a newer one"},
        {"stuck": 100, "stuck_ids": ["sfr-1"], "errors": 100, "error_texts": ["x"]},
    ],
)
def test_harmless_findings_of_the_lease_function_stop_no_order(site: Site, log: Log, changes: dict[str, Any]) -> None:
    ago_s = changes.pop("at_ago_s", 0)
    log.say(at=int(time.time() - ago_s), **changes)
    accepted(site.order())


def test_a_function_that_was_never_called_opens_nothing(site: Site, log: Log) -> None:
    assert "has not been called by its rule for 30 minutes" in refusal(site)
    site.cloud.client("logs", BYSTANDER).delete_log_group(logGroupName=GROUP)
    assert "has not been called by its rule for 30 minutes" in refusal(site), "nor one without a log group"
    del log


def test_a_call_by_hand_proves_nothing_of_the_rule(site: Site, log: Log) -> None:
    site.cloud.client("lambda", BYSTANDER).invoke(FunctionName=site.arn, Payload=b"{}")
    assert "has not been called by its rule" in refusal(site)
    site.beat()
    accepted(site.order())
    del log


def test_the_newest_tick_counts_whatever_runs_by_hand_say_after_it(site: Site, log: Log) -> None:
    log.say(at=int(time.time()) - 60)
    log.say(tick=False, complete=False)
    accepted(site.order())
    log.say(complete=False, at=int(time.time()) + 1)
    assert site.order()["Result"] == "Failure"


RECEIPT = {
    "receipt": "htcondor-annex-lease", "contract": 3, "tick": True, "rule": "r", "at": 1_800_000_000,
    "account": "123456789012", "region": "us-east-1", "function": "f", "digest": "d", "max_lease_s": 3600,
    "complete": True, "rights": {}, "stuck": 0, "stuck_ids": [], "errors": 0, "error_texts": [],
}  # fmt: skip


def with_raw(name: str, raw: str) -> str:
    """Return a receipt with this text in place of one value."""
    return json.dumps(RECEIPT | {name: "RAW"}).replace('"RAW"', raw)


HOSTILE = [
    "",
    "{",
    "null",
    "7",
    '"receipt"',
    "[]",
    "{}",
    "[" * 7000,
    '{"a":' * 1000,
    '{"receipt": "htcondor-annex-lease"}',
    "\ud800",
    "START RequestId: 1",
    "9" * 5000,
    json.dumps(RECEIPT) + " " * 8000,
    json.dumps(RECEIPT | {"tick": "true"}),
    *(
        with_raw("at", raw)
        for raw in ("NaN", "Infinity", "-Infinity", "1e400", "true", "null", '"1800000000"', "[]", "1.5")
    ),
    *(with_raw("stuck", raw) for raw in ("1e400", "NaN", "null", '"many"', "{}")),
    *(with_raw("rights", raw) for raw in ("[]", "null", '"all"', "7")),
    *(with_raw("complete", raw) for raw in ("1", "null", '"true"')),
    *(with_raw("contract", raw) for raw in ("3.0", '"3"', "null")),
    *(with_raw(name, "7") for name in ("stuck_ids", "error_texts")),
    *(
        json.dumps({key: each for key, each in RECEIPT.items() if key != name})
        for name in (
            "at",
            "account",
            "region",
            "function",
            "contract",
            "digest",
            "max_lease_s",
            "complete",
            "rights",
            "stuck",
        )
    ),
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_a_line_of_the_log_without_a_receipt_is_ignored(line: str) -> None:
    assert read(json.dumps(RECEIPT)) is not None
    assert read(line) is None


def test_hostile_lines_beside_a_receipt_change_nothing(site: Site, log: Log) -> None:
    log.write(*[line for line in HOSTILE if line and line.isprintable() and len(line) < 2000])
    assert "has not been called by its rule" in refusal(site)
    log.say()
    accepted(site.order())


@pytest.mark.parametrize("line", [0, 5, 15, 19, 24])
def test_an_endpoint_that_gives_any_line_opens_nothing_and_breaks_nothing(site: Site, line: int) -> None:
    reported = json.dumps({"events": [{"message": HOSTILE[line]}]}).encode()
    with endpoint(relays(site.cloud.url, NOW, answering("FilterLogEvents", reported))) as url:
        reply = site.order(LogsURL=url)
    assert "has not been called by its rule" in str(reply["ErrorString"])


def test_empty_pages_are_followed_to_those_that_hold_something(site: Site, log: Log) -> None:
    site.cloud.behave(empty_log_pages=3, log_page=1)
    log.say(at=int(time.time()) - 1000)
    log.say()
    accepted(site.order())
    assert len(site.cloud.calls("FilterLogEvents")) > 6


def test_endless_pages_end_the_look_with_a_message(site: Site, log: Log) -> None:
    log.say()
    reported = b'{"events": [], "nextToken": "again"}'
    with endpoint(relays(site.cloud.url, NOW, answering("FilterLogEvents", reported))) as url:
        reply = site.order(replace(PACE, forward_deadline_s=0.1), LogsURL=url)
    assert "the same page came twice" in str(reply["ErrorString"])


def test_keys_without_the_right_to_read_the_log_are_reported(site: Site, log: Log) -> None:
    log.say()
    site.cloud.fault("FilterLogEvents", "denied", times=9)
    assert f"FilterLogEvents of {GROUP} was denied" in refusal(site)


# The function itself.


def test_a_closed_function_takes_no_order_until_it_is_opened_again(site: Site, log: Log) -> None:
    log.say()
    functions = site.cloud.client("lambda", BYSTANDER)
    functions.update_function_configuration(FunctionName=site.arn, Description=CLOSED_DESCRIPTION)
    assert is_closed(functions.get_function(FunctionName=site.arn)["Configuration"])
    reported = refusal(site, ["GetFunction"])
    assert "is closed: somebody runs condor_annex -teardown; -setup opens it again" in reported
    functions.update_function_configuration(FunctionName=site.arn, Description="")
    accepted(site.order())


def test_a_version_of_a_closed_function_is_closed_too(site: Site, log: Log) -> None:
    """The description of a published version never changes, and -teardown deletes all versions at once."""
    log.say()
    functions = site.cloud.client("lambda", BYSTANDER)
    version = functions.publish_version(FunctionName=site.arn)["FunctionArn"]
    accepted(site.order(LeaseFunctionARN=version))
    functions.update_function_configuration(FunctionName=site.arn, Description=CLOSED_DESCRIPTION)
    reply = site.order(LeaseFunctionARN=version)
    assert (reply["Result"], "is closed" in str(reply.get("ErrorString"))) == ("Failure", True)


def test_a_function_that_may_not_run_takes_no_order(site: Site, log: Log) -> None:
    log.say()
    functions = site.cloud.client("lambda", BYSTANDER)
    functions.put_function_concurrency(FunctionName=site.arn, ReservedConcurrentExecutions=0)
    reported = refusal(site, ["GetFunction"])
    assert "its reserved concurrency is 0: aws lambda delete-function-concurrency" in reported
    functions.put_function_concurrency(FunctionName=site.arn, ReservedConcurrentExecutions=1)
    accepted(site.order())


# How often annexd looks at it.


@dataclass
class Steady:
    now_s: float = 0.0


def engine_of(site: Site, steady: Steady) -> tuple[Callable[..., Any], Callable[[], None]]:
    """Start a daemon that takes many orders; return a function that orders, and one that ends the daemon."""
    journal = site.journal()
    context = replace(site.step_context(), heartbeats=Heartbeats(lambda: steady.now_s))
    engine = Engine(journal, annex_steps(context), pace=PACE, now_s=site.now_s)
    return lambda **changes: bulk_request(site.ad(**changes), OWNER, engine, site.defaults, site.now_s()), journal.close


def test_many_orders_cost_one_look_a_minute_and_each_endpoint_is_asked_itself(site: Site, log: Log) -> None:
    log.say()
    steady = Steady()
    order, close = engine_of(site, steady)
    looks = []
    for moment_s, urls in (
        (0.0, {}),
        (KEPT_S - 1, {}),
        (KEPT_S - 1, {"LogsURL": site.cloud.url + "/"}),
        (KEPT_S + 1, {}),
    ):
        steady.now_s = moment_s
        accepted(order(**urls))
        looks.append(len(site.cloud.calls("FilterLogEvents")))
    close()
    assert looks == [1, 1, 2, 3]
    assert len(site.cloud.calls("GetFunction")) == 4, "a closed function is noticed at once"


def test_a_heartbeat_that_opens_nothing_is_looked_for_at_each_order(site: Site, log: Log) -> None:
    order, close = engine_of(site, Steady())
    assert order()["Result"] == "Failure"
    log.say()
    accepted(order())
    close()


def test_a_remembered_heartbeat_grows_old_too(site: Site, log: Log) -> None:
    log.say()
    order, close = engine_of(site, Steady())
    accepted(order())
    site.away_s = STALE_S + 10
    assert order()["Result"] == "Failure"
    close()


# The clock that decides.


@pytest.mark.parametrize("ahead_s", [800.0, -800.0])
def test_its_age_is_reckoned_by_awss_clock(site: Site, log: Log, ahead_s: float) -> None:
    log.say(at=int(time.time()) - 200)
    site.away_s = ahead_s
    order = target(site)
    with pytest.raises(Exception, match="was last called by its rule"):
        lease_function_of(site.step_context(), order, site.step_context().access(order))
    site.cache = ClientCache(read_timeout=READ_TIMEOUT_S, traffic=ClientHooks(time_s=site.now_s))
    context: StepContext = site.step_context()
    assert lease_function_of(context, order, context.access(order)).receipt.is_complete
