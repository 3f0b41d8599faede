"""Orders while lease enforcement fails: nothing is ordered unless the lease function was seen to run by its rule.

Each fault, of a kind that people or time cause, is planted in an account with one annex.  A fault of the function
itself stops orders at once; any other, once the newest receipt of a tick is older than fifteen minutes.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from annexd.annex.lease.heartbeat import (
    AHEAD_S,
    CLOSED_DESCRIPTION,
    RECEIPT,
    STALE_S,
    TICK_S,
    log_group_of,
    newest_receipt,
)
from annexd.tool import errors
from test.cloud import Cloud
from test.replies import accepted
from test.system.site import REQUEST, Site, beat
from test.system.tool import condor_annex, key_options

NAME = "HTCondorAnnexLease"  # of both the function and the rule
SAMPLE_EVENT = {  # from the Lambda console's "Test" button, for Amazon EventBridge
    "version": "0",
    "id": "cdc73f9d-aea9-11e3-9d5a-835b769c0d9c",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "1970-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/ExampleRule"],
    "detail": {},
}
Plant = Callable[[Site], object]
STALE = "was last called by its rule 1"  # minutes ago: 16, unless the machine stalls meanwhile


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Run a cloud that enforces roles and policies."""
    with Cloud(speed=0, termination_s=0.5, enforce_iam=True, behaviour={"logs_late_s": 0.0}) as cloud:
        yield cloud


@pytest.fixture
def site(shared_site: Site) -> Site:
    """Return a site with a new account, one annex, and an annexd that remembers no receipt."""
    shared_site.renew_account()
    accepted(shared_site.order())
    starts = shared_site.starts()
    shared_site.kill()
    shared_site.wait_for_restart(starts)
    return shared_site


def age_heartbeat(site: Site, age_s: float) -> None:
    """Make the newest receipt `age_s` old, as if that time had passed without a run."""
    logs, group = site.cloud.client("logs"), log_group_of(site.arn)
    newest = newest_receipt(logs, site.arn, time.time())
    assert newest is not None
    older_s = age_s - (time.time() - newest.at_s)
    events = logs.filter_log_events(logGroupName=group, filterPattern=RECEIPT)["events"]
    aged = [_aged(event, int(older_s)) for event in events]
    for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
        logs.delete_log_stream(logGroupName=group, logStreamName=stream["logStreamName"])
    logs.create_log_stream(logGroupName=group, logStreamName="aged")
    logs.put_log_events(logGroupName=group, logStreamName="aged", logEvents=aged)


def _aged(event: dict[str, Any], older_s: int) -> dict[str, Any]:
    reported = json.loads(event["message"])
    message = json.dumps(reported | {"at": reported["at"] - older_s})
    return {"timestamp": event["timestamp"] - older_s * 1000, "message": message}


def check_refused(site: Site, *wording: str) -> None:
    """Check that an order is refused with this cause and repair, and creates no fleet."""
    fleets = site.cloud.fleets()
    reply = site.order()
    assert reply["Result"] == "Failure", reply
    assert [each for each in wording if each not in reply["ErrorString"]] == [], reply["ErrorString"]
    assert site.cloud.fleets() == fleets


# Faults of the function itself.


def delete_the_function(site: Site) -> None:
    site.cloud.client("lambda").delete_function(FunctionName=NAME)


def close_the_function(site: Site) -> None:
    site.cloud.client("lambda").update_function_configuration(FunctionName=NAME, Description=CLOSED_DESCRIPTION)


def reserve_no_concurrency(site: Site) -> None:
    site.cloud.client("lambda").put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0)


@pytest.mark.parametrize(
    ("plant", "wording"),
    [
        (delete_the_function, ("does not exist", "condor_annex -setup creates it")),
        (close_the_function, ("is closed: somebody runs condor_annex -teardown", "-setup opens it again")),
        (reserve_no_concurrency, ("its reserved concurrency is 0", "aws lambda delete-function-concurrency")),
    ],
)
def test_a_fault_of_the_function_itself_stops_orders_at_once(
    site: Site, plant: Plant, wording: tuple[str, ...]
) -> None:
    accepted(site.order())  # annexd then remembers a fresh receipt
    plant(site)
    check_refused(site, *wording)


# Faults around it.


def disable_the_rule(site: Site) -> None:
    site.cloud.client("events").disable_rule(Name=NAME)


def delete_the_rule(site: Site) -> None:
    events = site.cloud.client("events")
    [target] = events.list_targets_by_rule(Rule=NAME)["Targets"]
    events.remove_targets(Rule=NAME, Ids=[target["Id"]])
    events.delete_rule(Name=NAME)


