"""The annexes that annexd knows: told from its journal and its last look, without a question to AWS."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest
from annexd.annex.adoption import Place, place_of

from annexd.annex.roll import Roll
from annexd.annex.status import Look, query_annexes
from annexd.aws import Endpoints
from test.annex.ads import OWNER
from test.annex.conftest import TEMPLATE
from test.annex.site import PACE, Site
from test.annex.test_adoption import fleet, look
from test.cloud import Cloud

BOB = "bob@example.org"


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, str]]:
    """A cloud of its own: what runs here without a lease stays on its meter."""
    with Cloud(speed=0, termination_s=0.05) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


def ask(site: Site, owner: str = OWNER, looks: Mapping[str, Look] | None = None, **changes: Any) -> dict[str, Any]:
    """The reply to one question; AWS must not hear of it."""
    journal = site.journal()
    before = len(site.operations())
    try:
        ad = {"Command": "CA_QUERY_ANNEXES", "RequestVersion": 1, **changes}
        reply = query_annexes(ad, owner, Roll(site.engine(journal)), site.defaults, site.now_s(), looks or {})
    finally:
        journal.close()
    assert len(site.operations()) == before
    return dict(reply)


def told(site: Site, owner: str = OWNER, looks: Mapping[str, Look] | None = None, **changes: Any) -> list[Any]:
    return list(json.loads(ask(site, owner, looks, **changes)["Annexes"]))


def looked(site: Site, ago_s: float = 0.0) -> dict[str, Look]:
    """What reconciliation sees, as if that were so long ago."""
    url = site.cloud.url
    order = {"owner": OWNER, "endpoints": asdict(Endpoints("us-east-1", url, url, url, sts_url=url)),
             "public_key_file": "/home/alice/public", "secret_key_file": "/home/alice/secret"}
    seen = {sighting.annex_id: sighting for sighting in look(site).sightings}
    return {Place(order, site.arn).key: Look(time.time() - ago_s, seen)}


def test_an_annex_is_told_with_its_lease_its_owner_and_what_was_seen_of_it(site: Site) -> None:
    reply = site.order(AnnexName="physics")
    [annex] = told(site, looks=looked(site))
    assert abs(annex.pop("SeenTime") - time.time()) < 5
    assert annex == {
        "AnnexID": reply["AnnexID"], "AnnexName": "physics", "Owner": OWNER, "CommandID": reply["CommandID"],
        "BulkRequestID": reply["BulkRequestID"], "TargetCapacity": 2, "EndOfLease": reply["EndOfLease"],
        "State": "leased", "Instances": 2,
    }  # fmt: skip
    for looks in ({}, looked(site, ago_s=60.0)):
        [unseen] = told(site, looks=looks)
        assert (unseen["Instances"], unseen["SeenTime"]) == (None, None), "no look since it was ordered"


def test_each_state_has_its_word(site: Site) -> None:
    leased, cancelled = site.order(), site.order(AnnexName="mine")
    site.cancel("mine")
    site.cloud.fault("CancelSpotFleetRequests", "throttle", times=1000)
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    undoing = site.order(replace(PACE, undo_patience_s=0.1, stuck_base_s=60.0))
    site.cloud.clear_faults()
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    failed = site.order()
    words = {annex["AnnexID"]: annex["State"] for annex in told(site)}
    assert words == {leased["AnnexID"]: "leased", cancelled["AnnexID"]: "cancelled", undoing["AnnexID"]: "undoing"}
    assert [annex["State"] for annex in told(site, Annex=failed["AnnexID"])] == ["failed"], "when it is asked for"
    site.away_s = 3700.0
    assert [annex["State"] for annex in told(site, Annex=leased["AnnexID"])] == ["over"]
    site.away_s = 3600.0 + 3700.0
    assert {annex["State"] for annex in told(site)} == {"undoing"}


def test_a_user_sees_his_own_and_a_super_user_all(site: Site) -> None:
    reply = site.order(AnnexName="physics")
    for changes in ({}, {"Annex": reply["AnnexID"]}, {"Annex": reply["BulkRequestID"]}, {"Annex": "physics"}):
        assert len(told(site, **changes)) == 1
        assert told(site, BOB, **changes) == []
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    assert len(told(site, BOB)) == 1


def test_what_only_the_cloud_knows_is_told_to_its_owner(site: Site) -> None:
    fleet_id = fleet(site, "annex-1", lease_s=1000)
    look(site)
    [annex] = told(site, looks=looked(site))
    assert (annex["State"], annex["AnnexID"], annex["BulkRequestID"]) == ("adopted", "annex-1", fleet_id)
    assert (annex["Instances"], annex["TargetCapacity"]) == (2, None)
    assert told(site, BOB, looks=looked(site)) == []


def test_a_place_is_found_again_by_the_order_that_names_it(site: Site) -> None:
    site.order()
    journal = site.journal()
    [state] = Roll(site.engine(journal)).engine.accepted()[1]
    journal.close()
    assert place_of(state.order or {}).key in looked(site)


@pytest.mark.parametrize(("changes", "words"), [
    ({"Annex": "a b"}, "Annex names no annex"), ({"Colour": 1}, "Colour is no attribute of CA_QUERY_ANNEXES"),
    ({"RequestVersion": 7}, "RequestVersion must be 1"),
])
def test_a_wrong_question_tells_its_faults(site: Site, changes: dict[str, Any], words: str) -> None:
    reply = ask(site, **changes)
    assert (reply["Result"], words in reply["ErrorString"]) == ("InvalidRequest", True)
