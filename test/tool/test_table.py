"""Test -status: a table like condor_status's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annexd.tool.costs import NOTE
from annexd.tool.errors import COMMUNICATION, REFUSED, ToolError
from annexd.tool.table import lines, show

NOW_S = 1_800_000_000.0
ANNEX: dict[str, Any] = {
    "AnnexID": "annex-0123456789abcdef0123", "AnnexName": "physics", "Owner": "al@pool", "CommandID": "c",
    "BulkRequestID": "sfr-1", "TargetCapacity": 100, "EndOfLease": int(NOW_S) + 90061, "State": "leased",
    "Instances": 98, "SeenTime": int(NOW_S) - 75, "OrderedEndOfLease": int(NOW_S) + 3661,
    "EnforcerSeenTime": int(NOW_S) - 190, "Running": 97, "Booted": 93, "Joined": 90, "Claimed": 12,
    "PoolSeenTime": int(NOW_S) - 4, "PoolFault": None, "EstimatedCost": 3.5, "UnpricedInstances": 0,
}  # fmt: skip
UNKNOWN: dict[str, Any] = {
    "AnnexName": None, "BulkRequestID": None, "Instances": None, "SeenTime": None, "OrderedEndOfLease": None,
    "EnforcerSeenTime": None, "Running": None, "Booted": None, "Joined": None, "Claimed": None, "PoolSeenTime": None,
    "EstimatedCost": None, "UnpricedInstances": None,
}  # fmt: skip
ORDERING = ANNEX | UNKNOWN | {"State": "ordering"}
TIMES = ("EndOfLease", "OrderedEndOfLease", "EnforcerSeenTime", "SeenTime", "PoolSeenTime")
NO_ANNEXES = "no annex of yours lives or ended within the last hour: condor_annex -history shows the earlier ones"
AGES = """\
Running: as annexd saw them in AWS 0+00:01:15 ago or later
Joined, Claimed: machines in the collector 0+00:00:04 ago or later
Est$: estimated by annexd, of instances alone; >= where a price is unknown"""
TABLE = f"""\
Name                       Asked Running Joined Claimed  LeaseLeft Est$ State

physics                      100      97     90      12 1+01:01:01 3.50 leased
annex-0123456789abcdef0123   100       -      -       - 1+01:01:01    - ordering

{AGES}"""
WIDE = f"""\
Name                       ID                         Owner   Fleet request Asked Running Booted Joined Claimed  LeaseLeft    Ordered   Enforcer Est$ State

physics                    annex-0123456789abcdef0123 al@pool sfr-1           100      97     93     90      12 1+01:01:01 0+01:01:01 0+00:03:10 3.50 leased
annex-0123456789abcdef0123 annex-0123456789abcdef0123 al@pool -               100       -      -      -       - 1+01:01:01          -          -    - ordering

