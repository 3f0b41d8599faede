"""Jobs and machines are compared as a real negotiator compares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from test.demand.ads import ad
from test.demand.evaluators import matched
from test.demand.ghosts import Ghost, GhostNegotiator, GhostPool

LATE_S = 120

JOBS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "wide": {"request_cpus": 6},
    "large": {"request_memory": 20_000},
    "wanted": {"My.WantGpuMachine": True},
    "accelerated": {"request_gpus": 1},
    "capable": {"request_gpus": 1, "gpus_minimum_capability": 8.5},
    "too capable": {"request_gpus": 1, "gpus_minimum_capability": 9.5},
    "unqualified": {"requirements": "Cpus > 4 && Memory > 1"},
    "undefined": {"requirements": "TARGET.NoSuchAttribute"},
    "number": {"requirements": "TARGET.Cpus - 4"},
    "text": {"requirements": '"true"'},
    "scoped": {"requirements": "MY.Colour == TARGET.Colour", "My.Colour": '"red"'},
    "shadowed": {"requirements": 'Colour == "red"', "My.Colour": '"blue"'},
    "impossible": {"request_cpus": 64},
}
FOR_GPUS = "TARGET.RequestGPUs > 0 || WantGpuMachine"
CAPABILITY = {"AvailableGPUs": "{ GPUs_GPU_1 }", "GPUs_GPU_1": '[ Id = "GPU_1"; Capability = 9.0 ]'}
MANY = {"WantAdRevaluate": "true", "GhostMultiplier": "500"}  # a ghost is matched by each kind of job that fits
GHOSTS = (
    Ghost("four", "small", cpus=4, packs=False, more={"Colour": '"red"', **MANY}),
    Ghost("eight", "small", packs=False, more={"Colour": '"blue"', **MANY}),
    Ghost("ample", "small", memory_mib=64_000, packs=False, more=MANY),
    Ghost("gpu", "small", gpus=1, packs=False, start=FOR_GPUS, more={**CAPABILITY, **MANY}),
    Ghost("closed", "small", packs=False, start="TARGET.NoSuchAttribute > 1", more=MANY),
)


@pytest.fixture(scope="module")
def pool() -> Iterator[GhostPool]:
    knobs = {"SCHEDD_ENABLE_PER_USER_MATCH_LIMITS": "false", "JOB_DEFAULT_REQUESTDISK": "1"}
    with GhostPool([GhostNegotiator("small", "small")], "\n".join(f"{n} = {v}" for n, v in knobs.items())) as pool:
        yield pool


def long_ads(pool: GhostPool, tool: str, key: str, *arguments: str) -> dict[str, str]:
    """Return ads as a tool of HTCondor prints them, in the syntax of new ClassAds, by one of their attributes."""
    text = pool.tool(tool, *arguments, "-long").stdout
    found = {}
    for block in text.strip().split("\n\n"):
        attributes = dict(line.split(" = ", 1) for line in block.splitlines())
        found[attributes[key].strip('"')] = ad(attributes)
    return found


def test_a_job_matches_the_machines_that_a_real_negotiator_gives_it(pool: GhostPool) -> None:
    names = {pool.submit(len(GHOSTS), **commands): name for name, commands in JOBS.items()}  # type: ignore[arg-type]
    pool.advertise(*GHOSTS)
    pool.wait_for(lambda: len(pool.ads()) == len(GHOSTS), "the ghosts to be known")
    jobs = {names[int(key)]: text for key, text in long_ads(pool, "condor_q", "ClusterId", "-allusers").items()}
    machines = long_ads(pool, "condor_status", "Machine", "-constraint", "Offline =?= true")
    found = matched(jobs, machines)
    assert found.faults == {}
    expected = {name: set(match.machines) for name, match in found.jobs.items()}
    pool.wait_for(lambda: negotiated(pool, names) == expected, f"the negotiator to find {expected}", LATE_S)
    pool.wait_for_cycles(1, "small")
    seen = negotiated(pool, names)
    assert all(seen[name] <= expected[name] for name in JOBS), f"{seen} instead of {expected}"
    assert expected["plain"] == {"four", "eight", "ample"}
    assert expected["capable"] == {"gpu"}


def negotiated(pool: GhostPool, names: Mapping[int, str]) -> dict[str, set[str]]:
    """Return the ghosts that the negotiator gave to each kind of job, without autoclusters that no longer exist."""
    matched = pool.matched()
    autoclusters = {autocluster: names[cluster] for cluster, autocluster in pool.autoclusters().items()}
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for ghost, matches in matched.items():
        for record in matches.records:
            if record.autocluster in autoclusters:
                found[autoclusters[record.autocluster]].add(ghost)
    return found
