"""-wait: its goals, its output, and its reasons to give up."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from annexd.tool.command_line import parse
from annexd.tool.errors import COMMUNICATION, REFUSED, UNREACHABLE, USAGE, ToolError
from annexd.tool.goal import Goal, read_goal
from annexd.tool.wait import ABSENT_S, Lines, follow, line, only, why_never

NOW_S = 1_800_000_000.0
ANNEX: dict[str, Any] = {
    "AnnexID": "annex-0123456789abcdef0123", "AnnexName": "physics", "TargetCapacity": 10, "State": "leased",
    "EndOfLease": int(NOW_S) + 3661, "Instances": 8, "Running": 7, "Launching": True, "Booted": 5, "Joined": 4,
    "Claimed": 1, "Trouble": None, "SeenTime": int(NOW_S) - 20, "PoolSeenTime": int(NOW_S) - 3,
}  # fmt: skip
NEW = ANNEX | dict.fromkeys(("Instances", "Running", "Launching", "Booted", "Joined", "Claimed", "SeenTime"))


def followed(goal: Goal, *annexes: dict[str, Any], timeout_s: float | None = None) -> list[float]:
    """Follow an annex through these observations, and return the pauses."""
    pauses: list[float] = []
    follow(iter(annexes).__next__, goal, nullcontext(lambda *_: None), timeout_s, pauses.append)
    return pauses


@pytest.mark.parametrize(
    ("text", "asked", "machines"),
    [("joined=3", None, 3), ("joined=3", 10, 3), ("joined=50%", 5, 3), ("joined=100%", 10, 10), ("joined=1%", 1, 1)],
)
def test_a_goal_is_a_number_of_machines_or_a_part_of_what_was_asked_for(
    text: str, asked: int | None, machines: int
) -> None:
    assert read_goal(text).of(asked) == machines
    assert str(read_goal(text)) == text


@pytest.mark.parametrize(
    "text", ["", "joined", "joined=", "joined=0", "joined=-1", "joined=101%", "joined=x", "running=3"]
)
def test_another_goal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="joined=N or joined=N%"):
        read_goal(text)


def test_all_is_the_goal_where_none_is_given_and_nobody_knows_it_before_the_order_is_read() -> None:
    assert Goal().of(10) == 10
    assert Goal().of(None) is None


def test_it_ends_when_so_many_have_joined() -> None:
    assert followed(Goal(machines=5), NEW, ANNEX, ANNEX | {"Joined": 5}, ANNEX) == [5.0, 5.0]


@pytest.mark.parametrize("state", ["failed", "undoing", "cancelling", "cancelled", "over"])
def test_it_gives_up_at_an_annex_that_has_ended_with_the_reason(state: str) -> None:
    with pytest.raises(ToolError, match=f"physics is {state}: no capacity") as error:
        followed(Goal(), ANNEX | {"State": state, "Trouble": "no capacity"})
    assert error.value.status == UNREACHABLE


def test_it_gives_up_when_aws_starts_no_more_and_too_few_live() -> None:
    rest = ANNEX | {"Launching": False}
    assert followed(Goal(machines=8), rest, rest | {"Joined": 8}) == [5.0], "all that live may still join"
    with pytest.raises(ToolError, match="8 of the 9 wanted ones live"):
        followed(Goal(machines=9), rest)
    assert why_never(NEW | {"Launching": False}, 9) == "", "nobody has looked yet"


def test_it_gives_up_after_timeout_and_says_how_to_come_back() -> None:
    with pytest.raises(ToolError, match="the annex continues") as error:
        followed(Goal(percent=50.0), ANNEX, timeout_s=0.0)
    assert error.value.status == UNREACHABLE
    assert f"condor_annex -wait joined=50% {ANNEX['AnnexID']}" in error.value.faults[1]


def test_it_asks_again_while_annexd_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    answers: Iterator[object] = iter([ToolError(COMMUNICATION, "no annexd")] * 3 + [ANNEX])

    def look() -> dict[str, Any]:
        answer = next(answers)
        if isinstance(answer, ToolError):
            raise answer
        return ANNEX

    pauses: list[float] = []
    follow(look, Goal(machines=4), nullcontext(lambda *_: None), None, pauses.append)
    assert len(pauses) == 3
    assert capsys.readouterr().err.count("no annexd; the annex continues") == 1
    assert ABSENT_S >= 300, "a machine that restarts takes minutes"


def test_another_refusal_ends_it_at_once() -> None:
    def look() -> dict[str, Any]:
        raise ToolError(REFUSED, "not yours")

    with pytest.raises(ToolError, match="not yours"):
        follow(look, Goal(), nullcontext(lambda *_: None))


def test_a_line_has_five_counts_and_the_time_that_is_left() -> None:
    expected = "asked 10, running 7, booted 5, joined 4, claimed 1; the lease ends 1h1m from now"
    assert line(ANNEX, NOW_S) == expected
    assert line(NEW, NOW_S).startswith("asked 10, running ?, booted ?, joined ?, claimed ?")


def test_a_line_is_printed_when_something_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(as_json=False)
    for annex in (NEW, NEW, ANNEX, ANNEX | {"SeenTime": int(NOW_S)}):
        lines(annex, NOW_S)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_as_json_each_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    Lines(as_json=True)(ANNEX, NOW_S)
    reported = json.loads(capsys.readouterr().out)
    assert {name: reported[name] for name in ("TargetCapacity", "Running", "Booted", "Joined", "Claimed")} == {
        "TargetCapacity": 10, "Running": 7, "Booted": 5, "Joined": 4, "Claimed": 1,
    }  # fmt: skip
    assert (reported["Time"], reported["EndOfLease"]) == (int(NOW_S), ANNEX["EndOfLease"])


def test_the_bar_shows_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from annexd.tool.bar import Bar

    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    monkeypatch.setenv("COLUMNS", "200")
    with Bar(line) as bar:
        bar(ANNEX, NOW_S)
    assert line(ANNEX, NOW_S) in written.getvalue()


def test_several_annexes_of_one_name_are_listed_instead_of_guessed() -> None:
    with pytest.raises(ToolError, match="annex-1, annex-2"):
        only([{"AnnexID": "annex-1"}, {"AnnexID": "annex-2"}], "physics")
    with pytest.raises(ToolError, match="knows no annex physics"):
        only([], "physics")


@pytest.mark.parametrize(
    ("arguments", "goal", "file"),
    [
        (["-wait", "physics"], Goal(), "physics"),
        (["-wait", "joined=3", "physics"], Goal(machines=3), "physics"),
        (["-wait=joined=50%", "physics"], Goal(percent=50.0), "physics"),
        (["physics", "-wait"], Goal(), "physics"),
        (["-wait", "-lease-duration", "1h", "config.json"], Goal(), "config.json"),
    ],
)
def test_the_goal_may_be_left_out(arguments: list[str], goal: Goal, file: str) -> None:
    options = parse(arguments)
    assert (options.goal, options.file) == (goal, file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-wait"], "the annex is missing"),
        (["-wait", "joined=0", "physics"], "-wait must be joined=N"),
        (["-wait", "-count", "3", "physics"], "-count cannot be used with -wait"),
        (["-wait", "-status"], "-wait cannot be used with -status"),
        (["-wait", "-cancel", "physics"], "cannot be used with -wait"),
    ],
)
def test_options_that_do_not_go_with_wait_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ToolError, match=message) as error:
        parse(arguments)
    assert error.value.status == USAGE
