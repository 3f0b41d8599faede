"""Test the command line: HTCondor's spelling, and all faults of a line at once."""

from __future__ import annotations

import pytest

from annexd.tool.command_line import parse
from annexd.tool.errors import USAGE, ToolError
from annexd.tool.options import OPTIONS, ToolOptions

ENOUGH = ("-lease-duration", "3600", "config.json")


def faults(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(ToolError) as raised:
        parse(arguments)
    assert raised.value.status == USAGE
    return raised.value.faults


@pytest.mark.parametrize(
    ("spelled", "field"),
    [
        ("-po", "pool"),
        ("-n", "name"),
        ("-ac", "public_key_file"),
        ("-access", "public_key_file"),
        ("-pub", "public_key_file"),
        ("-public-key-file", "public_key_file"),
        ("-sec", "secret_key_file"),
        ("-private", "secret_key_file"),
        ("-lease-f", "lease_function_arn"),
        ("-user", "user_data"),
        ("-user-data", "user_data"),
        ("-user-data-f", "user_data_file"),
        ("-default", "default_user_data"),
        ("-default-user-data-file", "default_user_data_file"),
        ("--name", "name"),
    ],
)
def test_an_option_may_be_shortened_while_it_is_unambiguous(spelled: str, field: str) -> None:
    assert getattr(parse([spelled, "value", *ENOUGH]), field) == "value"


def test_a_beginning_that_fits_several_options_names_them() -> None:
    expected = "-p is ambiguous: -pool, -pause, -profile, -public-key-file, -private-key-file"
    assert faults("-p", "x", *ENOUGH) == (expected,)


def test_a_missing_lease_duration_says_so() -> None:
    assert faults("config.json") == ("-lease-duration is missing: give the time for which you want the instances",)


def test_all_faults_of_a_line_are_reported_at_once() -> None:
    found = faults("-count", "many", "-frobnicate", "-events-url", "ftp://x", "-name")
    for words in ("-count must be", "option -frobnicate", "-events-url must be", "-name needs a value", "-lease-d"):
        assert any(words in fault for fault in found), found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("12h", 43200),
        ("2d", 172800),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1d12h", 129600),
        ("0.5m", 30),
        ("1w2d3h4m5s", 788645),
    ],
)
def test_a_lease_duration_is_in_seconds_unless_it_says_otherwise(text: str, seconds: int) -> None:
    assert parse(["-lease-duration", text, "config.json"]).lease_duration_s == seconds


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-5",
        "1.5",
        "",
        "h",
        "1y",
        "٣",
        "1e3",
        "9" * 30,
        "1h30",
        "30m1h",
        "1h1h",
        ".5h",
        "1.h",
        "1..5h",
        "0.1s",
        "h1",
        "1_0m",
        "infm",
        "1 h",
    ],
)
def test_an_invalid_duration_is_refused(text: str) -> None:
    assert "-lease-duration must be" in faults("-lease-duration", text, "config.json")[0]


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "", "ten"])
def test_an_invalid_count_is_refused(text: str) -> None:
    assert "-count must be" in faults("-count", text, *ENOUGH)[0]


@pytest.mark.parametrize("name", ['x" || true || "', "a\\b", "", "a\nb"])
def test_a_name_that_would_be_an_expression_is_refused(name: str) -> None:
    assert "-name must be" in faults("-name", name, *ENOUGH)[0]


def test_a_key_file_is_not_taken_for_another_under_its_other_name() -> None:
    assert faults("-access", "a", "-public", "b", *ENOUGH) == (
        "-public-key-file is given twice (-access-key-file is the same)",
    )


def test_user_data_comes_from_one_place() -> None:
    assert faults("-user-data", "a", "-default-user-data-file", "b", *ENOUGH) == (
        "-user-data and -default-user-data-file exclude each other",
    )


def test_one_request_is_one_file() -> None:
    assert faults(*ENOUGH, "-") == ("one file per request, not 2: config.json, -",)
    assert parse(["-lease-duration", "60", "-"]).file == "-"


def test_an_annex_is_cancelled_by_what_people_call_it() -> None:
    assert parse(["-can", "physics", "-n", "annexd@x"]) == ToolOptions(cancel="physics", name="annexd@x")


@pytest.mark.parametrize("name", ["", "two words", "x'", "../x", "-", "é", "x" * 129])
def test_an_invalid_annex_name_is_not_sent(name: str) -> None:
    assert any("-cancel " in fault for fault in faults("-cancel", name)), faults("-cancel", name)


def test_options_of_an_order_cannot_be_used_with_a_cancellation() -> None:
    found = faults("-cancel", "physics", "-lease-duration", "1h", "-count", "3", "config.json")
    assert set(found) == {
        f"{each} cannot be used with -cancel" for each in ("-lease-duration", "-count", "config.json")
    }
    assert faults("-setup", "-cancel", "physics") == ("-cancel cannot be used with -setup",)


def test_the_annexes_are_asked_for_all_or_one() -> None:
    assert parse(["-stat"]) == ToolOptions(status=True)
    assert parse(["-status", "physics", "-json"]) == ToolOptions(status=True, file="physics", json=True)
    assert faults("-status", "two words")[0].startswith("the annex after -status must be an annex ID")
    assert faults("-status", "-cancel", "x", "-count", "1") == (
        "-cancel cannot be used with -status",
        "-count cannot be used with -status",
    )
    assert faults("-status", "a", "b") == ("name one annex, not 2: a, b",)
    assert faults("-status", "")[0].startswith("the annex after -status must be")


@pytest.mark.parametrize(
    "words",
    [
        ENOUGH,
        ("-cancel", "a"),
        ("-extend", "2h", "a"),
        ("-until", "2099-01-01T00:00Z", "a"),
        ("-resize", "5", "a"),
        ("-status",),
        ("-wait", "a"),
        ("-setup",),
        ("-check-setup",),
        ("-teardown",),
    ],
    ids=" ".join,
)
def test_every_command_answers_in_json(words: tuple[str, ...]) -> None:
    assert parse(["-json", *words]).json


def test_the_configuration_and_json_do_not_share_standard_output() -> None:
    assert faults("-setup", "-json", "-output", "-") == (
        "-output - and -json exclude each other: both write to standard output; name the file",
    )
    assert parse(["-setup", "-json", "-output", "./81annex"]).json


def test_a_value_may_be_attached_with_an_equals_sign() -> None:
    assert parse(["--lease-duration=1h", "-user-data=-x=y", "config.json"]) == ToolOptions(
        lease_duration_s=3600, user_data="-x=y", file="config.json"
    )
    assert "-json takes no value" in faults("-status", "-json=yes")
    assert "-count must be a number above 0, not ''" in faults("-count=", *ENOUGH)


def test_help_is_printed_with_any_other_option() -> None:
    assert parse(["-count", "x", "-h"]) == ToolOptions(help=True)
    assert parse(["-version"]) == ToolOptions(version=True)


def test_every_option_has_a_field_and_a_help_text() -> None:
    assert {option.field for option in OPTIONS.values()} | {"file"} == set(ToolOptions._fields)
    assert all(option.help for option in OPTIONS.values())
