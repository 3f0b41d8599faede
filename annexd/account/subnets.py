"""Find the subnets of one region that have a route out: to S3, EC2 and the pool.

A machine needs a public IP address and an internet gateway, or a NAT or transit gateway (VPC user guide, "Connect to
the internet" and "Route table concepts"): its subnet's route table, or the VPC's main one, shows which.  This does not
detect VPC endpoints with a pool in the same network.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annexd.account.session import translate_aws_errors

EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
SPEAKING: Final = (  # gateways for machines without a public IP address
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
    "CoreNetworkArn",
    "LocalGatewayId",
)
INTERNET: Final = "igw-"  # other values of GatewayId lead to private networks: vgw-


@dataclass(frozen=True)
class Subnet:
    subnet_id: str
    vpc_id: str
    zone: str
    free_addresses: int
    gives_public_address: bool
    is_default: bool  # default subnet of its zone, in the default VPC


def subnets_in(ec2: Any, vpc_id: str | None = None) -> list[Subnet]:
    """Return all subnets of a VPC, or of the region.  Raises AccountError."""
    asked = {"Filters": [{"Name": "vpc-id", "Values": [vpc_id]}]} if vpc_id else {}
    with translate_aws_errors("DescribeSubnets"):
        pages = ec2.get_paginator("describe_subnets").paginate(**asked)
        return [_subnet(each) for page in pages for each in page["Subnets"]]


def _subnet(response: Mapping[str, Any]) -> Subnet:
    return Subnet(
        str(response["SubnetId"]),
        str(response["VpcId"]),
        str(response["AvailabilityZone"]),
        int(response.get("AvailableIpAddressCount", 0)),
        bool(response.get("MapPublicIpOnLaunch")),
        bool(response.get("DefaultForAz")),
    )


def with_way_out(ec2: Any, subnets: Sequence[Subnet]) -> list[Subnet]:
    """Return the subnets whose machines reach the internet.  Raises AccountError."""
    if not subnets:
        return []
    asked = [{"Name": "vpc-id", "Values": sorted({each.vpc_id for each in subnets})}]
    with translate_aws_errors("DescribeRouteTables"):
        pages = ec2.get_paginator("describe_route_tables").paginate(Filters=asked)
        tables = [table for page in pages for table in page["RouteTables"]]
    return [each for each in subnets if any(_leads_out(route, each) for route in _routes(tables, each))]


def _routes(tables: Sequence[Mapping[str, Any]], subnet: Subnet) -> list[Mapping[str, Any]]:
    """Return the routes of its own table, or of its VPC's main one."""
    main: list[Mapping[str, Any]] = []
    for table in tables:
        for association in table.get("Associations") or ():
            if association.get("SubnetId") == subnet.subnet_id:
                return list(table["Routes"])
            if association.get("Main") and table["VpcId"] == subnet.vpc_id:
                main = list(table["Routes"])
    return main


def _leads_out(route: Mapping[str, Any], subnet: Subnet) -> bool:
    everywhere = {route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock")} & set(EVERYWHERE)
    if not everywhere or route.get("State") == "blackhole":
        return False
    gateway = str(route.get("GatewayId") or "")
    if gateway.startswith(INTERNET):
        return subnet.gives_public_address
    return bool(gateway) or any(route.get(name) for name in SPEAKING)


def zones_once(subnets: Iterable[Subnet]) -> list[Subnet]:
    """Return one subnet of each zone, the one with the most free addresses.

    AWS refuses a fleet with two subnets of one zone: "duplicate instance pools" of CreateFleet
    (github.com/aws-samples/aws-plugin-for-slurm/issues/19); whether Spot Fleet does is unknown.
    """
    best: dict[str, Subnet] = {}
    for each in sorted(subnets, key=lambda subnet: (-subnet.free_addresses, subnet.subnet_id)):
        best.setdefault(each.zone, each)
    return list(best.values())
