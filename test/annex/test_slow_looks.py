"""A slow look at the lease function proves nothing about the moment when it ends: -teardown may have closed it.

Time passes by the site's clock: each look lasts as long as its test says.
"""

from collections.abc import Iterator
from dataclasses import replace

from annexd.annex.bulk_request import bulk_request
from annexd.annex.lease.heartbeat import Heartbeats
from annexd.annex.reply import ReplyAd
from annexd.annex.steps import annex_steps
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S
from annexd.workflow import Engine
from test.annex.ads import OWNER
from test.annex.site import PACE, Site
from test.replies import accepted


def order(site: Site, looks_s: Iterator[float]) -> ReplyAd:
    """Order with looks that take `looks_s`, one after another."""

    def steady_s() -> float:
        site.away_s += next(looks_s)
        return site.away_s

    context = replace(site.step_context(), heartbeats=Heartbeats(steady_s))
    journal = site.journal()
    try:
        engine = Engine(journal, annex_steps(context), pace=PACE, now_s=site.now_s)
        return bulk_request(site.ad(), OWNER, engine, site.defaults, site.now_s())
    finally:
        journal.close()


def test_a_fleet_that_comes_long_after_the_look_at_the_function_began_needs_another_look(site: Site) -> None:
    accepted(order(site, iter([CHECK_AGAIN_S + 10, 0.0])))
    calls = site.operations()
    assert calls[: calls.index("RequestSpotFleet")].count("GetFunction") == 2


def test_no_fleet_is_asked_for_while_each_look_at_the_function_takes_too_long(site: Site) -> None:
    reply = order(site, iter([CHECK_AGAIN_S + 10] * 10))
    assert reply["Result"] == "Failure"
    assert "it may be closed now" in str(reply["ErrorString"])
    assert "RequestSpotFleet" not in site.operations()
