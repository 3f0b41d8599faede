"""Jobs written to harm their evaluator: only they are left out, and annexd is not affected otherwise.

Each of them is passed to the real bindings in a real process, which many of them kill.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annexd.demand import matching, matching_process
from annexd.demand.matching import NOT_YET, Matcher, Matches
from annexd.demand.matching_process import JobAnswer, MatchingFailed, Question, Rubbish, validated
from annexd.demand.packing import Resources
from test.bench.measure import children
from test.demand.ads import ENDLESS, ad, job, machine
from test.demand.evaluators import Background, cpu_ticks, evaluators, matched, rights, supervisors

MACHINES = {"small": machine(Cpus=2), "big": machine(Cpus=64), "picky": machine("TARGET.WantAnnex =?= true")}
GOOD = {f"good{n}": job(RequestCpus=1 << n, WantAnnex=str(n % 2 > 0).lower()) for n in range(5)}
MANY = {f"good{n}": job(RequestMemory=n) for n in range(9_000)}
CHAIN = {f"A{n}": f"A{n + 1} + 1" for n in range(3_000)}
LONG = {"S": '"' + "a" * 150_000 + '"', "L": "strcat(" + ",".join(["S"] * 2_500) + ")"}  # 375 MB
WORK = {"W0": "TARGET.Cpus + 1", **{f"W{n + 1}": f"W{n} + W{n}" for n in range(40)}}
QUICK_TICKS = 8  # 0.08 s, more than a job gets at first
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
    "endless work": job(**ENDLESS),
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
LEFT_OUT = {  # jobs without a result for any machine; the others may just match nothing
    "a megabyte of Requirements": "longer than 200000 characters",
    "600 kB of additions": "longer than 200000 characters",
    "a size of itself": "RequestCpus is ",
    "endless work for a size": "",  # the library gives up when the kernel does, or a little before
    "much memory": "evaluating it takes ",  # too much memory, or too long before that
    "a lone surrogate": "a text contains the character",
    "a NUL": "a text contains the character",
    "no ClassAd": "is not a ClassAd",
    "nothing": "is not a ClassAd",
    "an unfinished text": "is not a ClassAd",
}


@pytest.fixture(scope="module")
def without_harm() -> Matches:
    return matched(GOOD, MACHINES)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_job_changes_nothing_for_the_others(name: str, without_harm: Matches) -> None:
    among = dict(list(GOOD.items())[:2]) | {"hostile": HOSTILE[name]} | GOOD
    found = matched(among, MACHINES)
    assert {key: match for key, match in found.jobs.items() if key != "hostile"} == without_harm.jobs
    assert found.faults.keys() <= {"hostile"}
    assert LEFT_OUT.get(name, "") in found.faults.get("hostile", "")
    assert "hostile" in found.faults or name not in LEFT_OUT


def test_an_evaluator_cannot_read_files() -> None:
    assert matched({"reader": HOSTILE["a file"]}, MACHINES).jobs["reader"].machines == frozenset()


def test_a_job_that_killed_the_worker_is_left_out_for_an_hour_until_it_is_changed() -> None:
    now_s = [0.0]
    matcher = Matcher(lambda: now_s[0])
    jobs = {"hostile": HOSTILE["much memory"], "good": job()}
    first = matched(jobs, MACHINES, matcher)
    assert "evaluating it takes" in first.faults["hostile"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    now_s[0] = 3_599.0
    assert matched(jobs, MACHINES, matcher) == first
    assert resource.getrusage(resource.RUSAGE_CHILDREN) == used, "it was tried again"
    now_s[0] = 3_601.0
    again = matched(jobs, MACHINES, matcher)
    assert (again.jobs, again.faults.keys()) == (first.jobs, first.faults.keys())
    assert resource.getrusage(resource.RUSAGE_CHILDREN) != used, "it was not tried again"
    assert matched({**jobs, "hostile": job(Changed=1)}, MACHINES, matcher).faults == {}


def test_a_flood_of_hostile_jobs_delays_the_others_by_a_little() -> None:
    """There is not enough time to try all of them twice: the rest is reported, and comes last the next time."""
    matcher = Matcher(lambda: 5 * time.monotonic())
    flood = {f"hostile{n}": job(**ENDLESS, Number=n) for n in range(15)}
    found = matched(flood | GOOD, MACHINES, matcher)
    assert found.jobs.keys() == GOOD.keys()
    assert found.faults.keys() == flood.keys()
    later = [name for name, fault in found.faults.items() if fault == NOT_YET]
    assert later
    again = matched(flood | GOOD | {"new": job()}, MACHINES, matcher)
    assert again.jobs.keys() == GOOD.keys() | {"new"}
    assert sum(fault == NOT_YET for fault in again.faults.values()) < len(later)


# Other ends of a worker.


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extend a job's second try from a quarter of a second to two seconds, so that a test meets it while it runs."""
    monkeypatch.setattr(matching, "PATIENCE", 40)


