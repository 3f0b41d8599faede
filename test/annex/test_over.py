"""annexd watches an ended annex until nothing of it can be left: until a week after its lease or its undo."""

from collections.abc import Mapping

import pytest

from annexd.annex.expiry import is_over as over
from annexd.annex.index import AnnexIndex
from annexd.annex.lease.lease import utc
from annexd.annex.living import LIVES_ON_S, Living
from annexd.annex.steps.request_fleet import FleetIntent
from annexd.workflow import Engine, Journal, Kind, State, to_json
from test.annex.ads import OWNER
from test.annex.fleets import tag
from test.annex.orders import fleet_order, target_at
from test.annex.site import Site

HOUR_S = 3600.0


def is_over(engine: Engine, state: State, finished_s: float, now_s: float) -> bool:
    return over(state, finished_s, now_s, AnnexIndex(engine).latest_end_s)


def failed_order(site: Site, engine: Engine, journal: Journal, *, undone: bool) -> float:
    """Journal an order that failed, and return when its lease ends."""
    end_s = int(site.now_s() + 100 * HOUR_S)
    order = fleet_order("a", end_s, target=target_at("http://far"))
    engine.accept("a", OWNER, order)
    intent = FleetIntent(order.client_token, order.valid_until_s, end_s, checked_at_s=0.0)
    journal.append("a", "request_fleet", Kind.INTENT, to_json(intent))
    journal.append("a", "request_fleet", Kind.FAILED, {"result": "Failure", "error": "denied"})
    if undone:
        journal.append("a", "request_fleet", Kind.UNDONE, {})
    journal.append("a", "", Kind.FINISHED, {"result": "Failure", "error": "given up by bob"})
    return float(end_s)


@pytest.mark.parametrize("undone", [True, False], ids=["undone", "given up"])
def test_a_failed_order_is_looked_after_until_its_lease_ends_unless_it_is_undone(site: Site, undone: bool) -> None:
    journal = site.journal()
    engine = site.engine(journal)
    finished_s = site.now_s()
    end_s = failed_order(site, engine, journal, undone=undone)
    state = engine.state("a")
    assert state.is_given_up is not undone, state
    assert not is_over(engine, state, finished_s, finished_s + LIVES_ON_S - HOUR_S)
    assert is_over(engine, state, finished_s, finished_s + LIVES_ON_S + HOUR_S) is undone
    assert is_over(engine, state, finished_s, end_s + LIVES_ON_S + HOUR_S)
    looked_at = [target.endpoints.ec2_url for target in Living(engine).targets(finished_s).values()]
    assert ("http://far" in looked_at) is not undone
    journal.close()


def test_an_order_that_was_given_up_since_it_cannot_be_read_is_looked_after_too(site: Site) -> None:
    journal = site.journal()
    engine = site.engine(journal)
    finished_s = site.now_s()
    end_s = int(finished_s + 100 * HOUR_S)
    engine.accept("a", OWNER, fleet_order("a", end_s))
    journal.append("a", "a_step_of_another_version", Kind.INTENT, {})
    engine.close("a", "given up by bob")
    state = engine.state("a")
    assert (state.is_given_up, state.is_undone) == (True, False), state
    assert not is_over(engine, state, finished_s, end_s + LIVES_ON_S - HOUR_S)
    journal.close()


def test_an_annex_is_looked_after_until_the_end_to_which_its_lease_was_moved(site: Site) -> None:
    annex = site.order(AnnexName="physics")
    tag(site, str(annex["BulkRequestID"]), end=utc(annex_end(annex) + 20 * 86400))
    assert site.change("physics", LeaseExtension=600)["EndOfLease"] == annex_end(annex) + 20 * 86400 + 600
    journal = site.journal()
    engine = site.engine(journal)
    state = engine.state(str(annex["CommandID"]))
    moved_s = annex_end(annex) + 20 * 86400.0
    assert not is_over(engine, state, site.now_s(), moved_s + LIVES_ON_S)
    assert is_over(engine, state, site.now_s(), moved_s + 600 + LIVES_ON_S + HOUR_S)
    journal.close()


def annex_end(annex: Mapping[str, object]) -> int:
    return int(str(annex["EndOfLease"]))
