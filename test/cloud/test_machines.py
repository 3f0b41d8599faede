"""Instances that boot for real: their processes live as long as the instance, and nothing reaches into them."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from test.cloud import Boot, Cloud
from test.cloud.machine import can_isolate
from test.cloud.machine_init import members
from test.cloud.orders import fleet_config, specification
from test.cloud.test_lifecycle import until
from test.instance.account import EVERY_ANNEX, Account, parcel, policy

# A daemon in a session of its own, as HTCondor's are, which says where it listens, and takes orders.
DAEMON = """
import os, socket, subprocess, sys
listening = socket.create_server(("127.0.0.1", 0))
out = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
subprocess.Popen(["sleep", "1000"], start_new_session=True)
out.sendall(f"{listening.getsockname()[1]} {os.getuid()}\\n".encode())
if out.recv(100) == b"shutdown\\n":
    subprocess.run(["shutdown", "-h", "now"])
"""


class Pool:
    """Where machines connect to."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(60)
        self.port = self._listening.getsockname()[1]

    def accept(self) -> tuple[socket.socket, int, int]:
        """The connection, the port that the daemon listens on, and its user."""
        connection, _ = self._listening.accept()
        port, uid = connection.makefile().readline().split()
        return connection, int(port), int(uid)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


def boot(pool: Pool, folder: Path, **more: Any) -> Boot:
    daemon = [sys.executable, "-c", DAEMON, str(pool.port)]
    return Boot(daemon, options=["--patience=60"], ports=[pool.port], directory=str(folder), maximum=2, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def booting(folder: Path, pool: Pool) -> Iterator[Cloud]:
    with Cloud(speed=0, enforce_iam=True, boot=boot(pool, folder)) as cloud:
        yield cloud


@pytest.fixture
def cloud(booting: Cloud) -> Cloud:
    booting.reset()
    return booting


def launched(cloud: Cloud, count: int = 1, content: bytes | None = None) -> list[str]:
    account = Account(cloud)
    account.put("annex/annex-one.tar.gz", content or parcel("annex-one", time.time() + 3600))
    account.profile(policy(EVERY_ANNEX))
    spec = specification(IamInstanceProfile={"Name": "annexes"}, TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "htcondor:annex-id", "Value": "annex-one"}]}])
    config = fleet_config(count, Type="request", LaunchSpecifications=[spec])
    cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)
    return [str(each["id"]) for each in cloud.running_instances()]


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_an_instance_boots_out_of_reach_and_its_processes_end_with_it(cloud: Cloud, pool: Pool, folder: Path) -> None:
    [instance_id] = launched(cloud)
    _, port, uid = pool.accept()
    machine = folder / instance_id
    assert sorted(each.name for each in (machine / "config.d").iterdir()) == [
        "49ec2-instance.config", "50-condor-annex.conf"]
    assert (machine / "tokens.d" / "annex.token").exists()
    assert uid == os.getuid()
    assert can_connect(port) is not can_isolate()
    assert members(machine)
    cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
    until("no process of the machine is left", lambda: not members(machine))
    assert cloud.running_instances() == []


def test_a_machine_that_is_shut_down_from_within_ends_its_instance(cloud: Cloud, pool: Pool, folder: Path) -> None:
    [instance_id] = launched(cloud)
    connection, _, _ = pool.accept()
    connection.sendall(b"shutdown\n")
    until("the instance has ended", lambda: cloud.running_instances() == [])
    assert [each["instance"] for each in cloud.effects("machine shut down")] == [instance_id]
    until("no process of the machine is left", lambda: not members(folder / instance_id))


def test_a_machine_that_cannot_be_configured_ends_its_instance_and_starts_nothing(cloud: Cloud, folder: Path) -> None:
    [instance_id] = launched(cloud, content=b"not text \0")
    until("the instance has ended", lambda: cloud.running_instances() == [], 60)
    assert "is not text" in (folder / instance_id / "condor-annex-ec2.log").read_text()
    assert not (folder / instance_id / "command.log").exists()


def test_no_more_machines_boot_than_are_wanted(cloud: Cloud, pool: Pool, folder: Path) -> None:
    instances = launched(cloud, 3)
    assert len(instances) == 3
    connections = [pool.accept()[0] for _ in range(2)]
    assert len([each for each in instances if (folder / each).exists()]) == len(connections) == 2


def test_without_namespaces_too_everything_ends_with_the_cloud(tmp_path: Path, pool: Pool) -> None:
    with Cloud(speed=0, enforce_iam=True, boot=boot(pool, tmp_path, isolated=False)) as cloud:
        [instance_id] = launched(cloud)
        _, port, _ = pool.accept()
        assert can_connect(port)
        assert members(tmp_path / instance_id)
    assert members(tmp_path / instance_id) == []