@pytest.mark.usefixtures("patient")
def test_an_evaluator_has_no_rights_that_it_does_not_need() -> None:
    call = Background({"endless": job(**ENDLESS)}, MACHINES)
    found = call.until(lambda: next(filter(None, map(rights, evaluators())), None))
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapEff"], 16) == 0
    assert "0" not in found["Uid"].split()
    assert "0" not in found["Gid"].split()
    for limit in ("open files 0 0", "processes 0 0", "file size 0 0", "core file size 0 0"):
        assert f"Max {limit}" in found["limits"]
    assert int(found["limits"].partition("Max address space ")[2].split()[0]) < 512 * 1024 * 1024
    call.result()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_nothing_is_left_out_if_an_evaluator_is_killed_once(number: signal.Signals) -> None:
    """The first evaluator tries the machines, a later one the jobs."""
    call = Background(MANY, MACHINES)
    first = call.kill_one(evaluators, number)
    call.kill_one(lambda: [pid for pid in evaluators() if pid != first and cpu_ticks(pid)], number)
    expect_all(call.result())


def test_the_next_call_works_after_its_supervisor_was_killed() -> None:
    call = Background(MANY, MACHINES)
    call.kill_one(lambda: [pid for pid in supervisors() if any(map(cpu_ticks, children(pid)))], signal.SIGKILL)
    expect_all(call.result())


def expect_all(found: Matches) -> None:
    assert (found.faults, found.machine_faults) == ({}, {})
    assert {name: match.machines for name, match in found.jobs.items()} == dict.fromkeys(
        MANY, frozenset({"small", "big"})
    )


@pytest.mark.usefixtures("patient")
def test_an_evaluator_that_stands_still_is_killed_and_its_job_left_out() -> None:
    """The evaluator is stopped while it tries the job for the second time, with others behind."""
    call = Background({"hostile": job(**ENDLESS), **GOOD}, MACHINES)
    first = call.until(evaluators)
    call.kill_one(
        lambda: [pid for pid in evaluators() if pid not in first and cpu_ticks(pid) > QUICK_TICKS], signal.SIGSTOP
    )
    found = call.result()
    assert found.jobs.keys() == GOOD.keys()
    assert "evaluating it does not end" in found.faults["hostile"]


@pytest.mark.parametrize("program", ["/bin/false", "/nonexistent"])
def test_if_no_worker_starts_that_is_an_error_and_no_job_is_left_out(
    program: str, monkeypatch: pytest.MonkeyPatch, without_harm: Matches
) -> None:
    matcher = Matcher()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", program)
        with pytest.raises(MatchingFailed, match="does not start"):
            matched(GOOD, MACHINES, matcher)
    assert matched(GOOD, MACHINES, matcher) == without_harm


def test_nothing_is_left_of_a_call() -> None:
    before = children(os.getpid())
    matched({"hostile": job(**ENDLESS), **GOOD}, MACHINES)
    assert set(children(os.getpid())) <= set(before)


