"""The user's account: clients with the user's credentials, and reasons not to begin there."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import boto3
from botocore.config import Config

from annexd.account.annexes import annexes
from annexd.account.enforcer import Enforcer
from annexd.account.errors import AccountError
from annexd.account.session import Session, translate_aws_errors
from annexd.account.stack import Stack
from annexd.account.template import FUNCTION, LOG_GROUP
from test.live import names
from test.live.recorder import Recorder

Say = Callable[[str], object]
CONFIG: Final = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})
# botocore renews in the last fifteen minutes (RefreshableCredentials): credentials with less left are not renewable.
RENEWED_S: Final = 900
KEPT: Final = ("AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CA_BUNDLE")
CLEAN_UP: Final = 'end what it created with: make live ARGS="--region {} --clean-up"'


@dataclass(frozen=True)
class Keys:
    """Credentials of one identity, frozen; never shown."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return "<redacted>"

    def environment(self) -> dict[str, str]:
        """Return variables for a process that uses the keys; unlike its argv, only its owner can read them."""
        token = {"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {}
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key, **token}


class Account:
    """One region of the account.

    `watched` returns recorded clients, `client` unrecorded ones, for calls that may show others' resources.
    """

    def __init__(self, region: str, profile: str | None, recorder: Recorder) -> None:
        self.region = region
        # A profile may send one service elsewhere, but condor_annex's environment names no profile.  So all calls go
        # to AWS, or all to the endpoint in the environment.
        if not any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ):
            os.environ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
        with translate_aws_errors("the AWS configuration"):
            self._boto = boto3.Session(profile_name=profile, region_name=region)
        self.session = Session(profile)
        self._recorder = recorder
        self._clients: dict[str, Any] = {}
        self.stack_roles: set[str] = set()
        self.changed_s = 0.0  # time of the last request that may still take effect

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.client(service, self.region)
        return self._clients[service]

    def watched(self, service: str, keys: Keys | None = None) -> Any:
        own = keys or self.keys
        session = boto3.Session(own.access_key_id, own.secret_access_key, own.session_token, region_name=self.region)
        return self._recorder.watch(session.client(service, config=CONFIG))

    def note_stack(self, parts: Mapping[str, str]) -> None:
        """Remember the stack's roles, to verify their deletion, since IAM does not report a role's stack."""
        self.stack_roles |= {name for part, name in parts.items() if part.endswith("Role")}

    @property
    def keys(self) -> Keys:
        """Return the current keys; botocore renews those of roles, of SSO and of programs."""
        frozen = self._found().get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def expiry(self) -> datetime | None:
        """Return the expiry of the credentials, or None if they have none."""
        found = self._found()
        found.get_frozen_credentials()  # renews what can be renewed
        return getattr(found, "_expiry_time", None)  # botocore has no public name for it

    def _found(self) -> Any:
        with translate_aws_errors("the credentials"):
            found = self._boto.get_credentials()
        if found is None:
            raise AccountError(
                "no AWS credentials were found",
                "use --profile NAME, or set them in the environment; aws configure creates a profile",
            )
        return found

    @cached_property
    def caller_arn(self) -> str:
        with translate_aws_errors("GetCallerIdentity"):
            return str(self.client("sts").get_caller_identity()["Arn"])

    @property
    def number(self) -> str:
        return self.caller_arn.split(":")[4]

    @property
    def partition(self) -> str:
        return self.caller_arn.split(":")[1]

    @property
    def is_root(self) -> bool:
        return self.caller_arn.endswith(":root")

    def environment(self, keys: Keys) -> dict[str, str]:
        """Return condor_annex's environment for the same AWS, with these keys."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        own = {"AWS_REGION": self.region, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
        return own | keys.environment() | kept

    def secrets(self) -> list[str]:
        """Return texts that no report may contain."""
        return [
            self.keys.access_key_id,
            self.keys.secret_access_key,
            self.keys.session_token or "",
            self.caller_arn.rpartition("/")[2] if "/" in self.caller_arn else "",
        ]

    def mark_change(self) -> None:
        self.changed_s = time.monotonic()

    def stack(self, say: Say, deadline_s: float) -> Stack:
        return Stack(self.client("cloudformation"), names.STACK, say, deadline_s)


def refuse_unless_free(account: Account) -> None:
    """Raise AccountError if the rehearsal could meet a production set-up or another rehearsal.

    There is one enforcer per region and account, whatever its stack's name, so a region is either production's or
    the rehearsal's.  Reading another's enforcer would prove little, and its orders would show up in the report.
    """
    enforcer = Enforcer(account.session, account.region, say=lambda _: None)
    found = enforcer.look()
    if found is not None and enforcer.stack_name() != names.STACK:
        raise AccountError(
            f"{account.region} has a lease function {FUNCTION} already, of the stack "
            f"{enforcer.stack_name() or 'nobody knows which'}: nothing was done",
            "use --region with a region without annexes",
        )
    if found is not None or account.stack(lambda _: None, 0.0).look() is not None:
        raise AccountError(
            f"the stack {names.STACK} is in {account.region}: a rehearsal runs there, or one was killed",
            CLEAN_UP.format(account.region),
        )
    if living := annexes(account.client("ec2")):
        raise AccountError(
            f"{len(living)} annexes live in {account.region}: nothing was done",
            "use --region with a region without annexes",
        )
    if _has_log_group(account.client("logs")):
        raise AccountError(
            f"there is a log group {LOG_GROUP} in {account.region}, which -setup could not create",
            "rehearse in another region, or delete it if it is no longer needed",
        )


def _has_log_group(logs: Any) -> bool:
    with translate_aws_errors("DescribeLogGroups"):
        response = logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
    return any(each["logGroupName"] == LOG_GROUP for each in response)


def refuse_short_lived(account: Account) -> None:
    """Raise AccountError for credentials that expire soon and cannot be renewed."""
    expiry = account.expiry()
    if expiry is None:
        return
    left_s = expiry.timestamp() - time.time()
    if left_s < RENEWED_S:
        raise AccountError(
            f"your AWS credentials expire in {left_s / 60:.0f} minutes, and the rehearsal with its "
            "clean-up may take 90",
            "renew them, and start again",
        )


def has_default_vpc(ec2: Any) -> bool:
    with translate_aws_errors("DescribeVpcs"):
        response: Mapping[str, Any] = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])
    return bool(response["Vpcs"])
