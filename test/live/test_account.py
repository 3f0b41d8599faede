"""Test the choice of credentials, the endpoints that receive them, and the time for which they must be valid."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from annexd.account.errors import AccountError
from test.account.kit import surroundings
from test.cloud import Cloud
from test.live.account import Account, refuse_short_lived
from test.live.kit import REGION
from test.live.recorder import Recorder

CONFIG = "[profile mine]\nendpoint_url = http://127.0.0.1:9\n[default]\nendpoint_url = http://127.0.0.1:9\n"


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Remove the keys that all tests have."""
    with surroundings({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del os.environ[name]
        yield


def configured(folder: Path, credentials: str) -> dict[str, str]:
    config, file = folder / "config", folder / "credentials"
    config.write_text(CONFIG)
    file.write_text(credentials)
    return {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(file)}


def test_the_credentials_are_those_of_the_profile_and_are_never_shown(cloud: Cloud, tmp_path: Path) -> None:
    key, secret = cloud.user("jane")
    keys = configured(tmp_path, f"[mine]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    with surroundings({**keys, "AWS_ENDPOINT_URL": cloud.url}):
        account = Account(REGION, "mine", Recorder())
        assert account.caller_arn.endswith(":user/jane")
        assert account.keys.access_key_id == key
        assert repr(account.keys) == "<redacted>"


def test_a_profiles_endpoint_is_ignored(tmp_path: Path) -> None:
    """With the profile's endpoint the clean-up would not query the same AWS as condor_annex, which has no profile."""
    keys = configured(tmp_path, "[mine]\naws_access_key_id = AKIAQQQQWWWWEEEERRRR\naws_secret_access_key = x\n")
    with surroundings(keys):
        account = Account(REGION, "mine", Recorder())
        clients = [account.client("ec2"), account.watched("ec2")]
        assert {each.meta.endpoint_url for each in clients} == {f"https://ec2.{REGION}.amazonaws.com"}
        response = account.environment(account.keys)
    assert response["AWS_CONFIG_FILE"] == os.devnull
    assert not [name for name in response if "PROFILE" in name or name.startswith("AWS_ENDPOINT_URL")]


@pytest.mark.parametrize(("hours", "is_refused"), [(0.1, True), (1, False)])
def test_credentials_that_expire_soon_and_are_not_renewed_are_refused(
    tmp_path: Path, hours: float, is_refused: bool
) -> None:
    response = {
        "Version": 1,
        "AccessKeyId": "ASIAQQQQWWWWEEEERRRR",
        "SecretAccessKey": "x",
        "SessionToken": "y",
        "Expiration": (datetime.now(UTC) + timedelta(hours=hours)).isoformat(),
    }
    program = shlex.join([sys.executable, "-c", f"print({json.dumps(response)!r})"])
    keys = configured(tmp_path, f"[mine]\ncredential_process = {program}\n")
    with surroundings(keys):
        account = Account(REGION, "mine", Recorder())
        if is_refused:
            with pytest.raises(AccountError, match=r"expire in 6 minutes, and the rehearsal .* may take 90"):
                refuse_short_lived(account)
        else:
            refuse_short_lived(account)


def test_missing_credentials_are_reported_with_the_ways_to_give_them(tmp_path: Path) -> None:
    with surroundings(configured(tmp_path, "")):
        account = Account(REGION, None, Recorder())
        for ask in (lambda: account.keys, lambda: account.caller_arn, lambda: refuse_short_lived(account)):
            with pytest.raises(AccountError, match=r"no AWS credentials were found; .*-profile NAME"):
                ask()
