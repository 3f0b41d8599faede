"""An endpoint that answers in a shape that AWS has not: the order fails with words, and nothing is taken for gone."""

import json
from collections.abc import Callable

import pytest
from annexd.annex.adoption import Place, reconcile

from annexd.annex.lease import tags
from annexd.workflow import Json, Refused, Retry
from test.annex.ads import OWNER
from test.annex.site import Site
from test.annex.test_adoption import fleet, rule
from test.aws.endpoint import endpoint, relays
from test.cloud.request import Request

NOW = "Sat, 28 Nov 2026 12:00:00 GMT"
BODIES = {
    "nothing": b"", "an empty object": b"{}", "a list": b"[]", "null": b"null", "a number": b"7", "text": b"it works",
    "another XML": b"<a><b>1</b></a>", "half of an XML": b"<DescribeSpot", "deep JSON": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000, "deep XML": b"<a>" * 100_000, "no UTF-8": b"\xff\xfe{",
}


def answering(operation: str, body: bytes) -> Callable[[bytes], bytes | None]:
    """This body in place of AWS's answer to one operation, which AWS does not get to see."""
    def changed(request: bytes) -> bytes | None:
        head, _, content = request.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        return body if Request(method, target, headers, content).operation == operation else None

    return changed


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("operation", ["GetFunction", "GetPolicy", "PutRule", "PutTargets", "RequestSpotFleet"])
def test_an_order_ends_with_words_and_leaves_nothing(site: Site, operation: str, body: str) -> None:
    with endpoint(relays(site.cloud.url, NOW, answering(operation, BODIES[body]))) as url:
        reply = site.order(ServiceURL=url, EventsURL=url, LambdaURL=url)
        assert reply["Result"] == "Failure", reply
        assert operation in str(reply["ErrorString"])
        assert "a fault of annexd" not in str(reply["ErrorString"])
        assert len(str(reply["ErrorString"])) < 3000
        site.restart()
    site.check_nothing_left()


def place(site: Site, url: str) -> Place:
    endpoints = {"region": "us-east-1", "ec2_url": url, "events_url": url, "lambda_url": url, "sts_url": site.cloud.url}
    order: Json = {"owner": OWNER, "endpoints": endpoints, "public_key_file": "/home/alice/public",
                   "secret_key_file": "/home/alice/secret"}
    return Place(order, site.arn)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "DescribeInstances", "ListRules",
                                       "ListTargetsByRule"])
def test_a_look_ends_with_words_and_mends_nothing(site: Site, operation: str, body: str) -> None:
    rule(site, "annex-1", ago_s=100_000)
    with endpoint(relays(site.cloud.url, NOW, answering(operation, BODIES[body]))) as url:
        with pytest.raises((Retry, Refused), match=r"was not answered as AWS answers|got no clear answer") as caught:
            reconcile(site.world(), place(site, url), frozenset)
        assert len(str(caught.value)) < 3000
    assert site.rules() == {"annex-1"}


@pytest.mark.parametrize("end", ["1" + "0" * 400, "1" * 4000, "-1", "1e400", "[" * 100_000, '{"a":1}', "true",
                                 "99999999999"])
def test_a_rule_with_an_end_that_is_none_is_no_lease_and_breaks_no_look(site: Site, end: str) -> None:
    fleet(site, "annex-1", lease_s=1000, its_tags=tags("annex-1", OWNER, int(site.now_s()) + 1000))
    rule(site, "annex-1", ago_s=-1000)
    told = f'{{"AnnexID":"annex-1","RuleID":"annex-1","TargetID":"annex-1","LeaseExpiration":{end}}}'
    targets = json.dumps({"Targets": [{"Id": "annex-1", "Arn": site.arn, "Input": told}]}).encode()
    with endpoint(relays(site.cloud.url, NOW, answering("ListTargetsByRule", targets))) as url:
        report = reconcile(site.world(), place(site, url), frozenset)
    assert report.unleased == {"annex-1"}
    assert report.faults == ()
    [target] = site.cloud.client("events").list_targets_by_rule(Rule="annex-1")["Targets"]
    assert abs(json.loads(target["Input"])["LeaseExpiration"] - site.now_s() - 1000) < 5


def test_a_fleet_whose_tag_has_an_end_that_the_function_would_not_take_is_ended_now(site: Site) -> None:
    fleet(site, "annex-1", lease_s=0, its_tags=tags("annex-1", OWNER, 250_000_000_000))
    report = reconcile(site.world(), place(site, site.cloud.url), frozenset)
    assert report.faults == ()
    [target] = site.cloud.client("events").list_targets_by_rule(Rule="annex-1")["Targets"]
    assert abs(json.loads(target["Input"])["LeaseExpiration"] - site.now_s()) < 5
