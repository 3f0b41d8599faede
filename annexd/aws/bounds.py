"""Limit how long annexd waits for an endpoint, and how much it reads: users name endpoints, and proxies may respond.

botocore times out on silence only and reads a response whole: one byte every two seconds holds a call indefinitely, and
60 MB of XML become 1.5 GB.  So each call has one deadline, from the first connection to the last byte, and the size of
a response is limited before anything parses it.
"""

import contextlib
import heapq
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSResponse,
)
from botocore.exceptions import HTTPClientError
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from annexd.aws.endpoints import is_aws_host
from annexd.aws.time_limit import left_s as left_of_limit_s

CALL_S: Final = 60.0  # AWS responds within seconds; connecting may take 5 s, and the first byte 30
# A page of 100 Spot Fleet requests or 300 instances has up to some MB; annexd requests no larger ones (answers.py).
MAX_ANSWER_BYTES: Final = 8 * 2**20
MAX_ITEMS: Final = 400_000  # elements or values: each costs some 200 bytes once parsed, and 4 on the wire
MAX_ADDRESSES: Final = 4  # of one name that are tried: each may take as long as a connection
READ_BYTES: Final = 64 * 1024
XML_TYPES: Final = (b"<!DOCTYPE", b"<!ENTITY")  # AWS sends neither: a page of HTML, or entities that grow


class OutOfBounds(HTTPClientError):  # type: ignore[misc]  # botocore has no types
    """A response was abandoned, so the effect of the call is unknown."""

    fmt = "annexd stopped reading the endpoint's answer: {why}"


class _Call(threading.local):
    """The watch over this thread's call, which gets its connection."""

    watch: "_Watch | None" = None


_CALL = _Call()


class _Deadlines:
    """Ends all watches at their deadlines from one thread.  A watch whose call has ended stays until then."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, _Watch]] = []  # a heap
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, watch: "_Watch", at_s: float) -> None:
        """Add a watch that ends at `at_s`, by time.monotonic."""
        with self._changed:
            heapq.heappush(self._waiting, (at_s, next(self._numbers), watch))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines of calls to AWS", daemon=True)
                self._thread.start()
            elif self._waiting[0][2] is watch:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next().end()

    def _next(self) -> "_Watch":
        with self._changed:
            while not self._waiting or self._waiting[0][0] > time.monotonic():
                self._changed.wait(self._waiting[0][0] - time.monotonic() if self._waiting else None)
            return heapq.heappop(self._waiting)[2]


_DEADLINES = _Deadlines()


def _restart_in_child() -> None:
    """Start without a thread in a child process, which has none of its parent's."""
    global _DEADLINES  # noqa: PLW0603
    _DEADLINES = _Deadlines()


os.register_at_fork(after_in_child=_restart_in_child)


class _Watch:
    """Closes the connection of a call at its deadline, in any state."""

    def __init__(self, left_s: float) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._held: socket.socket | None = None
        self._at_s = time.monotonic() + left_s

    def __enter__(self) -> "_Watch":
        _CALL.watch = self
        _DEADLINES.add(self, self._at_s)
        return self

    def __exit__(self, *_: object) -> None:
        _CALL.watch = None
        self._hold(None)

    def hold(self, connected: socket.socket) -> None:
        """Watch the call's connection by a copy of its descriptor: TLS puts another object in its place."""
        self._hold(socket.socket(fileno=os.dup(connected.fileno())))

    def _hold(self, held: socket.socket | None) -> None:
        with self._lock:
            if self._held is not None:
                self._held.close()
            self._held = held
            if self.is_over:
                self._shut_down()

    def end(self) -> None:
        """Close the connection at the deadline; no effect on a call that has ended."""
        with self._lock:
            self.is_over = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._held is not None:
            with contextlib.suppress(OSError):  # it is already closed
                self._held.shutdown(socket.SHUT_RDWR)


