"""A site, the base of the system tests: a real pool with annexd, an emulated AWS, and a user with keys."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from annexd.annex.lease.heartbeat import newest_receipt
from annexd.annex.lease.identifiers import read_leased_token
from annexd.annex.lease.lease import TAG_LEASE_END
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.pool import ANNEXD_CONFIG, Pool

TOP = Path(__file__).resolve().parents[2]
TEMPLATE = TOP / "templates" / "template-3.json"
REQUEST = TOP / "templates" / "config.json"
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
FOUND_S = 120.0
T = TypeVar("T")

SEND = """
import classad2, json, sys
from htcondor2 import htcondor2_impl
address, ads = json.load(sys.stdin)
for ad in ads:
    reply, code, text = htcondor2_impl._send_generic_payload_command(address, 1000, classad2.ClassAd(ad)._handle)
    print(json.dumps([dict(reply) if reply else None, code, text]), flush=True)
"""


class Site:
    """`with Site() as site:`; `site.order()` sends one request with the official bindings and returns the reply."""

    def __init__(
        self,
        cloud: Cloud,
        extra_config: str = "",
        *,
        shared_port: bool = True,
        condor_ids: tuple[int, int] | None = None,
    ) -> None:
        self.cloud = cloud
        self.arn = self._deploy()
        self.pool = Pool(
            f"""{ANNEXD_CONFIG}
            ANNEX_DEFAULT_EC2_URL = {cloud.url}
            ANNEX_DEFAULT_LAMBDA_URL = {cloud.url}
            ANNEX_DEFAULT_STS_URL = {cloud.url}
            ANNEX_DEFAULT_LOGS_URL = {cloud.url}
            ANNEX_DEFAULT_SSM_URL = {cloud.url}
            ANNEX_DEFAULT_LEASE_FUNCTION_ARN = {self.arn}
            ANNEX_DEFAULT_FLEET_ROLE_ARN = arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role
            ANNEX_FLEET_API = SpotFleet
            ANNEX_MIN_LEASE = 1
            {extra_config}
            """.replace("\n            ", "\n"),
            daemons=DAEMONS,
            shared_port=shared_port,
            condor_ids=condor_ids,
        )
        self.public_key_file, self.secret_key_file = self.key_files()

    def key_files(self) -> tuple[str, str]:
        """Write the user's AWS keys into files that nobody else may read; return their paths."""
        return self._private_file("access_key", ACCESS_KEY_ID), self._private_file("secret_key", SECRET_ACCESS_KEY)

    def _deploy(self) -> str:
        arn = self.cloud.deploy_template(TEMPLATE)
        beat(self.cloud, arn)
        return arn

    def renew_account(self) -> None:
        """Reset the account; then deploy the lease function and run it once."""
        self.cloud.reset()
        assert self._deploy() == self.arn

    def __enter__(self) -> Self:
        self.pool.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.stdout.write(f"--- ANNEXD_LOG\n{self.log()[-5000:]}\n")
        self.pool.stop()
        self.cloud.reset()

    def request(self, lease_s: float = 3600, **attributes: Any) -> dict[str, Any]:
        """Return the ad of a request for templates/config.json, with these attributes changed."""
        ad: dict[str, Any] = json.loads(REQUEST.read_text())
        ad |= {
            "Command": "CA_BULK_REQUEST",
            "RequestVersion": 1,
            "EndOfLease": int(time.time() + lease_s),
            "LeaseDuration": int(lease_s),
            "PublicKeyFile": self.public_key_file,
            "SecretKeyFile": self.secret_key_file,
        }
        return ad | attributes

    def send(
        self, *ads: dict[str, Any], env: dict[str, str] | None = None, to: str | None = None
    ) -> list[tuple[dict[str, Any] | None, int]]:
        """Send the ads in turn by one client process; return (reply ad or None, the bindings' code) for each."""
        done = self.pool.run(sys.executable, "-c", SEND, stdin=json.dumps([to or self.address, ads]), env=env)
        assert done.returncode == 0, done.stderr
        return [(reply, code) for reply, code, _text in map(json.loads, done.stdout.splitlines())]

    def start_client(self, ad: dict[str, Any], to: str | None = None) -> subprocess.Popen[str]:
        """Start a client process that sends one request and waits."""
        client = subprocess.Popen(
            [sys.executable, "-c", SEND],
            env=self.pool.env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert client.stdin is not None
        client.stdin.write(json.dumps([to or self.address, [ad]]))
        client.stdin.close()
        return client

    def send_expression(self, attribute: str, expression: str) -> int:
        """Send a request in which one attribute is a ClassAd expression; return the bindings' code."""
        program = SEND.replace("classad2.ClassAd(ad)", "with_expression(ad)").replace(
            "address, ads =",
            "def with_expression(ad):\n    expression = ad.pop('Expression')\n"
            "    made = classad2.ClassAd(ad)\n    made[expression[0]] = classad2.ExprTree(expression[1])\n"
            "    return made\naddress, ads =",
        )
        ad = self.request() | {"Expression": [attribute, expression]}
        done = self.pool.run(sys.executable, "-c", program, stdin=json.dumps([self.address, [ad]]))
        return int(json.loads(done.stdout)[1]) if done.returncode == 0 else done.returncode

    def order(self, to: str | None = None, **attributes: Any) -> dict[str, Any]:
        """Send one request; return its reply."""
        [(reply, code)] = self.send(self.request(**attributes), to=to)
        assert reply is not None, f"no reply (code {code})\n{self.log()}"
        return reply

    def order_later(self, **attributes: Any) -> "Later":
        return Later(lambda: self.send(self.request(**attributes)))

    @property
    def address(self) -> str:
        return self.pool.address("ANNEXD")

    def ad(self) -> dict[str, Any] | None:
        """Return annexd's own ad in the collector."""
        said = self.pool.tool("condor_status", "-subsystem", "Annexd", "-json").stdout
        found = json.loads(said) if said.strip() else []
        return found[0] if found else None

    def log(self) -> str:
        return self.pool.log("ANNEXD")

    def pid(self) -> int:
        """Return the process ID of the running annexd, from its log."""
        return int(re.findall(r"\*\* PID = (\d+)", self.log())[-1])

    def starts(self) -> int:
        return self.log().count("STARTING UP")

    def kill(self) -> None:
        """Kill annexd with kill -9, and nothing else."""
        os.kill(self.pid(), signal.SIGKILL)

    def wait_for_restart(self, starts_before: int) -> None:
        self.wait(
            lambda: self.starts() > starts_before and "Command socket at" in self.log().rpartition("STARTING UP")[2],
            "condor_master to start annexd again",
        )

    def wait_for_look(self) -> None:
        """Wait until this annexd has inspected the account of its orders; from then on it makes only their calls."""

        def looked() -> bool:
            [began] = re.findall(r"^(\S+ \S+) .* STARTING UP$", self.log(), re.MULTILINE)[-1:]
            began_s = time.mktime(time.strptime(began, "%m/%d/%y %H:%M:%S"))
            return float((self.ad() or {}).get("AnnexReconcileTime", 0)) >= began_s

        self.wait(looked, "annexd's first look at the account")

    @contextmanager
    def logged(self, text: str) -> Iterator[None]:
        """Run the block; then wait until annexd's log contains `text` once more than before."""
        before = self.log().count(text)
        yield
        self.wait(lambda: self.log().count(text) > before, f"{text!r} in annexd's log")

    def wait_for_end(self, pid: int) -> None:
        """Wait until this annexd has ended, and its ad is gone.  Its ads go slightly before its journal is closed."""
        self.wait(lambda: not process_exists(pid), "annexd to end")
        self.wait(lambda: self.ad() is None, "its ad to be gone")

    def wait(self, condition: Callable[[], T], what: str, timeout_s: float = FOUND_S) -> T:
        return self.pool.wait_for(condition, what, timeout_s)

    def fleets(self, *, active: bool = True) -> list[dict[str, Any]]:
        return [fleet for fleet in self.cloud.fleets() if not active or fleet["state"] == "active"]

    def wait_until_gone(self, fleet_id: str) -> None:
        """Wait until AWS has terminated the last instance of a fleet."""
        self.wait(
            lambda: fleet_id not in [each["fleet"] for each in self.cloud.running_instances()],
            f"the instances of {fleet_id} to be gone",
        )

    def _private_file(self, name: str, content: str) -> str:
        path = self.pool.directory / name
        path.touch(mode=0o600)
        path.write_text(content)
        return str(path)


def beat(cloud: Cloud, function_arn: str) -> None:
    """Run the lease function once by its rule; return when its receipt can be read."""
    began_s = int(time.time())
    cloud.tick()
    deadline_s = time.monotonic() + FOUND_S
    logs = cloud.client("logs")
    while (receipt := newest_receipt(logs, function_arn, time.time())) is None or receipt.at_s < began_s:
        assert time.monotonic() < deadline_s, "no receipt of the lease function"
        time.sleep(0.05)


def end_in_aws(site: Site, annex: dict[str, Any]) -> str:
    """Return the end of an annex's lease that AWS's own tools show."""
    ec2, fleet_id = site.cloud.client("ec2"), annex["BulkRequestID"]
    if fleet_id.startswith("sfr-"):
        [fleet] = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])["SpotFleetRequestConfigs"]
        token = read_leased_token(fleet["SpotFleetRequestConfig"]["ClientToken"])
    else:
        [fleet] = ec2.describe_fleets(FleetIds=[fleet_id])["Fleets"]
        token = read_leased_token(fleet["ClientToken"])
    assert token is not None
    assert token.end_of_lease_s == annex["EndOfLease"], "which nobody can change"
    return next(str(tag["Value"]) for tag in fleet["Tags"] if tag["Key"] == TAG_LEASE_END)


class Later:
    """A request in flight, sent by a thread of the test."""

    def __init__(self, send: Callable[[], list[tuple[dict[str, Any] | None, int]]]) -> None:
        self._result: list[tuple[dict[str, Any] | None, int]] = []
        self._thread = threading.Thread(target=lambda: self._result.extend(send()), daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def reply(self, timeout_s: float = 60.0) -> dict[str, Any] | None:
        """Return the reply ad, or None when the connection ended without one."""
        self._thread.join(timeout_s)
        assert self.done, f"no reply within {timeout_s} s"
        return self._result[0][0]


def process_exists(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
