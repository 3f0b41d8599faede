"""The output of functions in their log groups: it appears a little later and is read page by page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.log_patterns import PatternError, compiled
from test.cloud.orders import HEAD, SLEEP, allow, deploy, invoke, of, policy, until

GROUP = "/aws/lambda/one"
PRINT_EVENT = "import json\n" + HEAD + "    print(json.dumps({'receipt': 'mine', 'number': event}))\n    print('done')"
WRITE = allow(["logs:CreateLogStream", "logs:PutLogEvents"], f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*")


def pages(cloud: Cloud, **asked: Any) -> list[list[str]]:
    """Return the messages of each page."""
    logs, token = cloud.client("logs"), None
    found: list[list[str]] = []
    while True:
        more: dict[str, Any] = {"nextToken": token} if token else {}
        answer = logs.filter_log_events(logGroupName=GROUP, **asked, **more)
        found.append([each["message"] for each in answer["events"]])
        token = answer.get("nextToken")
        if token is None:
            return found


def messages(cloud: Cloud, **asked: Any) -> list[str]:
    return [each for page in pages(cloud, **asked) for each in page]


@pytest.fixture
def logged(cloud: Cloud) -> Cloud:
    """Run a function five times, with a log that is visible immediately."""
    cloud.behave(logs_late_s=0.0)
    deploy(cloud, PRINT_EVENT)
    for number in range(5):
        assert invoke(cloud, "one", number) == (None, None)
    return cloud


def test_a_run_leaves_its_lines_between_those_of_lambda(cloud: Cloud) -> None:
    cloud.behave(logs_late_s=0.0)
    deploy(cloud, PRINT_EVENT)
    invoke(cloud, "one", 7)
    start, receipt, done, end, report = messages(cloud)
    [ended] = cloud.effects("function ended")
    assert start == f"START RequestId: {ended['request_id']} Version: $LATEST\n"
    assert (json.loads(receipt), done) == ({"receipt": "mine", "number": 7}, "done\n")
    assert end == f"END RequestId: {ended['request_id']}\n"
    assert report.startswith(f"REPORT RequestId: {ended['request_id']}\tDuration: ")
    assert 5 < int(report.split("Max Memory Used: ")[1].split()[0]) < 500
    [stream] = cloud.client("logs").describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert stream["logStreamName"].startswith(time.strftime("%Y/%m/", time.gmtime()))
    assert "[$LATEST]" in stream["logStreamName"]


def test_a_line_that_is_too_long_comes_in_pieces(cloud: Cloud) -> None:
    cloud.behave(logs_late_s=0.0)
    deploy(cloud, HEAD + "    print('x' * 300_000)")
    invoke(cloud, "one")
    assert [len(each) for each in messages(cloud)[1:3]] == [262_118, 300_001 - 262_118]


def test_a_run_ended_at_its_time_limit_reports_that_and_its_output(cloud: Cloud) -> None:
    cloud.behave(logs_late_s=0.0)
    deploy(cloud, SLEEP.replace("time.sleep", "print('before')\n    time.sleep"), timeout_s=12)
    invoke(cloud, "one")
    _, before, message, *_ = messages(cloud)
    assert (before, "Task timed out after 12.00 seconds" in message) == ("before\n", True)


def test_the_log_of_a_function_can_go_to_another_group(cloud: Cloud) -> None:
    cloud.behave(logs_late_s=0.0)
    deploy(cloud, PRINT_EVENT)
    functions, logs = cloud.client("lambda"), cloud.client("logs")
    functions.update_function_configuration(FunctionName="one", LoggingConfig={"LogGroup": "elsewhere"})
    assert functions.get_function(FunctionName="one")["Configuration"]["LoggingConfig"]["LogGroup"] == "elsewhere"
    invoke(cloud, "one")
    assert [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]] == ["elsewhere"]


def test_a_run_that_outlives_its_function_makes_no_log_group(cloud: Cloud, tmp_path: Path) -> None:
    deploy(cloud, HEAD + "    while not os.path.exists(event):\n        time.sleep(3)", timeout_s=60)
    payload = json.dumps(str(tmp_path / "end"))
    cloud.client("lambda").invoke(FunctionName="one", InvocationType="Event", Payload=payload)
    until("the function runs", lambda: cloud.effects("function started"))
    cloud.client("lambda").delete_function(FunctionName="one")
    (tmp_path / "end").touch()
    until("its log is lost", lambda: cloud.effects("log lost"))
    assert cloud.client("logs").describe_log_groups()["logGroups"] == []


def test_a_group_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        pages(cloud)


def test_an_event_shows_a_little_later(cloud: Cloud) -> None:
    cloud.behave(logs_late_s=3600.0)
    deploy(cloud, PRINT_EVENT)
    invoke(cloud, "one", 1)
    assert messages(cloud) == []
    cloud.behave(logs_late_s=0.01)
    until("the log shows", lambda: bool(messages(cloud)))


def test_events_are_listed_from_a_start_time_and_by_a_pattern(logged: Cloud) -> None:
    lines = messages(logged, filterPattern='{ $.receipt = "mine" && $.number > 2 }')
    assert [json.loads(each)["number"] for each in lines] == [3, 4]
    assert messages(logged, filterPattern='"mine" -"4"')[-1] == '{"receipt": "mine", "number": 3}\n'
    assert messages(logged, filterPattern='"mine"', startTime=int(time.time() * 1000) + 5000) == []
    assert messages(logged, filterPattern='"mine"', endTime=int(time.time() * 1000) - 3_600_000) == []
    assert len(messages(logged, filterPattern='"mine"', startTime=int(time.time() * 1000) - 3_600_000)) == 5


def test_a_full_page_is_not_the_last(logged: Cloud) -> None:
    assert [len(page) for page in pages(logged, filterPattern='"mine"', limit=2)] == [2, 2, 1]
    logged.behave(log_page=3)
    assert [len(page) for page in pages(logged, filterPattern='"mine"', limit=10)] == [3, 2]


def test_an_empty_page_is_not_the_last_either(logged: Cloud) -> None:
    logged.behave(empty_log_pages=2)
    found = pages(logged, filterPattern='"mine"', limit=4)
    assert [len(page) for page in found] == [0, 0, 4, 0, 0, 1, 0, 0, 0]


def test_the_newest_events_come_first_if_asked_for(logged: Cloud) -> None:
    lines = messages(logged, filterPattern='"mine"', startFromHead=False, limit=2)
    assert [json.loads(each)["number"] for each in lines] == [4, 3, 2, 1, 0]


def test_an_unreadable_pattern_is_refused(logged: Cloud) -> None:
    logs = logged.client("logs")
    refused: list[dict[str, Any]] = [
        {"logGroupName": GROUP, "nextToken": "none"},
        {"logGroupName": GROUP, "filterPattern": "htcondor-annex-lease"},
        {"logGroupName": GROUP, "filterPattern": "{ $.receipt = }"},
        {"logGroupName": GROUP, "logGroupIdentifier": GROUP},
    ]
    for asked in refused:
        with pytest.raises(ClientError, match="InvalidParameterException"):
            logs.filter_log_events(**asked)


def test_a_log_is_for_those_who_may_read_that_group(enforcing: Cloud) -> None:
    cloud = enforcing
    cloud.client("logs").create_log_group(logGroupName=GROUP)
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"
    reader = of(cloud, cloud.user("reader", policy(allow("logs:FilterLogEvents", f"{arn}:*"))), "logs")
    other = of(cloud, cloud.user("other", policy(allow("logs:FilterLogEvents", f"{arn}-2:*"))), "logs")
    assert reader.filter_log_events(logGroupName=GROUP)["events"] == []
    assert reader.filter_log_events(logGroupIdentifier=arn)["events"] == []
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.filter_log_events(logGroupName=GROUP)


def test_a_function_whose_role_may_not_write_its_log_runs_unheard(enforcing: Cloud) -> None:
    cloud = enforcing
    cloud.behave(logs_late_s=0.0)
    deploy(cloud, PRINT_EVENT)
    assert invoke(cloud, "one", 1) == (None, None)
    assert len(cloud.effects("log lost")) == 1
    document = json.dumps(policy(WRITE))
    cloud.client("iam").put_role_policy(RoleName="role-one", PolicyName="log", PolicyDocument=document)
    invoke(cloud, "one", 2)
    assert len(cloud.effects("log lost")) == 2, "it may not make the group"
    cloud.client("logs").create_log_group(logGroupName=GROUP)
    invoke(cloud, "one", 3)
    assert [json.loads(each)["number"] for each in messages(cloud, filterPattern='"mine"')] == [3]


LINE = '{"a": "x-1", "b": 5, "c": {"d": true, "e": null}}\n'


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("", True),
        ("a", True),
        ("a zz", False),
        ("?zz ?b", True),
        ("a -b", False),
        ('"x-1"', True),
        ("x", True),
        ("A", False),
        ('{ $.a = "x-1" }', True),
        ('{ $.a = "x*" }', True),
        ('{ $.a != "x-1" }', False),
        ("{ $.b = 5 }", True),
        ("{ $.b >= 6 }", False),
        ('{ $.b = "5" }', False),
        ("{ $.c.d IS TRUE }", True),
        ("{ $.c.d IS FALSE }", False),
        ("{ $.c.e IS NULL }", True),
        ("{ $.c.f NOT EXISTS }", True),
        ("{ $.a NOT EXISTS }", False),
        ('{ $.a = "no" || $.b = 5 && $.c.d IS TRUE }', True),
        ('{ $.a = "x-1" && $.b = 6 }', False),
    ],
)
def test_a_pattern_matches_as_cloudwatch_says(pattern: str, matches: bool) -> None:
    assert compiled(pattern)(LINE) is matches


def test_a_pattern_of_json_matches_no_other_text() -> None:
    assert not compiled('{ $.a = "x" }')("START RequestId: a\n")
    assert not compiled('{ $.a != "x" }')('["a"]')


@pytest.mark.parametrize(
    "pattern", ["a-b", "%regex%", "[a, b]", "{ $.a = true-ish }", "{ a = 5 }", '{ $.a < "x" }', "{}"]
)
def test_a_pattern_that_is_not_known_is_an_error(pattern: str) -> None:
    with pytest.raises(PatternError):
        compiled(pattern)
