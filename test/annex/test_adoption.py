"""An annexd that knows nothing finds all that is annexd's, mends what breaks the promise, and touches nothing else."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import pytest
from annexd.annex.adoption import OVERDUE_S, Place, Report, own_place, reconcile

from annexd.annex.defaults import Defaults
from annexd.annex.identifiers import new_client_token
from annexd.annex.lease import tags, utc
from annexd.aws import Endpoints
from annexd.workflow import Refused
from test.annex.ads import OWNER, SPECIFICATION
from test.annex.conftest import TEMPLATE
from test.annex.site import Site
from test.cloud import Cloud

ROLE = "arn:aws:iam::123456789012:role/fleet"


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, str]]:
    """A cloud of its own: what runs here without a lease stays on its meter."""
    with Cloud(speed=0, termination_s=0.05) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


def look(site: Site, busy: Set[str] = frozenset(), ahead_s: float = 0.0,
         cancelled: Mapping[str, float] = MappingProxyType({})) -> Report:
    """What a new annexd makes of the account."""
    url = site.cloud.url
    order = {"owner": OWNER, "endpoints": asdict(Endpoints("us-east-1", url, url, url, sts_url=url)),
             "public_key_file": "/home/alice/public", "secret_key_file": "/home/alice/secret"}
    world = replace(site.world(), now_s=lambda: time.time() + ahead_s)
    return reconcile(world, Place(order, site.arn), lambda: busy, lambda: cancelled)


def fleet(site: Site, annex_id: str, lease_s: float, token: str | None = None, its_tags: Any = None) -> str:
    """A fleet as annexd asks for it, unless told otherwise; with no lease."""
    its_tags = tags(annex_id, OWNER, int(time.time() + lease_s)) if its_tags is None else its_tags
    token = token or new_client_token(annex_id)
    config = {
        "IamFleetRole": ROLE, "TargetCapacity": 2, "Type": "request", "ClientToken": token,
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": its_tags}],
        "LaunchSpecifications": [
            {**SPECIFICATION, "TagSpecifications": [{"ResourceType": "instance", "Tags": its_tags}]}],
    }  # fmt: skip
    return str(site.cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"])


def rule(site: Site, annex_id: str, ago_s: float, target: dict[str, Any] | None = None, description: str = "") -> None:
    """A rule as annexd makes it, whose lease ended so long ago."""
    events, end_s = site.cloud.client("events"), int(time.time() - ago_s)
    told = {"AnnexID": annex_id, "RuleID": annex_id, "TargetID": annex_id, "LeaseExpiration": end_s}
    words = description or f"HTCondor annex {annex_id}: ends it after {utc(end_s)}"
    events.put_rule(Name=annex_id, ScheduleExpression="rate(5 minutes)", Description=words)
    its_target = {"Id": annex_id, "Arn": site.arn, "Input": json.dumps(told)} if target is None else target
    if its_target:
        events.put_targets(Rule=annex_id, Targets=[its_target])


def expiration(site: Site, annex_id: str) -> int:
    [target] = site.cloud.client("events").list_targets_by_rule(Rule=annex_id)["Targets"]
    assert target["Arn"] == site.arn
    return int(json.loads(target["Input"])["LeaseExpiration"])


def writes(site: Site) -> list[str]:
    """What was asked of AWS beyond looking."""
    return [name for name in site.operations() if not name.startswith(("Describe", "List", "Get"))]


def test_what_is_as_it_should_be_is_counted_and_left_alone(site: Site) -> None:
    assert site.order()["Result"] == "Success"
    site.cloud.clear_audit()
    report = look(site)
    assert (len(report.fleets), len(report.instances)) == (1, 2)
    assert (report.mended, report.faults, report.unleased, report.orphan_rules) == ((), (), frozenset(), frozenset())
    assert writes(site) == []


def test_a_fleet_without_a_lease_gets_the_one_that_its_tag_tells(site: Site) -> None:
    fleet(site, "annex-1", lease_s=1000)
    report = look(site)
    assert report.unleased == {"annex-1"}
    assert "annex annex-1 of alice@example.org ran without a lease" in report.mended[0]
    assert abs(expiration(site, "annex-1") - time.time() - 1000) < 5
    assert look(site).unleased == set()
    assert look(site).mended == ()


@pytest.mark.parametrize("lease_s", [-5000, None])
def test_a_fleet_whose_lease_is_over_or_unknown_is_ended_by_its_new_lease_at_the_next_tick(
    site: Site, lease_s: float | None
) -> None:
    its_tags = [{"Key": "htcondor:annex-id", "Value": "annex-1"}] if lease_s is None else None
    fleet(site, "annex-1", lease_s or 0, its_tags=its_tags)
    look(site)
    assert abs(expiration(site, "annex-1") - time.time()) < 5
    site.cloud.tick()
    site.check_nothing_left()


@pytest.mark.parametrize("broken", ["rule only", "disabled"])
def test_a_lease_that_cannot_fire_is_none(site: Site, broken: str) -> None:
    fleet(site, "annex-1", lease_s=1000)
    rule(site, "annex-1", ago_s=-1000, target={} if broken == "rule only" else None)
    if broken == "disabled":
        site.cloud.client("events").disable_rule(Name="annex-1")
    assert look(site).unleased == {"annex-1"}
    assert look(site).unleased == set()


def test_what_a_workflow_is_busy_with_is_left_to_it(site: Site) -> None:
    fleet(site, "annex-1", lease_s=1000)
    rule(site, "annex-2", ago_s=OVERDUE_S + 100)
    assert look(site, busy={"annex-1", "annex-2"}).mended == ()
    assert site.rules() == {"annex-2"}


def test_a_rule_that_guards_nothing_is_removed_after_its_lease_and_not_before(site: Site) -> None:
    rule(site, "annex-1", ago_s=OVERDUE_S + 10)
    rule(site, "annex-2", ago_s=OVERDUE_S - 100)
    rule(site, "annex-3", ago_s=OVERDUE_S + 10, target={})
    report = look(site)
    assert report.orphan_rules == {"annex-1", "annex-3"}
    assert len(report.mended) == 2
    assert site.rules() == {"annex-2"}


def test_a_fleet_whose_lease_function_does_not_work_is_ended_from_here(site: Site) -> None:
    annex_id = str(site.order()["AnnexID"])
    assert look(site, ahead_s=3600 + OVERDUE_S - 60).mended == ()
    late_s = 3600 + OVERDUE_S + 60
    report = look(site, ahead_s=late_s)
    assert len(report.overdue) == 1
    assert f"of annex {annex_id} outlived its lease, the lease function does not work" in report.mended[0]
    deadline_s = time.monotonic() + 20
    while site.rules():
        assert time.monotonic() < deadline_s, look(site, ahead_s=late_s)
        look(site, ahead_s=late_s)
    site.check_nothing_left()


LOOK_ALIKES: dict[str, Callable[[Site], object]] = {
    "a fleet with another form of token": lambda site: fleet(
        site, "annex-1", 0, token=f"annex-1_{secrets.token_hex(7)}"),
    "a fleet whose tag names another annex": lambda site: fleet(site, "annex-1", 0, its_tags=tags("annex-2", "a", 1)),
    "a fleet without tags": lambda site: fleet(site, "annex-1", 0, its_tags=[{"Key": "project", "Value": "x"}]),
    "a rule of somebody else's": lambda site: rule(site, "annex-1", 9999, description="HTCondor annex annex-1"),
    "a rule with the name of another annex": lambda site: rule(
        site, "annex-1", 9999, description="HTCondor annex annex-2: ends it after 2020-01-01T00:00:00Z"),
    "a rule with a target of somebody else's": lambda site: rule(
        site, "annex-1", 9999, target={"Id": "mine", "Arn": site.arn, "Input": "{}"}),
}


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_what_only_looks_like_ours_is_never_touched(site: Site, kind: str) -> None:
    LOOK_ALIKES[kind](site)
    site.cloud.clear_audit()
    assert look(site, ahead_s=100_000).mended == ()
    assert writes(site) == []


def test_instances_of_a_copy_of_our_request_are_not_ours(site: Site) -> None:
    fleet(site, "annex-1", 0, token=secrets.token_hex(8))
    report = look(site)
    assert (report.instances, report.unleased) == (frozenset(), frozenset())


def test_an_account_that_cannot_be_looked_at_is_told_and_nothing_is_done(site: Site) -> None:
    fleet(site, "annex-1", lease_s=1000)
    site.cloud.fault("ListRules", "denied")
    with pytest.raises(Refused, match="ListRules was denied"):
        look(site)
    assert site.rules() == set()


def test_one_annex_that_cannot_be_mended_keeps_no_other_from_it(site: Site) -> None:
    for annex_id in ("annex-1", "annex-2"):
        fleet(site, annex_id, lease_s=1000)
    site.cloud.fault("PutTargets", "denied")
    report = look(site)
    assert (len(report.mended), len(report.faults)) == (1, 1)
    assert "PutTargets was denied" in report.faults[0]
    assert len(look(site).mended) == 1
    assert look(site).unleased == set()


def test_annexds_own_place_has_every_endpoint_that_is_configured() -> None:
    """Also that of S3: what a removed lease leaves there is deleted from here."""
    urls = {"ec2_url": "http://e", "events_url": "http://v", "lambda_url": "http://l", "s3_url": "http://s"}
    arn = "arn:aws:lambda:us-east-1:123456789012:function:lease"
    place = own_place(Defaults(ec2_url="http://e", events_url="http://v", lambda_url="http://l", s3_url="http://s",
                               lease_function_arn=arn, allow_default_credentials=True))
    assert place is not None
    assert place.order["endpoints"] == urls | {"region": "us-east-1", "sts_url": ""}
