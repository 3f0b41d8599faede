"""The two contenders, each as the command that creates one annex, and the pool and the cloud that both use.

Both get the same request, the same keys and the same lease function; each is configured as its own manual says.  A
setting that only one of them needs has the value that costs it least.
"""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.pool import ANNEXD_CONFIG, HTCondor, NoHTCondorError, Pool, find
from test.system.site import beat

TOP = Path(__file__).resolve().parents[2]
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
BUCKET = "annex"
OURS, PEER = "annexd", "C++"

ANNEXD_KNOBS = """
ANNEX_DEFAULT_EC2_URL = {url}
ANNEX_DEFAULT_LAMBDA_URL = {url}
ANNEX_DEFAULT_STS_URL = {url}
ANNEX_DEFAULT_LOGS_URL = {url}
ANNEX_DEFAULT_S3_URL = {url}
ANNEX_DEFAULT_LEASE_FUNCTION_ARN = {arn}
ANNEX_FLEET_API = SpotFleet
"""
# The C++ tool parses service and region from the host name, for its signatures.  `*.localhost` is this machine.
# A configured region would replace the endpoints.  "ANNNEX" is spelled as in its source (annex.cpp).
PEER_KNOBS = """
ANNEX.ANNEX_DEFAULT_EC2_URL = http://ec2.{host}
ANNEX.ANNEX_DEFAULT_CWE_URL = http://events.{host}
ANNEX.ANNEX_DEFAULT_LAMBDA_URL = http://lambda.{host}
ANNEX.ANNEX_DEFAULT_S3_URL = http://s3.{host}
ANNEX.ANNEX_DEFAULT_AWS_REGION =
ANNEX_DEFAULT_S3_BUCKET = {bucket}
ANNEX_DEFAULT_SFR_LEASE_FUNCTION_ARN = {arn}
ANNEX_GAHP = {gahp}
ANNEX_COLLECTOR = $(COLLECTOR_HOST)
ANNEX_TOKEN_KEY_NAME = POOL
ANNEX_TOKEN_DOMAIN = $(TRUST_DOMAIN)
ANNNEX_PASSWORD_FILE = $(SEC_TOKEN_POOL_SIGNING_KEY_FILE)
USER_CONFIG_FILE = $(LOCAL_DIR)/peer/user_config
"""


@dataclass(frozen=True)
class Run:
    """A command that creates one annex, and its environment."""

    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Contender:
    """One of the two; `run(n)` is the command for its n-th annex.  No two annexes share a name or a written file."""

    name: str
    version: str
    run: Callable[[int], Run]


def with_the_peer() -> HTCondor:
    """Return an HTCondor that still has the C++ condor_annex; raises NoHTCondorError.  Debian's packages have it."""
    found = find()
    try:
        found.executable("condor_annex")
    except NoHTCondorError:
        return find(on_path=False)
    return found


def make_pool(cloud: Cloud, htcondor: HTCondor) -> Pool:
    """Create a pool in which both can work; it is not started yet."""
    arn = cloud.deploy_template(TOP / "templates" / "template-3.json")
    beat(cloud, arn)  # the lease function must have run; its receipt counts for fifteen minutes
    cloud.client("s3").create_bucket(Bucket=BUCKET)
    host = f"{cloud.region}.localhost:{urlsplit(cloud.url).port}"
    knobs = ANNEXD_KNOBS.format(url=cloud.url, arn=arn) + PEER_KNOBS.format(
        host=host, arn=arn, bucket=BUCKET, gahp=htcondor.executable("ec2_gahp")
    )
    return Pool(ANNEXD_CONFIG + knobs, daemons=DAEMONS, htcondor=htcondor)


def contenders(pool: Pool) -> tuple[Contender, Contender]:
    """Return ours and the peer, for a running pool."""
    request = _request_file(pool.directory)
    public, secret = (
        _private_file(pool.directory / name, content)
        for name, content in (("access_key", ACCESS_KEY_ID), ("secret_key", SECRET_ACCESS_KEY))
    )
    tool = Path(sysconfig.get_path("scripts")) / "condor_annex"
    ours = [
        str(tool),
        "-public-key-file",
        public,
        "-secret-key-file",
        secret,
        "-lease-duration",
        "3600",
        "-count",
        "1",
        request,
    ]
    return (
        Contender(OURS, _version(pool, str(tool), "-version"), lambda _: Run(ours, pool.env)),
        Contender(PEER, pool.htcondor.version, _peer(pool, request, public, secret)),
    )


def _peer(pool: Pool, request: str, public: str, secret: str) -> Callable[[int], Run]:
    options = [
        "-aws-access-key-file",
        public,
        "-aws-secret-key-file",
        secret,
        "-duration",
        "1",
        "-slots",
        "1",
        "-aws-spot-fleet-config-file",
        request,
        "-yes",
    ]
    tool = str(pool.htcondor.executable("condor_annex"))

    def run(number: int) -> Run:
        # Each run has a directory for its journal and logs: two at once would wait for each other's files.
        directory = pool.directory / "peer" / str(number)
        directory.mkdir(parents=True)
        own = {
            "_CONDOR_USER_CONFIG_FILE": str(directory / "user_config"),
            "HOME": str(directory),
            # It calls condor_token_fetch, tar and cp through a shell.
            "PATH": f"{pool.htcondor.bin}{os.pathsep}{pool.env.get('PATH', os.defpath)}",
        }
        return Run([tool, "-annex-name", f"peer-{number}", *options], {**pool.env, **own})

    return run


def _request_file(directory: Path) -> str:
    """Write templates/config.json with the role, key and snapshots that the C++ tool requires; return the path."""
    request = json.loads((TOP / "templates" / "config.json").read_text())
    request["IamFleetRole"] = "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"
    for specification in request["LaunchSpecifications"]:
        specification["KeyName"] = "HTCondorAnnex"
        for mapping in specification["BlockDeviceMappings"]:
            mapping["Ebs"]["SnapshotId"] = "snap-0123456789abcdef0"
    path = directory / "request.json"
    path.write_text(json.dumps(request))
    return str(path)


def _private_file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.write_text(content)
    return str(path)


def _version(pool: Pool, *command: str) -> str:
    return pool.run(*command).stdout.strip()
