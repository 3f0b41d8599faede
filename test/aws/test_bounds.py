"""Every call has a time limit and every response a size limit, whatever an endpoint sends and however slowly."""

import contextlib
import os
import resource
import signal
import socket
import threading
import time
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import HTTPClientError

from annexd.aws import ClientCache, Clients, Credentials, Endpoints, SecretKey, errors, time_limit
from annexd.aws.bounds import MAX_ITEMS, OutOfBounds, bound
from test.aws.endpoint import Behave, drips, endpoint, says

KEYS = Credentials("AKIAALICE", SecretKey("alice's"))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
XML = b"<DescribeSpotFleetRequestsResponse><spotFleetRequestConfigSet/></DescribeSpotFleetRequestsResponse>"


def clients(url: str) -> Clients:
    return ClientCache().clients(KEYS, Endpoints("us-east-1", url, url, url, url, url))


def asked(behave: Behave, **limits: Any) -> tuple[Exception, float]:
    """Return the error of a call, and its duration in seconds; `limits` replace the usual ones."""
    with endpoint(behave) as url:
        ec2 = clients(url).ec2
        bound(ec2, **limits)
        began_s = time.monotonic()
        with pytest.raises(HTTPClientError) as caught:
            ec2.describe_spot_fleet_requests()
        return caught.value, time.monotonic() - began_s


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nX-Header: ", HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n"],
    ids=["before the answer", "a header", "the body", "a chunk"],
)
def test_an_answer_that_comes_byte_by_byte_ends_at_the_deadline(start: bytes) -> None:
    gone = threading.Event()
    error, took_s = asked(drips(start, 0.05, gone), call_s=1.0)
    gone.set()
    assert "was incomplete after 1 s" in str(error)
    assert took_s < 30
    assert errors.is_transient(error), "what it did is not known"
    assert not errors.had_no_effect(error)


def test_an_answer_of_sixty_megabytes_costs_neither_its_time_nor_its_memory() -> None:
    part = b"<a/>" * 2**14

    def flood(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD)
        for _number in range(60 * 2**20 // len(part)):
            connection.sendall(part)

    asked(says(b""), max_bytes=-1)  # load the service model before the measurement
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error, took_s = asked(flood)
    assert f"more than {8 * 2**20} bytes" in str(error)
    assert took_s < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_an_answer_of_many_small_parts_is_not_parsed() -> None:
    error, _ = asked(says(b"<a>" + b"<b/>" * MAX_ITEMS + b"</a>"))
    assert f"more than {MAX_ITEMS} parts" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html>log in first</html>",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>',
    ],
)
def test_an_html_page_and_an_answer_with_entities_are_rejected(body: bytes) -> None:
    error, _ = asked(says(body))
    assert "declares a document type" in str(error)


def test_calls_under_one_time_limit_end_together() -> None:
    gone = threading.Event()
    with endpoint(drips(HEAD, 0.05, gone)) as url, time_limit(1.0):
        ec2, began_s = clients(url).ec2, time.monotonic()
        for _ in range(20):
            with pytest.raises(OutOfBounds):
                ec2.describe_spot_fleet_requests()
    gone.set()
    assert time.monotonic() - began_s < 19, "and not after a second each"


def test_a_time_limit_ends_with_its_block_and_binds_no_other_thread() -> None:
    with endpoint(says(XML)) as url:
        ec2, answers = clients(url).ec2, []
        with time_limit(0.0):
            with pytest.raises(OutOfBounds):
                ec2.describe_spot_fleet_requests()
            other = threading.Thread(target=lambda: answers.append(ec2.describe_spot_fleet_requests()))
            other.start()
            other.join()
        answers.append(ec2.describe_spot_fleet_requests())
    assert [answer["SpotFleetRequestConfigs"] for answer in answers] == [[], []]


def test_a_redirect_leads_to_no_other_host() -> None:
    """S3 redirects to the region of a bucket, and botocore follows with a new signature."""
    with endpoint(says(XML)) as url, endpoint(says(XML)) as other:
        session = clients(url).s3._endpoint.http_session
        assert session.send(AWSRequest("GET", url).prepare()).content == XML
        with pytest.raises(OutOfBounds, match="leads to another host"):
            session.send(AWSRequest("GET", other).prepare())


def test_connections_are_kept_and_each_call_has_its_own_deadline() -> None:
    with endpoint(says(XML)) as url:
        ec2 = clients(url).ec2
        bound(ec2, call_s=2.0)
        until_s = time.monotonic() + 3.0
        while (began_s := time.monotonic()) < until_s:
            try:
                assert ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"] == []
            except HTTPClientError:
                assert time.monotonic() - began_s >= 2.0, "it ends by its own deadline, on a loaded machine"


def test_the_deadlines_of_many_calls_need_one_thread() -> None:
    with endpoint(says(XML)) as url:
        for _ in range(3):
            assert clients(url).ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"] == []
    assert [thread.name for thread in threading.enumerate()].count("deadlines of calls to AWS") == 1


def test_a_forked_process_has_deadlines_of_its_own() -> None:
    gone = threading.Event()
    with endpoint(says(XML)) as url:
        clients(url).ec2.describe_spot_fleet_requests()  # start the thread of this process
    with endpoint(drips(HEAD, 0.05, gone)) as url:
        ec2 = clients(url).ec2
        bound(ec2, call_s=0.5)
        child = os.fork()
        if not child:
            with contextlib.suppress(HTTPClientError):
                ec2.describe_spot_fleet_requests()
            os._exit(0)
        deadline_s = time.monotonic() + 20
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline_s:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("the call of the forked process has no end")
            time.sleep(0.01)
    gone.set()
