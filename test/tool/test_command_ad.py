"""Test the command ad: annexd reads exactly the values that the user gave."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import classad2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.cedar.classad import AdLimits, AdReader
from annexd.tool.command_ad import cancel_ad, command_ad
from annexd.tool.config_file import read
from annexd.tool.errors import USAGE, ToolError
from annexd.tool.options import ToolOptions

NAMES = st.from_regex(r"[A-Z][A-Za-z]{2,8}", fullmatch=True).filter(lambda name: name.lower() != "mytype")
TEXTS = st.text(max_size=20) | st.text(alphabet="\\\"\n\t'ab[]{};=", max_size=8)
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def nothing(_: str) -> str | None:
    return None


def ad_of(param: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    return command_ad({"TargetCapacity": 1}, ToolOptions(lease_duration_s=60, **options), (param or {}).get, 1000.9)


def test_the_lease_ends_so_many_seconds_from_now() -> None:
    assert ad_of()["EndOfLease"] == 1060


def test_each_request_has_an_id_of_its_own_so_that_sending_it_twice_is_asking_twice() -> None:
    assert ad_of()["CommandID"] != ad_of()["CommandID"]


def test_a_relative_key_file_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ad = ad_of(public_key_file="public", secret_key_file="../secret")
    assert (ad["PublicKeyFile"], ad["SecretKeyFile"]) == (f"{tmp_path}/public", f"{tmp_path.parent}/secret")


def test_defaults_come_from_htcondors_configuration() -> None:
    configuration = {
        "ANNEX_DEFAULT_LEASE_FUNCTION_ARN": "arn:default",
        "ANNEX_DEFAULT_ACCESS_KEY_FILE": "/keys/access",
        "ANNEX_DEFAULT_SECRET_KEY_FILE": "/keys/secret",
    }
    ad = ad_of(configuration)
    assert (ad["LeaseFunctionARN"], ad["PublicKeyFile"], ad["SecretKeyFile"]) == tuple(configuration.values())
    assert ad_of(configuration, lease_function_arn="arn:given")["LeaseFunctionARN"] == "arn:given"


@pytest.mark.parametrize("given_file", ["public_key_file", "secret_key_file"])
def test_a_key_file_given_is_not_paired_with_a_configured_one(given_file: str) -> None:
    configured = {"ANNEX_DEFAULT_ACCESS_KEY_FILE": "/a", "ANNEX_DEFAULT_SECRET_KEY_FILE": "/s"}
    with pytest.raises(ToolError, match="key-file is missing") as raised:
        ad_of(configured, **{given_file: "/mine"})
    assert raised.value.status == USAGE


def test_an_endpoint_that_is_not_given_is_left_to_annexd() -> None:
    assert "ServiceURL" not in ad_of({"ANNEX_DEFAULT_EC2_URL": "https://ec2.us-east-1.amazonaws.com"})
    assert ad_of(service_url="https://x")["ServiceURL"] == "https://x"


def test_a_path_that_is_not_text_is_refused_since_the_bindings_would_crash() -> None:
    with pytest.raises(ToolError, match="PublicKeyFile is not valid Unicode"):
        ad_of(public_key_file="/\udcff", secret_key_file="/s")


@given(
    config=st.dictionaries(
        NAMES,
        VALUES,
        max_size=4,
    )
)
def test_annexd_reads_exactly_the_content_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]
) -> None:
    """Pass values through classad2's writer and annexd's reader; others are refused earlier."""
    file = tmp_path_factory.getbasetemp() / "config.json"
    file.write_text(json.dumps(config))
    with contextlib.suppress(ToolError):
        checked, _ = read(ToolOptions(file=str(file)))
        assert _read_by_annexd(classad2.ClassAd(checked)) == checked


def _read_by_annexd(ad: classad2.ClassAd) -> dict[str, Any]:
    reader = AdReader(AdLimits())
    for name in ad:
        alone = classad2.ClassAd()
        alone[name] = ad.lookup(name)
        reader.line(alone.printOld().removesuffix("\n"))
    return reader.attributes


def test_how_the_instances_join_is_asked_for_only_where_it_was_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {
        "AnnexName",
        "AnnexOwner",
        "NoOwner",
        "MaxIdleTime",
        "ConfigDir",
        "JoinPool",
        "S3URL",
        "S3Bucket",
        "STSURL",
        "LogsURL",
        "SSMURL",
    }
    assert not names & ad_of().keys()
    monkeypatch.chdir(tmp_path)
    ad = ad_of(
        annex_name="physics",
        annex_owner="alice,bob",
        idle_s=600,
        config_dir="config",
        no_join=True,
        s3_url="https://s3.us-east-1.amazonaws.com",
        s3_bucket="mine",
        sts_url="https://sts.example.org",
        logs_url="https://logs.example.org",
        ssm_url="https://ssm.example.org",
    )
    assert {name: ad[name] for name in names & ad.keys()} == {
        "AnnexName": "physics",
        "AnnexOwner": "alice,bob",
        "MaxIdleTime": 600,
        "ConfigDir": f"{tmp_path}/config",
        "JoinPool": False,
        "S3URL": "https://s3.us-east-1.amazonaws.com",
        "S3Bucket": "mine",
        "STSURL": "https://sts.example.org",
        "LogsURL": "https://logs.example.org",
        "SSMURL": "https://ssm.example.org",
    }
    assert ad_of(no_owner=True)["NoOwner"] is True


def test_a_cancellation_names_the_annex_and_only_keys_that_are_given() -> None:
    ad = cancel_ad(ToolOptions(cancel="physics"))
    assert (ad.pop("Command"), ad.pop("RequestVersion"), len(ad.pop("CommandID"))) == ("CA_CANCEL_ANNEX", 1, 32)
    assert ad == {"Annex": "physics"}
    keys = cancel_ad(ToolOptions(cancel="physics", public_key_file="a", secret_key_file="/b", command_id="mine"))
    assert (keys["PublicKeyFile"], keys["SecretKeyFile"]) == (str(Path("a").absolute()), "/b")
    assert keys["CommandID"] == "mine"
    with pytest.raises(ToolError, match="-secret-key-file is missing"):
        cancel_ad(ToolOptions(cancel="physics", public_key_file="a"))
