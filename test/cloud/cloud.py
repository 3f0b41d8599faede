"""The emulated AWS as a test or the demo uses it: a process that it starts, queries and stops."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from test.cloud.behaviour import Behaviour
from test.cloud.boot import Boot
from test.cloud.instances import SELF
from test.cloud.keys import ACCESS_KEY_ID as ACCESS_KEY_ID
from test.cloud.keys import SECRET_ACCESS_KEY as SECRET_ACCESS_KEY
from test.cloud.models import models

TOP = Path(__file__).resolve().parents[2]
CONTEXT = multiprocessing.get_context("forkserver")
HANGING_S = 30.0
STACK = "HTCondorLeaseImplementation"  # the name that the manual proposes


class CloudError(Exception):
    """The emulated cloud failed to carry out a request; the message has its response."""


class Cloud:
    """`with Cloud(speed=60, termination_s=1) as cloud:`; `speed` 0 fires rules only by `tick()`.

    `enforce_iam`: keys must exist (IAM users' own, sessions of roles), signatures and times must be right and
    policies count, as in AWS; the key of `client()` is the account's own and may do everything.
    `boot`: what instances do, see Boot; without it they are records.  `behaviour`: see test.cloud.behaviour.
    """

    def __init__(
        self,
        speed: float = 60.0,
        termination_s: float = 0.0,
        pending_s: float = 0.0,
        port: int = 0,
        region: str = "us-east-1",
        enforce_iam: bool = False,
        boot: Boot | None = None,
        behaviour: dict[str, Any] | None = None,
    ) -> None:
        self.region, self.url = region, ""
        self._options = {"speed": speed, "termination-s": termination_s, "pending-s": pending_s, "port": port}
        self._more = ["--enforce-iam"] * enforce_iam + ([f"--boot={json.dumps(asdict(boot))}"] if boot else [])
        self._more += [f"--behaviour={json.dumps(behaviour)}"] if behaviour else []
        self._behaviour = Behaviour(**behaviour or {})
        self._process: ForkServerProcess | None = None
        self.client = cache(self._client)

    def start(self) -> Cloud:
        """Fork a server that has imported everything already, if the main program preloads test.cloud.__main__."""
        options = [f"--{name}={value}" for name, value in (self._options | {"region": self.region}).items()]
        receiver, sender = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(
            target=_serve, args=([*options, *self._more], dict(os.environ), sender), daemon=True
        )
        self._process.start()
        sender.close()
        with receiver:
            try:
                self.url = receiver.recv()["url"]
            except EOFError:
                self._process.join()
                raise CloudError(f"the emulated cloud ended at its start: {self._process.exitcode}") from None
        return self

    @property
    def pid(self) -> int:
        """Return the ID of the process that was started."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def stop(self) -> None:
        """End the process and wait for it; may be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.join(10)
        if process.exitcode is None:
            process.kill()
            process.join()
        process.close()

    def __enter__(self) -> Cloud:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _client(
        self,
        service: str,
        access_key_id: str = ACCESS_KEY_ID,
        attempts: int = 1,
        secret_access_key: str = SECRET_ACCESS_KEY,
        session_token: str | None = None,
    ) -> Any:
        """Return a boto3 client of the emulated cloud; `client` keeps one for each service and key."""
        import boto3
        import botocore.session
        from botocore.config import Config

        core = botocore.session.Session()
        core.register_component("data_loader", models())
        keys = {"aws_access_key_id": access_key_id, "aws_secret_access_key": secret_access_key}
        config = Config(retries={"total_max_attempts": attempts}, read_timeout=120)
        session = boto3.Session(botocore_session=core, region_name=self.region, aws_session_token=session_token, **keys)
        return session.client(service, endpoint_url=self.url, config=config)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make a process use this as AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def user(self, name: str, *policies: dict[str, Any]) -> tuple[str, str]:
        """Create an IAM user with these inline policies; return its access key and secret."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        for number, document in enumerate(policies):
            iam.put_user_policy(UserName=name, PolicyName=f"policy-{number}", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return str(key["AccessKeyId"]), str(key["SecretAccessKey"])

    def set_clock_ahead(self, seconds: float) -> None:
        """Set AWS's clock this far ahead of this machine's, in every response and signature from now on."""
        self._post("clock", {"ahead_s": seconds})

    def deploy_template(self, path: str | Path, stack: str = STACK) -> str:
        """Deploy by CloudFormation, wait for CREATE_COMPLETE, and return the output LeaseFunctionARN."""
        cloudformation = self.client("cloudformation")
        body = Path(path).read_text(encoding="utf-8")
        cloudformation.create_stack(StackName=stack, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
        often = {"Delay": 0.1, "MaxAttempts": 600}
        cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig=often)
        [described] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        return str(outputs["LeaseFunctionARN"])

    def behave(self, **chosen: Any) -> None:
        """Choose how AWS behaves from now on: the fields of test.cloud.behaviour.Behaviour."""
        self._post("behaviour", chosen)

    def behave_as_at_first(self) -> None:
        """Behave from now on as when the cloud was started."""
        self.behave(**asdict(self._behaviour))

    def forget_fleet(self, fleet_id: str) -> None:
        """Make AWS forget a fleet, as it does two days after its end: NotFound for its ID, while instances stay."""
        self._post("forget-fleet", {"fleet": fleet_id})

    def fault(self, operation: str, kind: str, times: int = 1, when: str = "before", **more: Any) -> None:
        """Order a fault; test.cloud.faults.Fault describes the kinds, and the fields that `more` may have."""
        self._post("faults", {"operation": operation, "kind": kind, "times": times, "when": when, **more})

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that have not struck yet."""
        return list(self._get("faults"))

    def clear_faults(self) -> None:
        self._post("clear-faults", {})

    def end_hangs(self) -> None:
        """Wait until a call hangs, and reset those that do.  Raises CloudError."""
        deadline_s = time.monotonic() + HANGING_S
        while not self._post("end-hangs", {})["ended"]:
            if time.monotonic() > deadline_s:
                raise CloudError(f"no call hangs within {HANGING_S:g} s")
            time.sleep(0.05)

    def audit(self) -> list[dict[str, Any]]:
        """Return calls and effects, in order."""
        return list(self._get("audit"))

    def clear_audit(self) -> None:
        self._post("clear-audit", {})

    def calls(self, operation: str) -> list[dict[str, Any]]:
        return [each for each in self.audit() if each.get("operation") == operation and each["kind"] == "call"]

    def effects(self, what: str) -> list[dict[str, Any]]:
        return [each for each in self.audit() if each.get("effect") == what]

    def fleets(self) -> list[dict[str, Any]]:
        """Return each fleet's id, state, number of launched instances, and `config`: the request as it arrived."""
        return list(self._get("fleets"))

    def code(self, function_arn: str) -> dict[str, str]:
        """Return the files of a deployed function, as they run."""
        return dict(self._get("functions")[function_arn])

    def running_instances(self) -> list[dict[str, Any]]:
        """Return id, fleet, image, state and tags of every instance that is not gone yet."""
        return list(self._get("instances"))

    def metadata_url(self, instance_id: str) -> str:
        """Return the URL of an instance's metadata service, as AWS_EC2_METADATA_SERVICE_ENDPOINT takes it."""
        return f"{self.url}/_imds/{instance_id}/"

    def turn_off(self, instance_id: str, console: str = "", reason: str = SELF) -> None:
        """End an instance as if by itself, with this text on its console, or for another of AWS's reasons."""
        self._post("turn-off", {"instance_id": instance_id, "console": console, "reason": reason})

    def announce(self, instance_id: str, **pages: str | None) -> None:
        """Change what an instance's metadata shows for `interruption` or `rebalance`: a text, or None for 404."""
        self._post("announce", {"instance_id": instance_id, **pages})

    def expire_metadata_tokens(self) -> None:
        """Expire all tokens, as after six hours, so that instances must request new ones."""
        self._post("expire-metadata-tokens", {})

    def lives(self) -> list[dict[str, Any]]:
        """Return id, fleet, began_s and gone_s (None: it lives) of every instance that ever existed."""
        return list(self._get("lives"))

    def meter(self) -> dict[str, Any]:
        """Return {"annexes": {id: {lease_end, instance_seconds, latest, live, ...}}, "unleased": {...}, "now": ...}.

        instance_seconds is the sum past the end of the lease, `latest` the longest of a single instance.
        """
        return dict(self._get("meter"))

    def judged(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Return (principal, action, resource, context) of every permission that was checked, with IAM enforced."""
        return [(who, action, resource, context) for who, action, resource, context in self._get("judged")]

    def pace_stacks(self, step_s: float) -> None:
        """Make CloudFormation pause this long between two resources from now on."""
        self._post("stacks", {"step_s": step_s})

    def set_prices(self, **prices: Any) -> None:
        """Set the prices that the meter reads.

        spot={"m5.large us-east-1a": [[0, 0.03], [60, 0.05]]}, on_demand={"m5.large": 0.096}, gb_month, address_hour:
        Spot prices are by type (and zone), and each applies from so many seconds from now on.
        """
        self._post("prices", prices)

    def set_capacity(self, **rooms: int | None) -> None:
        """Set how many instances AWS has room for: `**{"m5.large us-east-1a spot": 0}`; the zone may be *, None: all.

        Spot Instances that no longer have room are interrupted.
        """
        self._post("capacity", rooms)

    def set_quotas(self, **values: float) -> None:
        """Set the values that Service Quotas shows, by quota code with an underscore for its hyphen."""
        self._post("quotas", {code.replace("_", "-"): value for code, value in values.items()})

    def tick(self, rule: str | None = None) -> int:
        """Fire this rule, or all, now; wait until the functions have ended, and return the number of rules."""
        response = self._post("tick", {} if rule is None else {"rule": rule})
        return int(response["fired"])

    def wait_until_idle(self) -> None:
        """Wait until every function that was called has ended and has written its log."""
        assert self._post("idle", {})["ended"]

    def reset(self) -> None:
        """Reset to a new account: nothing deployed, nothing running, no faults, an empty audit."""
        self._post("reset", {})

    def _get(self, endpoint: str) -> Any:
        return self._ask("GET", endpoint, None)

    def _post(self, endpoint: str, asked: dict[str, Any]) -> Any:
        return self._ask("POST", endpoint, json.dumps(asked).encode())

    def _ask(self, method: str, endpoint: str, body: bytes | None) -> Any:
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=600)
        try:
            connection.request(method, f"/_cloud/{endpoint}", body)
            answer = connection.getresponse()
            response = json.load(answer)
        finally:
            connection.close()
        if answer.status != 200:
            raise CloudError(f"{method} {endpoint}: {response}")
        return response


def _serve(arguments: Sequence[str], environment: Mapping[str, str], ready: Connection) -> None:
    """Run the emulated cloud of the process that started this one, and end with it."""
    gc.freeze()  # what was imported is never collected
    from moto.moto_api._internal import mock_random

    from test.cloud.__main__ import serve

    os.chdir(TOP)
    os.environ.clear()
    os.environ.update(environment)
    mock_random.seed()  # otherwise the IDs of all clouds would be the same

    def say(settings: dict[str, Any]) -> None:
        ready.send(settings)
        ready.close()

    parent = multiprocessing.parent_process()
    serve(arguments, say, None if parent is None else parent.sentinel)
