"""Principals: the owner of an access key, its secret, and the owner's policies.

IAM users and their keys are read from moto's IAM, role sessions from its STS.  So everything that was created through
the API, also by CloudFormation, applies in its state at the time of the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from test.cloud.keys import OWN_KEYS
from test.cloud.policies import Context, Document, Need, judge
from test.cloud.views import ACCOUNT

SESSION_S = 6 * 3600  # the lifetime of an instance's credentials


@dataclass(frozen=True)
class Principal:
    """The owner of a key; `documents` is None for the account itself, which no policy limits."""

    arn: str
    secret: str
    documents: list[Document] | None
    context: Context = field(default_factory=dict)
    session_token: str | None = None
    expires_at_s: float = float("inf")


@dataclass(frozen=True)
class Session:
    """Temporary credentials of a role."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at_s: float


def iam() -> Any:
    return iam_backends[ACCOUNT]["aws"]


def find(access_key_id: str) -> Principal | None:
    """Return the owner of an active key; None for an unknown key."""
    if access_key_id in OWN_KEYS:
        return Principal(f"arn:aws:iam::{ACCOUNT}:root", OWN_KEYS[access_key_id], None)
    return _user_of(access_key_id) or _session_of(access_key_id)


def _user_of(access_key_id: str) -> Principal | None:
    for user in iam().users.values():
        for key in user.access_keys:
            if key.access_key_id == access_key_id and key.status == "Active":
                context = {"aws:username": [user.name], "aws:principalarn": [user.arn], "aws:userid": [user.id]}
                return Principal(user.arn, key.secret_access_key, list(_documents_of_user(user)), context)
    return None


def _documents_of_user(user: Any) -> Iterator[Document]:
    for each in (user, *iam().get_groups_for_user(user.name)):
        yield from _documents(each)


def _session_of(access_key_id: str) -> Principal | None:
    session = sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(access_key_id)
    if session is None:
        return None
    documents = documents_of_role(session.role_arn)
    context = {"aws:principalarn": [session.role_arn], "aws:userid": [session.user_id]}
    if session.session_name.startswith("i-"):
        source = f"arn:aws:ec2:{session.region_name}:{ACCOUNT}:instance/{session.session_name}"
        context["ec2:sourceinstancearn"] = [source]
    return Principal(
        session.arn, session.secret_access_key, documents, context, session.session_token, _seconds(session.expiration)
    )


def documents_of_role(role_arn: str) -> list[Document]:
    """Return the policies of a role; empty for a role that does not exist."""
    role = next((each for each in iam().roles.values() if each.arn == role_arn), None)
    return list(_documents(role)) if role is not None else []


def trusts(role_arn: str, service: str) -> bool:
    """Return whether a role exists and lets this AWS service assume it."""
    role = next((each for each in iam().roles.values() if each.arn == role_arn), None)
    if role is None:
        return False
    statements = json.loads(role.assume_role_policy_document)["Statement"]
    trust = {"Statement": [{"Resource": "*", **each} for each in statements]}
    return judge([trust], Need("sts:AssumeRole", role_arn), {}, service).allowed


def _documents(owner: Any) -> Iterator[Document]:
    """Yield the policies of a user, a group or a role: inline, then attached."""
    yield from map(json.loads, owner.policies.values())
    for policy in owner.managed_policies.values():
        yield from (json.loads(version.document) for version in policy.versions if version.is_default)


def session(role_arn: str, name: str, region: str, duration_s: int = SESSION_S) -> Session:
    """Return new credentials of a role, as EC2 and Lambda get them for their instances and functions."""
    made = sts_backends[ACCOUNT]["aws"].assume_role(
        region_name=region,
        role_session_name=name,
        role_arn=role_arn,
        policy=None,
        duration=duration_s,
        external_id=None,
    )
    return Session(made.access_key_id, made.secret_access_key, made.session_token, _seconds(made.expiration))


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
