"""Updates of a function's configuration, its policy and its settings of asynchronous calls."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import ECHO, deploy, until
from test.cloud.stack_orders import NAME, Stack, configuration, template


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    stack = Stack(cloud)
    assert stack.create(template()) == "CREATE_COMPLETE", stack.reasons()
    return stack


def test_a_function_is_changed_by_one_call_after_the_other(cloud: Cloud, stack: Stack) -> None:
    functions = cloud.client("lambda")
    cloud.behave(update_s=3.0)
    response = functions.update_function_configuration(FunctionName=NAME, Description="closing")
    assert (response["LastUpdateStatus"], response["Description"]) == ("InProgress", "closing")
    with pytest.raises(ClientError, match=r"ResourceConflictException.*An update is in progress"):
        functions.update_function_configuration(FunctionName=NAME, Description="open")
    until("the update is over", lambda: configuration(cloud)["LastUpdateStatus"] == "Successful")
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stack.update(template())
    assert configuration(cloud)["Description"] == "closing", "CloudFormation does not look at what is there"


def test_settings_of_asynchronous_calls_are_changed_one_by_one(cloud: Cloud, stack: Stack) -> None:
    assert stack.update(template({"Calls": {"MaximumRetryAttempts": 1}})) == "UPDATE_COMPLETE"
    functions = cloud.client("lambda")
    response = functions.update_function_event_invoke_config(FunctionName=NAME, MaximumEventAgeInSeconds=600)
    assert (response["MaximumRetryAttempts"], response["MaximumEventAgeInSeconds"]) == (1, 600)
    assert response["FunctionArn"].endswith(":$LATEST")
    response = functions.put_function_event_invoke_config(FunctionName=NAME, MaximumEventAgeInSeconds=60)
    assert "MaximumRetryAttempts" not in response
    functions.delete_function_event_invoke_config(FunctionName=NAME)
    for call in (functions.get_function_event_invoke_config, functions.delete_function_event_invoke_config):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            call(FunctionName=NAME)
    with pytest.raises(ClientError, match="at least one of error handling or destination"):
        functions.put_function_event_invoke_config(FunctionName=NAME)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.get_function_event_invoke_config(FunctionName=NAME, Qualifier="7")


def test_a_statement_of_a_functions_policy_cannot_be_there_twice(cloud: Cloud) -> None:
    deploy(cloud, ECHO)
    with pytest.raises(ClientError, match=r"ResourceConflictException.*statement id \(rules\) provided already exists"):
        cloud.client("lambda").add_permission(
            FunctionName="one", StatementId="rules", Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
        )
