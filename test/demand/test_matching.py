"""The comparison of jobs and machines: the matches, the clauses that refuse, the needs, and the cache."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.demand.clauses import MAX_SHOWN, clauses, shown
from annexd.demand.matching import Matcher, Matches
from annexd.demand.packing import JobGroup, MachineKind, Resources, plan
from test.demand.ads import ENDLESS, ad, gpu_job, gpu_machine, job, machine
from test.demand.evaluators import matched

LEAST = {"Requirements": "true"}
PAUSE_S = 0.002
CHANGED_S = 301.0  # after this a result that depends on the time is evaluated again


def misfit(job_ad: str, machine_ad: str) -> str:
    found = matched({"job": job_ad}, {"machine": machine_ad})
    assert found.faults == {}
    return found.jobs["job"].misfits.get("machine", "")


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# Refusing clauses and the needs of jobs.


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        ("a && b && c", ["a", "b", "c"]),
        ("(a && (b)) && ((c || d) && e)", ["a", "b", "c || d", "e"]),
        ("a || b && c", ["a || b && c"]),
        ("a && b ? c : d", ["a && b ? c : d"]),
        ("a && b ?: c", ["a && b ?: c"]),
        ("!(a && b)", ["!(a && b)"]),
        ("(a) && (b) || (c)", ["(a) && (b) || (c)"]),
        ("(a || b)", ["a || b"]),
        ("(a) || (b)", ["(a) || (b)"]),
        ('x == "a && b" && y', ['x == "a && b"', "y"]),
        (r'x == "a\" && b" && y', [r'x == "a\" && b"', "y"]),
        ("'a && b' && c", ["'a && b'", "c"]),
        ("f(a && b) && {c && d}[0] && [e = f && g].e", ["f(a && b)", "{c && d}[0]", "[e = f && g].e"]),
        ("a =?= b && c =!= d", ["a =?= b", "c =!= d"]),
        ("", [""]),
        (")(", [")("]),
    ],
)
def test_an_expression_is_split_where_every_part_must_be_true(text: str, parts: list[str]) -> None:
    assert clauses(text) == parts


@given(st.text("ab&|()[]{}\"'\\? ", max_size=40))
def test_any_text_is_split_without_an_error_and_nothing_but_brackets_and_operators_is_lost(text: str) -> None:
    left = "".join(clauses(text))
    assert [each for each in left if each in "ab"] == [each for each in text if each in "ab"]


def test_an_expression_of_many_levels_is_split_in_little_time() -> None:
    begin_s = time.thread_time()
    assert len(clauses("(" * 50_000 + "a" + " && b)" * 50_000)) >= 1
    assert time.thread_time() - begin_s < 5


def test_a_clause_is_shown_on_one_short_line() -> None:
    assert shown("a  ==\n  b") == "a == b"
    assert len(shown("x" * 1_000)) == MAX_SHOWN


@pytest.mark.parametrize(
    ("job_ad", "machine_ad", "expected"),
    [
        (job(RequestCpus=9), machine(), "the job requires TARGET.Cpus >= RequestCpus"),
        (job(), machine(Arch='"arm64"'), 'the job requires TARGET.Arch == "X86_64"'),
        (
            gpu_job(9.5),
            gpu_machine(9.0),
            "the job requires countMatches(MY.RequireGPUs,TARGET.AvailableGPUs) >= RequestGPUs",
        ),
        (job(), machine("TARGET.WantAnnex =?= true"), "the machine requires TARGET.WantAnnex is true"),
        (job(), machine("(Cpus > 1) && (RequestMemory > 1000 && true)"), "the machine requires RequestMemory > 1000"),
        (job(), machine("NoSuch"), "the machine requires NoSuch"),
        (job(Requirements="Mine && true", Mine="TARGET.Cpus > 99"), machine(), "the job requires TARGET.Cpus > 99"),
        (job(Requirements='"true"'), machine(), 'the job requires "true"'),
        (ad({"RequestCpus": 1}), machine(), "the job requires Requirements, which the ad does not have"),
        (ad({**LEAST, "RequestCpus": 9}), ad({**LEAST, "Cpus": 8}), "RequestCpus is 9, the machine has Cpus = 8"),
        (ad({**LEAST, "RequestGPUs": 1}), ad(LEAST), "RequestGPUs is 1, the machine has GPUs = 0"),
        (job(), machine(), ""),
        (gpu_job(8.5), gpu_machine(9.0), ""),
    ],
)
def test_the_clause_that_refuses_is_named(job_ad: str, machine_ad: str, expected: str) -> None:
    assert misfit(job_ad, machine_ad) == expected


def test_a_job_that_is_too_large_but_matches_is_among_both() -> None:
    found = matched({"job": ad({**LEAST, "RequestMemory": 9})}, {"machine": ad({**LEAST, "Memory": 8})})
    assert found.jobs["job"].machines == {"machine"} == found.jobs["job"].misfits.keys()


@pytest.mark.parametrize(
    ("attributes", "needs"),
    [
        ({}, Resources(1, 0)),
        ({"RequestCpus": 2, "RequestMemory": 3, "RequestDisk": 4, "RequestGPUs": 5}, Resources(2, 3, 4, 5)),
        ({"RequestMemory": "ImageSize / 1024 + 0.5", "ImageSize": 2048}, Resources(1, 3)),
        ({"RequestGPUs": "undefined"}, Resources(1, 0)),
        (
            {"RequestDisk": "MAX({ 1024,(TransferInputSizeMB + 1) * 1.25 }) * 1024", "TransferInputSizeMB": 0},
            Resources(1, 0, 1024 * 1024),
        ),
    ],
)
def test_the_needs_of_a_job_are_evaluated_and_rounded_up(attributes: Mapping[str, object], needs: Resources) -> None:
    assert matched({"job": ad({**LEAST, **attributes})}, {}).jobs["job"].needs == needs


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ({"RequestMemory": "NoSuch"}, "RequestMemory is undefined"),
        ({"RequestMemory": "TARGET.Memory"}, "RequestMemory is undefined"),
        ({"RequestCpus": "1 / 0"}, "RequestCpus is an error"),
        ({"RequestCpus": -1}, "RequestCpus is negative (-1)"),
        ({"RequestDisk": "1E300"}, "RequestDisk is 1e+300, more than any machine has"),
        ({"RequestGPUs": 2**62}, f"RequestGPUs is {2**62}, more than any machine has"),
        ({"RequestDisk": 'real("INF")'}, "RequestDisk is not finite"),
        ({"RequestCpus": '"two"'}, "RequestCpus is a string"),
        ({"RequestCpus": "true"}, "RequestCpus is a boolean"),
        ({"RequestCpus": "{ 1 }"}, "RequestCpus is a list"),
        ({"RequestCpus": "[ a = 1 ]"}, "RequestCpus is not a number"),
    ],
)
def test_a_job_whose_need_is_no_size_is_left_out_with_the_reason(attributes: Mapping[str, object], fault: str) -> None:
    found = matched({"bad": ad({**LEAST, **attributes}), "good": ad(LEAST)}, {"machine": machine()})
    assert found.faults == {"bad": fault}
    assert found.jobs.keys() == {"good"}


def test_a_machine_whose_ad_is_broken_is_left_out_and_every_job_says_why() -> None:
    slow = machine(**{**ENDLESS, "MyType": '"Machine"', "W0": "MyType"})
    found = matched({"job": job()}, {"good": machine(), "broken": "[", "slow": slow})
    assert found.faults == {}
    assert found.jobs["job"].machines == {"good"}
    assert found.machine_faults.keys() == {"broken", "slow"} == found.jobs["job"].misfits.keys()
    assert found.jobs["job"].misfits["broken"] == "the machine's own ad is not usable: the ad is not a ClassAd"
    assert "takes more than" in found.machine_faults["slow"]


def test_the_packing_uses_the_matches() -> None:
    found = matched({"job": job(WantAnnex="true"), "other": job()}, {"picky": machine("TARGET.WantAnnex"), "far": "["})
    kinds = [MachineKind(name, Resources(8, 16_000, 100_000_000), 1, 10) for name in ("picky", "far")]
    groups = [JobGroup(name, 1, found.jobs[name].needs) for name in found.jobs] + [JobGroup("new", 1, Resources(1, 1))]
    planned = plan(groups, kinds, lambda group, kind: found.do_match(group.name, kind.offer))
    assert (planned.machines, planned.unfit) == ({"picky": 1}, {"other": 1, "new": 1})


def test_reasons_against_some_machines_are_one_line() -> None:
    machines = {"small": machine(Cpus=1), "picky": machine("TARGET.WantAnnex =?= true"), "other": machine("false")}
    found = matched({"job": job(RequestCpus=2), "broken": "["}, machines)
    assert found.misfit("job", ["small", "picky"]) == (
        "small: the job requires TARGET.Cpus >= RequestCpus; picky: the machine requires TARGET.WantAnnex is true"
    )
    assert found.misfit("broken", ["small"]) == found.faults["broken"]


# The cache.


def test_a_known_match_is_not_evaluated_again() -> None:
    jobs = {f"job{n}": job(RequestMemory=n) for n in range(20)}
    machines, matcher = {"one": machine(), "two": gpu_machine(8.0)}, Matcher()
    first, before_s = matched(jobs, machines, matcher), children_cpu_s()
    assert matched({f"again {name}": text for name, text in jobs.items()}, machines, matcher).jobs.keys()
    assert matched(jobs, machines, matcher) == first
    assert children_cpu_s() == before_s
    changed = matched(jobs, {**machines, "two": machine("false")}, matcher)
    assert children_cpu_s() > before_s
    assert {match.machines for match in changed.jobs.values()} == {frozenset({"one"})}


@pytest.mark.parametrize("clause", ["time() > 0", "random( 9 ) >= 0", "CurrentTime > 0"])
@pytest.mark.parametrize("side", ["job", "machine"])
def test_matches_that_depend_on_the_time_are_evaluated_again_after_a_while(side: str, clause: str) -> None:
    now_s = [0.0]
    matcher = Matcher(lambda: now_s[0])
    jobs = {"job": job(Requirements=clause) if side == "job" else job()}
    machines = {"machine": machine(clause) if side == "machine" else machine()}
    assert matched(jobs, machines, matcher).jobs["job"].machines == {"machine"}
    before_s = children_cpu_s()
    matched(jobs, machines, matcher)
    assert children_cpu_s() == before_s
    now_s[0] += CHANGED_S
    assert matched(jobs, machines, matcher).jobs["job"].machines == {"machine"}
    assert children_cpu_s() > before_s


def test_the_loop_runs_while_jobs_are_compared() -> None:
    """`make bench ARGS=demand` measures how long the loop waits, on a machine that does nothing else."""

    async def ticks() -> int:
        jobs = {f"job{n}": job(RequestMemory=n) for n in range(300)}
        answer = asyncio.create_task(Matcher().match(jobs, {str(n): machine(Cpus=n) for n in range(10)}))
        count = 0
        while not answer.done():
            await asyncio.sleep(PAUSE_S)
            count += 1
        assert len((await answer).jobs) == len(jobs)
        return count

    assert asyncio.run(ticks()) > 10


def test_nothing_to_compare_is_an_answer() -> None:
    assert matched({}, {}) == Matches({}, {})
    assert matched({}, {"machine": machine()}) == Matches({}, {})
