"""What ended is looked after until nothing of it can be left: its lease, and a while; what is undone, a while only."""

import pytest

from annexd.annex.living import LIVES_ON_S, Living
from annexd.annex.over import is_over
from annexd.workflow import Journal, Kind
from test.annex.ads import OWNER
from test.annex.site import Site

HOUR_S = 3600.0


def failed_order(site: Site, journal: Journal, *, undone: bool) -> float:
    """Return when its lease ends."""
    end_s = int(site.now_s() + 100 * HOUR_S)
    order = {"owner": OWNER, "annex_id": "a", "end_of_lease_s": end_s, "public_key_file": None, "secret_key_file": None,
             "lease_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:x",
             "endpoints": dict.fromkeys(("ec2_url", "events_url", "lambda_url", "s3_url", "sts_url"), "http://far")}
    journal.append("a", "", Kind.ACCEPTED, {"owner": OWNER, "order": order})
    journal.append("a", "request_spot_fleet", Kind.INTENT, {"intent": {}})
    journal.append("a", "request_spot_fleet", Kind.FAILED, {"result": "Failure", "error": "denied"})
    if undone:
        journal.append("a", "request_spot_fleet", Kind.UNDONE, {})
    journal.append("a", "", Kind.FINISHED, {"result": "Failure", "error": "given up by bob"})
    return float(end_s)


@pytest.mark.parametrize("undone", [True, False], ids=["undone", "given up"])
def test_a_failed_order_is_looked_after_until_its_lease_ends_unless_it_is_undone(site: Site, undone: bool) -> None:
    journal = site.journal()
    engine = site.engine(journal)
    finished_s = site.now_s()
    end_s = failed_order(site, journal, undone=undone)
    state = engine.state("a")
    assert state.is_given_up is not undone, state
    assert not is_over(state, finished_s, finished_s + LIVES_ON_S - HOUR_S)
    assert is_over(state, finished_s, finished_s + LIVES_ON_S + HOUR_S) is undone
    assert is_over(state, finished_s, end_s + LIVES_ON_S + HOUR_S)
    looked_at = [place.order["endpoints"]["ec2_url"] for place in Living(engine).places(finished_s).values()]
    assert ("http://far" in looked_at) is not undone
    journal.close()


def test_an_order_that_was_given_up_since_it_cannot_be_read_is_looked_after_too(site: Site) -> None:
    journal = site.journal()
    engine = site.engine(journal)
    finished_s = site.now_s()
    end_s = int(finished_s + 100 * HOUR_S)
    journal.append("a", "", Kind.ACCEPTED, {"owner": OWNER, "order": {"end_of_lease_s": end_s}})
    journal.append("a", "a_step_of_another_version", Kind.INTENT, {})
    engine.close("a", "given up by bob")
    state = engine.state("a")
    assert (state.is_given_up, state.is_undone) == (True, False), state
    assert not is_over(state, finished_s, end_s + LIVES_ON_S - HOUR_S)
    journal.close()
