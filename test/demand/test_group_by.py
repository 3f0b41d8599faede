"""A schedd's response to a GroupBy query, which counts idle jobs without reading each of them; and its limits.

docs/demand.md has these results.  If a release of HTCondor behaves otherwise, a test here fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from annexd.demand.idle_jobs import constraint
from test.demand.ghosts import GhostNegotiator, GhostPool

IS_GROUP = "ClusterId is undefined || "
QUERY = """
import json, sys, htcondor2
constraint, names, option, limit = json.load(sys.stdin)
ads = htcondor2.Schedd().query(constraint, names, opts=htcondor2.QueryOpt[option], limit=limit)
print(json.dumps([{name: str(ad.lookup(name)) for name in ad} for ad in ads]))
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[GhostPool]:
    with GhostPool([GhostNegotiator("small", "small")]) as pool:
        cluster = pool.submit(3)
        pool.tool("condor_hold", f"{cluster}.2")
        pool.submit(2, "bob", request_memory="2 * MY.Half", requirements="MY.Half < 9", **{"My.Half": "Quarter * 2"})
        pool.wait_for(lambda: len(pool.autoclusters()) == 2, "autoclusters")
        yield pool


def query(
    pool: GhostPool, constraint: str, names: Sequence[str], option: str = "GroupBy", limit: int = -1
) -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", QUERY],
        env=pool.env,
        input=json.dumps([constraint, names, option, limit]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return list(json.loads(done.stdout))


def test_the_constraint_is_applied_to_jobs_and_then_to_the_groups_which_lack_most_attributes(pool: GhostPool) -> None:
    assert query(pool, "JobStatus == 1", ["User"]) == []
    [found] = query(pool, f"{IS_GROUP} JobStatus == 1", ["User"])
    assert found["JobCount"] == "4"


def test_a_group_has_its_count_its_first_and_last_job_and_what_the_values_refer_to(pool: GhostPool) -> None:
    names = ["AutoClusterId", "AccountingGroup", "Requirements", "RequestMemory"]
    groups = query(pool, f"{IS_GROUP} JobStatus == 1", names)
    [bob] = [each for each in groups if each["AccountingGroup"] == '"bob"']
    assert (bob["JobCount"], bob["JobIds"]) == ("2", '"2.0 2.1"')
    assert bob["Half"] == "Quarter * 2"
    assert bob["RequestMemory"] == "2 * MY.Half"
    assert int(bob["AutoClusterId"]) == pool.autoclusters()[2]


def test_expressions_are_grouped_by_their_text(pool: GhostPool) -> None:
    pool.submit(1, "bob", request_memory="2 * MY.Half + 0", requirements="MY.Half < 9", **{"My.Half": "Quarter * 2"})
    found = query(pool, f"{IS_GROUP} JobStatus == 1", ["RequestMemory"])
    assert {each["RequestMemory"] for each in found} == {"1", "2 * MY.Half", "2 * MY.Half + 0"}


def test_a_limit_cuts_the_answer_without_a_word(pool: GhostPool) -> None:
    assert len(query(pool, "true", ["ClusterId", "ProcId"], limit=2)) == 2


def test_autocluster_ads_count_held_jobs_as_well_so_that_they_are_no_answer(pool: GhostPool) -> None:
    found = query(pool, "true", [], "AutoCluster")
    assert {each["AutoClusterId"]: each["JobCount"] for each in found}[str(pool.autoclusters()[1])] == "3"
    assert query(pool, "JobStatus == 1", [], "AutoCluster") == []


def test_the_constraint_of_demand_parses_and_counts(pool: GhostPool) -> None:
    found = query(pool, constraint(["WantNothing", "JobUniverse == 5"], 0), ["JobUniverse"])
    assert sum(int(each["JobCount"]) for each in found) >= 4
    assert query(pool, constraint(["WantNothing"], 0), ["JobUniverse"]) == []
