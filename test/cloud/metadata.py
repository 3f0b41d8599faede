"""The instance metadata service, version 2 only: an instance's data about itself, and its role's credentials.

Every instance has its own path (`Cloud.metadata_url`), which a machine that boots for real sees at 169.254.169.254.

Source: AWS, EC2 user guide, "Use the Instance Metadata Service to access instance metadata".  CERTAIN: the ARN in
iam/info includes the profile's path (github.com/Nike-Inc/cerberus-node-client/issues/9), and tags/instance includes
AWS's own tags (github.com/renderedtext/agent-aws-stack reads aws:autoscaling:groupName there).  LIKELY: it includes
Spot Fleet's tag.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from test.cloud import principals
from test.cloud.errors import Answer
from test.cloud.instances import Instance
from test.cloud.needs import roles_of
from test.cloud.request import Request
from test.cloud.views import ACCOUNT, profile_arn

PREFIX = "/_imds/"  # + instance ID + the path that the instance requests
LONGEST_TOKEN_S = 21600
TTL_HEADER, TOKEN_HEADER = "x-aws-ec2-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token"
NOTICES = {
    "interruption": "latest/meta-data/spot/instance-action",
    "rebalance": "latest/meta-data/events/recommendations/rebalance",
}
Page = Callable[[Instance, str], str | None]


class Metadata:
    """The metadata of the instances of all regions; `find` returns an instance and its region by its ID."""

    def __init__(self, find: Callable[[str], tuple[Instance, str] | None]) -> None:
        self._find = find
        self._tokens: dict[str, tuple[str, float]] = {}  # token -> instance, expiry
        self._sessions: dict[tuple[str, str], principals.Session] = {}
        self._announced: dict[str, dict[str, str]] = {}  # pages by instance

    def announce(self, instance_id: str, **pages: str | None) -> None:
        """Set the texts of AWS's `interruption` and `rebalance` notices; None withdraws one, so it is a 404 again."""
        response = self._announced.setdefault(instance_id, {})
        response |= {NOTICES[name]: text for name, text in pages.items() if text is not None}
        for name in pages:
            if pages[name] is None:
                response.pop(NOTICES[name], None)

    def expire_tokens(self) -> None:
        """Expire every token, as six hours would."""
        self._tokens.clear()

    def clear(self) -> None:
        self._announced.clear()
        self._tokens.clear()
        self._sessions.clear()

    def answer(self, request: Request) -> Answer:
        instance_id, _, path = request.path.removeprefix(PREFIX).partition("/")
        found = self._find(instance_id)
        if found is None:
            return _answer(404, f"no instance {instance_id} runs")
        if path == "latest/api/token":
            return self._new_token(request, instance_id)
        if request.method != "GET":
            return _answer(405)
        if not self._is_known(request.headers.get(TOKEN_HEADER, ""), instance_id):
            return _answer(401)
        text = self._read(*found, path.rstrip("/"))
        return _answer(404) if text is None else _answer(200, text)

    def _new_token(self, request: Request, instance_id: str) -> Answer:
        if request.method != "PUT":
            return _answer(405)
        if "x-forwarded-for" in request.headers:
            return _answer(403)
        ttl = request.headers.get(TTL_HEADER, "")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= LONGEST_TOKEN_S:
            return _answer(400)
        token = secrets.token_urlsafe(40)
        self._tokens[token] = (instance_id, time.time() + int(ttl))
        return Answer(200, token.encode(), {"Content-Type": "text/plain", TTL_HEADER: ttl})

    def _is_known(self, token: str, instance_id: str) -> bool:
        owner, until_s = self._tokens.get(token, ("", 0.0))
        return owner == instance_id and time.time() < until_s

    def _read(self, instance: Instance, region: str, path: str) -> str | None:
        pages = _pages(instance, region) | self._iam_pages(instance, region)
        announced = self._announced.get(instance.instance_id, {})
        pages |= {page: lambda text=text: text for page, text in announced.items()}  # type: ignore[misc]
        if path in pages:
            return pages[path]()
        below = {page.removeprefix(f"{path}/").partition("/") for page in pages if page.startswith(f"{path}/")}
        return "\n".join(sorted({name + slash for name, slash, _ in below})) or None

    def _iam_pages(self, instance: Instance, region: str) -> dict[str, Callable[[], str]]:
        """Return the iam pages; empty for an instance without a profile or whose profile has no role yet."""
        profile = _profile_arn(instance)
        roles = roles_of(profile) if profile else []
        if not profile or not roles:
            return {}
        role_arn = roles[0]
        name = role_arn.rpartition("/")[2]
        return {
            "latest/meta-data/iam/info": lambda: _info(profile),
            f"latest/meta-data/iam/security-credentials/{name}": lambda: self._credentials(instance, role_arn, region),
        }

    def _credentials(self, instance: Instance, role_arn: str, region: str) -> str:
        key = (instance.instance_id, role_arn)
        session = self._sessions.get(key)
        if session is None or session.expires_at_s < time.time() + 300:
            session = self._sessions[key] = principals.session(role_arn, instance.instance_id, region)
        return json.dumps(
            {
                "Code": "Success",
                "LastUpdated": _utc(time.time()),
                "Type": "AWS-HMAC",
                "AccessKeyId": session.access_key_id,
                "SecretAccessKey": session.secret_access_key,
                "Token": session.session_token,
                "Expiration": _utc(session.expires_at_s),
            },
            indent=2,
        )


