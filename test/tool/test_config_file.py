"""Test the config.json: values that are kept, changed, or refused before they do harm."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.request.ad_attributes import OWN
from annexd.tool.config_file import MAX_FILE_BYTES, MAX_USER_DATA_BYTES, read
from annexd.tool.errors import BAD_FILE, ToolError
from annexd.tool.options import ToolOptions

EXAMPLE = Path(__file__).resolve().parents[2] / "templates" / "config.json"
CONTENT = EXAMPLE.read_bytes()


def config_of(tmp_path: Path, content: object, **options: Any) -> tuple[dict[str, Any], list[str]]:
    file = tmp_path / "config.json"
    match content:
        case bytes():
            file.write_bytes(content)
        case str():
            file.write_text(content)
        case _:
            file.write_text(json.dumps(content))
    return read(ToolOptions(file=str(file), **options))


def fault_of(tmp_path: Path, content: object, **options: Any) -> str:
    with pytest.raises(ToolError) as raised:
        config_of(tmp_path, content, **options)
    assert raised.value.status == BAD_FILE
    return "\n".join(raised.value.faults)


def test_the_consoles_file_is_taken_as_it_is_but_for_its_dates(tmp_path: Path) -> None:
    console = json.loads(CONTENT) | {"ValidFrom": "2026-11-22T00:00:00.000Z", "ValidUntil": "2027-11-22T00:00:00.000Z"}
    config, notes = config_of(tmp_path, console)
    assert config == {name: console[name] for name in console if name not in ("ValidFrom", "ValidUntil")}
    assert len(notes) == 1
    assert "ValidFrom and ValidUntil" in notes[0]


def test_the_aws_command_lines_file_is_taken_too(tmp_path: Path) -> None:
    assert config_of(tmp_path, {"SpotFleetRequestConfig": {"TargetCapacity": 3}}) == ({"TargetCapacity": 3}, [])


@pytest.mark.parametrize("name", sorted({*OWN, "logsurl"}))
def test_a_file_cannot_set_attributes_of_the_command(tmp_path: Path, name: str) -> None:
    assert f'"{name}" is not part of the config of a fleet' in fault_of(tmp_path, {name: "x"})


def test_a_count_overrides_the_files(tmp_path: Path) -> None:
    config, _ = config_of(tmp_path, {"TargetCapacity": 3}, target_capacity=7)
    assert config["TargetCapacity"] == 7


def test_user_data_replaces_that_of_every_specification(tmp_path: Path) -> None:
    config, _ = config_of(tmp_path, {"LaunchSpecifications": [{"UserData": "b2xk"}, {}]}, user_data="#!/bin/sh\n")
    expected = base64.b64encode(b"#!/bin/sh\n").decode()
    assert config["LaunchSpecifications"] == [{"UserData": expected}, {"UserData": expected}]


def test_default_user_data_is_for_specifications_that_have_none(tmp_path: Path) -> None:
    binary = tmp_path / "user-data"
    binary.write_bytes(b"\x1f\x8b\0\xff")
    specifications = [{"UserData": "b2xk"}, {}, {"UserData": ""}, {"UserData": None}]
    config, _ = config_of(tmp_path, {"LaunchSpecifications": specifications}, default_user_data_file=str(binary))
    new = base64.b64encode(b"\x1f\x8b\0\xff").decode()
    assert [each["UserData"] for each in config["LaunchSpecifications"]] == ["b2xk", new, new, new]


@pytest.mark.parametrize("how", ["user_data", "default_user_data"])
def test_user_data_cannot_be_given_to_a_launch_template_and_that_is_said(tmp_path: Path, how: str) -> None:
    message = fault_of(tmp_path, {"LaunchTemplateConfigs": [{}]}, **{how: "x"})
    assert "belongs in the launch template" in message


def test_user_data_larger_than_ec2_takes_is_refused(tmp_path: Path) -> None:
    message = fault_of(tmp_path, {"LaunchSpecifications": [{}]}, user_data="x" * (MAX_USER_DATA_BYTES + 1))
    assert str(MAX_USER_DATA_BYTES) in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("TargetCapacity", "is not JSON: Expecting value at line 1, column 1"),
        ('{\n  "TargetCapacity": 3,\n}', "there is an extra comma at line"),
        ('{"LaunchSpecifications": [{}, ]}', "there is an extra comma at line 1"),
        ('{"A": [\n{"B": 1}\n{"B": 2}]}', "a comma is missing before line 3, column 1"),
        ('{"A": [\n{"B": "x', "inside the object that begins in line 2: was it cut off?"),
        ('{"A": [\n1', "inside the array that begins in line 1: was it cut off?"),
        ('{"A": "QUJD\nQUJD"}', "a string contains a line break at line 1"),
        ('{"A": 1 // one\n "B": 2}', "a comma is missing before line 2"),
        ("[1]", "must be a JSON object, the config of a fleet, not an array"),
        ("null", "not null"),
        ("7", "not a number"),
        ('"x"', "not a string"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        ('{"TargetCapacity": 1, "TargetCapacity": 2}', '"TargetCapacity" appears twice'),
        ('{"TargetCapacity": 1, "targetCapacity": 2}', '"targetCapacity" appears twice'),
        ('{"LaunchSpecifications": [{"Ebs": 1, "ebs": 2}]}', '"ebs" appears twice'),
        ('{"EndOfLease": 99999999999}', '"EndOfLease" is not part of the config of a fleet'),
        ('{"command": "x"}', '"command" is not part'),
        ('{"Spot Price": "1"}', 'the config has the name "Spot Price"'),
        ('{"A": [{"it\'s": 1}]}', "A[0] has the name"),
        ('{"": 1}', 'has the name ""'),
        ('{"A": {"B": 18446744073709551616}}', "A.B does not fit into 64 bits"),
        ('{"A": 1e999}', "A is out of range"),
        ('{"A": NaN}', "NaN is not a number in JSON"),
        ('{"A": ' + "1" * 5000 + "}", "cannot be used"),
        ('{"A": "\\ud800"}', "A is not valid Unicode"),
        ('{"A": ["x\\u0000y"]}', "A[0] contains a NUL character"),
        ('{"A": ["C:\\\\"]}', "A[0] ends with a backslash"),
        ('{"A": ' + "[" * 30 + "]" * 30 + "}", "is nested too deeply"),
        ('{"A": ' + "[" * 200_000, "is nested too deeply"),
        (b"[" + b" " * MAX_FILE_BYTES, "is larger than"),
    ],
)
def test_a_file_that_is_not_a_config_is_refused_with_the_place(tmp_path: Path, content: object, message: str) -> None:
    assert message in fault_of(tmp_path, content)


def test_all_faults_of_a_file_are_reported_at_once_but_not_thousands(tmp_path: Path) -> None:
    assert fault_of(tmp_path, {"A b": 1, "B": 2**70}).count("\n") == 1
    assert fault_of(tmp_path, {"A": [2**70] * 1000}).endswith("... and 980 more faults")


@given(at=st.integers(0, len(CONTENT)), replaced=st.integers(0, 3) | st.just(len(CONTENT)), by=st.binary(max_size=2))
def test_any_file_gives_a_config_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, at: int, replaced: int, by: bytes
) -> None:
    """The file is the example, cut off or with some bytes changed anywhere."""
    assert _is_answered(tmp_path_factory.getbasetemp(), CONTENT[:at] + by + CONTENT[at + replaced :])


def _is_answered(directory: Path, content: bytes) -> bool:
    try:
        config, _ = config_of(directory, content)
    except ToolError as error:
        return error.status == BAD_FILE
    return isinstance(config, dict)


@pytest.mark.parametrize("file", ["/nonexistent/config.json", "/", "/dev/zero"])
def test_a_file_that_cannot_be_read_is_named(file: str) -> None:
    with pytest.raises(ToolError, match=file) as raised:
        read(ToolOptions(file=file))
    assert raised.value.status == BAD_FILE
