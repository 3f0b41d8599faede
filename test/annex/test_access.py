"""The requester's keys are read for each call, shown to nobody, and used in the order's account only."""

from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.key_source import KeySource
from annexd.annex.request.lending import own_endpoints
from annexd.workflow import Json, Refused, Retry
from test.annex.ads import ARN
from test.annex.keys import KEYS, NOWHERE, Files
from test.annex.orders import target_at
from test.annex.site import Site
from test.cloud import orders
from test.cloud.keys import OTHER_KEY

NONE = KeySource()


def test_files_are_read_as_the_owner_each_time_so_that_rotated_keys_are_used(site: Site) -> None:
    files, order = Files(KEYS), target_at(site.cloud.url)
    access = KeyFiles(files)
    first = access(order)
    assert access(order) is first
    files.files["/secret"] = b"rotated"
    assert access(order) is not first
    assert set(files.asked) == {("alice@example.org", "/public"), ("alice@example.org", "/secret")}


def test_an_unreadable_file_is_reported_and_has_no_effect() -> None:
    with pytest.raises(Refused, match="PublicKeyFile cannot be used: /public is not owned") as caught:
        KeyFiles(Files({}))(NOWHERE)
    assert caught.value.untouched


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"[default]\nkey = 1", "ä".encode(), b"x" * 600, b"\0"])
def test_a_file_without_a_key_is_reported_without_its_content(content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        KeyFiles(Files(KEYS | {"/secret": content}))(NOWHERE)
    assert str(caught.value).startswith("SecretKeyFile /secret ")
    assert not content.strip() or content.decode("latin-1").strip() not in str(caught.value)
    assert caught.value.result == "InvalidRequest"


# The right account.


def test_keys_of_another_account_are_refused_and_it_is_said_whose_they_are_and_which_were_expected(site: Site) -> None:
    files = Files(KEYS | {"/public": OTHER_KEY.encode()})
    with pytest.raises(Refused) as caught:
        KeyFiles(files)(target_at(site.cloud.url))
    whose = "the keys of alice@example.org (PublicKeyFile /public) belong to AWS account 210987654321"
    assert f"{whose}, but the order belongs to account 123456789012" in str(caught.value)
    assert caught.value.untouched


def test_keys_that_are_replaced_by_another_accounts_are_noticed_before_the_next_use(site: Site) -> None:
    files = Files(KEYS)
    access = KeyFiles(files)
    access(target_at(site.cloud.url))
    files.files["/public"] = OTHER_KEY.encode()
    with pytest.raises(Refused, match="210987654321"):
        access(target_at(site.cloud.url))


def test_the_owner_of_keys_is_queried_once_an_hour(site: Site) -> None:
    access = KeyFiles(Files(KEYS))
    for _ in range(5):
        access(target_at(site.cloud.url))
    assert len(site.cloud.calls("GetCallerIdentity")) == 1


def test_a_silent_sts_stops_the_order_until_it_answers() -> None:
    with pytest.raises(Retry, match="GetCallerIdentity with the keys of alice") as caught:
        KeyFiles(Files(KEYS))(NOWHERE)
    assert caught.value.untouched


# Lent keys.


def lending(url: str) -> Defaults:
    return Defaults(
        ec2_url=url,
        logs_url=url,
        lambda_url=url,
        s3_url=url,
        sts_url=url,
        lease_function_arn=ARN,
        allow_default_credentials=True,
    )


def test_without_files_keys_are_lent_only_if_the_administrator_says_so(site: Site) -> None:
    order = target_at(site.cloud.url, NONE)
    defaults = lending(site.cloud.url)
    with pytest.raises(Refused, match="no longer lends keys"):
        KeyFiles(Files(KEYS), defaults=replace(defaults, allow_default_credentials=False))(order)
    assert KeyFiles(Files(KEYS), defaults=defaults)(order)


def test_an_annexd_on_an_instance_lends_the_keys_of_its_role(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = site.cloud.client("iam")
    iam.create_role(RoleName="annexd-host", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="annexd-host")
    iam.add_role_to_instance_profile(InstanceProfileName="annexd-host", RoleName="annexd-host")
    fleet = orders.request(
        site.cloud.client("ec2"),
        LaunchSpecifications=[orders.specification(IamInstanceProfile={"Name": "annexd-host"})],
    )
    [instance] = [each["id"] for each in site.cloud.running_instances() if each["fleet"] == fleet]
    others = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"
    for name in (*others, "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", site.cloud.metadata_url(instance))
    site.cloud.clear_audit()
    clients = KeyFiles(Files({}), defaults=lending(site.cloud.url))(target_at(site.cloud.url, NONE))
    clients.ec2.describe_spot_fleet_requests()
    [call] = site.cloud.calls("DescribeSpotFleetRequests")
    assert call["access_key_id"].startswith("ASIA"), "temporary keys, which the metadata service renews"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("ec2_url", "-service-url"),
        ("logs_url", "-logs-url"),
        ("ssm_url", "-ssm-url"),
        ("lambda_url", "-lambda-url"),
        ("s3_url", "-s3-url"),
        ("sts_url", "-sts-url"),
    ],
)
def test_lent_keys_go_to_the_endpoints_that_are_configured_now_whatever_the_journal_says(
    site: Site, name: str, option: str
) -> None:
    order = target_at(site.cloud.url, NONE)
    access = KeyFiles(Files(KEYS), defaults=lending(site.cloud.url))
    site.cloud.clear_audit()
    elsewhere: dict[str, Any] = {name: "http://127.0.0.1:2"}
    with pytest.raises(Refused, match=f"^{option} "):
        access(replace(order, endpoints=replace(order.endpoints, **elsewhere)))
    moved = replace(lending(site.cloud.url), **elsewhere)
    access.reconfigure(moved)
    with pytest.raises(Refused, match=f"^{option} "):
        access(target_at(site.cloud.url, NONE))
    assert site.cloud.audit() == []
    assert own_endpoints(moved).region == "us-east-1"