# The worker's answers are not trusted.

ANSWER = {"job": 3, "needs": [1, 2, 3, 4], "pairs": [[True, None], [False, "the job requires X"]]}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def test_an_answer_to_what_was_asked_is_taken() -> None:
    found = validated(ANSWER, 3, 2)
    assert found.needs == Resources(1, 2, 3, 4)
    assert [pair.matches for pair in found.pairs] == [True, False]
    assert validated({"job": 3, "fault": "a\nb"}, 3, 2) == JobAnswer(Resources(0, 0), (), "a?b")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {**ANSWER, "job": 2},
        {**ANSWER, "job": 3.0},
        {**ANSWER, "more": 1},
        {**ANSWER, "needs": [1, 2, 3]},
        {**ANSWER, "needs": [1, 2, 3, -4]},
        {**ANSWER, "needs": [1, 2, 3, 2**60]},
        {**ANSWER, "needs": [True, 2, 3, 4]},
        {**ANSWER, "needs": [1.0, 2, 3, 4]},
        {**ANSWER, "pairs": [[True, None]]},
        {**ANSWER, "pairs": [[True, None], [False, None]]},
        {**ANSWER, "pairs": [[True, None], [0, "x"]]},
        {**ANSWER, "pairs": [[True, None], [False, "x" * 1_000]]},
        {**ANSWER, "pairs": {"0": [True, None]}},
        {"job": 3, "fault": None},
        {"job": 3, "fault": "x", "needs": [1, 2, 3, 4]},
    ],
)
def test_any_other_answer_is_rubbish(answer: Any) -> None:
    with pytest.raises(Rubbish):
        validated(answer, 3, 2)


@given(json_values, st.integers(0, 2))
def test_any_json_of_the_worker_is_an_answer_or_rejected(answer: Any, machines: int) -> None:
    with suppress(Rubbish):
        assert len(validated(answer, 0, machines).pairs) in {0, machines}


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([b'{"job": 0, "fault": "x"}', b"\n", b"[" * 2_000]), max_size=8)
)
def test_any_bytes_of_the_worker_are_answers_or_rejected(parts: list[bytes]) -> None:
    reader = matching_process.AnswerReader([Question("", [0]), Question("", [0])])
    with suppress(Rubbish):
        for part in parts:
            reader.add(part)
    assert len(reader.answers) <= 2


# Arbitrary texts.

NAMES = ("A", "B", "Requirements", "RequestCpus", "RequestMemory", "Start", "Cpus", "MY", "TARGET")
atoms = st.sampled_from(
    [*NAMES, "1", "1.5", "true", "undefined", "error", '"x"', "{}", "[A = 1]", "-1", "9999999999999999999"]
)
expressions = st.recursive(
    atoms,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||", "+", "*", "=?=", ".", "<"]), inner)
        | st.builds(
            "{}({}, {})".format, st.sampled_from(["strcat", "regexp", "ifThenElse", "eval", "size"]), inner, inner
        )
    ),
    max_leaves=12,
)
any_texts = st.text(st.characters(exclude_categories=()), max_size=40)
hostile_jobs = st.one_of(
    any_texts,
    st.dictionaries(st.sampled_from(NAMES[:7]), expressions | any_texts, max_size=5).map(ad),
    st.dictionaries(st.sampled_from(NAMES[:7]), expressions, max_size=5).map(lambda own: job(**own)),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(hostile_jobs, min_size=1, max_size=12))
def test_bad_jobs_do_not_change_the_answers_of_good_ones(without_harm: Matches, texts: list[str]) -> None:
    hostile = {f"hostile{n}": text for n, text in enumerate(texts)}
    found = matched(hostile | GOOD, MACHINES)
    assert {name: match for name, match in found.jobs.items() if name in GOOD} == without_harm.jobs
    assert found.jobs.keys() | found.faults.keys() == GOOD.keys() | hostile.keys()
    assert found.machine_faults == {}
