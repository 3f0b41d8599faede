"""Roles, their policies and instance profiles in a stack."""

from __future__ import annotations

import json
from typing import Any

from test.cloud.stack_kinds import Client, Kind, Made, Properties


class Role(Kind):
    NAME = "RoleName"
    CREATE_ONLY = ("RoleName", "Path")

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        iam = client("iam")
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
        return Made(name, {"Arn": made["Arn"]})

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:
        return self._put(client("iam"), made.physical_id, properties)

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        iam = client("iam")
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        wanted = {each["PolicyName"] for each in properties.get("Policies", [])}
        for policy in set(iam.list_role_policies(RoleName=name)["PolicyNames"]) - wanted:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            if policy["PolicyArn"] not in properties.get("ManagedPolicyArns", []):
                iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        return self._put(iam, name, properties)

    def _put(self, iam: Any, name: str, properties: Properties) -> Made:
        for policy in properties.get("Policies", []):
            document = json.dumps(policy["PolicyDocument"])
            iam.put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
        for policy_arn in properties.get("ManagedPolicyArns", []):
            iam.attach_role_policy(RoleName=name, PolicyArn=policy_arn)
        return Made(name, {"Arn": iam.get_role(RoleName=name)["Role"]["Arn"]})

    def read(self, client: Client, name: str) -> Properties | None:
        iam = client("iam")
        role = iam.get_role(RoleName=name)["Role"]
        names = iam.list_role_policies(RoleName=name)["PolicyNames"]
        documents = {each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in names}
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        return {
            "AssumeRolePolicyDocument": role["AssumeRolePolicyDocument"],
            "Policies": [{"PolicyName": each, "PolicyDocument": documents[each]} for each in names],
            "ManagedPolicyArns": [each["PolicyArn"] for each in attached],
        }

    def delete(self, client: Client, name: str) -> None:
        iam = client("iam")
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=name)


class RolePolicy(Kind):
    """A role's policy; its physical ID names both: policy|role."""

    CREATE_ONLY = ("PolicyName", "RoleName")

    def subject(self, name: str, properties: Properties) -> str:  # noqa: ARG002
        return str(properties["RoleName"])

    def create(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        role, policy = properties["RoleName"], properties["PolicyName"]
        document = json.dumps(properties["PolicyDocument"])
        client("iam").put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=document)
        return Made(f"{policy}|{role}")

    update = create

    def read(self, client: Client, name: str) -> Properties | None:
        policy, role = name.split("|")
        response = client("iam").get_role_policy(RoleName=role, PolicyName=policy)
        return {"PolicyName": policy, "RoleName": role, "PolicyDocument": response["PolicyDocument"]}

    def delete(self, client: Client, name: str) -> None:
        policy, role = name.split("|")
        client("iam").delete_role_policy(RoleName=role, PolicyName=policy)


class InstanceProfile(Kind):
    NAME = "InstanceProfileName"
    CREATE_ONLY = ("InstanceProfileName", "Path")

    def subject(self, name: str, properties: Properties) -> str:
        return f"{properties.get('Path', '/')}{name}".removeprefix("/")

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        path = properties.get("Path", "/")
        made = client("iam").create_instance_profile(InstanceProfileName=name, Path=path)["InstanceProfile"]
        return Made(name, {"Arn": made["Arn"]})

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:
        for role in properties["Roles"]:
            client("iam").add_role_to_instance_profile(InstanceProfileName=made.physical_id, RoleName=role)
        return made

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        iam = client("iam")
        profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        if [role["RoleName"] for role in profile["Roles"]] != properties["Roles"]:
            for role in profile["Roles"]:
                iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
            for role_name in properties["Roles"]:
                iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role_name)
        return Made(name, {"Arn": profile["Arn"]})

    def read(self, client: Client, name: str) -> Properties | None:
        profile = client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        return {"Roles": [role["RoleName"] for role in profile["Roles"]], "Path": profile["Path"]}

    def delete(self, client: Client, name: str) -> None:
        iam = client("iam")
        for role in iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=name)
