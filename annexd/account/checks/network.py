"""Check that the machines' network exists, and that the security group allows only outbound traffic."""

from collections.abc import Iterator
from typing import Any

from annexd.account.checks.finding import Finding
from annexd.account.checks.view import RECREATE, View
from annexd.account.network import Network, Networks, network_in


def network(view: View) -> Iterator[Finding]:
    """Check the network before the stack, which cannot exist without one."""
    networks = Networks(view.client("ec2"), view.region)
    chosen = network_in(view.visible.parameters if view.visible else {})
    if chosen.vpc_id:
        yield from _own(view, networks, chosen)
    elif networks.has_default():
        yield view.ok("network", "the default VPC and its default subnets exist")
    else:
        choices = "; ".join(networks.choices()) or f"none: aws ec2 create-default-vpc --region {view.region}"
        what = "there is no default VPC with default subnets, so orders without a SubnetId start nothing"
        yield view.fault("network", what, f"condor_annex -setup -vpc VPC moves annexes into one of {choices}")


def _own(view: View, networks: Networks, chosen: Network) -> Iterator[Finding]:
    found = {each.subnet_id: each for each in networks.subnets(chosen.subnet_ids)}
    missing = [each for each in chosen.subnet_ids if each not in found]
    full = [each for each, subnet in found.items() if not subnet.free_addresses]
    repair = f"condor_annex -setup -vpc {chosen.vpc_id} chooses again, -subnet SUBNET names others"
    if missing:
        yield view.fault("network", f"{', '.join(missing)} of {chosen.vpc_id} was deleted", repair)
    elif full:
        yield view.fault("network", f"{', '.join(full)} of {chosen.vpc_id} has no free IP address", repair)
    else:
        yield view.ok("network", f"{chosen.description()} are there")


def security_group(view: View) -> Iterator[Finding]:
    group_id = view.name("SecurityGroup")
    ec2 = view.client("ec2")
    response = view.found("DescribeSecurityGroups", ec2.describe_security_groups, GroupIds=[group_id])
    if response is None or not response["SecurityGroups"]:
        yield view.fault("security group", f"{group_id} was deleted", RECREATE)
        return
    [group] = response["SecurityGroups"]
    command = f"aws ec2 revoke-security-group-ingress --region {view.region} --group-id {group_id}"
    if group["IpPermissions"]:
        ways = ", ".join(_shown(rule) for rule in group["IpPermissions"])
        repair = f"{command} --ip-permissions ..., or in the console: instances need no inbound traffic"
        yield view.fault("security group", f"{group_id} allows inbound {ways}", repair)
    elif not group.get("IpPermissionsEgress"):
        repair = f"aws ec2 authorize-security-group-egress --region {view.region} --group-id {group_id} --protocol -1"
        yield view.fault("security group", f"{group_id} allows no outbound traffic", f"{repair} --cidr 0.0.0.0/0")
    else:
        yield view.ok("security group", "it allows no inbound traffic")


def _shown(rule: dict[str, Any]) -> str:
    """Format a rule: tcp 22 from 0.0.0.0/0."""
    protocol = "everything" if rule.get("IpProtocol") == "-1" else str(rule.get("IpProtocol"))
    first, last = rule.get("FromPort"), rule.get("ToPort")
    ports = "" if first is None else f" {first}" if first == last else f" {first}-{last}"
    sources = [each["CidrIp"] for each in rule.get("IpRanges") or ()]
    sources += [each["CidrIpv6"] for each in rule.get("Ipv6Ranges") or ()]
    sources += [each["GroupId"] for each in rule.get("UserIdGroupPairs") or ()]
    return f"{protocol}{ports} from {' '.join(sources) or 'an unknown source'}"
