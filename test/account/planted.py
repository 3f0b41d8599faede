"""Plant faults as people, other tools and time cause them in a correct account.

Each fault has the finding that -check-setup must report.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from annexd.account.checks.volumes import GRANTED
from annexd.account.template import FUNCTION, LOG_GROUP
from annexd.annex.lease.heartbeat import CLOSED_DESCRIPTION
from annexd.annex.lease.identifiers import leased_token
from test.account.kit import STACK, TOP, Account
from test.cloud.orders import request


@dataclass(frozen=True)
class Fault:
    """A fault that `check` reports with `message` and advice with `repair`; all of one `hand` are planted together."""

    name: str
    hand: str
    plant: Callable[[Account], object]
    check: str
    message: str
    repair: str


Plant = Callable[[Account], object]
PLANTED: list[Fault] = []


def fault(hand: str, check: str, message: str, repair: str = "-setup") -> Callable[[Plant], Plant]:
    def keep(plant: Plant) -> Plant:
        PLANTED.append(Fault(plant.__name__, hand, plant, check, message, repair))
        return plant

    return keep


def function(account: Account) -> str:
    """Return the name of the function once Lambda accepts a change; it refuses concurrent changes."""
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


@fault("B", "template", "the stack has another annexd's template")
def stack_of_an_older_template(account: Account) -> None:
    body = (TOP / "templates" / "annex.json").read_text().replace('"MemorySize": 1024', '"MemorySize": 512')
    cloudformation = account.client("cloudformation")
    cloudformation.update_stack(StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    waiter = cloudformation.get_waiter("stack_update_complete")
    waiter.wait(StackName=STACK, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})


@fault("A", "drift", "/Timeout", "restore it")
def function_with_a_short_time_limit(account: Account) -> None:
    account.client("lambda").update_function_configuration(FunctionName=function(account), Timeout=3)


@fault("D", "drift", "SecurityGroup (is gone)", "restore it")
def something_deleted_by_hand(account: Account) -> None:
    account.client("ec2").delete_security_group(GroupId=account.physical_ids()["SecurityGroup"])


@fault("A", "lease function's code", "it differs from lambda/lease.py", "-teardown")
def function_with_other_code(account: Account) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return {'outcome': 'waiting'}\n")
    account.client("lambda").update_function_code(FunctionName=function(account), ZipFile=buffer.getvalue())


@fault("B", "lease function's code", "it differs from lambda/lease.py")
def function_with_one_more_file(account: Account) -> None:
    code = json.loads((TOP / "templates" / "annex.json").read_text())["Resources"]["LeaseFunction"]["Properties"][
        "Code"
    ]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code["ZipFile"])
        archive.writestr("boto3.py", "raise SystemExit\n")
    account.client("lambda").update_function_code(FunctionName=function(account), ZipFile=buffer.getvalue())


@fault("C", "lease function's settings", "Handler is index.nothing, not index.handler", "update-function-configuration")
def function_that_cannot_start(account: Account) -> None:
    account.client("lambda").update_function_configuration(FunctionName=function(account), Handler="index.nothing")


@fault("A", "lease function's settings", "Runtime is python3.9, not python3.1", "update-function-configuration")
def function_on_another_runtime(account: Account) -> None:
    account.client("lambda").update_function_configuration(FunctionName=function(account), Runtime="python3.9")


@fault("A", "lease function's settings", "Timeout is 3, not 240", "restore them")
def function_with_too_little_time(account: Account) -> None:
    function_with_a_short_time_limit(account)


@fault("B", "lease function's settings", "MAX_LEASE_S of its environment is 99, not 2592000", "restore them")
def function_with_another_max_lease(account: Account) -> None:
    account.client("lambda").update_function_configuration(
        FunctionName=function(account), Environment={"Variables": {"MAX_LEASE_S": "99"}}
    )


@fault("G", "lease function's settings", "it writes to the log group elsewhere", "restore them")
def function_that_writes_its_log_elsewhere(account: Account) -> None:
    account.client("logs").create_log_group(logGroupName="elsewhere")
    account.client("lambda").update_function_configuration(
        FunctionName=function(account), LoggingConfig={"LogFormat": "Text", "LogGroup": "elsewhere"}
    )


@fault("A", "lease function's concurrency", "its reserved concurrency is 0", "delete-function-concurrency")
def function_without_concurrency(account: Account) -> None:
    account.client("lambda").put_function_concurrency(FunctionName=function(account), ReservedConcurrentExecutions=0)


@fault("G", "lease function's concurrency", "other functions reserve the account", "request a higher quota")
def account_without_concurrency(account: Account) -> None:
    account.cloud.behave(concurrency=0)


@fault("A", "lease function's calls", "MaximumRetryAttempts is 2, not 0", "put-function-event-invoke-config")
def calls_that_are_repeated(account: Account) -> None:
    account.client("lambda").put_function_event_invoke_config(
        FunctionName=function(account), MaximumRetryAttempts=2, MaximumEventAgeInSeconds=300
    )


@fault("B", "lease function's calls", "MaximumEventAgeInSeconds is 21600, not 300", "put-function-event-invoke-config")
def calls_that_are_kept_for_hours(account: Account) -> None:
    account.client("lambda").put_function_event_invoke_config(
        FunctionName=function(account), MaximumRetryAttempts=0, MaximumEventAgeInSeconds=21600
    )


@fault("C", "lease function's calls", "MaximumRetryAttempts is None, not 0", "put-function-event-invoke-config")
def calls_without_settings(account: Account) -> None:
    account.client("lambda").delete_function_event_invoke_config(FunctionName=function(account), Qualifier="$LATEST")


@fault("H", "lease function", "a -teardown closed it", "-setup opens it again")
def function_that_is_closed(account: Account) -> None:
    account.client("lambda").update_function_configuration(
        FunctionName=function(account), Description=CLOSED_DESCRIPTION
    )


@fault("D", "lease function", "it was deleted", "-setup creates it again")
def function_deleted(account: Account) -> None:
    account.client("lambda").delete_function(FunctionName=function(account))


@fault("A", "permission for events", "EventBridge may not call the lease function", "aws lambda add-permission")
def function_that_rules_may_not_call(account: Account) -> None:
    functions, name = account.client("lambda"), function(account)
    policy = json.loads(functions.get_policy(FunctionName=name)["Policy"])
    functions.remove_permission(FunctionName=name, StatementId=policy["Statement"][0]["Sid"])


def permit(account: Account, statement_id: str, rule: str) -> None:
    account.client("lambda").add_permission(
        FunctionName=function(account),
        StatementId=statement_id,
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=f"arn:aws:events:us-east-1:123456789012:rule/{rule}",
    )


@fault("B", "permission for events", "EventBridge may not call the lease function", "aws lambda add-permission")
def function_that_only_another_rule_may_call(account: Account) -> None:
    function_that_rules_may_not_call(account)
    permit(account, "one", "nightly")


@fault("G", "permission for events", "EventBridge may call it for other rules", "aws lambda remove-permission")
def function_that_every_rule_may_call(account: Account) -> None:
    permit(account, "all", "*")


@fault("C", "permission for events", "its policy denies calls (statement never)", "aws lambda remove-permission")
def function_whose_policy_denies(account: Account) -> None:
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function(account)}"
    policy = json.loads(account.client("lambda").get_policy(FunctionName=function(account))["Policy"])
    policy["Statement"].append(
        {"Sid": "never", "Effect": "Deny", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": arn}
    )
    account.client("lambda").put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy))


@fault("A", "rule", "HTCondorAnnexLease is disabled: nothing calls the lease function", "aws events enable-rule")
def rule_disabled(account: Account) -> None:
    account.client("events").disable_rule(Name=FUNCTION)


@fault("B", "rule", "its schedule is rate(1 day), not rate(5 minutes)", "aws events put-rule")
def rule_with_another_schedule(account: Account) -> None:
    account.client("events").put_rule(Name=FUNCTION, ScheduleExpression="rate(1 day)", State="ENABLED")


@fault("C", "rule", "HTCondorAnnexLease was deleted", "-setup creates it again")
def rule_deleted(account: Account) -> None:
    rule_without_target(account)
    account.client("events").delete_rule(Name=FUNCTION)


@fault("A", "rule's target", "the rule does not call the lease function", "restore it in EventBridge")
def rule_without_target(account: Account) -> None:
    account.client("events").remove_targets(Rule=FUNCTION, Ids=[FUNCTION])


def target(account: Account, **more: object) -> None:
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function(account)}"
    patience = {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 0}
    one = {"Id": FUNCTION, "Arn": arn, "RetryPolicy": patience} | more
    account.client("events").put_targets(Rule=FUNCTION, Targets=[one])


@fault("B", "rule's target", "the rule has 2 targets", "restore it in EventBridge")
def rule_that_calls_twice(account: Account) -> None:
    target(account, Id="another")


@fault("G", "rule's target", "the rule does not pass its own event", "restore it in EventBridge")
def rule_that_passes_another_event(account: Account) -> None:
    target(account, Input='{"LeaseExpiration": 1}')


@fault("H", "rule's target", "its retry policy is {'MaximumRetryAttempts': 185", "restore it in EventBridge")
def rule_that_calls_again_for_a_day(account: Account) -> None:
    target(account, RetryPolicy={"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400})


@fault("B", "log group", "/aws/lambda/HTCondorAnnexLease was deleted", "aws logs create-log-group")
def log_group_deleted(account: Account) -> None:
    account.client("logs").delete_log_group(logGroupName=LOG_GROUP)


@fault("B", "heartbeat", "has not been called by its rule for 30 minutes or more", "condor_annex -setup waits")
def heartbeat_lost(account: Account) -> None:
    """Do nothing: another fault of the same hand deletes the log group."""


@fault("C", "heartbeat", "has not been called by its rule for 30 minutes or more", "condor_annex -setup waits")
def heartbeat_by_hand(account: Account) -> None:
    account.log()
    account.client("lambda").invoke(FunctionName=function(account), Payload=b"{}")


@fault("H", "lease role", "it was deleted", "-setup creates it again")
def lease_role_deleted(account: Account) -> None:
    iam, name = account.client("iam"), account.physical_ids()["LeaseRole"]
    iam.delete_role_policy(RoleName=name, PolicyName="EndAnnexes")
    iam.delete_role(RoleName=name)


@fault("B", "lease role", 'may be assumed by [{"Service": "ec2.amazonaws.com"}], not only by', "restore it in IAM")
def lease_role_that_lambda_may_not_take(account: Account) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    account.client("iam").update_assume_role_policy(
        RoleName=account.physical_ids()["LeaseRole"],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )


@fault("A", "lease role", "may not ec2:TerminateInstances", "restore it in IAM")
def lease_role_that_may_not_terminate(account: Account) -> None:
    inline(account, "LeaseRole", "EndAnnexes", allow("ec2:DescribeInstances"))


@fault("A", "lease role", "may unnecessarily ec2:RunInstances on *", "restore it in IAM")
def lease_role_that_may_run_instances(account: Account) -> None:
    inline(account, "LeaseRole", "More", allow("ec2:RunInstances"))


@fault("A", "instance role", "may unnecessarily s3:* on *", "restore it in IAM")
def instance_role_that_may_read_every_bucket(account: Account) -> None:
    inline(account, "InstanceRole", "More", allow("s3:*"))


@fault("B", "instance role", "has the unnecessary attached policy arn:", "restore it in IAM")
def instance_role_with_administrator_access(account: Account) -> None:
    name = account.physical_ids()["InstanceRole"]
    account.client("iam").attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


@fault("C", "instance role", "may not s3:GetObject on", "restore it in IAM")
def instance_role_that_may_read_nothing(account: Account) -> None:
    name = account.physical_ids()["InstanceRole"]
    account.client("iam").delete_role_policy(RoleName=name, PolicyName="ReadConfiguration")


@fault("A", "fleet role", "lacks the attached policy arn:aws:iam::aws:policy/", "restore it in IAM")
def fleet_role_without_its_policy(account: Account) -> None:
    iam, name = account.client("iam"), account.physical_ids()["FleetRole"]
    [policy] = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])


@fault("B", "fleet role", 'may be assumed by [{"AWS": "*"}]', "restore it in IAM")
def fleet_role_that_anybody_may_take(account: Account) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    account.client("iam").update_assume_role_policy(
        RoleName=account.physical_ids()["FleetRole"],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )


@fault("D", "instance profile", "it was deleted")
def profile_deleted(account: Account) -> None:
    profile_without_its_role(account)
    account.client("iam").delete_instance_profile(InstanceProfileName=account.physical_ids()["InstanceProfile"])


@fault("A", "service-linked roles", "AWSServiceRoleForEC2SpotFleet is missing", "create-service-linked-role")
def account_without_a_service_linked_role(account: Account) -> None:
    account.client("iam").delete_service_linked_role(RoleName="AWSServiceRoleForEC2SpotFleet")


@fault("A", "instance profile", "it contains no role", "aws iam add-role-to-instance-profile")
def profile_without_its_role(account: Account) -> None:
    ids = account.physical_ids()
    account.client("iam").remove_role_from_instance_profile(
        InstanceProfileName=ids["InstanceProfile"], RoleName=ids["InstanceRole"]
    )


@fault("A", "bucket's privacy", "its bucket policy makes it public", "aws s3api delete-bucket-policy")
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


@fault("C", "bucket's privacy", "its objects may have their own ACLs", "put-bucket-ownership-controls")
def bucket_with_access_lists(account: Account) -> None:
    account.client("s3").put_bucket_ownership_controls(
        Bucket=bucket(account), OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )


@fault("A", "bucket's encryption", "new objects are not encrypted", "aws s3api put-bucket-encryption")
def bucket_without_encryption(account: Account) -> None:
    account.client("s3").delete_bucket_encryption(Bucket=bucket(account))


@fault("B", "bucket's policy", "its policy allows access without TLS", "restore it")
def bucket_without_its_policy(account: Account) -> None:
    account.client("s3").delete_bucket_policy(Bucket=bucket(account))


@fault("A", "bucket's expiry", "objects never expire", "restore the lifecycle rule")
def bucket_that_forgets_nothing(account: Account) -> None:
    account.client("s3").delete_bucket_lifecycle(Bucket=bucket(account))


@fault("B", "bucket's expiry", "objects expire after 1 days", "set it to 32 days")
def bucket_that_forgets_too_soon(account: Account) -> None:
    rule = {"ID": "soon", "Status": "Enabled", "Filter": {"Prefix": "annex/"}, "Expiration": {"Days": 1}}
    account.client("s3").put_bucket_lifecycle_configuration(
        Bucket=bucket(account), LifecycleConfiguration={"Rules": [rule]}
    )


@fault("D", "bucket", "is gone")
def bucket_deleted(account: Account) -> None:
    account.client("s3").delete_bucket(Bucket=bucket(account))


@fault("A", "security group", "allows inbound tcp 22 from 0.0.0.0/0", "revoke-security-group-ingress")
def security_group_that_lets_ssh_in(account: Account) -> None:
    account.client("ec2").authorize_security_group_ingress(
        GroupId=account.physical_ids()["SecurityGroup"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )


@fault("B", "security group", "allows no outbound traffic", "authorize-security-group-egress")
def security_group_that_lets_nothing_out(account: Account) -> None:
    group_id = account.physical_ids()["SecurityGroup"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    account.client("ec2").revoke_security_group_egress(GroupId=group_id, IpPermissions=[everything])


@fault("A", "Spot quota", "the account may run 0 vCPUs", "request-service-quota-increase")
def account_without_a_spot_quota(account: Account) -> None:
    account.cloud.set_quotas(L_34B43A08=0)


@fault("A", "clock", "this host's clock is", "chrony")
def host_with_a_slow_clock(account: Account) -> None:
    account.cloud.set_clock_ahead(200)


@fault("E", "credentials", "GetCallerIdentity was denied, the credentials have expired", "get new credentials")
def expired_keys(account: Account) -> None:
    account.cloud.fault("GetCallerIdentity", "expired-token")


@fault("F", "credentials", "GetCallerIdentity was denied to these credentials", "create a new access key")
def deleted_keys(account: Account) -> None:
    account.cloud.fault("GetCallerIdentity", "unknown-key")


@fault("A", "configuration", "it belongs to another region, eu-west-1", "-setup writes it")
def configuration_of_another_region(account: Account) -> None:
    account.file.write_text(account.file.read_text().replace(":lambda:us-east-1:", ":lambda:eu-west-1:"))


@fault("B", "configuration", "it belongs to another stack: ANNEX_DEFAULT_S3_BUCKET", "-setup writes it")
def configuration_of_another_stack(account: Account) -> None:
    account.file.write_text(account.file.read_text().replace("htcondorannex-bucket-", "an-earlier-bucket-"))


@fault("C", "configuration", "HTCondor's configuration lacks ANNEX_DEFAULT_EC2_URL", "-setup writes it")
def configuration_removed(account: Account) -> None:
    account.file.unlink()


@fault("A", "network", "there is no default VPC with default subnets", "condor_annex -setup -vpc VPC moves")
def default_vpc_without_subnets(account: Account) -> None:
    ec2 = account.client("ec2")
    for each in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=each["SubnetId"])


def volumes_key(account: Account) -> str:
    """Encrypt volumes by default with a customer managed key, and return its ARN."""
    ec2, key = account.client("ec2"), str(account.client("kms").create_key()["KeyMetadata"]["Arn"])
    ec2.enable_ebs_encryption_by_default()
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
    return key


@fault(
    "A",
    "volumes' key",
    "AWSServiceRoleForEC2Spot and AWSServiceRoleForEC2SpotFleet and AWSServiceRoleForEC2Fleet may not use: no",
    "role/aws-service-role/spotfleet.amazonaws.com/AWSServiceRoleForEC2SpotFleet --operations Decrypt Encrypt",
)
def volumes_encrypted_with_a_key_that_spot_may_not_use(account: Account) -> None:
    volumes_key(account)


@fault("B", "volumes' key", "which is Disabled: no instance can start", "enable the key")
def volumes_encrypted_with_a_disabled_key(account: Account) -> None:
    account.client("kms").disable_key(KeyId=volumes_key(account).rpartition("/")[2])


def grant(account: Account, key: str, service: str, name: str, *operations: str) -> None:
    role = f"arn:aws:iam::123456789012:role/aws-service-role/{service}.amazonaws.com/{name}"
    account.client("kms").create_grant(KeyId=key, GranteePrincipal=role, Operations=list(operations or GRANTED.split()))


@fault("C", "volumes' key", ", which AWSServiceRoleForEC2Spot may not use", "aws kms create-grant --region us-east-1")
def volumes_encrypted_with_a_key_that_half_of_spot_may_use(account: Account) -> None:
    key = volumes_key(account)
    grant(account, key, "spotfleet", "AWSServiceRoleForEC2SpotFleet")
    grant(account, key, "ec2fleet", "AWSServiceRoleForEC2Fleet")
    grant(account, key, "spot", "AWSServiceRoleForEC2Spot", "Decrypt")


@fault("A", "right to order", "AWS denies CreateFleet to everybody here", "AWS Organizations")
def organization_that_forbids_ec2_fleets(account: Account) -> None:
    account.cloud.behave(forbidden=["ec2:CreateFleet"])


@fault("B", "right to order", "a policy denies CreateFleet explicitly", "AWS Organizations")
def organization_that_forbids_ec2_fleets_and_does_not_say_so(account: Account) -> None:
    account.cloud.behave(forbidden=["ec2:CreateFleet"], control_policy_words="encoded")


@fault("C", "right to end", "AWS denies CancelSpotFleetRequests to everybody here", "exempt this account")
def organization_that_forbids_to_end_fleets(account: Account) -> None:
    token = leased_token("annex-1", int(time.time()) + 3600)
    request(account.client("ec2"), 1, ClientToken=token, Type="request")
    account.cloud.behave(forbidden=["ec2:CancelSpotFleetRequests"])
