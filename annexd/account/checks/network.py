"""The security group: no way in, and a way out."""

from collections.abc import Iterator
from typing import Any

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import ANEW, View


def security_group(view: View) -> Iterator[Finding]:
    group_id = view.name("SecurityGroup")
    ec2 = view.client("ec2")
    told = view.found("DescribeSecurityGroups", ec2.describe_security_groups, GroupIds=[group_id])
    if told is None or not told["SecurityGroups"]:
        yield view.fault("security group", f"{group_id} is gone", ANEW)
        return
    [group] = told["SecurityGroups"]
    command = f"aws ec2 revoke-security-group-ingress --region {view.region} --group-id {group_id}"
    if group["IpPermissions"]:
        ways = ", ".join(_shown(rule) for rule in group["IpPermissions"])
        repair = f"{command} --ip-permissions ..., or in the console: instances need no way in"
        yield view.fault("security group", f"{group_id} lets in {ways}", repair)
    elif not group.get("IpPermissionsEgress"):
        repair = f"aws ec2 authorize-security-group-egress --region {view.region} --group-id {group_id} --protocol -1"
        yield view.fault("security group", f"{group_id} lets nothing out", f"{repair} --cidr 0.0.0.0/0")
    else:
        yield view.ok("security group", "nothing comes in")


def _shown(rule: dict[str, Any]) -> str:
    """tcp 22 from 0.0.0.0/0"""
    protocol = "everything" if rule.get("IpProtocol") == "-1" else str(rule.get("IpProtocol"))
    first, last = rule.get("FromPort"), rule.get("ToPort")
    ports = "" if first is None else f" {first}" if first == last else f" {first}-{last}"
    sources = [each["CidrIp"] for each in rule.get("IpRanges") or ()]
    sources += [each["CidrIpv6"] for each in rule.get("Ipv6Ranges") or ()]
    sources += [each["GroupId"] for each in rule.get("UserIdGroupPairs") or ()]
    return f"{protocol}{ports} from {' '.join(sources) or 'somewhere'}"
