"""Jobs that are written to harm whoever evaluates them: only they are left out, and annexd notices nothing else.

Every one of them is given to the real bindings in a real process, which many of them kill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from annexd.demand.matching import Matcher, Matches
from test.demand.ads import job, machine

MACHINES = {"small": machine(Cpus=2), "big": machine(Cpus=64), "picky": machine("TARGET.WantAnnex =?= true")}
GOOD = {f"good{n}": job(RequestCpus=1 << n, WantAnnex=str(n % 2 > 0).lower()) for n in range(5)}
CHAIN = {f"A{n}": f"A{n + 1} + 1" for n in range(3_000)}
LONG = {"S": '"' + "a" * 150_000 + '"', "L": "strcat(" + ",".join(["S"] * 2_500) + ")"}  # 375 MB
WORK = {"W0": "TARGET.Cpus + 1", **{f"W{n + 1}": f"W{n} + W{n}" for n in range(40)}}
LATE = "(a+)+(b+)+" * 3
HOSTILE = {
    "a megabyte of Requirements": job(Requirements=" && ".join(["TARGET.Cpus > 0"] * 60_000)),
    "600 kB of additions": job(Requirements="1" + "+1" * 300_000),
    "many additions": job(Requirements="1" + "+1" * 9_000),
    "deep parentheses": job(Requirements="(" * 9_000 + "true" + ")" * 9_000),
    "deep lists": job(Requirements="{" * 9_000 + "1" + "}" * 9_000),
    "a chain of attributes": job(**CHAIN, A3000="1", Requirements="A0 > 0"),
    "a circle of attributes": job(B="C", C="D", D="B", Requirements="B"),
    "Requirements of themselves": job(Requirements="Requirements && MY.Requirements"),
    "a size of itself": job(RequestCpus="RequestCpus + 1"),
    "a circle through both ads": job(Start="TARGET.Start", Requirements="TARGET.Requirements"),
    "endless work": job(**WORK, Requirements="W40 > 0"),
    "endless work for a size": job(**WORK, RequestMemory="W40"),
    "much memory": job(**LONG, Requirements="size(L) > 0"),
    "a slow regular expression": job(Subject='"' + "a" * 5_000 + '!"', Requirements=f'regexp("^{LATE}$", Subject)'),
    "a lone surrogate": job(Text='"\ud800"', Requirements="true"),
    "a NUL": job(Text='"a\0b"'),
    "no ClassAd": "[ Requirements = ",
    "nothing": "",
    "an unfinished text": '[ Text = "abc; Requirements = true ]',
    "two ads": "[ Requirements = true ] [ Requirements = true ]",
    "a huge list": job(List="{" + ",".join("9" * 8_000) + "}", Requirements="member(1, List)"),
    "a file": job(Requirements='userMap("/etc/passwd", "root") =!= undefined || userHome("daemon") =!= undefined'),
}
LEFT_OUT = {  # those that no machine has an answer for; of the others the answer is only that they match nothing
    "a megabyte of Requirements": "longer than 200000 characters",
    "600 kB of additions": "longer than 200000 characters",
    "a size of itself": "RequestCpus is ",
    "a slow regular expression": "evaluating it takes more than 1 s",
    "endless work for a size": "RequestMemory is an error",
    "much memory": "evaluating it takes too much memory",
    "a lone surrogate": "a text contains the character",
    "a NUL": "a text contains the character",
    "no ClassAd": "is not a ClassAd",
    "nothing": "is not a ClassAd",
    "an unfinished text": "is not a ClassAd",
}


def matched(matcher: Matcher, jobs: Mapping[str, str], machines: Mapping[str, str] = MACHINES) -> Matches:
    return asyncio.run(matcher.match(jobs, machines))


@pytest.fixture(scope="module")
def without_harm() -> Matches:
    return matched(Matcher(), GOOD)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_job_changes_nothing_for_the_others(name: str, without_harm: Matches) -> None:
    among = dict(list(GOOD.items())[:2]) | {"hostile": HOSTILE[name]} | GOOD
    found = matched(Matcher(), among)
    assert {key: match for key, match in found.jobs.items() if key != "hostile"} == without_harm.jobs
    assert found.faults.keys() <= {"hostile"}
    assert LEFT_OUT.get(name, "") in found.faults.get("hostile", "")
    assert "hostile" in found.faults or name not in LEFT_OUT


def test_an_evaluator_cannot_read_files() -> None:
    assert matched(Matcher(), {"reader": HOSTILE["a file"]}).jobs["reader"].machines == frozenset()
