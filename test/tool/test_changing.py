"""Test -extend and -until: valid lines, faults of others, and the ad that is sent."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from annexd.tool.command_ad import change_ad
from annexd.tool.command_line import parse
from annexd.tool.errors import USAGE, ToolError
from annexd.tool.option_rules import CHANGE_TOO, CHANGES
from annexd.tool.options import OPTIONS, Option, ToolOptions
from test.tool.lines import faults

NOON_S = 1796126400  # 2026-12-01T12:00Z
KEYS = "-access a -secret b"
FOREIGN = {
    name: option for name, option in OPTIONS.items() if option.field not in {*CHANGE_TOO, *CHANGES, "help", "version"}
}


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-ext 1h30m physics", ToolOptions(extend_s=5400, file="physics")),
        ("physics -extend=60", ToolOptions(extend_s=60, file="physics")),
        ("--until 2026-12-01T12:00Z -now physics", ToolOptions(until_s=NOON_S, now=True, file="physics")),
        ("-until '2026-12-01 13:00 +01:00' sfr-1", ToolOptions(until_s=NOON_S, file="sfr-1")),
        (
            f"{KEYS} -command-id c -timeout 1m -pool d -name e -debug -extend 60 x",
            ToolOptions(
                extend_s=60,
                file="x",
                public_key_file="a",
                secret_key_file="b",
                command_id="c",
                timeout_s=60,
                pool="d",
                name="e",
                debug=True,
            ),
        ),
    ],
)
def test_a_lease_is_moved_by_a_duration_or_to_a_time(line: str, options: ToolOptions) -> None:
    assert parse(shlex.split(line)) == options


@pytest.mark.parametrize(
    ("line", "fault", "next_step"),
    [
        ("-extend 1h", "the annex is missing", "condor_annex -status lists yours"),
        ("-extend 1h ''", "ANNEX must be an annex ID", "or an annex name, not ''"),
        ("-extend 1h 'two words'", "ANNEX must be an annex ID", "or an annex name, not 'two words'"),
        ("-extend 1 h x", "name one annex", "not 2: h, x"),
        ("-until 2026-12-01 18:00 x", "name one annex", "not 2: 18:00, x"),
        ("-until 2026-12-01 x", "-until must be a date and time", "such as 2026-12-01T18:00, not '2026-12-01'"),
        ("-until tomorrow x", "-until must be a date and time", "such as 2026-12-01T18:00 (local time)"),
        ("-extend x 1h", "-extend must be a number of seconds", "1w, not 'x'"),
        ("-extend 0 x", "-extend must be a number of seconds", "1w, not '0'"),
        ("-extend", "-extend needs a value", "DURATION"),
        ("-until -now x", "-until needs a value", "TIME"),
        ("-extend 1h -extend 2h x", "-extend is given twice", ""),
        ("-extend 1h -until 2026-12-01T12:00Z x", "-extend and -until exclude each other", "-until sets the new end"),
        ("-extend 1h -lease-duration 2h x", "-lease-duration cannot be used with -extend", "-extend DURATION"),
        ("-extend 1h -annex-name x", "-annex-name cannot be used with -extend", "condor_annex -extend 2h NAME"),
        ("-extend 1h -count 3 x", "-count cannot be used with -extend", "condor_annex -resize NUMBER ANNEX"),
        ("-extend 1h -cancel x", "-cancel cannot be used with -extend", "condor_annex -cancel ANNEX alone ends it now"),
        ("-extend 1h -forcex x", "-forcex cannot be used with -extend", "it requires -cancel"),
        ("-extend 1h -status x", "-extend cannot be used with -status", ""),
        ("-extend 1h -setup", "-extend cannot be used with -setup", ""),
        ("-now -lease-duration 1h x", "-now requires -until", ""),
        ("-now -extend 1h x", "-now requires -until", "an extended lease never ends too soon"),
        ("-now -cancel x", "-now cannot be used with -cancel", ""),
        (f"-until 2026-12-01T12:00Z {KEYS} -frobnicate", "unknown option -frobnicate", ""),
    ],
)
def test_a_fault_is_reported_with_the_next_step(line: str, fault: str, next_step: str) -> None:
    assert any(reported.startswith(fault) and next_step in reported for reported in faults(line)), faults(line)


@pytest.mark.parametrize(("name", "option"), FOREIGN.items())
def test_an_option_that_does_not_change_a_lease_is_refused(name: str, option: Option) -> None:
    reported = faults(f"-{name} {'x' if option.value else ''} -extend 1h physics")
    with_it = {f"-{each} cannot be used with -extend" for each in OPTIONS if OPTIONS[each].field == option.field}
    with_it.add(f"-extend cannot be used with -{name}")
    assert any(fault.startswith(tuple(with_it)) for fault in reported), reported


def test_an_extension_counts_from_where_the_end_is_and_so_is_sent_as_a_length() -> None:
    ad = change_ad(ToolOptions(extend_s=5400, file="physics"), 0.0)
    assert (ad.pop("Command"), ad.pop("RequestVersion"), len(ad.pop("CommandID"))) == ("CA_CHANGE_LEASE", 1, 32)
    assert ad == {"Annex": "physics", "LeaseExtension": 5400}


def test_an_end_is_sent_with_keys_that_are_given_and_no_others() -> None:
    options = ToolOptions(
        until_s=NOON_S, now=True, file="x", public_key_file="a", secret_key_file="/b", command_id="mine"
    )
    assert change_ad(options, NOON_S - 1) == {
        "Command": "CA_CHANGE_LEASE",
        "RequestVersion": 1,
        "CommandID": "mine",
        "Annex": "x",
        "EndOfLease": NOON_S,
        "Now": True,
        "PublicKeyFile": str(Path("a").absolute()),
        "SecretKeyFile": "/b",
    }
    with pytest.raises(ToolError, match="-secret-key-file is missing"):
        change_ad(ToolOptions(extend_s=1, file="x", public_key_file="a"), 0.0)


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("now", [False, True])
def test_an_end_in_the_past_is_refused_with_what_ends_an_annex_now(now: bool) -> None:
    with pytest.raises(ToolError) as raised:
        change_ad(ToolOptions(until_s=NOON_S, now=now, file="physics"), NOON_S + 90061)
    [reported] = raised.value.faults
    assert raised.value.status == USAGE
    assert reported.startswith("-until 2026-12-01 12:00:00 UTC was 1d1h1m ago: give a future time")
    assert reported.endswith("condor_annex -cancel physics ends the annex now")


def test_the_result_of_a_change_can_be_queried_after_its_end() -> None:
    ad = change_ad(ToolOptions(until_s=NOON_S, file="physics", command_id="mine"), NOON_S + 1)
    assert (ad["EndOfLease"], ad["CommandID"]) == (NOON_S, "mine")