class _Watched:
    """A connection that gives its socket to the watch of the call.  Mixed into botocore's two connection classes."""

    host: str
    port: int
    sock: socket.socket | None
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        """Connect to one of the first addresses: a name may have thousands, each of which may be slow."""
        name, failure = self._dns_host, None
        try:
            for address in self._addresses(name):
                self._dns_host = address
                try:
                    connected: socket.socket = super()._new_conn()  # type: ignore[misc]
                except (NewConnectionError, ConnectTimeoutError) as error:
                    failure = error
                else:
                    if _CALL.watch is not None:
                        _CALL.watch.hold(connected)
                    return connected
        finally:
            self._dns_host = name  # TLS verifies the peer by this name
        raise failure or NewConnectionError(self, f"{name} has no address")  # type: ignore[arg-type]

    def request(self, *args: Any, **options: Any) -> Any:
        if self.sock is not None and _CALL.watch is not None:  # kept from an earlier call
            _CALL.watch.hold(self.sock)
        return super().request(*args, **options)  # type: ignore[misc]

    def _addresses(self, name: str) -> list[str]:
        try:
            found = socket.getaddrinfo(name.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NameResolutionError(name, self, error) from error  # type: ignore[arg-type]
        return list(dict.fromkeys(str(each[4][0]) for each in found))[:MAX_ADDRESSES]


class _Connection(_Watched, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _TlsConnection(_Watched, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _TlsConnection


@dataclass(frozen=True)
class _Body:
    content: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.content


class BoundedSession:
    """botocore's session of one client (its URLLib3Session, as configured), with bounds on each call.

    `url` is the client's endpoint: a redirect, such as S3's to the region of a bucket, may only lead from one of AWS's
    own hosts to another.
    """

    def __init__(
        self,
        inner: Any,
        url: str,
        *,
        call_s: float = CALL_S,
        max_bytes: int = MAX_ANSWER_BYTES,
        max_items: int | None = MAX_ITEMS,
    ) -> None:
        self.inner, self._url, self._call_s = inner, url, call_s
        self._max_bytes, self._max_items = max_bytes, max_items
        # Shared with its pool managers; test/aws/test_bounds.py notices when botocore changes that.
        inner._pool_classes_by_scheme.update(http=_Pool, https=_TlsPool)

    def send(self, request: Any) -> AWSResponse:
        """Return the response with its whole body.  Raises the errors of botocore's session, or OutOfBounds."""
        self._check_host(request.url)
        left_s = min(self._call_s, left_of_limit_s())
        if left_s <= 0:
            raise OutOfBounds(why="the time for all of these calls has run out")
        request.stream_output = True  # read by us
        with _Watch(left_s) as watch:
            try:
                answer = self.inner.send(request)
                body = self._read(answer.raw)
            except HTTPClientError as error:
                if watch.is_over:
                    raise OutOfBounds(why=f"it was incomplete after {left_s:.0f} s") from error
                raise
            if watch.is_over:  # a truncated body then looks complete
                raise OutOfBounds(why=f"it was incomplete after {left_s:.0f} s")
        return AWSResponse(answer.url, answer.status_code, answer.headers, _Body(body))

    def close(self) -> None:
        self.inner.close()

    def _check_host(self, url: str) -> None:
        if _origin(url) != _origin(self._url) and not (is_aws_host(url) and is_aws_host(self._url)):
            raise OutOfBounds(why=f"it leads to another host ({(urlsplit(url).hostname or '')[:200]})")

    def _read(self, raw: Any) -> bytes:
        body, chunks = bytearray(), raw.stream(READ_BYTES)
        try:
            while len(body) <= self._max_bytes and (chunk := next(chunks, None)) is not None:
                body += chunk
        except Exception as error:  # urllib3's, http.client's and the socket's own: the response is incomplete
            raw.close()
            raise HTTPClientError(error=error) from error
        if len(body) > self._max_bytes:
            raw.close()
            raise OutOfBounds(why=f"it has more than {self._max_bytes} bytes")
        if self._max_items is not None and (fault := _fault_of(body, self._max_items)):
            raise OutOfBounds(why=fault)
        return bytes(body)


def bound(client: Any, **limits: Any) -> None:
    """Set or replace the bounds on every call of a botocore client."""
    endpoint = client._endpoint
    session = endpoint.http_session
    inner = session.inner if isinstance(session, BoundedSession) else session
    endpoint.http_session = BoundedSession(inner, client.meta.endpoint_url, **limits)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _fault_of(body: bytearray, max_items: int) -> str | None:
    """Return the fault of a response before it is parsed."""
    is_xml = body.lstrip()[:1] == b"<"
    if is_xml and any(each in body for each in XML_TYPES):
        return "it declares a document type, which no answer of AWS does"
    marks = (b"<",) if is_xml else (b"{", b"[", b",")
    if sum(body.count(mark) for mark in marks) > max_items:
        return f"it has more than {max_items} parts"
    return None
