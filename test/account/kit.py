"""An emulated account, and condor_annex running there with given credentials."""

from __future__ import annotations

import io
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annexd.account.template import FUNCTION, LOG_GROUP
from annexd.annex.lease.identifiers import leased_token
from annexd.tool import main, show
from annexd.tool.errors import ToolError
from test.cloud import Cloud
from test.cloud.clock import Clock
from test.cloud.orders import request

TOP = Path(__file__).resolve().parents[2]
STACK = "HTCondorAnnex"
REGION = "us-east-1"
REGIONS = (REGION, "eu-west-1")
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:123456789012:function:{FUNCTION}"
TICK_PAUSE_S = 3.0  # real ones are five minutes apart


@dataclass(frozen=True)
class Said:
    """The outcome of one run."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def faults(self) -> list[str]:
        """Return the faults of -check-setup, without the region and the word FAULT."""
        return [line.split("FAULT", 1)[1].strip() for line in self.lines if " FAULT " in line]


@dataclass
class Account:
    """An account; `run` runs condor_annex in this process, with the variables of the cloud and `environment`."""

    cloud: Cloud
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "81annex"

    def run(self, *arguments: str, ticks: bool = True) -> Said:
        """Run condor_annex while EventBridge ticks; -output defaults to the file in this account's folder."""
        with ticking(self.cloud) if ticks and "-setup" in arguments else nullcontext():
            return self._run(*arguments)

    def _run(self, *arguments: str) -> Said:
        output = () if {"-output", "-help"} & set(arguments) else ("-output", str(self.file))
        out, err = io.StringIO(), io.StringIO()
        with surroundings(self.cloud.environment() | self.environment), redirect_stdout(out), redirect_stderr(err):
            try:
                status = main.run([*arguments, *output])
            except ToolError as error:
                show.error(error)
                status = error.status
        return Said(status, out.getvalue(), err.getvalue())

    def set_up(self, *more: str) -> Said:
        said = self.run("-setup", *more)
        assert said.status == 0, said
        return said

    def client(self, service: str) -> Any:
        return self.cloud.client(service)

    def physical_ids(self, stack: str = STACK) -> dict[str, str]:
        reported = self.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in reported}

    def stack_status(self, stack: str = STACK) -> str:
        return str(self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])

    def log(self, *lines: str) -> None:
        """Replace the function's log by these lines, after all runs that were called before have ended."""
        self.cloud.wait_until_idle()
        logs, now_ms = self.client("logs"), int(time.time() * 1000)
        logs.delete_log_group(logGroupName=LOG_GROUP)
        logs.create_log_group(logGroupName=LOG_GROUP)
        logs.put_retention_policy(logGroupName=LOG_GROUP, retentionInDays=90)
        logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName="one")
        for line in lines:
            event = {"timestamp": now_ms, "message": line}
            logs.put_log_events(logGroupName=LOG_GROUP, logStreamName="one", logEvents=[event])

    def everything(self) -> str:
        """Return the account's content as text, to compare two moments."""
        return json.dumps(contents(self.cloud), indent=1, sort_keys=True, default=str)


@contextmanager
def ticking(cloud: Cloud) -> Iterator[None]:
    """Run the block while the lease rule of every region fires, as with EventBridge."""
    ended, fired = threading.Event(), threading.Event()
    clocks = [
        Clock(cloud.url, region, 0, lambda what, **_: fired.set() if what == "rule fired" else None)
        for region in REGIONS
    ]

    def tick() -> None:
        while not ended.wait(TICK_PAUSE_S if fired.is_set() else 0.1):
            fired.clear()
            for clock in clocks:
                clock.fire(FUNCTION)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        cloud.wait_until_idle()


@contextmanager
def surroundings(environment: Mapping[str, str]) -> Iterator[None]:
    """Run the block while the process has these environment variables, too."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def contents(cloud: Cloud) -> dict[str, Any]:
    """Return all resources that setup, orders and teardown could leave behind.

    Service-linked roles are left out, since -teardown keeps them for other regions.
    """
    iam, ec2, s3 = cloud.client("iam"), cloud.client("ec2"), cloud.client("s3")
    events = cloud.client("events")
    return {
        "roles": [
            role["RoleName"] for role in iam.list_roles()["Roles"] if not role["Path"].startswith("/aws-service-role/")
        ],
        "profiles": [each["InstanceProfileName"] for each in iam.list_instance_profiles()["InstanceProfiles"]],
        "users": [user["UserName"] for user in iam.list_users()["Users"]],
        "policies": [policy["Arn"] for policy in iam.list_policies(Scope="Local")["Policies"]],
        "buckets": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
        "groups": sorted(each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]),
        "functions": [each["FunctionArn"] for each in cloud.client("lambda").list_functions()["Functions"]],
        "logs": [each["logGroupName"] for each in cloud.client("logs").describe_log_groups()["logGroups"]],
        "rules": [rule["Name"] for rule in events.list_rules()["Rules"]],
        "stacks": [each["StackName"] for each in cloud.client("cloudformation").describe_stacks()["Stacks"]],
        "instances": cloud.running_instances(),
    }


def function(account: Account) -> dict[str, Any]:
    reported: dict[str, Any] = account.client("lambda").get_function(FunctionName=FUNCTION)["Configuration"]
    return reported


def order(account: Account, ends_in_s: float, annex_id: str = "annex-1") -> str:
    """Request a fleet for alice as annexd does."""
    token = leased_token(annex_id, int(time.time() + ends_in_s))
    tags = [{"Key": "htcondor:annex-owner", "Value": "alice"}]
    own = [{"ResourceType": "spot-fleet-request", "Tags": tags}]
    return request(account.client("ec2"), 1, ClientToken=token, Type="request", TagSpecifications=own)


def annex_of(account: Account) -> str:
    """Request a fleet as annexd does, with the keys of the account's administrator."""
    own = [{"ResourceType": "spot-fleet-request", "Tags": [{"Key": "htcondor:annex-id", "Value": "annex-1"}]}]
    token = leased_token("annex-1", int(time.time()) + 3600)
    return request(account.client("ec2"), 1, ClientToken=token, TagSpecifications=own, Type="request")


def stack_is(account: Account, status: str) -> bool:
    stacks = account.client("cloudformation").describe_stacks()["Stacks"]
    return any(each["StackStatus"] == status for each in stacks)


def wait_for(condition: object, what: str, process: subprocess.Popen[str] | None = None) -> None:
    deadline_s = time.monotonic() + 60
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline_s, f"not in time: {what}"
        assert process is None or process.poll() is None, f"ended before {what}: {process.communicate()}"
        time.sleep(0.05)
