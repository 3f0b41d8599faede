"""The short form of `make bench ARGS=demand-policy`: the aims that annexd's rule meets on traces of three mixes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from test.bench.demand.compare import AIM, OURS, RULES, results, verdict
from test.bench.demand.mixes import MIXES
from test.bench.demand.rules import Annexd
from test.bench.demand.simulation import simulate

SHORT = ("one-core floods", "impossible ones", "flocked jobs")
SEED = 3


@pytest.mark.parametrize("mix", SHORT)
def test_annexd_runs_all_jobs_that_can_for_a_quarter_more_than_the_limit_at_most(mix: str) -> None:
    [found] = results(mix, [SEED], {OURS: Annexd})
    assert found.never == 0
    assert found.ratio <= AIM


def test_impossible_jobs_change_nothing() -> None:
    trace = MIXES["impossible ones"](SEED)
    without = replace(trace, jobs=tuple(trace.possible()))
    assert len(without.jobs) < len(trace.jobs)
    assert simulate(trace, Annexd()) == simulate(without, Annexd())


def test_a_user_over_the_quota_gets_no_machines_for_jobs_beyond_it() -> None:
    trace = MIXES["a user over the quota"](SEED)
    jobs = tuple(replace(job, runs_s=1800) for job in trace.jobs if job.user == "alice")
    trace = replace(trace, jobs=jobs[:60], quotas={"alice": 8})
    asking, not_asking = simulate(trace, Annexd()), simulate(trace, Annexd(asks_negotiator=False))
    assert asking.machines.total() < not_asking.machines.total() / 3


def test_each_mix_is_reported_with_all_rules_and_a_verdict() -> None:
    found = list(results("flocked jobs", [SEED]))
    assert [each.rule for each in found] == list(RULES)
    assert "possible jobs never ran" in str(next(each for each in found if "Google" in each.rule))
    cost, *peers = verdict(found)
    assert cost.startswith(f"cost {found[0].ratio:.2f} of the limit (aim: at most {AIM}): kept")
    assert len(peers) == 2
