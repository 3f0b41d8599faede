"""Fleets created by hand, with the ID of another user's annex in their token, do no harm to that annex."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.index import AnnexIndex
from annexd.annex.lease.identifiers import leased_token
from annexd.annex.lease.lease import tags
from test.annex.ads import OWNER, SPECIFICATION
from test.annex.site import Site

MALLORY = "mallory@example.org"
ROLE = "arn:aws:iam::123456789012:role/fleet"
KEYS: dict[str, Any] = {"PublicKeyFile": "/home/alice/public", "SecretKeyFile": "/home/alice/secret"}


@pytest.fixture
def shared(site: Site) -> Iterator[Site]:
    """Yield a site where Mallory has keys of the account, too, and annexd knows the account's lease function."""
    before, url = site.defaults, site.cloud.url
    site.defaults = replace(before, lease_function_arn=site.arn, ec2_url=url, lambda_url=url, sts_url=url, logs_url=url)
    site.readers.add(MALLORY)
    yield site
    site.defaults = before


def forged(site: Site, annex_id: str, owner: str) -> str:
    end_s = int(time.time()) + 3600
    config = {
        "IamFleetRole": ROLE, "TargetCapacity": 1, "Type": "request", "ClientToken": leased_token(annex_id, end_s),
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": tags(annex_id, owner, end_s)}],
        "LaunchSpecifications": [SPECIFICATION],
    }  # fmt: skip
    return str(site.cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"])


def state_of(site: Site, fleet_id: object) -> str:
    return next(str(fleet["state"]) for fleet in site.cloud.fleets() if fleet["id"] == fleet_id)


def cancelled_ends(site: Site) -> dict[str, float]:
    journal = site.journal()
    try:
        return AnnexIndex(site.engine(journal)).cancelled_ends()
    finally:
        journal.close()


def test_a_fleet_with_the_id_of_another_users_annex_does_not_allow_cancelling_or_changing_that_annex(
    shared: Site,
) -> None:
    ordered = shared.order()
    fleet_id = forged(shared, str(ordered["AnnexID"]), MALLORY)
    assert shared.cancel(fleet_id, MALLORY, **KEYS)["Result"] == "NotAuthorized"
    assert shared.change(fleet_id, MALLORY, EndOfLease=int(time.time()) + 900, **KEYS)["Result"] == "NotAuthorized"
    assert cancelled_ends(shared) == {}
    answer = shared.cancel(str(ordered["AnnexID"]))
    assert (answer["Result"], answer["BulkRequestID"]) == ("Success", ordered["BulkRequestID"])
    assert "Warning" not in answer
    assert state_of(shared, ordered["BulkRequestID"]).startswith("cancelled")


def test_a_fleet_that_says_that_it_is_of_ones_own_annex_is_named_by_that(shared: Site) -> None:
    ordered = shared.order()
    fleet_id = forged(shared, str(ordered["AnnexID"]), OWNER)
    answer = shared.cancel(fleet_id, **KEYS)
    assert answer["Result"] == "InvalidRequest"
    assert "use that ID" in str(answer["ErrorString"])


def test_cancelling_a_fleet_that_only_the_cloud_knows_cancels_no_other_of_the_same_annex_id(shared: Site) -> None:
    """By their tokens, both fleets belong to one annex of another annexd."""
    alices, mallorys = forged(shared, "annex-1", OWNER), forged(shared, "annex-1", MALLORY)
    assert shared.cancel(mallorys, MALLORY, **KEYS)["Result"] == "Success"
    assert not state_of(shared, alices).startswith("cancelled")
    assert cancelled_ends(shared) == {}
    answer = shared.cancel(alices, **KEYS)
    assert (answer["Result"], answer["BulkRequestID"]) == ("Success", alices)
    assert state_of(shared, alices).startswith("cancelled")
