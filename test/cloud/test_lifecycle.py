"""Fleets and instances over time: validity, slow termination, and a process that ends cleanly."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.cloud.cloud import TOP
from test.cloud.orders import described, instances, request, until


def test_termination_takes_its_time_and_the_fleet_is_cancelled_only_after_it() -> None:
    with Cloud(speed=0, termination_s=15.0) as cloud:
        ec2 = cloud.client("ec2")
        fleet = request(ec2, 2)
        started_s = time.monotonic()
        ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
        assert described(ec2, fleet)["SpotFleetRequestState"] == "cancelled_terminating"
        assert {one["State"]["Name"] for one in instances(ec2)} == {"shutting-down"}
        until("cancelled", lambda: described(ec2, fleet)["SpotFleetRequestState"] == "cancelled")
        assert time.monotonic() - started_s >= 15.0
        assert {one["State"]["Name"] for one in instances(ec2)} == {"terminated"}


def test_a_fleet_cancelled_without_its_instances_takes_a_second_order_for_them(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2, 2, Type="request")
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=False)
    assert described(ec2, fleet)["SpotFleetRequestState"] == "cancelled_running"
    assert len(cloud.running_instances()) == 2
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert described(ec2, fleet)["SpotFleetRequestState"] == "cancelled"
    assert cloud.running_instances() == []


def test_at_the_end_of_its_validity_a_fleet_keeps_or_ends_its_instances_as_asked(cloud: Cloud) -> None:
    ec2, end_s = cloud.client("ec2"), int(time.time()) + 15  # AWS's times have whole seconds
    keeps = request(ec2, 1, ValidUntil=end_s, TerminateInstancesWithExpiration=False)
    ends = request(ec2, 2, ValidUntil=end_s, TerminateInstancesWithExpiration=True)
    assert len(cloud.running_instances()) == 3, "before the end"
    until("expiration", lambda: described(ec2, ends)["SpotFleetRequestState"] == "cancelled")
    assert described(ec2, keeps)["SpotFleetRequestState"] == "cancelled_running"
    assert [each["fleet"] for each in cloud.running_instances()] == [keeps]


def test_a_request_for_later_launches_nothing_yet(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2, 1, ValidFrom=time.time() + 3600)
    assert described(ec2, fleet)["SpotFleetRequestState"] == "submitted"
    assert cloud.running_instances() == []


def test_capacity_can_be_lowered_and_the_excess_ends(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2, 5, Type="maintain")
    ec2.modify_spot_fleet_request(SpotFleetRequestId=fleet, TargetCapacity=2)
    assert len(cloud.running_instances()) == 2


def test_a_launch_through_runinstances_is_still_motos_and_seen_beside_the_fleets(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    request(ec2, 1)
    ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    assert len(instances(ec2)) == 2


def test_started_by_itself_it_says_its_url_first_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "test.cloud", "--speed", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP) as process:
        assert process.stdout is not None
        response = json.loads(process.stdout.readline())
        assert response["url"] == f"http://127.0.0.1:{response['port']}"
        process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(number: signal.Signals) -> None:
    program = f"{__name__}.a_parent()"
    command = [sys.executable, "-c", f"import {__name__}; {program}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(number)
    until("its end", lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def a_parent() -> None:
    with Cloud(speed=0) as cloud:
        print(cloud.pid, flush=True)
        time.sleep(600)


def test_two_clouds_have_no_ids_in_common(cloud: Cloud) -> None:
    with Cloud(speed=0) as another:
        fleets = [request(each.client("ec2"), 1) for each in (cloud, another)]
        users = [each.client("iam").create_user(UserName="alice")["User"]["UserId"] for each in (cloud, another)]
    assert len({*fleets, *users}) == 4


def test_it_listens_on_the_loopback_interface_only(cloud: Cloud) -> None:
    port = int(cloud.url.rpartition(":")[2])
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))  # fails if the cloud is bound to every address
