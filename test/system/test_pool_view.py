"""-status says what the pool has of an annex, as condor_status does."""

import json
import sys
from typing import Any

from test.replies import accepted
from test.system.site import Site
from test.system.tool import condor_annex

ADVERTISE = """
import classad2, htcondor2, json, sys
ads = [classad2.ClassAd(ad) for ad in json.load(sys.stdin)]
htcondor2.Collector().advertise(ads, "UPDATE_STARTD_AD", True)
"""


def slot(annex_id: str, name: str, state: str) -> dict[str, Any]:
    return {"MyType": "Machine", "Name": name, "Machine": "ip-10-0-0-1", "AnnexID": annex_id, "State": state}


def advertise(site: Site, *slots: dict[str, Any]) -> None:
    done = site.pool.run(sys.executable, "-c", ADVERTISE, stdin=json.dumps(slots))
    assert done.returncode == 0, done.stderr


def annex_in_status(site: Site, annex_id: str) -> dict[str, Any]:
    done = condor_annex(site, "-status", "-json", annex_id)
    assert done.returncode == 0, done.stderr
    [annex] = json.loads(done.stdout)
    return dict(annex)


def machines_in_condor_status(site: Site, annex_id: str, more: str = "") -> int:
    constraint = f'AnnexID == "{annex_id}"{more}'
    names = site.pool.tool("condor_status", "-constraint", constraint, "-af", "Name").stdout.split()
    return len({name.rpartition("@")[2] for name in names})


def test_machines_in_the_pool_are_counted_as_condor_status_shows_them(site: Site) -> None:
    annex_id = str(accepted(site.order())["AnnexID"])
    advertise(
        site,
        slot(annex_id, "slot1@i-01", "Unclaimed"),
        slot(annex_id, "slot1_1@i-01", "Claimed"),
        slot(annex_id, "slot1@i-02", "Unclaimed"),
        slot("annex-of-somebody-else", "slot1@i-03", "Claimed"),
    )
    site.wait(lambda: annex_in_status(site, annex_id)["Joined"], "the machines in -status")
    annex = annex_in_status(site, annex_id)
    assert (annex["Joined"], annex["Claimed"], annex["PoolFault"]) == (2, 1, None)
    assert machines_in_condor_status(site, annex_id) == 2
    assert machines_in_condor_status(site, annex_id, ' && State == "Claimed"') == 1
