"""Run the commands of docs/quickstart-aws.md in an emulated account, exactly as on the page.

condor_annex runs in this process.  The AWS CLI is not installed here, so its commands are interpreted as the CLI does
it, by botocore's names of operations and parameters.
"""

from __future__ import annotations

from typing import Any

import jmespath  # type: ignore[import-untyped]
from botocore import xform_name

from annexd.account.service_roles import NAMES
from test.account.kit import TOP, Account
from test.account.vpc import Vpc, without_default_vpc
from test.texts import block, words_of

PAGE = TOP / "docs" / "quickstart-aws.md"
VPC = "vpc-0123456789abcdef0"
FILE = "file://"
QUICK = {"Delay": 1, "MaxAttempts": 60}


def lines(beginning: str) -> list[list[str]]:
    return [words_of(line) for line in block(PAGE, beginning).replace("\\\n", " ").splitlines()]


def annex(account: Account, words: list[str]) -> None:
    assert words[0] == "condor_annex"
    said = account.run(*words[1:])
    assert said.status == 0, said


def aws(account: Account, words: list[str]) -> Any:
    """Run one command: `aws SERVICE OPERATION --parameter value`, or `aws SERVICE wait WAITER ...`."""
    program, service, *rest = words
    assert program == "aws"
    client, waits = account.client(service), rest[0] == "wait"
    operation = xform_name(rest[waits].title().replace("-", ""))
    given = {words[i][2:]: words[i + 1] for i in range(3 + waits, len(words), 2)}
    query = given.pop("query", None)
    if waits:
        return client.get_waiter(operation).wait(**parameters(client, "describe_stacks", given), WaiterConfig=QUICK)
    said = getattr(client, operation)(**parameters(client, operation, given))
    return jmespath.search(query, said) if query else said


def parameters(client: Any, operation: str, given: dict[str, str]) -> dict[str, Any]:
    """Return the parameters with the names and types of the API."""
    shapes = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape.members
    names = {xform_name(name).replace("_", "-"): name for name in shapes}
    return {names[name]: value_of(shapes[names[name]].type_name, value) for name, value in given.items()}


def value_of(kind: str, value: str) -> Any:
    text = (TOP / value.removeprefix(FILE)).read_text() if value.startswith(FILE) else value
    return [text] if kind == "list" else text


def test_the_account_is_set_up_and_checked(account: Account) -> None:
    setup, reconfig, check = lines("condor_annex -setup -region us-east-1\n")
    annex(account, setup)
    assert reconfig == ["condor_reconfig"]  # which test/system runs
    annex(account, check)


def test_another_network_is_named_where_there_is_no_default_vpc(account: Account) -> None:
    without_default_vpc(account.cloud)
    vpc = Vpc(account.cloud)
    [words] = lines(f"condor_annex -setup -region us-east-1 -vpc {VPC}")
    annex(account, [vpc.id if word == VPC else word for word in words])


def test_two_regions_are_set_up_and_one_is_removed(account: Account) -> None:
    [setup] = lines("condor_annex -setup -region us-east-1 -region eu-west-1")
    [teardown] = lines("condor_annex -teardown")
    annex(account, setup)
    annex(account, teardown)
    assert "the default region" not in account.run("-teardown", "-region", "eu-west-1").err
    assert not account.file.exists()


def test_the_service_linked_roles_are_removed_by_hand(account: Account) -> None:
    account.set_up()
    account.run("-teardown")
    for words in lines("aws iam delete-service-linked-role"):
        aws(account, words)
    roles = {role["RoleName"] for role in account.client("iam").list_roles()["Roles"]}
    assert not roles & set(NAMES.values())


def test_a_user_gets_the_policy_of_those_who_order(account: Account) -> None:
    account.client("iam").create_user(UserName="alice")
    create, attach = lines("aws iam create-policy")
    made = aws(account, create)["Policy"]["Arn"]
    aws(account, [word.replace("ACCOUNT", "123456789012") for word in attach])
    [attached] = account.client("iam").list_attached_user_policies(UserName="alice")["AttachedPolicies"]
    assert attached["PolicyArn"] == made


def test_without_setup_the_stack_of_the_lease_function_is_made_by_awss_command_line(account: Account) -> None:
    create, wait, describe = lines("aws cloudformation create-stack")
    aws(account, create)
    aws(account, wait)
    [output] = [each for each in aws(account, describe) if each["OutputKey"] == "LeaseFunctionARN"]
    assert output["OutputValue"].endswith(":HTCondorAnnexLease")
