"""Each annex has an ad in the collector, for condor_status and scripts."""

import json
from typing import Any

from test.replies import accepted
from test.system.site import Site
from test.system.tool import condor_annex


def ads(site: Site, annex_id: str) -> list[dict[str, Any]]:
    constraint = f'MyType == "Annex" && Name == "{annex_id}"'
    text = site.pool.tool("condor_status", "-any", "-constraint", constraint, "-json").stdout
    return list(json.loads(text)) if text.strip() else []


def state(site: Site, annex_id: str) -> str:
    return "".join(str(ad["AnnexState"]) for ad in ads(site, annex_id))


def test_an_annex_is_seen_in_condor_status_until_it_is_over(site: Site) -> None:
    reply = accepted(site.order(AnnexName="physics"))
    annex_id = str(reply["AnnexID"])
    site.wait(lambda: state(site, annex_id) == "leased", "the ad of the annex")
    [ad] = ads(site, annex_id)
    [annex] = json.loads(condor_annex(site, "-status", annex_id, "-json").stdout)
    same = ("AnnexID", "AnnexName", "Owner", "BulkRequestID", "TargetCapacity", "EndOfLease", "OrderedEndOfLease")
    assert {name: ad[name] for name in same} == {name: annex[name] for name in same}
    assert condor_annex(site, "-cancel", annex_id).returncode == 0
    site.wait(lambda: state(site, annex_id) == "cancelled", "the new state in the ad")


def test_the_ad_holds_no_text_of_awss_and_nothing_to_ask_with(site: Site) -> None:
    annex_id = str(accepted(site.order())["AnnexID"])
    site.wait(lambda: ads(site, annex_id), "the ad of the annex")
    [ad] = ads(site, annex_id)
    assert not {"Trouble", "SeenFault", "PoolFault", "CommandID", "ClientToken", "PublicKeyFile"} & ad.keys()
    assert "arn:aws" not in json.dumps(ad)


def test_the_ads_go_when_annexd_stops(site: Site) -> None:
    annex_id = str(accepted(site.order())["AnnexID"])
    site.wait(lambda: ads(site, annex_id), "the ad of the annex")
    pid = site.pid()
    assert site.pool.tool("condor_off", "-daemon", "annexd").returncode == 0
    site.wait_for_end(pid)
    assert not ads(site, annex_id)
    assert site.pool.tool("condor_on", "-daemon", "annexd").returncode == 0
    site.wait(lambda: ads(site, annex_id), "the ad after the next start")