def _pages(instance: Instance, region: str) -> dict[str, Callable[[], str]]:
    spec: Mapping[str, Any] = instance.specification
    pages: dict[str, Callable[[], str]] = {
        "latest/meta-data/instance-id": lambda: instance.instance_id,
        "latest/meta-data/ami-id": lambda: str(spec.get("ImageId")),
        "latest/meta-data/instance-type": lambda: str(spec.get("InstanceType")),
        "latest/meta-data/instance-life-cycle": lambda: "spot" if instance.is_spot else "on-demand",
        "latest/meta-data/local-ipv4": instance.private_ip,
        "latest/meta-data/placement/region": lambda: region,
        "latest/meta-data/placement/availability-zone": lambda: instance.zone,
        "latest/meta-data/services/domain": lambda: "amazonaws.com",
        "latest/meta-data/services/partition": lambda: "aws",
        "latest/dynamic/instance-identity/document": lambda: _identity(instance, region),
    }
    if "UserData" in spec:
        pages["latest/user-data"] = lambda: base64.b64decode(str(spec["UserData"])).decode("utf-8", "replace")
    if (spec.get("MetadataOptions") or {}).get("InstanceMetadataTags") == "enabled":
        pages |= {
            f"latest/meta-data/tags/instance/{key}": lambda value=value: value  # type: ignore[misc]
            for key, value in instance.tags.at(time.time()).items()
        }
    return pages


def _identity(instance: Instance, region: str) -> str:
    spec = instance.specification
    return json.dumps(
        {
            "accountId": ACCOUNT,
            "architecture": "x86_64",
            "availabilityZone": instance.zone,
            "imageId": spec.get("ImageId"),
            "instanceId": instance.instance_id,
            "instanceType": spec.get("InstanceType"),
            "pendingTime": _utc(instance.launched_at_s),
            "privateIp": instance.private_ip(),
            "region": region,
            "version": "2017-09-30",
        },
        indent=2,
    )


def _info(profile_arn: str) -> str:
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": _utc(time.time()),
            "InstanceProfileArn": profile_arn,
            "InstanceProfileId": "AIPAEMULATED",
        },
        indent=2,
    )


def _profile_arn(instance: Instance) -> str | None:
    profile: Any = instance.specification.get("IamInstanceProfile") or {}
    return profile_arn(profile) if profile else None


def _utc(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(status: int, text: str = "") -> Answer:
    return Answer(status, text.encode(), {"Content-Type": "text/plain"})
