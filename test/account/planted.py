"""Faults as people, other tools and time make them in an account that was set up well.

Each is planted in the emulated account and says what -check-setup has to find.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from test.account.kit import STACK, TOP, Account


@dataclass(frozen=True)
class Fault:
    """`check` is what finds it, with these `words`, and `mend` in its advice; faults of one `hand` stand together."""

    name: str
    hand: str
    plant: Callable[[Account], object]
    check: str
    words: str
    mend: str


Plant = Callable[[Account], object]
PLANTED: list[Fault] = []


def fault(hand: str, check: str, words: str, mend: str = "-setup") -> Callable[[Plant], Plant]:
    def keep(plant: Plant) -> Plant:
        PLANTED.append(Fault(plant.__name__, hand, plant, check, words, mend))
        return plant

    return keep


def function(account: Account) -> str:
    """Once Lambda takes a change: it refuses the second while it is at the first."""
    name = account.physical_ids()["LeaseFunction"]
    waiter = account.client("lambda").get_waiter("function_updated_v2")
    waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    return name


def bucket(account: Account) -> str:
    return account.physical_ids()["Bucket"]


def inline(account: Account, role: str, policy: str, *statements: dict[str, object]) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    name = account.physical_ids()[role]
    account.client("iam").put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)


def allow(action: str, resource: str = "*") -> dict[str, object]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


@fault("B", "template", "the stack is made of another annexd's template")
def stack_of_an_older_template(account: Account) -> None:
    body = (TOP / "templates" / "annex.json").read_text().replace('"MemorySize": 256', '"MemorySize": 128')
    cloudformation = account.client("cloudformation")
    cloudformation.update_stack(StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    waiter = cloudformation.get_waiter("stack_update_complete")
    waiter.wait(StackName=STACK, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})


@fault("A", "drift", "/Timeout", "put it back")
def function_with_a_short_time_limit(account: Account) -> None:
    account.client("lambda").update_function_configuration(FunctionName=function(account), Timeout=3)


@fault("D", "drift", "SecurityGroup (is gone)", "put it back")
def something_deleted_by_hand(account: Account) -> None:
    account.client("ec2").delete_security_group(GroupId=account.physical_ids()["SecurityGroup"])


@fault("A", "lease function's code", "it is not lambda/lease.py", "-teardown")
def function_with_other_code(account: Account) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return {'outcome': 'waiting'}\n")
    account.client("lambda").update_function_code(FunctionName=function(account), ZipFile=buffer.getvalue())


@fault("B", "lease function's code", "it is not lambda/lease.py")
def function_with_one_more_file(account: Account) -> None:
    code = json.loads((TOP / "templates" / "annex.json").read_text())["Resources"]["LeaseFunction"]["Properties"][
        "Code"
    ]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code["ZipFile"])
        archive.writestr("boto3.py", "raise SystemExit\n")
    account.client("lambda").update_function_code(FunctionName=function(account), ZipFile=buffer.getvalue())


@fault("C", "lease function's answer", "called for a test, it answers", "-teardown")
def function_that_cannot_start(account: Account) -> None:
    account.client("lambda").update_function_configuration(FunctionName=function(account), Handler="index.nothing")


@fault("A", "lease function's runtime", "python3.9 is not python3.1", "update-function-configuration")
def function_on_another_runtime(account: Account) -> None:
    account.client("lambda").update_function_configuration(FunctionName=function(account), Runtime="python3.9")


@fault("A", "lease function", "it is throttled to nothing", "delete-function-concurrency")
def function_without_concurrency(account: Account) -> None:
    account.client("lambda").put_function_concurrency(FunctionName=function(account), ReservedConcurrentExecutions=0)


@fault("D", "lease function", "it is gone")
def function_deleted(account: Account) -> None:
    account.client("lambda").delete_function(FunctionName=function(account))


@fault("A", "permission for events", "EventBridge may not call the lease function", "aws lambda add-permission")
def function_that_rules_may_not_call(account: Account) -> None:
    functions, name = account.client("lambda"), function(account)
    policy = json.loads(functions.get_policy(FunctionName=name)["Policy"])
    functions.remove_permission(FunctionName=name, StatementId=policy["Statement"][0]["Sid"])


@fault("B", "permission for events", "EventBridge may not call the lease function", "aws lambda add-permission")
def function_that_only_one_rule_may_call(account: Account) -> None:
    function_that_rules_may_not_call(account)
    account.client("lambda").add_permission(
        FunctionName=function(account),
        StatementId="one",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn="arn:aws:events:us-east-1:123456789012:rule/nightly",
    )


@fault("A", "lease role", "may not ec2:TerminateInstances", "put it back in IAM")
def lease_role_that_may_not_terminate(account: Account) -> None:
    inline(account, "LeaseRole", "EndAnnexes", allow("ec2:DescribeInstances"))


@fault("A", "lease role", "may, beyond need, ec2:RunInstances on *", "put it back in IAM")
def lease_role_that_may_run_instances(account: Account) -> None:
    inline(account, "LeaseRole", "More", allow("ec2:RunInstances"))


@fault("A", "instance role", "may, beyond need, s3:* on *", "put it back in IAM")
def instance_role_that_may_read_every_bucket(account: Account) -> None:
    inline(account, "InstanceRole", "More", allow("s3:*"))


@fault("B", "instance role", "policy/AdministratorAccess beyond need", "put it back in IAM")
def instance_role_with_administrator_access(account: Account) -> None:
    name = account.physical_ids()["InstanceRole"]
    account.client("iam").attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


@fault("C", "instance role", "may not s3:GetObject on", "put it back in IAM")
def instance_role_that_may_read_nothing(account: Account) -> None:
    name = account.physical_ids()["InstanceRole"]
    account.client("iam").delete_role_policy(RoleName=name, PolicyName="ReadConfiguration")


@fault("A", "fleet role", "lacks the policy arn:aws:iam::aws:policy/", "put it back in IAM")
def fleet_role_without_its_policy(account: Account) -> None:
    iam, name = account.client("iam"), account.physical_ids()["FleetRole"]
    [policy] = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])


@fault("B", "fleet role", 'may be taken by [{"AWS": "*"}]', "put it back in IAM")
def fleet_role_that_anybody_may_take(account: Account) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    account.client("iam").update_assume_role_policy(
        RoleName=account.physical_ids()["FleetRole"],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )


@fault("D", "instance profile", "it is gone")
def profile_deleted(account: Account) -> None:
    profile_without_its_role(account)
    account.client("iam").delete_instance_profile(InstanceProfileName=account.physical_ids()["InstanceProfile"])


@fault("A", "service-linked roles", "AWSServiceRoleForEC2SpotFleet is missing", "create-service-linked-role")
def account_without_a_service_linked_role(account: Account) -> None:
    account.client("iam").delete_service_linked_role(RoleName="AWSServiceRoleForEC2SpotFleet")


@fault("A", "instance profile", "it holds no role", "aws iam add-role-to-instance-profile")
def profile_without_its_role(account: Account) -> None:
    ids = account.physical_ids()
    account.client("iam").remove_role_from_instance_profile(
        InstanceProfileName=ids["InstanceProfile"], RoleName=ids["InstanceRole"]
    )


@fault("A", "bucket's privacy", "its policy makes it public", "aws s3api delete-bucket-policy")
def bucket_that_is_public(account: Account) -> None:
    arn = f"arn:aws:s3:::{bucket(account)}/*"
    public = allow("s3:GetObject", arn) | {"Principal": "*"}
    account.client("s3").put_bucket_policy(
        Bucket=bucket(account), Policy=json.dumps({"Version": "2012-10-17", "Statement": [public]})
    )


@fault("B", "bucket's privacy", "it may be made public: BlockPublicPolicy", "aws s3api put-public-access-block")
def bucket_that_may_become_public(account: Account) -> None:
    closed = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "RestrictPublicBuckets": True}
    account.client("s3").put_public_access_block(
        Bucket=bucket(account), PublicAccessBlockConfiguration=closed | {"BlockPublicPolicy": False}
    )


@fault("C", "bucket's privacy", "its objects may have access lists", "put-bucket-ownership-controls")
def bucket_with_access_lists(account: Account) -> None:
    account.client("s3").put_bucket_ownership_controls(
        Bucket=bucket(account), OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )


@fault("A", "bucket's encryption", "what is put there is not encrypted", "aws s3api put-bucket-encryption")
def bucket_without_encryption(account: Account) -> None:
    account.client("s3").delete_bucket_encryption(Bucket=bucket(account))


@fault("B", "bucket's policy", "its policy lets it be reached without TLS", "put it back")
def bucket_without_its_policy(account: Account) -> None:
    account.client("s3").delete_bucket_policy(Bucket=bucket(account))


@fault("A", "bucket's expiry", "objects that nobody deleted stay for ever", "put it back")
def bucket_that_forgets_nothing(account: Account) -> None:
    account.client("s3").delete_bucket_lifecycle(Bucket=bucket(account))


@fault("B", "bucket's expiry", "objects expire after 1 days", "make it 32 days")
def bucket_that_forgets_too_soon(account: Account) -> None:
    rule = {"ID": "soon", "Status": "Enabled", "Filter": {"Prefix": "annex/"}, "Expiration": {"Days": 1}}
    account.client("s3").put_bucket_lifecycle_configuration(
        Bucket=bucket(account), LifecycleConfiguration={"Rules": [rule]}
    )


@fault("D", "bucket", "is gone")
def bucket_deleted(account: Account) -> None:
    account.client("s3").delete_bucket(Bucket=bucket(account))


@fault("A", "security group", "lets in tcp 22 from 0.0.0.0/0", "revoke-security-group-ingress")
def security_group_that_lets_ssh_in(account: Account) -> None:
    account.client("ec2").authorize_security_group_ingress(
        GroupId=account.physical_ids()["SecurityGroup"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )


@fault("B", "security group", "lets nothing out", "authorize-security-group-egress")
def security_group_that_lets_nothing_out(account: Account) -> None:
    group_id = account.physical_ids()["SecurityGroup"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    account.client("ec2").revoke_security_group_egress(GroupId=group_id, IpPermissions=[everything])


@fault("A", "Spot quota", "the account may run 0 vCPUs", "request-service-quota-increase")
def account_without_a_spot_quota(account: Account) -> None:
    account.cloud.set_quotas(L_34B43A08=0)


@fault("A", "rule quota", "1 of 1 EventBridge rules are left", "request-service-quota-increase")
def account_without_rules_to_spare(account: Account) -> None:
    account.cloud.set_quotas(L_244521F2=1)


@fault("A", "clock", "this host's clock is", "chrony")
def host_with_a_slow_clock(account: Account) -> None:
    account.cloud.set_clock_ahead(200)


@fault("E", "credentials", "GetCallerIdentity was denied, the credentials have expired", "get new ones")
def expired_keys(account: Account) -> None:
    account.cloud.fault("GetCallerIdentity", "expired-token")


@fault("F", "credentials", "GetCallerIdentity was denied to these credentials", "make a new access key")
def deleted_keys(account: Account) -> None:
    account.cloud.fault("GetCallerIdentity", "unknown-key")


@fault("A", "configuration", "it is of another region, eu-west-1", "-setup writes it")
def configuration_of_another_region(account: Account) -> None:
    account.file.write_text(account.file.read_text().replace(":lambda:us-east-1:", ":lambda:eu-west-1:"))


@fault("B", "configuration", "it is of another stack: ANNEX_DEFAULT_S3_BUCKET", "-setup writes it")
def configuration_of_another_stack(account: Account) -> None:
    account.file.write_text(account.file.read_text().replace("htcondorannex-bucket-", "an-earlier-bucket-"))


@fault("C", "configuration", "HTCondor knows no ANNEX_DEFAULT_EC2_URL", "-setup writes it")
def configuration_removed(account: Account) -> None:
    account.file.unlink()
