"""Create roles with exactly the policies of annexd's manual, and with one right less, for calls to AWS.

The user is usually an administrator, whose orders prove nothing about user.json.
"""

import json
import time
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from annexd.account.errors import AccountError
from annexd.account.policies import policies
from annexd.account.session import translate_aws_errors
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from test.live import names
from test.live.account import Account, Keys
from test.live.pace import Durations

SESSION_S: Final = 3600  # the limit for a caller that is itself a role
Document = dict[str, Any]


def documents(partition: str) -> dict[str, list[Document]]:
    """Return the policies of each role, by its kind."""
    user = policies("user", names.STACK, partition)
    return {
        "setup": policies("setup", names.STACK, partition),
        "user": user,
        "no-run-instances": [_without(each, "ec2:RunInstances") for each in user],
        "no-create-tags": [_without(each, "ec2:CreateTags") for each in user],
        "fleet-tagging": [_tagging_fleets_only(each, partition) for each in user],
        "pass-role-ec2": [_passed_only_to(each, "ec2.amazonaws.com", "ec2.amazonaws.com.cn") for each in user],
        "pass-role-spotfleet": [_passed_only_to(each, "spotfleet.amazonaws.com") for each in user],
    }


def _without(document: Document, action: str) -> Document:
    kept = [{**each, "Action": [one for one in each["Action"] if one != action]} for each in document["Statement"]]
    return {**document, "Statement": [each for each in kept if each["Action"]]}


def _tagging_fleets_only(document: Document, partition: str) -> Document:
    """Restrict ec2:CreateTags to Spot Fleet requests and instances."""
    changed = deepcopy(document)
    own = [each for each in changed["Statement"] if "ec2:CreateTags" in each["Action"] and each["Resource"] == "*"]
    for each in own:
        each["Action"] = [one for one in each["Action"] if one != "ec2:CreateTags"]
    granted = {"Effect": "Allow", "Action": ["ec2:CreateTags"]}
    kinds = [f"arn:{partition}:ec2:*:*:{kind}/*" for kind in ("spot-fleet-request", "instance")]
    kept = [each for each in changed["Statement"] if each["Action"]]
    return {**changed, "Statement": [*kept, {**granted, "Resource": kinds}] if own else kept}


def _passed_only_to(document: Document, *services: str) -> Document:
    changed = deepcopy(document)
    for each in changed["Statement"]:
        if each["Action"] == ["iam:PassRole"]:
            each["Condition"] = {"StringEquals": {"iam:PassedToService": list(services)}}
    return changed


class Roles:
    """The roles of one rehearsal; `keys` are their sessions."""

    def __init__(self, account: Account, pace: Durations, run: str) -> None:
        self._account, self._pace, self._run = account, pace, run
        # The reason why no role can be assumed; empty once all are created.
        self.why_not = "the root user cannot assume a role: rehearse as an IAM user or a role"
        self.ready_s: dict[str, float] = {}  # the time after which each could be assumed

    def make(self) -> None:
        """Create all roles.  Raises AccountError."""
        self.why_not = "not all roles could be created"  # a role with incomplete policies would give wrong results
        iam = self._account.client("iam")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"AWS": f"arn:{self._account.partition}:iam::{self._account.number}:root"},
                }
            ],
        }
        for kind, granted in documents(self._account.partition).items():
            role = names.role(self._account.region, kind)
            with translate_aws_errors(f"CreateRole {role}"):
                iam.create_role(
                    RoleName=role,
                    AssumeRolePolicyDocument=json.dumps(trust),
                    MaxSessionDuration=SESSION_S,
                    Tags=[{"Key": names.TAG, "Value": self._run}],
                )
                for number, document in enumerate(granted):
                    text = json.dumps(document, separators=(",", ":"))
                    iam.put_role_policy(RoleName=role, PolicyName=f"rights-{number}", PolicyDocument=text)
        self.why_not = ""

    def keys(self, kind: str) -> Keys:
        """Assume a role as soon as IAM allows it.  Raises AccountError."""
        if self.why_not:
            raise AccountError(self.why_not)
        role = names.role(self._account.region, kind)
        arn = f"arn:{self._account.partition}:iam::{self._account.number}:role/{role}"
        began_s = time.monotonic()
        with translate_aws_errors(f"AssumeRole {role}"):
            response = self._assumed(arn, began_s)
        self.ready_s.setdefault(kind, time.monotonic() - began_s)
        return Keys(response["AccessKeyId"], response["SecretAccessKey"], response["SessionToken"])

    def _assumed(self, arn: str, began_s: float) -> Mapping[str, str]:
        """Assume a role, with retries, since a new one is refused for some seconds."""
        sts = self._account.client("sts")
        while True:
            try:
                response = sts.assume_role(RoleArn=arn, RoleSessionName="rehearsal", DurationSeconds=SESSION_S)
            except AWS_ERRORS:
                if time.monotonic() - began_s > self._pace.roles_s:
                    raise
                time.sleep(self._pace.poll_s)
                continue
            credentials: Mapping[str, str] = response["Credentials"]
            return credentials


def remove_roles(account: Account) -> None:
    iam = account.client("iam")
    for role in left_roles(account):
        with translate_aws_errors(f"DeleteRole {role}"):
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                iam.delete_role_policy(RoleName=role, PolicyName=policy)
            try:
                iam.delete_role(RoleName=role)
            except AWS_ERRORS as error:
                if not errors.is_not_found(error):
                    raise


def left_roles(account: Account) -> list[str]:
    """Return the existing roles of this region's rehearsals."""
    return present(account, [names.role(account.region, kind) for kind in documents(account.partition)])


def present(account: Account, roles: Iterable[str]) -> list[str]:
    """Return the given roles that exist."""
    iam, found = account.client("iam"), []
    for role in roles:
        with translate_aws_errors(f"GetRole {role}"):
            try:
                iam.get_role(RoleName=role)
            except AWS_ERRORS as error:
                if not errors.is_not_found(error):
                    raise
                continue
        found.append(role)
    return found
