"""The pool and the emulated AWS in which processes are killed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from test.chaos.processes import Process, members
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.pool import ANNEXD_CONFIG, Pool
from test.system.site import beat

TOP = Path(__file__).resolve().parents[2]
REQUEST = TOP / "templates" / "config.json"
SPEED = 30.0  # a tick of the lease's clock is ten seconds
TERMINATION_S = 1.0
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "ANNEXD")
CONFIG = """
ANNEX_DEFAULT_EC2_URL = {cloud.url}
ANNEX_DEFAULT_LAMBDA_URL = {cloud.url}
ANNEX_DEFAULT_STS_URL = {cloud.url}
ANNEX_DEFAULT_LOGS_URL = {cloud.url}
ANNEX_DEFAULT_LEASE_FUNCTION_ARN = {arn}
ANNEX_DEFAULT_FLEET_ROLE_ARN = arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role
ANNEX_FLEET_API = SpotFleet
ANNEX_MIN_LEASE = 5
ANNEXD_UPDATE_INTERVAL = 2
ANNEXD_RECONCILE_INTERVAL = 5
PARENT_CHECK_FIRST_INTERVAL = 1
PARENT_CHECK_INTERVAL = 1
"""


class ChaosSite:
    """`with ChaosSite() as site:`."""

    def __init__(self) -> None:
        self.cloud = Cloud(speed=SPEED, termination_s=TERMINATION_S)
        self.directory = Path(tempfile.mkdtemp(prefix="annexd-chaos-", dir="/tmp"))

    def __enter__(self) -> Self:
        self.cloud.start()
        try:
            arn = self.cloud.deploy_template(TOP / "templates" / "template-3.json")
            beat(self.cloud, arn)
            config = f"{ANNEXD_CONFIG}{CONFIG.format(cloud=self.cloud, arn=arn)}"
            self.pool = Pool(config, daemons=DAEMONS, directory=self.directory, master=self._supervisor())
            self.pool.env["CHAOS_MASTER"] = str(self.pool.htcondor.executable("condor_master"))
            self._key("access_key", ACCESS_KEY_ID)
            self._key("secret_key", SECRET_ACCESS_KEY)
            self.pool.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "pool"):
            self.pool.stop()
        self.cloud.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _supervisor(self) -> Path:
        """Write an executable that takes condor_master's arguments and runs test.chaos.supervisor; return its path."""
        path = self.directory / "supervisor"
        command = shlex.join([sys.executable, "-m", "test.chaos.supervisor"])
        path.write_text(f'#!/bin/sh\ncd {shlex.quote(str(TOP))}\nexec {command} "$@"\n')
        path.chmod(0o755)
        return path

    def _key(self, name: str, content: str) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(content)

    def ad(self, command_id: str, end_of_lease_s: int, capacity: int) -> dict[str, Any]:
        request: dict[str, Any] = json.loads(REQUEST.read_text())
        files = {"PublicKeyFile": "access_key", "SecretKeyFile": "secret_key"}
        keys = {name: str(self.directory / file) for name, file in files.items()}
        own = {"Command": "CA_BULK_REQUEST", "RequestVersion": 1, "CommandID": command_id}
        return request | own | keys | {"EndOfLease": end_of_lease_s, "TargetCapacity": capacity}

    def cancel_ad(self, command_id: str, annex_id: str) -> dict[str, Any]:
        return {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "CommandID": command_id, "Annex": annex_id}

    def change_ad(self, command_id: str, annex_id: str, change: dict[str, Any]) -> dict[str, Any]:
        return self.cancel_ad(command_id, annex_id) | {"Command": "CA_CHANGE_LEASE", **change}

    def start_client(self, ad: dict[str, Any]) -> subprocess.Popen[str]:
        client = subprocess.Popen(
            [sys.executable, "-m", "test.chaos.client"],
            env=self.pool.env,
            text=True,
            cwd=TOP,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert client.stdin is not None
        client.stdin.write(json.dumps({"address_file": str(self.directory / "log" / ".annexd_address"), "ad": ad}))
        client.stdin.close()
        client.stdin = None
        return client

    def start_condor_annex(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        keys = ("-access", str(self.directory / "access_key"), "-secret", str(self.directory / "secret_key"))
        command = [sys.executable, "-m", "annexd.tool.main", *arguments, *keys, str(REQUEST)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.pool.env, text=True, cwd=TOP, stdout=pipe, stderr=pipe)

    def has_accepted(self, command_id: str) -> bool:
        return f"request {command_id} from" in self.annexd_log()

    def processes(self, what: str) -> list[Process]:
        """Return the processes of one kind: annexd, worker or master."""
        return [each for each in members(str(self.pool.config_file)) if _is(each, what)]

    def annexd_log(self) -> str:
        return (self.directory / "log" / "AnnexdLog").read_text(errors="replace")

    def wait(self, condition: Callable[[], object], what: Callable[[], str], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"waited {timeout_s:.0f} s for {what()}\n{self.annexd_log()[-3000:]}")
            time.sleep(0.2)


def _is(process: Process, what: str) -> bool:
    match what:
        case "annexd":
            return process.name == "condor_annexd"
        case "worker":
            return "annexd.daemoncore.pool.outbound_worker" in process.arguments
    return process.name == "condor_master"
