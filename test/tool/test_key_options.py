"""Test where keys come from: files or a profile, from the command line, or else HTCondor's configuration."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from annexd.tool.command_line import parse
from annexd.tool.errors import USAGE, ToolError
from annexd.tool.key_options import keys_of
from annexd.tool.options import ToolOptions

CONFIGURED = {
    "ANNEX_DEFAULT_ACCESS_KEY_FILE": "/k/id",
    "ANNEX_DEFAULT_SECRET_KEY_FILE": "/k/secret",
    "ANNEX_DEFAULT_SESSION_TOKEN_FILE": "/k/token",
}
ORDER = ("-lease-duration", "1h", "fleet.json")


def keys(
    *arguments: str, param: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the key attributes of the ad."""
    found = keys_of(parse([*arguments, *ORDER]), (param or {}).get, environment or {})
    return {name: value for name, value in found.items() if value}


def test_the_home_of_the_user_may_be_named_as_in_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTCondor's configuration does not expand ~, and no shell expands it after an equals sign."""
    monkeypatch.setenv("HOME", "/home/alice")
    configured = {"ANNEX_DEFAULT_ACCESS_KEY_FILE": "~/id", "ANNEX_DEFAULT_SECRET_KEY_FILE": "~/secret"}
    expected = {"PublicKeyFile": "/home/alice/id", "SecretKeyFile": "/home/alice/secret"}
    assert keys(param=configured) == expected
    assert keys("-access-key-file=~/id", "-secret-key-file=~/secret") == expected


def test_a_profile_is_sent_by_its_name() -> None:
    assert keys("-profile", "lab") == {"AWSProfile": "lab"}


def test_a_profile_is_of_the_files_that_the_aws_cli_reads_in_that_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/alice")
    files = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "~/keys"}
    assert keys("-profile", "lab", environment=files) == {
        "AWSProfile": "lab",
        "AWSConfigFile": f"{tmp_path}/config",
        "AWSCredentialsFile": "/home/alice/keys",
    }
    assert keys(environment={**files, "AWS_PROFILE": "other"}) == {}, "a profile is used only when requested"


def test_temporary_keys_have_a_third_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert keys("-access-key-file", "a", "-secret-key-file", "b", "-session-token-file", "c") == {
        "PublicKeyFile": f"{tmp_path}/a",
        "SecretKeyFile": f"{tmp_path}/b",
        "SessionTokenFile": f"{tmp_path}/c",
    }


def test_given_keys_are_not_mixed_with_configured_ones() -> None:
    assert keys(param=CONFIGURED) == {
        "PublicKeyFile": "/k/id",
        "SecretKeyFile": "/k/secret",
        "SessionTokenFile": "/k/token",
    }
    assert keys("-profile", "lab", param=CONFIGURED) == {"AWSProfile": "lab"}
    files = keys("-access-key-file", "/a", "-secret-key-file", "/b", param=CONFIGURED | {"ANNEX_DEFAULT_PROFILE": "x"})
    assert files == {"PublicKeyFile": "/a", "SecretKeyFile": "/b"}
    assert keys(param={"ANNEX_DEFAULT_PROFILE": "lab"}) == {"AWSProfile": "lab"}


def test_half_a_pair_in_the_configuration_is_reported() -> None:
    with pytest.raises(ToolError, match="-secret-key-file is missing"):
        keys_of(ToolOptions(), {"ANNEX_DEFAULT_ACCESS_KEY_FILE": "/a"}.get, {})


@pytest.mark.parametrize("task", [ORDER, ("-cancel", "annex-1"), ("-extend", "2h", "annex-1"), ("-setup",)])
@pytest.mark.parametrize(
    "arguments", [("-access-key-file", "a", "-secret-key-file", "b"), ("-session-token-file", "a")]
)
def test_keys_come_from_one_place_for_every_use(task: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    with pytest.raises(ToolError, match=f"-profile and {arguments[0]} exclude each other") as caught:
        parse(["-profile", "p", *arguments, *task])
    assert caught.value.status == USAGE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-access-key-file", "a"), "-secret-key-file is missing"),
        (("-secret-key-file", "a", "-session-token-file", "b"), "-access-key-file is missing"),
        (("-session-token-file", "a"), "-access-key-file and -secret-key-file are missing"),
    ],
)
def test_keys_come_whole(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        keys(*arguments)
    assert caught.value.status == USAGE


@pytest.mark.parametrize("task", [("-cancel", "annex-1"), ("-extend", "2h", "annex-1"), ("-check-setup",), ORDER])
def test_a_profile_and_temporary_keys_go_with_all_that_asks_aws(task: tuple[str, ...]) -> None:
    assert parse(["-profile", "lab", *task]).profile == "lab"
    files = ("-access-key-file", "a", "-secret-key-file", "b", "-session-token-file", "c")
    assert parse([*files, *task]).session_token_file == "c"
