"""UID_DOMAIN changes while annexes live: annexes and orders of the old domain can still be ended."""

import sys
from collections.abc import Iterator

import pytest

from annexd.tool import errors
from test.cloud import Cloud
from test.system.site import Site

SUPER_USER = "condor@annexd.test"
UNDONE_S = 90.0  # the cancellation is requested at once, and checked again after up to 30 s
NEW = "UID_DOMAIN = elsewhere.test\nTRUST_DOMAIN = annexd.test"


@pytest.fixture
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, f"QUEUE_SUPER_USERS = {SUPER_USER}") as site:
        yield site


def move(site: Site) -> None:
    """Change to another domain and restart annexd."""
    site.pool.configure(NEW)
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)


def cancel_as_super_user(site: Site, annex: str) -> int:
    folder = site.pool.directory / "tokens-of-condor"
    folder.mkdir(mode=0o700)
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(site.pool.token(SUPER_USER))
    done = site.pool.run(
        sys.executable,
        "-m",
        "annexd.tool.main",
        "-cancel",
        annex,
        env={"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"},
    )
    assert done.returncode == errors.OK, done.stderr
    return done.returncode


def test_an_annex_of_the_old_domain_is_cancelled_with_its_owners_keys(site: Site) -> None:
    annex = site.order()
    assert annex["Result"] == "Success", annex
    move(site)
    cancel_as_super_user(site, annex["AnnexID"])
    site.cloud.tick()
    assert site.fleets() == []


def test_an_order_of_the_old_domain_that_is_stuck_is_undone(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", when="after")
    site.cloud.fault("RequestSpotFleet", "denied")
    site.cloud.fault("CancelSpotFleetRequests", "denied", times=1000)
    reply = site.order(CommandID="stuck-1")
    assert "could not be undone yet" in reply["ErrorString"], reply
    move(site)
    site.cloud.clear_faults()
    starts = site.starts()
    site.kill()  # at its start annexd retries stuck requests at once
    site.wait_for_restart(starts)
    site.wait(lambda: "Request stuck-1 finished: Failure" in site.log(), "the order to be undone", UNDONE_S)
    assert site.fleets() == []
