"""Instances that boot for real: their processes live as long as the instance, and are unreachable from outside."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from test.cloud import Cloud
from test.cloud.booting import BOOTS, Pool, booting
from test.cloud.machine import can_isolate
from test.cloud.machine_init import members
from test.cloud.orders import fleet_config, specification, until
from test.instance.account import EVERY_ANNEX, Account, config_bundle, policy


def launched(cloud: Cloud, count: int = 1, content: bytes | None = None) -> list[str]:
    account = Account(cloud)
    account.put("annex/annex-one.tar.gz", content or config_bundle("annex-one", time.time() + 3600))
    account.profile(policy(EVERY_ANNEX))
    spec = specification(
        ImageId=BOOTS,
        IamInstanceProfile={"Name": "annexes"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "htcondor:annex-id", "Value": "annex-one"}]}],
    )
    config = fleet_config(count, Type="request", LaunchSpecifications=[spec])
    cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)
    return [str(each["id"]) for each in cloud.running_instances()]


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_an_instance_boots_out_of_reach_and_its_processes_end_with_it(
    enforcing: Cloud, pool: Pool, machines: Path
) -> None:
    [instance_id] = launched(enforcing)
    _, port, uid = pool.accept()
    machine = machines / instance_id
    assert sorted(each.name for each in (machine / "config.d").iterdir()) == [
        "49ec2-instance.config",
        "50-condor-annex.conf",
    ]
    assert (machine / "tokens.d" / "annex.token").exists()
    assert uid == os.getuid()
    assert can_connect(port) is not can_isolate()
    assert members(machine)
    enforcing.client("ec2").terminate_instances(InstanceIds=[instance_id])
    until("no process of the machine is left", lambda: not members(machine))
    assert enforcing.running_instances() == []


def test_a_machine_that_is_shut_down_from_within_ends_its_instance(
    enforcing: Cloud, pool: Pool, machines: Path
) -> None:
    [instance_id] = launched(enforcing)
    connection, _, _ = pool.accept()
    connection.sendall(b"shutdown\n")
    until("the instance has ended", lambda: enforcing.running_instances() == [])
    assert [each["instance"] for each in enforcing.effects("machine shut down")] == [instance_id]
    until("no process of the machine is left", lambda: not members(machines / instance_id))


def test_a_machine_that_cannot_be_configured_ends_its_instance_and_starts_nothing(
    enforcing: Cloud, machines: Path
) -> None:
    [instance_id] = launched(enforcing, content=b"not text \0")
    until("the instance has ended", lambda: enforcing.running_instances() == [], 60)
    assert "is not text" in (machines / instance_id / "condor-annex-ec2.log").read_text()
    assert not (machines / instance_id / "command.log").exists()


def test_no_more_machines_boot_than_are_wanted(enforcing: Cloud, pool: Pool, machines: Path) -> None:
    instances = launched(enforcing, 3)
    assert len(instances) == 3
    connections = [pool.accept()[0] for _ in range(2)]
    assert len([each for each in instances if (machines / each).exists()]) == len(connections) == 2


def test_without_namespaces_too_everything_ends_with_the_cloud(tmp_path: Path, pool: Pool) -> None:
    with Cloud(speed=0, enforce_iam=True, boot=booting(pool, tmp_path, isolated=False)) as cloud:
        [instance_id] = launched(cloud)
        connection, port, _ = pool.accept()
        with connection:  # the machine's daemon ends when it is closed
            assert can_connect(port)
        assert members(tmp_path / instance_id)
    assert members(tmp_path / instance_id) == []
