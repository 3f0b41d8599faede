"""All calls of one account slow down together when AWS throttles one, and speed up again."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from annexd.aws import (
    ClientCache,
    ClientHooks,
    Clients,
    Credentials,
    Endpoints,
    Limiter,
    Limiters,
    SecretKey,
    ThrottledLocally,
    errors,
)
from test.aws.endpoint import endpoint, says
from test.cloud import Cloud
from test.cloud.orders import fleet_config


class Time:
    """A clock that advances only by waiting."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def clock_s(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def time_() -> Time:
    return Time()


@pytest.fixture
def limiter(time_: Time) -> Limiter:
    return Limiter(clock_s=time_.clock_s, wait=time_.wait)


def turns(limiter: Limiter, time_: Time, count: int) -> list[float]:
    """Return the time that each of `count` calls waited for its turn."""
    waited = []
    for _ in range(count):
        before_s = time_.now_s
        limiter.take_turn()
        waited.append(time_.now_s - before_s)
    return waited


def take_turns(limiter: Limiter, count: int) -> None:
    for _ in range(count):
        limiter.take_turn()


def test_nobody_waits_while_nothing_is_throttled(limiter: Limiter, time_: Time) -> None:
    limiter.answered()
    assert turns(limiter, time_, 5) == [0, 0, 0, 0, 0]


def test_after_one_throttled_call_all_others_go_one_by_one(limiter: Limiter, time_: Time) -> None:
    limiter.throttled()
    assert turns(limiter, time_, 3) == [0.25, 0.25, 0.25]


def test_each_further_one_halves_the_pace_up_to_a_bound(limiter: Limiter, time_: Time) -> None:
    for expected_s in (0.25, 0.5, 1, 2, 4, 8, 8):
        limiter.throttled()
        assert turns(limiter, time_, 2)[1] == expected_s


def test_a_burst_of_throttled_answers_counts_once(limiter: Limiter, time_: Time) -> None:
    for _ in range(20):
        limiter.throttled()
    assert turns(limiter, time_, 2) == [0.25, 0.25]


def test_it_gets_faster_with_each_answer_and_forgets_after_a_minute(limiter: Limiter, time_: Time) -> None:
    for _ in range(4):
        limiter.throttled()
        time_.wait(10)
    limiter.answered()
    assert turns(limiter, time_, 2)[1] == 1.0
    for _ in range(100):
        limiter.answered()
    assert turns(limiter, time_, 2)[1] < 0.02
    time_.wait(61)
    assert turns(limiter, time_, 3) == [0, 0, 0]
    assert not limiter.is_limiting()


def test_a_turn_that_is_too_far_away_is_refused_and_to_be_asked_for_again(time_: Time) -> None:
    limiter = Limiter(clock_s=time_.clock_s, wait=lambda _: None)  # as if all calls waited at the same time
    limiter.throttled()
    with pytest.raises(ThrottledLocally, match="AWS throttles this account") as held:
        take_turns(limiter, 1000)
    assert errors.is_transient(held.value)
    assert errors.is_throttled(held.value)
    assert errors.had_no_effect(held.value)
    assert "RequestSpotFleet was held back: AWS throttles" in errors.describe(held.value, "RequestSpotFleet")


def test_each_account_and_endpoint_has_its_own_pace_and_idle_ones_are_forgotten() -> None:
    limiters = Limiters()
    alice = limiters.of("ALICE", "https://ec2")
    alice.throttled()
    assert limiters.of("ALICE", "https://ec2") is alice
    assert not limiters.of("ALICE", "https://lambda").is_limiting()
    for number in range(Limiters.MAX_IDLE * 2):
        limiters.of(f"KEY{number}", "https://ec2")
    assert limiters.of("ALICE", "https://ec2") is alice
    assert limiters.limiting() == 1


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=0) as cloud:
        yield cloud


def clients(cloud: Cloud, cache: ClientCache, key: str = "AKIAALICE", secret: str = "s") -> Clients:  # noqa: S107
    endpoints = Endpoints(cloud.region, cloud.url, cloud.url, cloud.url)
    return cache.clients(Credentials(key, SecretKey(secret)), endpoints)


def test_clients_of_one_key_share_the_pace_also_when_its_secret_was_rotated(cloud: Cloud) -> None:
    cache = ClientCache()
    bob = clients(cloud, cache, key="AKIABOB").functions
    bob.list_functions()  # the first call of a client takes longer at any pace
    cloud.fault("DescribeSpotFleetRequests", "throttle", times=4)
    for _ in range(4):
        with pytest.raises(ClientError, match="RequestLimitExceeded"):
            clients(cloud, cache).ec2.describe_spot_fleet_requests()
    began_s = time.monotonic()
    bob.list_functions()
    bobs_s = time.monotonic() - began_s
    clients(cloud, cache, secret="rotated").functions.list_functions()
    assert time.monotonic() - began_s > 1.8, "the pace after four throttled calls is one in two seconds"
    assert bobs_s < time.monotonic() - began_s, "another key has its own pace"


def test_many_threads_that_are_throttled_all_get_through_without_a_storm(cloud: Cloud) -> None:
    cache = ClientCache()
    cloud.fault("DescribeSpotFleetRequests", "throttle", times=6)
    cloud.clear_audit()
    done: list[int] = []

    def ask() -> None:
        ec2 = clients(cloud, cache, "AKIACAROL").ec2
        while True:
            try:
                ec2.describe_spot_fleet_requests()
            except (ClientError, ThrottledLocally) as error:
                assert errors.is_throttled(error)  # noqa: PT017
            else:
                done.append(1)
                return

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(done) == 6
    assert len(cloud.calls("DescribeSpotFleetRequests")) <= 12


