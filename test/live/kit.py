"""Run a rehearsal in its own process on an emulated AWS, and check the resources that remain there."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from test.account.kit import contents
from test.cloud import Cloud
from test.whole import IS_WHOLE

TOP = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
SPEED = 150.0  # the rule's five minutes pass in two seconds
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
USER = "rehearser-jane"
IMAGE = "ami-0e5c4998acc873d00"
TIMEOUT_S = 500
HURRY = () if IS_WHOLE else ("--hurried",)


class Rehearsed:
    """A running rehearsal; its lines arrive in `lines`."""

    def __init__(self, cloud: Cloud, folder: Path, *arguments: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "test.live", "--region", REGION, "--emulated", *HURRY, *arguments]
        if "--clean-up" not in arguments:
            command[3:3] = ["--image", IMAGE, "--output", str(folder)]  # the test's own arguments count
        self._environment = {**os.environ, **cloud.environment(), **key_of(cloud)}
        self.process = subprocess.Popen(
            command,
            cwd=TOP,
            env=self._environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, message: str, timeout_s: float = 120.0) -> None:
        """Wait for a line with this message."""
        with self._changed:
            self._changed.wait_for(lambda: message in self.text() or not self._reader.is_alive(), timeout_s)
            assert message in self.text(), f"no {message!r}:\n{self.text()}"

    def end(self) -> int:
        """Wait for the end of the process, and return its exit status."""
        status = self.process.wait(TIMEOUT_S)
        self._reader.join(10)
        return status

    def text(self) -> str:
        return "\n".join(self.lines)

    def facts(self) -> dict[str, str]:
        """Return AWS's behaviour according to the report, by fact."""
        rows = [line.split("|") for line in (self.folder / "report.md").read_text().splitlines()]
        return {row[1].split("`")[1]: row[4].strip() for row in rows if len(row) > 4 and "`" in row[1]}


def key_of(cloud: Cloud) -> dict[str, str]:
    """Return an administrator's key, not the root user's; created once per cloud."""
    iam = cloud.client("iam")
    if USER not in [each["UserName"] for each in iam.list_users()["Users"]]:
        cloud.user(USER, EVERYTHING)
    for each in iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=USER, AccessKeyId=each["AccessKeyId"])
    made = iam.create_access_key(UserName=USER)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}


@contextmanager
def leaving_nothing(cloud: Cloud) -> Iterator[None]:
    """Run the block, and check that it leaves the account's own record unchanged and ran nothing without a lease."""
    key_of(cloud)
    before = everything(cloud)
    yield
    after = everything(cloud)
    changed = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert changed == [], "\n".join(changed)
    assert [each["state"] for each in cloud.fleets() if each["state"] not in ("cancelled", "deleted", "failed")] == []
    assert [each for each in cloud.lives() if each["gone_s"] is None] == []
    assert cloud.meter()["unleased"]["instance_seconds"] == 0


def everything(cloud: Cloud) -> str:
    ec2 = cloud.client("ec2")
    response: dict[str, Any] = {
        **contents(cloud),
        "volumes": [each["VolumeId"] for each in ec2.describe_volumes()["Volumes"]],
        "templates": [each["LaunchTemplateId"] for each in ec2.describe_launch_templates()["LaunchTemplates"]],
    }
    return json.dumps(response, indent=1, sort_keys=True, default=str)


def until(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    ended = threading.Event()
    for _ in range(int(timeout_s / 0.1)):
        if condition():
            return
        ended.wait(0.1)
    raise AssertionError(f"waited {timeout_s} s for {what}")
