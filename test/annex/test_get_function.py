"""A lease function is one that EventBridge may call."""

import json
from typing import Any

import pytest
from annexd.annex.steps.get_function import may_be_called

from test.annex.site import Site


def policy(principal: Any, effect: str = "Allow") -> str:
    return json.dumps({"Statement": [{"Effect": effect, "Principal": principal, "Action": "lambda:InvokeFunction"}]})


@pytest.mark.parametrize(("text", "may"), [
    (policy({"Service": "events.amazonaws.com"}), True),
    (policy({"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}), True),
    (policy("*"), True),
    (policy({"AWS": "*"}), True),
    (policy({"Service": "s3.amazonaws.com"}), False),
    (policy({"Service": "events.amazonaws.com"}, effect="Deny"), False),
    ("{}", False),
    (None, True),  # not to be seen with these credentials: AWS will judge
])
def test_a_policy_is_read_for_eventbridge(text: str | None, may: bool) -> None:
    assert may_be_called(text) is may


def test_a_function_that_no_rule_may_call_is_refused_before_anything_is_made(site: Site) -> None:
    site.cloud.fault("GetPolicy", "error", code="ResourceNotFoundException", status=404)
    reply = site.order()
    assert "EventBridge may not call the lease function" in str(reply["ErrorString"])
    assert site.operations() == ["GetFunction", "GetPolicy"]


def test_credentials_that_may_not_see_the_policy_may_still_order(site: Site) -> None:
    site.cloud.fault("GetPolicy", "denied")
    assert site.order()["Result"] == "Success"