def test_throttling_of_one_fleet_inside_an_http_200_slows_the_account_down_as_any_other(cloud: Cloud) -> None:
    cache = ClientCache()
    ec2 = clients(cloud, cache).ec2
    fleet = ec2.request_spot_fleet(SpotFleetRequestConfig=fleet_config())["SpotFleetRequestId"]
    assert cache.traffic.limiters.limiting() == 0
    cloud.fault("CancelSpotFleetRequests", "partial", code="ThrottlingException")
    answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert "ThrottlingException" in json.dumps(answer, default=str)
    assert cache.traffic.limiters.limiting() == 1


def test_expired_keys_are_forgotten_so_that_the_chain_is_asked_again(cloud: Cloud) -> None:
    cache = ClientCache()
    first = clients(cloud, cache, "AKIADAVE")
    cloud.fault("ListFunctions", "error", code="ExpiredTokenException", status=400)
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        first.functions.list_functions()
    assert clients(cloud, cache, "AKIADAVE") is not first


def test_when_our_own_keys_expire_the_new_ones_that_the_chain_has_by_then_are_used(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    cache, used = ClientCache(), []
    endpoints = Endpoints(cloud.region, cloud.url, cloud.url, cloud.url)
    for key in ("AKIAOLD", "AKIANEW"):
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")
        functions = cache.clients(None, endpoints).functions
        if key == "AKIAOLD":
            cloud.fault("ListFunctions", "error", code="ExpiredTokenException")
            with pytest.raises(ClientError):
                functions.list_functions()
        else:
            functions.list_functions()
        used.append(cloud.calls("ListFunctions")[-1]["access_key_id"])
    assert used == ["AKIAOLD", "AKIANEW"]


def duration_s(call: Callable[[], object]) -> float:
    """Return the duration of a call, which limits how exactly its response shows AWS's clock."""
    began_s = time.monotonic()
    call()
    return time.monotonic() - began_s


def test_how_far_the_clocks_are_apart_is_known_after_any_answer(cloud: Cloud) -> None:
    for ahead_s in (0, 500, -500):
        traffic = ClientHooks(time_s=lambda ahead_s=ahead_s: time.time() + ahead_s)  # type: ignore[misc]
        traffic.trusted_urls = frozenset([cloud.url])
        asked = clients(cloud, ClientCache(traffic=traffic))
        took_s = duration_s(asked.functions.list_functions)
        assert abs(traffic.skew_s + ahead_s) <= 3 + took_s
        assert asked.clock.skew_s == traffic.skew_s


@pytest.mark.parametrize("off_s", [0, 100, -100])
def test_a_late_answer_is_taken_for_what_it_says_of_the_clock_at_least(off_s: int) -> None:
    """AWS dates the response when it receives the call; the response arrives three seconds later."""

    def late(connection: socket.socket, request: bytes) -> None:
        date = format_datetime(datetime.fromtimestamp(int(time.time()), UTC), usegmt=True)
        time.sleep(3.2)
        says(b'{"Functions": []}', head=f"Date: {date}\r\n")(connection, request)

    with endpoint(late) as url:
        traffic = ClientHooks(time_s=lambda: time.time() + off_s)
        traffic.trusted_urls = frozenset([url])
        endpoints = Endpoints("us-east-1", url, url, url)
        asked = ClientCache(traffic=traffic).clients(Credentials("AKIAALICE", SecretKey("s")), endpoints)
        took_s = duration_s(asked.functions.list_functions)
    assert asked.clock.skew_s == traffic.skew_s
    assert 0 <= abs(off_s) - abs(traffic.skew_s) <= 3 + took_s, traffic.skew_s
    assert traffic.skew_s * off_s <= 0


def test_no_moment_is_reckoned_by_the_clock_of_an_endpoint_that_nobody_trusts(cloud: Cloud) -> None:
    traffic = ClientHooks(time_s=lambda: time.time() - 500)
    asked = clients(cloud, ClientCache(traffic=traffic))
    asked.functions.list_functions()
    assert (traffic.skew_s, asked.clock.skew_s) == (0, 0)


def test_a_clock_too_far_off_for_signatures_is_reported_and_not_used(cloud: Cloud) -> None:
    traffic = ClientHooks(time_s=lambda: time.time() - 64 * 365 * 86400)
    traffic.trusted_urls = frozenset([cloud.url])
    asked = clients(cloud, ClientCache(traffic=traffic))
    asked.functions.list_functions()
    assert (traffic.skew_s > 10**9, asked.clock.skew_s) == (True, 0)


def test_the_clock_of_one_account_is_not_used_for_another(cloud: Cloud) -> None:
    cache = ClientCache()
    cache.traffic.trusted_urls = frozenset([cloud.url])
    cloud.set_clock_ahead(300)
    asked = clients(cloud, cache)
    took_s = duration_s(asked.functions.list_functions)
    other = cache.clients(Credentials("AKIAOTHER", SecretKey("s")), Endpoints(cloud.region, *[cloud.url] * 5))
    assert abs(asked.clock.skew_s - 300) <= 3 + took_s
    assert other.clock.skew_s == 0


def test_a_denied_call_reports_a_wrong_clock() -> None:
    def denied(date: str) -> str:
        response = {"HTTPStatusCode": 403, "HTTPHeaders": {"date": date}}
        error = ClientError({"Error": {"Code": "AuthFailure", "Message": "no"}, "ResponseMetadata": response}, "X")
        return errors.describe(error, "RunIt")

    assert "behind AWS's, set it" in denied("Wed, 01 Jan 2098 00:00:00 GMT")
    assert "ahead of AWS's, set it" in denied("Mon, 01 Jan 2024 00:00:00 GMT")
    assert "clock" not in denied("soon")
