"""Choose the machines' network: the default VPC, or another VPC of the account and some of its subnets.

CloudFormation creates a security group without VpcId in the default VPC, and rolls the whole stack back if there is
none ("No default VPC for this user": github.com/aerospike/aws-cloudformation/issues/24); EC2 starts machines without a
SubnetId there, too.  Many organizations delete it.  So -setup checks for it before it creates anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annexd.account.errors import AccountError
from annexd.account.session import translate_aws_errors
from annexd.account.subnets import Subnet, subnets_in, with_way_out, zones_once
from annexd.account.template import SUBNET_IDS, VPC_ID
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

LONGEST_LIST: Final = 20


@dataclass(frozen=True)
class Network:
    """The machines' network; both fields are empty for the default VPC, whose subnets EC2 chooses itself."""

    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """Return the network as parameters of the stack."""
        return {VPC_ID: self.vpc_id, SUBNET_IDS: ",".join(self.subnet_ids)}

    def description(self) -> str:
        return f"the VPC {self.vpc_id}, subnets {', '.join(self.subnet_ids)}" if self.vpc_id else "the default VPC"


def network_in(parameters: Mapping[str, str]) -> Network:
    """Return the network of a stack; the default VPC for a stack without these parameters."""
    subnets = parameters.get(SUBNET_IDS, "")
    return Network(parameters.get(VPC_ID, ""), tuple(subnets.split(",")) if subnets else ())


class Networks:
    """The networks of one region.  All methods raise AccountError."""

    def __init__(self, ec2: Any, region: str) -> None:
        self._ec2, self.region = ec2, region

    def wanted(self, vpc_id: str | None, subnet_ids: Sequence[str], before: Network) -> Network:
        """Return the existing network that -vpc and -subnet select, or else the stack's."""
        if subnet_ids:
            return self._of_subnets(vpc_id, subnet_ids)
        if vpc_id:
            return self._of_vpc(vpc_id)
        if not before.vpc_id:
            self._require_default()
        return before

    def has_default(self) -> bool:
        """Return whether machines without a SubnetId can start, in a default subnet of the default VPC."""
        default = self._vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        return any(each.is_default for vpc in default for each in subnets_in(self._ec2, str(vpc["VpcId"])))

    def choices(self) -> list[str]:
        """Describe each VPC for the user to choose one."""
        vpcs = self._vpcs()
        shown = [self._described(vpc) for vpc in vpcs[:LONGEST_LIST]]
        return [*shown, f"and {len(vpcs) - LONGEST_LIST} more"] if len(vpcs) > LONGEST_LIST else shown

    def subnets(self, subnet_ids: Sequence[str]) -> list[Subnet]:
        """Return those of these subnets that exist."""
        return [each for each in subnets_in(self._ec2) if each.subnet_id in subnet_ids]

    def _require_default(self) -> None:
        if self.has_default():
            return
        choices = self.choices()
        make = f"aws ec2 create-default-vpc --region {self.region}"
        if not choices:
            raise AccountError(f"{self.region}: there is no VPC: nothing was created", f"{make} creates one")
        raise AccountError(
            f"{self.region}: there is no default VPC with default subnets for the machines, and you chose no "
            "other network: nothing was created",
            *choices,
            f"choose one, such as condor_annex -setup -region {self.region} -vpc {choices[0].partition(' ')[0]}, or "
            f"create a default one: {make}",
        )

    def _of_vpc(self, vpc_id: str) -> Network:
        [vpc] = self._named_vpc(vpc_id)
        if vpc.get("IsDefault") and self.has_default():
            return Network()
        usable = zones_once(with_way_out(self._ec2, subnets_in(self._ec2, vpc_id)))
        if not usable:
            raise AccountError(
                f"{self.region}: no subnet of {vpc_id} has a route to the internet (no public IP addresses, and "
                "there is no NAT or transit gateway): nothing was created",
                "if some reach S3, EC2 and your pool in another way, name them with -subnet SUBNET (repeatable)",
            )
        return Network(vpc_id, tuple(sorted(each.subnet_id for each in usable)))

    def _of_subnets(self, vpc_id: str | None, subnet_ids: Sequence[str]) -> Network:
        found = {each.subnet_id: each for each in self.subnets(subnet_ids)}
        missing = [each for each in subnet_ids if each not in found]
        if missing:
            raise AccountError(
                f"{self.region}: subnets not found: {', '.join(missing)}",
                f"aws ec2 describe-subnets --region {self.region} lists them",
            )
        vpcs = sorted({each.vpc_id for each in found.values()} | ({vpc_id} if vpc_id else set()))
        if len(vpcs) > 1:
            raise AccountError(
                f"{self.region}: -vpc and -subnet refer to {len(vpcs)} VPCs ({', '.join(vpcs)}); they must be in one"
            )
        if len(zones_once(found.values())) < len(found):
            zones = ", ".join(f"{each.subnet_id} in {each.zone}" for each in found.values())
            raise AccountError(f"{self.region}: AWS accepts only one subnet of each zone: {zones}")
        return Network(vpcs[0], tuple(subnet_ids))

    def _named_vpc(self, vpc_id: str) -> list[Mapping[str, Any]]:
        try:
            return self._vpcs(VpcIds=[vpc_id])
        except AccountError as error:
            if isinstance(error.__cause__, AWS_ERRORS) and errors.is_not_found(error.__cause__):
                choices = "; ".join(self.choices()) or "none"
                raise AccountError(f"{self.region}: VPC {vpc_id} not found", f"existing VPCs: {choices}") from error
            raise

    def _vpcs(self, **asked: Any) -> list[Mapping[str, Any]]:
        with translate_aws_errors("DescribeVpcs"):
            pages = self._ec2.get_paginator("describe_vpcs").paginate(**asked)
            return [vpc for page in pages for vpc in page["Vpcs"]]

    def _described(self, vpc: Mapping[str, Any]) -> str:
        """Format a VPC: vpc-1 (cluster, 10.0.0.0/16): 3 subnets, 2 of them with a route out."""
        vpc_id = str(vpc["VpcId"])
        name = next((str(tag["Value"]) for tag in vpc.get("Tags") or () if tag["Key"] == "Name"), "")
        subnets = subnets_in(self._ec2, vpc_id)
        usable = len(with_way_out(self._ec2, subnets))
        about = ", ".join(part for part in (name[:40], str(vpc.get("CidrBlock", ""))) if part)
        return f"{vpc_id} ({about}): {len(subnets)} subnets, {usable} of them with a route out"
