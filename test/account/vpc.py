"""VPCs of an emulated account, with and without a route out."""

from __future__ import annotations

from typing import Any

from test.cloud import Cloud


def without_default_vpc(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for each in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]:
        ec2.delete_subnet(SubnetId=each["SubnetId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])


class Vpc:
    """A VPC with public subnets in two zones, and a third subnet without a route out."""

    def __init__(self, cloud: Cloud, name: str = "cluster") -> None:
        self.ec2 = ec2 = cloud.client("ec2")
        self.id = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.create_tags(Resources=[self.id], Tags=[{"Key": "Name", "Value": name}])
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.id)
        self.public = [self.subnet("us-east-1a", "10.0.0.0/24"), self.subnet("us-east-1b", "10.0.1.0/24")]
        for subnet in self.public:
            ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
            self.route(subnet, GatewayId=gateway)
        self.closed = self.subnet("us-east-1c", "10.0.2.0/24")

    def subnet(self, zone: str, block: str) -> str:
        made = self.ec2.create_subnet(VpcId=self.id, CidrBlock=block, AvailabilityZone=zone)
        return str(made["Subnet"]["SubnetId"])

    def route(self, subnet: str, **to: Any) -> None:
        table = self.ec2.create_route_table(VpcId=self.id)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **to)