{AGES}"""  # noqa: E501
ENDS = f"""\
LeaseLeft: until 2027-01-16 09:01:01 UTC, 1d1h1m from now
Ordered: until 2027-01-15 09:01:01 UTC, 1h1m from now
{AGES}"""


def test_it_is_a_table_with_the_age_of_what_was_seen() -> None:
    assert "\n".join(lines([ANNEX, ORDERING], NOW_S)) == TABLE


def test_a_narrow_table_fits_a_terminal_and_a_wide_one_has_everything() -> None:
    assert max(map(len, TABLE.splitlines())) <= 80
    assert "\n".join(lines([ANNEX, ORDERING], NOW_S, wide=True)) == WIDE


def test_the_owner_is_shown_where_there_are_several() -> None:
    assert "Owner" not in lines([ANNEX, ANNEX], NOW_S)[0]
    assert "Owner" in lines([ANNEX, ANNEX | {"Owner": "bob@pool"}], NOW_S)[0]


def test_a_pool_that_cannot_be_asked_is_reported_below_the_table() -> None:
    assert lines([ANNEX | {"PoolFault": "no answer"}], NOW_S)[-1] == "The pool, not seen since: no answer"


@pytest.mark.usefixtures("utc")
def test_the_ends_of_one_annex_are_shown_in_full() -> None:
    assert "\n".join(lines([ANNEX], NOW_S)[4:]) == ENDS
    assert lines([ANNEX | UNKNOWN], NOW_S)[4:] == ENDS.splitlines()[:1]


@pytest.mark.usefixtures("utc")
def test_why_fewer_run_than_were_asked_for_follows_the_table_and_cannot_write_on_the_terminal() -> None:
    shown = lines([ANNEX | {"Trouble": "AWS says: \x1b[2Jx\n\u202ey"}, ORDERING | {"AnnexName": None}], NOW_S)
    assert shown[-1] == "physics: AWS says:  [2Jx  y"
    unnamed = lines([ANNEX | {"AnnexName": None, "Trouble": "no capacity"}], NOW_S)
    assert unnamed[-1] == f"{ANNEX['AnnexID']}: no capacity"


@pytest.mark.parametrize("value", [None, "soon", True, 0, -1, 2**62, 1.5, [1]])
def test_a_time_that_is_not_known_or_none_is_a_dash(value: object) -> None:
    annex = {name: what for name, what in ANNEX.items() if name not in TIMES} | {"State": "ordering"}
    for shown in (lines([annex], NOW_S, wide=True), lines([annex | dict.fromkeys(TIMES, value)], NOW_S, wide=True)):
        assert shown[2].split()[-5:] == ["-", "-", "-", "3.50", "ordering"]
        assert shown[3:] == ["", NOTE]


def test_a_lease_that_is_over_has_nothing_left() -> None:
    over = {"EndOfLease": int(NOW_S) - 5, "OrderedEndOfLease": int(NOW_S) - 7200, "State": "over"}
    assert "0+00:00:00 0+00:00:00 0+00:03:10 3.50 over" in lines([ANNEX | over], NOW_S, wide=True)[2]


def test_json_output_is_annexds_reply(capsys: pytest.CaptureFixture[str]) -> None:
    show({"Result": "Success", "Annexes": json.dumps([ANNEX])}, as_json=True, asked_for="")
    assert json.loads(capsys.readouterr().out) == [ANNEX]


def test_without_annexes_there_is_a_sentence_instead_of_a_table_and_an_empty_json_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for as_json, shown in ((False, ""), (True, "[]\n")):
        show({"Result": "Success", "Annexes": "[]"}, as_json=as_json, asked_for="")
        printed = capsys.readouterr()
        assert printed.out == shown
        message = "" if as_json else f"condor_annex: {NO_ANNEXES}\n"
        assert printed.err == message


@pytest.mark.usefixtures("utc")
def test_a_failed_order_is_a_row_with_its_reason_below_the_table() -> None:
    failed = ORDERING | {
        "AnnexName": "physics",
        "State": "failed",
        "Trouble": "RequestSpotFleet: UnauthorizedOperation",
        "FailedTime": 5,
    }
    shown = lines([ANNEX, failed], NOW_S)
    assert shown[3].split()[-1] == "failed"
    assert shown[-1] == "physics: RequestSpotFleet: UnauthorizedOperation"


@pytest.mark.parametrize(
    ("ad", "status"),
    [
        ({"Result": "Success", "Annexes": "[]"}, REFUSED),
        ({"Result": "Success"}, COMMUNICATION),
        ({"Result": "InvalidRequest", "ErrorString": "no"}, REFUSED),
    ],
)
def test_an_unknown_annex_and_an_invalid_answer_are_reported(ad: dict[str, Any], status: int) -> None:
    with pytest.raises(ToolError) as raised:
        show(ad, as_json=False, asked_for="physics")
    assert raised.value.status == status


def test_keys_that_no_longer_work_are_reported_once_below_the_table() -> None:
    annex = ANNEX | {"SeenFault": "AWSProfile lab cannot be used: log in (aws sso login --profile lab) and ask again"}
    assert lines([annex, annex], NOW_S)[-4:] == [
        *AGES.splitlines(),
        "Not seen since: -profile lab cannot be used: log in (aws sso login --profile lab) and ask again",
    ]