# Unusable configurations.


@pytest.mark.parametrize("profile", [None, "nobodys"])
def test_a_requesters_keys_need_nothing_of_annexds_own_aws_configuration(
    site: Site, profile: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = site.home / "config"
    file.write_text("[default\nregion")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(file))
    if profile is not None:
        monkeypatch.setenv("AWS_PROFILE", profile)
    assert KeyFiles(Files(KEYS))(target_at(site.cloud.url)).functions.list_functions()["Functions"]


@pytest.mark.parametrize(
    "changes",
    [{"ec2_url": "http://under_score"}, {"region": ""}, {"ec2_url": "//"}],
)
def test_unusable_endpoints_are_refused_with_a_message(changes: Json) -> None:
    order = replace(NOWHERE, endpoints=replace(NOWHERE.endpoints, **changes))
    with pytest.raises((Refused, Retry)) as caught:
        KeyFiles(Files(KEYS))(order)
    assert isinstance(caught.value, Refused | Retry)
    assert caught.value.untouched


@pytest.mark.parametrize(
    "config",
    [
        "[default\nregion",
        "[default]\ncredential_process = /nonexistent/keys\n",
        "\0\xff",
        "[default]\ns3 = \n  x = [",
        "[default]\ncredential_process = echo {{{\n",
        "[default]\nmax_attempts = many\n",
    ],
)
def test_a_broken_aws_configuration_of_annexds_own_is_refused_with_a_message(
    site: Site, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = site.home / "config"
    file.write_bytes(config.encode("latin-1"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    order = target_at(site.cloud.url, NONE)
    with pytest.raises(Refused) as caught:
        KeyFiles(Files(KEYS), defaults=lending(site.cloud.url))(order)
    assert len(str(caught.value)) < 2000
