"""An account with annexes: bucket, objects, roles and instances, created through AWS's API."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import boto3

from annexd.annex.lease import lease
from annexd.annex.lease.lease import tags
from test.cloud import Cloud
from test.cloud.orders import ec2_fleet_config, fleet_config, specification, template

BUCKET = "annexes-of-123456789012"
MAX_LEASE_S = 30 * 86400
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5leCJ9.c2VjcmV0LXNpZ25hdHVyZQ"
MOVED_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5leCIsImp0aSI6Mn0.YW5vdGhlci1zaWduYXR1cmU"
CONFIG = 'START = TARGET.Owner == "alice"\n'


def policy(*arns: str, **more: Any) -> dict[str, Any]:
    """Return the policy that templates/annex.json gives an instance's role, for these objects."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": list(arns), **more},
            {"Effect": "Allow", "Action": "ec2:DescribeTags", "Resource": "*"},
            {
                "Effect": "Allow",
                "Action": ["iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"],
                "Resource": "arn:aws:iam::123456789012:role/*",
            },
        ],
    }


def object_arn(key: str) -> str:
    return f"arn:aws:s3:::{BUCKET}/{key}"


EVERY_ANNEX = object_arn("annex/*.tar.gz")


def member(name: str, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = 0o600
    for attribute, value in more.items():
        setattr(info, attribute, value)
    return info


def tarball(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def manifest(
    annex_id: str,
    lease_end_s: float,
    ordered_end_s: float | None = None,
    cancelled_s: float | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return the annex.json that annexd writes for the only fleet of a test's annex."""
    own = {lease.TAG_LEASE_END: lease.utc(lease_end_s)}
    if cancelled_s is not None:
        own[lease.TAG_CANCELLED] = lease.utc(cancelled_s)
    ordered_s = int(lease_end_s if ordered_end_s is None else ordered_end_s)
    return {
        "AnnexID": annex_id,
        "ClientToken": f"{annex_id}_{ordered_s}_0123456789abcdef",
        "Tags": own,
        "LeaseEnd": int(lease_end_s),
        "MaxLease": MAX_LEASE_S,
        "Pool": "pool.example.org",
        **changes,
    }


def config_bundle(annex_id: str, lease_end_s: float, other: Mapping[str, Any] | None = None, /, **files: str) -> bytes:
    """Return the object of an annex as annexd creates it; `other` replaces its annex.json."""
    manifest_ = manifest(annex_id, lease_end_s) if other is None else other
    content = {"annex.json": json.dumps(manifest_), "50-condor-annex.conf": CONFIG, "annex.token": TOKEN, **files}
    return tarball((member(name), text.encode()) for name, text in content.items())


class Account:
    """The resources that a test needs before an instance boots."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        cloud.client("s3").create_bucket(Bucket=BUCKET)

    def put(self, key: str, body: bytes) -> None:
        self.cloud.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    def annex(self, annex_id: str = "annex-one", lease_s: float = 3600, files: Mapping[str, str] | None = None) -> int:
        """Create the object of an annex, and return the ordered end."""
        ordered_end_s = int(time.time() + lease_s)
        self.put(f"annex/{annex_id}.tar.gz", config_bundle(annex_id, ordered_end_s, None, **files or {}))
        return ordered_end_s

    def move(self, ordered_end_s: int, end_s: int, cancelled_s: float | None = None, **files: str) -> None:
        """Replace the object as annexd does when the end of the lease is moved."""
        other = manifest("annex-one", end_s, ordered_end_s, cancelled_s)
        moved = {"50-condor-annex.conf": f"LeaseEnd = {end_s}\n", "annex.token": MOVED_TOKEN, **files}
        self.put("annex/annex-one.tar.gz", config_bundle("annex-one", end_s, other, **moved))

    def profile(self, *policies: Mapping[str, Any], name: str = "annexes", path: str = "/") -> str:
        """Create an instance profile whose role has these policies inline, and return its name."""
        iam = self.cloud.client("iam")
        iam.create_role(RoleName=f"role-{name}", AssumeRolePolicyDocument=json.dumps(TRUST))
        for number, document in enumerate(policies):
            iam.put_role_policy(RoleName=f"role-{name}", PolicyName=f"p{number}", PolicyDocument=json.dumps(document))
        iam.create_instance_profile(InstanceProfileName=name, Path=path)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=f"role-{name}")
        return name

    def instance(
        self, profile: str | None = None, annex_id: str | None = "annex-one", lease_s: float = 3600, **more: Any
    ) -> str:
        """Launch an instance for an annex, and return its ID."""
        if profile is not None:
            more["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
        if annex_id is not None:
            own = tags(annex_id, "alice", int(time.time() + lease_s))
            more["TagSpecifications"] = [{"ResourceType": "instance", "Tags": own}]
        return self._launch(LaunchSpecifications=[specification(**more)])

    def own_profile(self) -> str:
        """Create a profile like that of -setup, with the same path and the same rights."""
        rights = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": EVERY_ANNEX},
                {"Effect": "Allow", "Action": "ec2:DescribeTags", "Resource": "*"},
            ],
        }
        return self.profile(rights, path=f"/htcondor-annex/{BUCKET}/")

    def instance_of_template(
        self, profile: str, annex_id: str = "annex-one", name: str = "machines", **data: Any
    ) -> str:
        """Launch an instance from the user's launch template.

        The instance has only AWS's tags; ours are on its fleet.
        """
        data["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
        ec2 = self.cloud.client("ec2")
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=specification(**data))
        named = {"LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "1"}}
        own = [{"ResourceType": "spot-fleet-request", "Tags": tags(annex_id, "alice", int(time.time() + 3600))}]
        return self._launch(LaunchSpecifications=[], LaunchTemplateConfigs=[named], TagSpecifications=own)

    def instance_of_ec2_fleet(self, profile: str, annex_id: str = "annex-one", *, template_of: str = "") -> str:
        """Launch an instance of an EC2 Fleet that is created as annexd does it.

        The tags of its template name the annex `template_of`, if given.
        """
        ec2, end_s = self.cloud.client("ec2"), int(time.time() + 3600)
        own = [{"ResourceType": "instance", "Tags": tags(template_of or annex_id, "alice", end_s)}]
        seen = {"HttpTokens": "required", "InstanceMetadataTags": "enabled"}
        made_of = template(ec2, IamInstanceProfile={"Name": profile}, TagSpecifications=own, MetadataOptions=seen)
        fleet = [{"ResourceType": "fleet", "Tags": tags(annex_id, "alice", end_s)}]
        asked = ec2_fleet_config(made_of, 1, TagSpecifications=fleet)
        return self._new(lambda: ec2.create_fleet(**asked))

    def _launch(self, **config: Any) -> str:
        asked, ec2 = fleet_config(1, Type="request", **config), self.cloud.client("ec2")
        return self._new(lambda: ec2.request_spot_fleet(SpotFleetRequestConfig=asked))

    def _new(self, order: Callable[[], Any]) -> str:
        """Place an order, and return the ID of the only instance that it starts."""
        known = {each["id"] for each in self.cloud.running_instances()}
        order()
        [new] = {each["id"] for each in self.cloud.running_instances()} - known
        return str(new)


def outputs(cloud: Cloud, body: str) -> dict[str, str]:
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName="stack", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    waiting = {"Delay": 0.1, "MaxAttempts": 600}
    cloudformation.get_waiter("stack_create_complete").wait(StackName="stack", WaiterConfig=waiting)
    [stack] = cloudformation.describe_stacks(StackName="stack")["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def as_instance(cloud: Cloud, instance_id: str) -> Any:
    """Create an S3 client with the credentials that botocore reads from the instance's metadata service."""
    from botocore.credentials import InstanceMetadataProvider
    from botocore.utils import InstanceMetadataFetcher

    fetcher = InstanceMetadataFetcher(config={"ec2_metadata_service_endpoint": cloud.metadata_url(instance_id)}, env={})
    found: Any = InstanceMetadataProvider(fetcher).load()
    session = boto3.Session(found.access_key, found.secret_key, found.token, cloud.region)
    return session.client("s3", endpoint_url=cloud.url)
