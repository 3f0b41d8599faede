"""Responses that AWS never sends, for an endpoint between annexd and the emulated AWS."""

from __future__ import annotations

from collections.abc import Callable

from test.cloud.request import Request

NOW = "Sat, 28 Nov 2026 12:00:00 GMT"


BODIES = {
    "nothing": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "text": b"it works",
    "another XML": b"<a><b>1</b></a>",
    "half of an XML": b"<DescribeSpot",
    "deep JSON": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "deep XML": b"<a>" * 100_000,
    "no UTF-8": b"\xff\xfe{",
}


def answering(operation: str, body: bytes) -> Callable[[bytes], bytes | None]:
    """Return a function that responds to one operation with this body; AWS does not see the request."""

    def changed(request: bytes) -> bytes | None:
        head, _, content = request.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        return body if Request(method, target, headers, content).operation == operation else None

    return changed
