"""Clients are created once for each set of keys, and never show them."""

import pytest
from botocore.utils import parse_timestamp

from annexd.aws import ClientCache, Credentials, Endpoints, SecretKey
from annexd.aws.clients import READ_OF_INSTANCES, read_timestamp

ENDPOINTS = Endpoints("us-east-1", "http://127.0.0.1:1", "http://127.0.0.1:2", logs_url="http://127.0.0.1:3")
ALICE = Credentials("AKIAALICE", SecretKey("alice's"))


class Time:
    now_s = 0.0


def test_the_same_keys_and_endpoints_get_the_same_clients() -> None:
    cache = ClientCache()
    first = cache.clients(ALICE, ENDPOINTS)
    assert cache.clients(Credentials("AKIAALICE", SecretKey("alice's")), ENDPOINTS) is first
    assert first.ec2.meta.endpoint_url == "http://127.0.0.1:1"
    assert first.functions.meta.endpoint_url == "http://127.0.0.1:2"
    assert first.logs.meta.endpoint_url == "http://127.0.0.1:3"
    assert first.ec2.meta.region_name == "us-east-1"


@pytest.mark.parametrize(
    "other", [Credentials("AKIABOB", SecretKey("alice's")), Credentials("AKIAALICE", SecretKey("rotated")), None]
)
def test_other_keys_never_get_them(other: Credentials | None) -> None:
    cache = ClientCache()
    assert cache.clients(other, ENDPOINTS) is not cache.clients(ALICE, ENDPOINTS)


def test_clients_are_replaced_after_a_while_so_that_renewed_credentials_are_used() -> None:
    time = Time()
    cache = ClientCache(now_s=lambda: time.now_s)
    first = cache.clients(None, ENDPOINTS)
    time.now_s = 299.0
    assert cache.clients(None, ENDPOINTS) is first
    time.now_s = 301.0
    assert cache.clients(None, ENDPOINTS) is not first


def test_the_number_of_kept_clients_is_bounded() -> None:
    cache = ClientCache()
    first = cache.clients(ALICE, ENDPOINTS)
    for number in range(40):
        cache.clients(Credentials(f"AKIA{number}", SecretKey("s")), ENDPOINTS)
    assert cache.clients(ALICE, ENDPOINTS) is not first


def test_printing_a_secret_key_does_not_show_it() -> None:
    secret = ALICE.secret_access_key
    for text in (repr(ALICE), str(ALICE), f"{secret}", str(secret), str(ALICE.identity)):
        assert "alice's" not in text
    assert ALICE.secret_access_key.reveal() == "alice's"


def test_a_requesters_clients_use_the_orders_endpoints_not_annexds_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "annexds")
    clients = ClientCache().clients(Credentials("AKIA", SecretKey("s")), Endpoints("us-east-1", "", ""))
    assert clients.s3.meta.endpoint_url == "https://s3.amazonaws.com"
    assert clients.sts.meta.endpoint_url.startswith("https://sts.")


def test_a_renewed_session_has_clients_of_its_own() -> None:
    cache, endpoints = ClientCache(), Endpoints("us-east-1", "", "")
    first, second = (
        cache.clients(Credentials("ASIA", SecretKey("s"), SecretKey(token)), endpoints) for token in ("first", "second")
    )
    assert first is not second


def test_only_the_members_in_use_of_ten_thousand_instances_are_parsed() -> None:
    instance = ClientCache().clients(ALICE, ENDPOINTS).ec2.meta.service_model.shape_for("Instance")
    assert set(instance.members) == READ_OF_INSTANCES


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28T20:00:00.000Z",
        "2026-11-28T20:00:00Z",
        "2026-11-28T20:00:00.123456Z",
        "2026-11-28T22:00:00+02:00",
        "Sat, 28 Nov 2026 20:00:00 GMT",
        "1795896000",
        1795896000.5,
    ],
)
def test_a_time_is_read_as_botocore_reads_it(text: object) -> None:
    assert read_timestamp(text) == parse_timestamp(text)
    assert read_timestamp(text).tzinfo is not None


def test_an_invalid_time_is_an_error() -> None:
    for text in ("never Z", "Z", "2026-13-45T20:00:00Z"):
        with pytest.raises(ValueError, match="nvalid"):
            read_timestamp(text)
