"""List a rehearsal's resources in the account, always from AWS: by tag, by name, or by the tag that only AWS sets.

Nothing is remembered, so that the clean-up after a kill -9 sees the same as any other.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.account.enforcer import Enforcer
from annexd.account.session import translate_aws_errors
from annexd.account.template import LOG_GROUP
from annexd.annex.fleet.inventory import NOT_GONE
from annexd.annex.fleet.kinds import ENDED, FLEET_TAGS, KINDS, OVER, FleetKind
from annexd.annex.lease.lease import TAG_NAME
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from test.live import names
from test.live.account import Account
from test.live.roles import left_roles, present

ASKED_AT_ONCE: Final = 100  # values in one filter, ids in one call


@dataclass(frozen=True)
class Fleet:
    fleet_id: str
    state: str

    def is_over(self, alive: Container[str]) -> bool:
        """Return whether a fleet has no instances and starts none; AWS may show cancelled_terminating for long."""
        return self.state in OVER or (self.state in ENDED and self.fleet_id not in alive)


def fleets(ec2: Any) -> list[Fleet]:
    """Return every fleet with our tag, of both kinds and in any state."""
    return [each for kind in KINDS for each in _fleets(ec2, kind)]


def _fleets(ec2: Any, kind: FleetKind) -> list[Fleet]:
    with translate_aws_errors(kind.describe):
        return [
            Fleet(each[kind.own_id], each[kind.state])
            for page in ec2.get_paginator(kind.describe_method).paginate()
            for each in page[kind.listed]
            if any(tag["Key"] == names.TAG for tag in each.get("Tags") or ())
        ]


def instances(ec2: Any) -> dict[str, str]:
    """Return living instances and their fleets: by AWS's tag of our fleets, and by our tag."""
    known = [each.fleet_id for each in fleets(ec2)]
    filters = [[{"Name": "tag-key", "Values": [names.TAG]}]]
    filters += [[{"Name": f"tag:{tag}", "Values": batch}] for tag in FLEET_TAGS for batch in batches(known)]
    alive = {"Name": "instance-state-name", "Values": NOT_GONE}
    with translate_aws_errors("DescribeInstances"):
        return {
            each["InstanceId"]: _fleet_of(each)
            for asked in filters
            for page in ec2.get_paginator("describe_instances").paginate(Filters=[*asked, alive])
            for reservation in page["Reservations"]
            for each in reservation["Instances"]
        }


def _fleet_of(instance: Mapping[str, Any]) -> str:
    return next((tag["Value"] for tag in instance.get("Tags") or () if tag["Key"] in FLEET_TAGS), "")


def volumes(ec2: Any) -> list[str]:
    with translate_aws_errors("DescribeVolumes"):
        pages = ec2.get_paginator("describe_volumes").paginate(Filters=[{"Name": "tag-key", "Values": [names.TAG]}])
        return [each["VolumeId"] for page in pages for each in page["Volumes"] if each["State"] != "deleting"]


def batches(values: list[str]) -> Iterator[list[str]]:
    for i in range(0, len(values), ASKED_AT_ONCE):
        yield values[i : i + ASKED_AT_ONCE]


def left(account: Account) -> list[str]:
    """Return a line for each remaining resource, costly ones first; an empty list is the proof."""
    ec2 = account.client("ec2")
    alive = instances(ec2)
    remains = [f"instance {each}" for each in alive]
    remains += [f"fleet {each.fleet_id} ({each.state})" for each in fleets(ec2) if not each.is_over(alive.values())]
    remains += [f"volume {each}" for each in volumes(ec2)]
    stack = account.stack(lambda _: None, 0.0).look()
    remains += [f"stack {names.STACK} ({stack.status})"] if stack else []
    remains += [f"bucket {each}" for each in _buckets(account)]
    remains += [f"log group {LOG_GROUP}"] if stack is None and own_log_group(account) else []
    remains += [f"rule {each}" for each in rules(account)] + [f"launch template {each}" for each in templates(ec2)]
    return remains + [f"role {each}" for each in [*left_roles(account), *_left_of_stack(account)]]


def _buckets(account: Account) -> list[str]:
    """Return this region's bucket, not those of rehearsals in other regions."""
    s3 = account.client("s3")
    with translate_aws_errors("ListBuckets"):
        found = [each["Name"] for each in s3.list_buckets()["Buckets"] if each["Name"].startswith(names.BUCKET)]
        return [each for each in found if _region_of(s3, each) == account.region]


def _region_of(s3: Any, bucket: str) -> str | None:
    try:
        return str(s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1")
    except AWS_ERRORS as error:
        if errors.is_not_found(error):
            return None
        raise


def own_log_group(account: Account) -> bool:
    """Return whether the log group outlived the stack that this process saw; a last run may have recreated it.

    If this process saw no stack, the group may be kept on purpose from an old setup.
    """
    if not account.stack_roles or Enforcer(account.session, account.region, say=lambda _: None).look() is not None:
        return False
    with translate_aws_errors("DescribeLogGroups"):
        remains = account.client("logs").describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
    return any(each["logGroupName"] == LOG_GROUP for each in remains)


def rules(account: Account) -> list[str]:
    with translate_aws_errors("ListRules"):
        return [each["Name"] for each in account.client("events").list_rules(NamePrefix=names.PREFIX)["Rules"]]


def templates(ec2: Any) -> list[str]:
    """Return the rehearsal's own launch templates, and those that annexd created for its annexes."""
    own = {"Name": "launch-template-name", "Values": [names.TEMPLATE]}
    of_annexes = {"Name": f"tag:{TAG_NAME}", "Values": [names.ANNEX_BY_EC2_FLEET]}
    with translate_aws_errors("DescribeLaunchTemplates"):
        remains = [ec2.describe_launch_templates(Filters=[each])["LaunchTemplates"] for each in (own, of_annexes)]
    return [each["LaunchTemplateId"] for found in remains for each in found]


def _left_of_stack(account: Account) -> list[str]:
    """Return the remaining roles of the deleted stack, as far as this process knows them."""
    return present(account, account.stack_roles)