def deny_the_call(site: Site) -> None:
    functions = site.cloud.client("lambda")
    policy = json.loads(functions.get_policy(FunctionName=NAME)["Policy"])
    policy["Statement"].append(
        {"Sid": "never", "Effect": "Deny", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": site.arn}
    )
    functions.put_resource_policy(ResourceArn=site.arn, Policy=json.dumps(policy))


def withdraw_the_permission(site: Site) -> None:
    functions = site.cloud.client("lambda")
    [statement] = json.loads(functions.get_policy(FunctionName=NAME)["Policy"])["Statement"]
    functions.remove_permission(FunctionName=NAME, StatementId=statement["Sid"])


def permit_another_rule(site: Site) -> None:
    withdraw_the_permission(site)
    site.cloud.client("lambda").add_permission(
        FunctionName=NAME,
        StatementId="another",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=f"{site.arn.replace(':lambda:', ':events:').partition(':function:')[0]}:rule/Another",
    )


def delete_the_role(site: Site) -> None:
    iam, role = site.cloud.client("iam"), role_of(site)
    iam.delete_role_policy(RoleName=role, PolicyName="EndAnnexes")
    iam.delete_role(RoleName=role)


def use_up_the_accounts_concurrency(site: Site) -> None:
    site.cloud.behave(concurrency=0)


def delete_the_log_group(site: Site) -> None:
    site.cloud.client("logs").delete_log_group(logGroupName=log_group_of(site.arn))


def role_of(site: Site) -> str:
    configuration = site.cloud.client("lambda").get_function_configuration(FunctionName=NAME)
    return str(configuration["Role"]).rpartition("/")[2]


@pytest.mark.parametrize(
    "plant",
    [
        disable_the_rule,
        delete_the_rule,
        deny_the_call,
        withdraw_the_permission,
        permit_another_rule,
        delete_the_role,
        use_up_the_accounts_concurrency,
    ],
)
def test_a_fault_around_the_function_stops_orders_within_fifteen_minutes(site: Site, plant: Plant) -> None:
    plant(site)
    age_heartbeat(site, STALE_S + 60)
    site.cloud.tick()
    check_refused(site, STALE, "condor_annex -check-setup says why")


def test_two_lost_runs_do_not_stop_orders(site: Site) -> None:
    age_heartbeat(site, 2 * TICK_S + 30)
    reply = site.order()
    assert reply["Result"] == "Success", reply


def test_a_function_without_its_log_counts_as_silent(site: Site) -> None:
    delete_the_log_group(site)
    check_refused(site, "has not been called by its rule for 30 minutes", "condor_annex -check-setup says why")


def test_a_function_that_lost_a_right_stops_orders_at_its_next_run(site: Site) -> None:
    denied = {"Effect": "Deny", "Action": "ec2:TerminateInstances", "Resource": "*"}
    site.cloud.client("iam").put_role_policy(
        RoleName=role_of(site),
        PolicyName="never",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
    )
    beat(site.cloud, site.arn)
    check_refused(
        site,
        "lacks the right to terminate",
        "update the stack (condor_annex -setup)",
        "look for a policy that denies it",
    )


def test_a_function_that_cannot_look_at_all_of_it_stops_orders_at_its_next_run(site: Site) -> None:
    denied = {"Effect": "Deny", "Action": "ec2:DescribeInstances", "Resource": "*"}
    site.cloud.client("iam").put_role_policy(
        RoleName=role_of(site),
        PolicyName="never",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
    )
    beat(site.cloud, site.arn)
    check_refused(site, "could not see all fleets and instances", "condor_annex -check-setup says why")


def test_orders_resume_with_the_first_run_after_the_repair(site: Site) -> None:
    disable_the_rule(site)
    age_heartbeat(site, STALE_S + 60)
    check_refused(site, "condor_annex -check-setup says why")
    site.cloud.client("events").enable_rule(Name=NAME)
    check_refused(site, "condor_annex -check-setup says why")
    beat(site.cloud, site.arn)
    accepted(site.order())


@pytest.mark.parametrize("event", [{}, SAMPLE_EVENT], ids=["none", "the console's sample"])
def test_a_heartbeat_by_hand_opens_nothing(site: Site, event: dict[str, Any]) -> None:
    disable_the_rule(site)
    age_heartbeat(site, STALE_S + 60)
    ran = site.cloud.client("lambda").invoke(FunctionName=NAME, Payload=json.dumps(event).encode())
    receipt = json.loads(ran["Payload"].read())
    assert "FunctionError" not in ran, receipt
    check_refused(site, STALE)


def test_a_heartbeat_from_the_future_opens_nothing(site: Site) -> None:
    age_heartbeat(site, -AHEAD_S - 60)
    check_refused(site, "minutes in the future", "condor_annex -check-setup says why")


def test_without_a_heartbeat_a_lease_is_not_extended_but_shortened_and_cancelled(site: Site) -> None:
    annex_id = str(site.order(AnnexName="physics")["AnnexID"])
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    disable_the_rule(site)
    age_heartbeat(site, STALE_S + 60)
    done = condor_annex(site, "-extend", "1h", "physics")
    assert (done.returncode, done.stdout) == (errors.CLOUD_FAILED, ""), done.stderr
    assert STALE in done.stderr
    assert f"the annex ID is {annex_id}" in done.stderr
    sooner = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))
    assert condor_annex(site, "-until", sooner, "physics").returncode == errors.OK
    assert condor_annex(site, "-cancel", "physics").returncode == errors.OK


def test_a_user_of_condor_annex_reads_cause_and_repair(site: Site) -> None:
    close_the_function(site)
    done = condor_annex(site, "-lease-duration", "1h", *key_options(site), str(REQUEST))
    assert (done.returncode, done.stdout) == (errors.CLOUD_FAILED, "")
    assert "is closed: somebody runs condor_annex -teardown; -setup opens it again" in done.stderr
