"""Replace botocore's last hop, the connection, with a call in this process that can have faults.

botocore signs, retries, times out and parses as usual.  Clients cost more than a history, so they are created
once, and `Hop.way` receives their calls in the current history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from test.cloud.errors import Answer
from test.cloud.request import Request

URL = "http://cloud.test"


@dataclass(frozen=True)
class _Body:
    content: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.content


@dataclass
class Hop:
    """A handler of botocore's event `before-send`."""

    way: Callable[[Request], Answer]

    def attach(self, *clients: Any) -> None:
        for client in clients:
            client.meta.events.register("before-send", self, unique_id="histories")

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        answer = self.way(_request(request))
        return AWSResponse(request.url, answer.status, dict(answer.headers), _Body(answer.body))


def _request(request: AWSPreparedRequest) -> Request:
    url, body = urlsplit(request.url), request.body or b""
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    target = f"{url.path}?{url.query}" if url.query else url.path
    return Request(request.method, target, headers, _content(body))


def _content(body: Any) -> bytes:
    """Return the body; the body of an S3 call is a file, which is read from its beginning at each try."""
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
