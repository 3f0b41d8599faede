"""An endpoint responds as AWS never does: an order fails with a message, and nothing is taken for gone."""

import json
from dataclasses import replace

import pytest

from annexd.annex.reconcile import reconcile
from annexd.workflow import Refused, Retry
from test.annex.fleets import fleet, target, writes
from test.annex.site import PACE, Site
from test.annex.strange import BODIES, NOW, answering
from test.aws.endpoint import endpoint, relays
from test.whole import WHOLE

OF_A_QUOTE = (
    "GetFunction",
    "RequestSpotFleet",
    "DescribeImages",
    "DescribeSpotPriceHistory",
    "GetProducts",
    "DescribeInstances",
    "DescribeInstanceTypes",
    "GetServiceQuota",
)
ASKED_OF_QUOTES = [  # the short run tests each operation with a third of the bodies
    pytest.param(operation, body, marks=() if (number + other) % 3 == 0 else WHOLE)
    for number, operation in enumerate(OF_A_QUOTE)
    for other, body in enumerate(BODIES)
]
HASTY = replace(PACE, forward_deadline_s=0.1, cap_s=0.02)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("operation", ["GetFunction", "FilterLogEvents", "RequestSpotFleet"])
def test_an_order_ends_with_words_and_leaves_nothing(site: Site, operation: str, body: str) -> None:
    with endpoint(relays(site.cloud.url, NOW, answering(operation, BODIES[body]))) as url:
        reply = site.order(HASTY, ServiceURL=url, LambdaURL=url, LogsURL=url)
        assert reply["Result"] == "Failure", reply
        assert operation in str(reply["ErrorString"])
        assert "internal error" not in str(reply["ErrorString"])
        assert len(str(reply["ErrorString"])) < 3000
        site.restart()
    site.check_nothing_left()


@pytest.mark.parametrize(("operation", "body"), ASKED_OF_QUOTES)
def test_a_quote_says_what_was_not_answered_and_changes_nothing(site: Site, operation: str, body: str) -> None:
    with endpoint(relays(site.cloud.url, NOW, answering(operation, BODIES[body]))) as url:
        site.defaults = replace(site.defaults, pricing_url=url, quotas_url=url)
        reply = site.quote(ServiceURL=url, LambdaURL=url, SpotPrice=None)
    quote = json.loads(str(reply.get("Quote", "{}")))
    if operation in ("GetFunction", "RequestSpotFleet"):
        assert reply["Result"] == "Failure" or quote["Rights"]["DryRunFault"], reply
    else:
        assert reply["Result"] == "Success", reply
        assert quote["Most"]["Total"] is None
    assert "internal error" not in str(reply)
    assert site.live_fleets() == []


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "DescribeInstances"])
def test_a_look_ends_with_words_and_ends_nothing(site: Site, operation: str, body: str) -> None:
    fleet(site, "annex-1", lease_s=-100_000)
    with endpoint(relays(site.cloud.url, NOW, answering(operation, BODIES[body]))) as url:
        with pytest.raises((Retry, Refused), match=r"got an answer unlike AWS's|got no clear answer") as caught:
            reconcile(site.step_context(), target(site, url), frozenset)
        assert len(str(caught.value)) < 3000
    assert writes(site) == []


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("operation", ["GetFunction", "FilterLogEvents"])
def test_a_lease_function_that_answers_strangely_is_reported_and_hides_no_annex(
    site: Site, operation: str, body: str
) -> None:
    fleet_id = fleet(site, "annex-1", lease_s=1000)
    with endpoint(relays(site.cloud.url, NOW, answering(operation, BODIES[body]))) as url:
        report = reconcile(site.step_context(), target(site, url), frozenset)
    assert operation in report.enforcer.fault
    assert report.fleets == {fleet_id}
