"""-status as people see it: a table like condor_status's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annexd.tool.errors import COMMUNICATION, REFUSED, ToolError
from annexd.tool.table import lines, show

NOW_S = 1_800_000_000.0
ANNEX: dict[str, Any] = {
    "AnnexID": "annex-0123456789abcdef0123", "AnnexName": "physics", "Owner": "al@pool", "CommandID": "c",
    "BulkRequestID": "sfr-1", "TargetCapacity": 100, "EndOfLease": int(NOW_S) + 90061, "State": "leased",
    "Instances": 98, "SeenTime": int(NOW_S) - 75, "OrderedEndOfLease": int(NOW_S) + 3661,
    "EnforcerSeenTime": int(NOW_S) - 190,
}  # fmt: skip
UNKNOWN: dict[str, Any] = {
    "AnnexName": None, "BulkRequestID": None, "Instances": None, "SeenTime": None, "OrderedEndOfLease": None,
    "EnforcerSeenTime": None,
}  # fmt: skip
ORDERING = ANNEX | UNKNOWN | {"State": "ordering"}
TIMES = ("EndOfLease", "OrderedEndOfLease", "EnforcerSeenTime", "SeenTime")
TABLE = """\
Name    ID                         Owner   Fleet Capacity Running  LeaseLeft    Ordered   Enforcer State

physics annex-0123456789abcdef0123 al@pool sfr-1      100      98 1+01:01:01 0+01:01:01 0+00:03:10 leased
-       annex-0123456789abcdef0123 al@pool -          100       - 1+01:01:01          -          - ordering

Running: as annexd saw it in AWS 0+00:01:15 ago or later"""
ENDS = """\
LeaseLeft: until 2027-01-16 09:01:01 UTC, 1d1h1m from now
Ordered: until 2027-01-15 09:01:01 UTC, 1h1m from now
Running: as annexd saw it in AWS 0+00:01:15 ago or later"""


def test_it_is_a_table_with_the_age_of_what_was_seen() -> None:
    assert "\n".join(lines([ANNEX, ORDERING], NOW_S)) == TABLE


@pytest.mark.usefixtures("utc")
def test_the_ends_of_one_annex_are_told_in_full() -> None:
    assert "\n".join(lines([ANNEX], NOW_S)[4:]) == ENDS
    assert lines([ANNEX | UNKNOWN], NOW_S)[4:] == ENDS.splitlines()[:1]


@pytest.mark.usefixtures("utc")
def test_why_fewer_run_than_were_asked_for_follows_the_table_and_cannot_write_on_the_terminal() -> None:
    told = lines([ANNEX | {"Trouble": "AWS says: \x1b[2Jx\n\u202ey"}, ORDERING | {"AnnexName": None}], NOW_S)
    assert told[-1] == "physics: AWS says:  [2Jx  y"
    unnamed = lines([ANNEX | {"AnnexName": None, "Trouble": "no capacity"}], NOW_S)
    assert unnamed[-1] == f"{ANNEX['AnnexID']}: no capacity"


@pytest.mark.parametrize("value", [None, "soon", True, 0, -1, 2**62, 1.5, [1]])
def test_a_time_that_is_not_known_or_none_is_a_dash(value: object) -> None:
    annex = {name: what for name, what in ANNEX.items() if name not in TIMES} | {"State": "ordering"}
    for told in (lines([annex], NOW_S), lines([annex | dict.fromkeys(TIMES, value)], NOW_S)):
        assert told[2].split()[-4:] == ["-", "-", "-", "ordering"]
        assert len(told) == 3


def test_a_lease_that_is_over_has_nothing_left() -> None:
    over = {"EndOfLease": int(NOW_S) - 5, "OrderedEndOfLease": int(NOW_S) - 7200, "State": "over"}
    assert "0+00:00:00 0+00:00:00 0+00:03:10 over" in lines([ANNEX | over], NOW_S)[2]


def test_as_json_it_is_what_annexd_told(capsys: pytest.CaptureFixture[str]) -> None:
    show({"Result": "Success", "Annexes": json.dumps([ANNEX])}, as_json=True, asked_for="")
    assert json.loads(capsys.readouterr().out) == [ANNEX]


def test_no_annexes_are_no_table_and_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json, told in ((False, ""), (True, "[]\n")):
        show({"Result": "Success", "Annexes": "[]"}, as_json=as_json, asked_for="")
        assert capsys.readouterr().out == told


@pytest.mark.parametrize(
    ("ad", "status"),
    [
        ({"Result": "Success", "Annexes": "[]"}, REFUSED),
        ({"Result": "Success"}, COMMUNICATION),
        ({"Result": "InvalidRequest", "ErrorString": "no"}, REFUSED),
    ],
)
def test_an_annex_that_is_not_there_and_an_answer_that_is_none_are_told(ad: dict[str, Any], status: int) -> None:
    with pytest.raises(ToolError) as raised:
        show(ad, as_json=False, asked_for="physics")
    assert raised.value.status == status


def test_keys_that_do_not_work_any_more_are_told_once_below_what_was_seen_last() -> None:
    annex = ANNEX | {"SeenFault": "AWSProfile lab cannot be used: log in (aws sso login --profile lab) and ask again"}
    assert lines([annex, annex], NOW_S)[-2:] == [
        "Running: as annexd saw it in AWS 0+00:01:15 ago or later",
        "Not seen since: -profile lab cannot be used: log in (aws sso login --profile lab) and ask again",
    ]
