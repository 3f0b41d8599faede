"""Test -resize: valid lines, faults of others, the ad that is sent, and the output."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from annexd.tool import show
from annexd.tool.command_ad import resize_ad
from annexd.tool.command_line import parse
from annexd.tool.errors import COMMUNICATION, REFUSED, ToolError
from annexd.tool.option_rules import RESIZE_TOO
from annexd.tool.options import OPTIONS, Option, ToolOptions
from test.tool.lines import faults

FOREIGN = {name: option for name, option in OPTIONS.items() if option.field not in {*RESIZE_TOO, "help", "version"}}


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-resize 20 physics", ToolOptions(resize_to=20, file="physics")),
        ("-resize 5 -now x", ToolOptions(resize_to=5, now=True, file="x")),
        ("physics --resi=1 -json", ToolOptions(resize_to=1, file="physics", json=True)),
        (
            "-command-id c -timeout 1m -pool d -name e -debug -profile lab -resize 5 x",
            ToolOptions(
                resize_to=5, file="x", command_id="c", timeout_s=60, pool="d", name="e", debug=True, profile="lab"
            ),
        ),
    ],
)
def test_a_size_and_an_annex_are_enough(line: str, options: ToolOptions) -> None:
    assert parse(shlex.split(line)) == options


@pytest.mark.parametrize(
    ("line", "fault", "next_step"),
    [
        ("-resize 5", "the annex is missing", "condor_annex -status lists yours"),
        ("-resize 5 'two words'", "ANNEX must be an annex ID", "not 'two words'"),
        ("-resize 5 a b", "name one annex", "not 2: a, b"),
        ("-resize x 5", "-resize must be a number above 0", "not 'x'"),
        ("-resize 0 x", "-resize must be a number above 0", "not '0'"),
        ("-resize", "-resize needs a value", "NUMBER"),
        ("-resize 5 -count 3 x", "-count cannot be used with -resize", "is the size"),
        ("-resize 5 -extend 1h x", "-resize cannot be used with -extend", "a command of its own"),
    ],
)
def test_every_fault_is_reported_with_the_expected_form(line: str, fault: str, next_step: str) -> None:
    reported = faults(line)
    assert any(each.startswith(fault) and next_step in each for each in reported), reported


@pytest.mark.parametrize(("name", "option"), FOREIGN.items())
def test_an_option_that_does_not_change_a_size_is_refused(name: str, option: Option) -> None:
    reported = faults(f"-{name} {'x' if option.value else ''} -resize 5 physics")
    with_it = {f"-{each} cannot be used with -resize" for each in OPTIONS if OPTIONS[each].field == option.field}
    with_it.add(f"-resize cannot be used with -{name}")
    assert any(fault.startswith(tuple(with_it)) for fault in reported), reported


def test_now_is_sent_where_it_is_given() -> None:
    assert resize_ad(ToolOptions(resize_to=5, file="x", now=True))["Now"] is True


def test_the_size_is_sent_with_keys_that_are_given_and_no_others() -> None:
    options = ToolOptions(resize_to=5, file="x", public_key_file="/a", secret_key_file="/b", command_id="mine")
    assert resize_ad(options) == {
        "Command": "CA_RESIZE_ANNEX",
        "RequestVersion": 1,
        "CommandID": "mine",
        "Annex": "x",
        "TargetCapacity": 5,
        "PublicKeyFile": "/a",
        "SecretKeyFile": "/b",
    }


def test_the_new_size_and_the_further_fleet_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    ad = {
        "Result": "Success",
        "AnnexID": "annex-1",
        "BulkRequestID": "sfr-2",
        "TargetCapacity": 5,
        "AddedCapacity": 3,
        "EndOfLease": 1796126400,
    }
    show.resized(ad)
    reported = capsys.readouterr()
    assert reported.out == "Annex annex-1 has 5 units: 3 more were ordered (sfr-2)\n"
    assert "the lease of annex annex-1 ends at" in reported.err


@pytest.mark.parametrize(
    ("busy", "message"), [(None, "2 machines leave"), (0, "2 machines leave"), (1, "2 machines leave, 1 of them when")]
)
def test_leaving_machines_are_printed_with_their_jobs(
    busy: int | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ad = {"Result": "Success", "AnnexID": "annex-1", "TargetCapacity": 3, "LeavingMachines": 2, "BusyMachines": busy}
    show.resized(ad)
    assert capsys.readouterr().out.startswith(f"Annex annex-1 has 3 units: {message}")


@pytest.mark.parametrize(
    ("ad", "status", "message"),
    [
        ({"Result": "Success"}, COMMUNICATION, "without a TargetCapacity"),
        ({"Result": "InvalidRequest", "ErrorString": "TargetCapacity is missing"}, REFUSED, "-resize is missing"),
    ],
)
def test_any_answer_but_success_is_an_error(ad: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(ToolError, match=message) as raised:
        show.resized(ad)
    assert raised.value.status == status
