"""Networks of an account, with or without a default VPC; groups that belong to one VPC; and keys for volumes.

moto would put a security group into a VPC that has been deleted or has never existed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from test.cloud.ec2_base import Acting

# CERTAIN: code and text of RequestSpotInstances in github.com/adieuadieu/serverless-chrome/issues/112, text of a
# security group's creation in github.com/aerospike/aws-cloudformation/issues/24.  LIKELY for RequestSpotFleet: no
# record shows which error it returns, and whether it does so at once.
NO_DEFAULT_VPC = EC2ClientError("VPCIdNotSpecified", "No default VPC for this user")


class NetworkCalls(Acting):
    """A part of ActingEC2."""

    def create_security_group(self) -> Any:
        """Create a security group.

        CERTAIN: EC2 API reference, CreateSecurityGroup: VpcId is required without a default VPC.
        """
        asked = self._parameters()
        if "VpcId" in asked:
            self.ec2_backend.get_vpc(asked["VpcId"])  # InvalidVpcID.NotFound
        elif self.ec2_backend.get_default_vpc() is None:
            raise NO_DEFAULT_VPC
        return super().create_security_group()

    def delete_security_group(self) -> Any:
        """Delete a security group.

        CERTAIN: API reference, DeleteSecurityGroup: DependencyViolation while an instance has it.  Its message: LIKELY.
        """
        group_id, now_s = self._parameters().get("GroupId"), self._fleets.settle()
        for each in self._fleets.instances.values():
            if group_id in groups_of(each.specification) and not each.is_gone(now_s):
                raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        return super().delete_security_group()

    def get_ebs_default_kms_key_id(self) -> ActionResult:
        """Return the default key; until its first change this is the alias.

        CERTAIN: AWS CLI reference, get-ebs-default-kms-key-id, example.
        """
        self._parameters()
        return ActionResult({"KmsKeyId": self.ec2_backend.default_kms_key_id or "alias/aws/ebs"})

    def _trouble_of_networks(self, specifications: list[dict[str, Any]]) -> str:
        """Return one of test.cloud.fleet_troubles.TROUBLES, or raise an error that fails the call at once."""
        for each in specifications:
            subnets, default = list(subnets_of(each)), self.ec2_backend.get_default_vpc()
            if not subnets and default is None:
                raise NO_DEFAULT_VPC
            vpcs = {vpc for subnet in subnets if (vpc := self._vpc_of_subnet(subnet))}
            vpcs |= set() if subnets else {str(default.id)}
            vpcs |= {vpc for group in groups_of(each) if (vpc := self._vpc_of_group(group))}
            if len(vpcs) > 1:
                return "group"
        return ""

    def _vpc_of_subnet(self, subnet_id: str) -> str:
        found = self.ec2_backend.describe_subnets(filters={"subnet-id": [subnet_id]})
        return str(found[0].vpc_id) if found else ""

    def _vpc_of_group(self, group_id: str) -> str:
        found = self.ec2_backend.get_security_group_from_id(group_id)
        return str(found.vpc_id) if found else ""


def subnets_of(specification: Mapping[str, Any]) -> Iterator[str]:
    """Yield the subnets, which are separated by commas.

    CERTAIN: botocore's EC2 model, SpotFleetLaunchSpecification, SubnetId.
    """
    interfaces = specification.get("NetworkInterfaces") or []
    for named in (specification.get("SubnetId"), *(each.get("SubnetId") for each in interfaces)):
        yield from (each.strip() for each in (named or "").split(",") if each.strip())


def groups_of(specification: Mapping[str, Any]) -> list[str]:
    named = [each.get("GroupId") for each in specification.get("SecurityGroups") or []]
    return [each for each in [*named, *(specification.get("SecurityGroupIds") or [])] if each]
