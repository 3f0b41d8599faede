"""Test a thousand machines that boot at once, with the request limits that EC2 publishes (test/cloud/buckets.py)."""

from __future__ import annotations

import heapq
import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.buckets import Buckets
from test.cloud.cloud import TOP
from test.instance.account import Account
from test.instance.machine import SCRIPT, Machine
from test.instance.script import script

Make = Callable[[str], Machine]
PATIENCE_S = 900  # --patience
A_CALL_S = 0.1
OWN_TAGS: dict[str, Any] = {"Filters": [{"Name": "resource-id"}]}


class Storm(NamedTuple):
    """The times at which machines had their tags, and the number of calls."""

    ready_s: list[float]
    calls: int


def storm(machines: int, calls_each: int) -> Storm:
    """Boot machines at once, in virtual time.

    Each makes one call after another, and pauses as the script does.
    """
    random.seed(20261128)
    now_s = [0.0]
    buckets, ready_s, calls = Buckets(lambda: now_s[0]), [], 0
    queue = [(0.0, number, calls_each, 0) for number in range(machines)]  # time, machine, calls left, failed tries
    while queue:
        now_s[0], number, left, tries = heapq.heappop(queue)
        calls += 1
        if not buckets.takes("r", "DescribeTags", OWN_TAGS, 1.0):
            pause_s = script.pause_s(tries, is_throttled=True)
            heapq.heappush(queue, (now_s[0] + pause_s, number, left, tries + 1))
        elif left > 1:
            heapq.heappush(queue, (now_s[0] + A_CALL_S, number, left - 1, 0))
        else:
            ready_s.append(now_s[0])
    return Storm(sorted(ready_s), calls)


@pytest.mark.parametrize(
    ("machines", "calls_each", "within_s"),
    [
        (100, 1, 1),
        (1000, 1, 120),  # from launch specifications, or from templates that show tags at the metadata service
        (1000, 2, 180),  # from launch templates
        (10_000, 1, 600),  # the maximum of a Spot Fleet
        (8000, 2, PATIENCE_S),
    ],
)
def test_machines_that_boot_at_once_have_their_tags_long_before_their_patience_ends(
    machines: int, calls_each: int, within_s: float
) -> None:
    found = storm(machines, calls_each)
    assert len(found.ready_s) == machines
    assert found.ready_s[-1] <= within_s


def test_a_storm_uses_what_ec2_gives_and_does_not_hammer_it() -> None:
    found = storm(1000, 2)
    least_s = (2 * 1000 - 100) / 20  # EC2's rate, after its burst
    assert found.ready_s[-1] < 1.6 * least_s
    assert found.calls < 4 * 2 * 1000


def test_machines_and_the_lease_function_share_no_call_of_ec2() -> None:
    of_machines = set(re.findall(r'"ec2", "2016-11-15", "(\w+)"', SCRIPT.read_text(encoding="utf-8")))
    of_lease = {
        name.replace("_", "")
        for name in re.findall(
            r'[."]((?:describe|cancel|delete|terminate|create|modify)_[a-z_]+)',
            (TOP / "lambda" / "lease.py").read_text(),
        )
    }
    assert of_machines == {"DescribeTags"}
    assert {"describespotfleetrequests", "describeinstances"} <= of_lease
    assert not {each.lower() for each in of_machines} & of_lease


def test_machines_boot_and_the_lease_function_looks_while_describetags_is_exhausted(
    account: Account, machine: Make, cloud: Cloud
) -> None:
    """These are real boots.  The bucket is empty until one of them calls, and then gets one token a second."""
    account.annex()
    profile = account.own_profile()
    booted = [machine(account.instance_of_template(profile, name=f"template-{number}")) for number in range(2)]
    cloud.behave(ec2_limits=0.001)
    ec2 = cloud.client("ec2")
    while not is_throttled(ec2.describe_tags, Filters=[{"Name": "resource-id", "Values": ["i-1"]}]):
        pass
    drained = len(cloud.calls("DescribeTags"))
    with ThreadPoolExecutor() as pool:
        booting = [pool.submit(each.boot, "--patience=200") for each in booted]
        while wait(booting, timeout=3.0).not_done:
            assert not is_throttled(ec2.describe_spot_fleet_requests, MaxResults=200)
            assert not is_throttled(ec2.describe_instances, MaxResults=500)
            if len(cloud.calls("DescribeTags")) > drained:
                cloud.behave(ec2_limits=0.05)
    outcomes = [each.result() for each in booting]
    assert [each.status for each in outcomes] == [0, 0], outcomes
    assert any("RequestLimitExceeded" in each.log for each in outcomes)


def is_throttled(call: Callable[..., Any], **asked: Any) -> bool:
    try:
        call(**asked)
    except ClientError as error:
        if error.response["Error"]["Code"] != "RequestLimitExceeded":
            raise
        return True
    return False
