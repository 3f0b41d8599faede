"""An endpoint in place of AWS, as a user may configure one: it sends whatever its test wants, at any speed."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

Behave = Callable[[socket.socket, bytes], None]


@contextmanager
def endpoint(behave: Behave) -> Iterator[str]:
    """Run the block while a server at the yielded URL calls `behave(connection, request)` for each request."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=_accept, args=(listening, behave), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _accept(listening: socket.socket, behave: Behave) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve, args=(connection, behave), daemon=True).start()


def _serve(connection: socket.socket, behave: Behave) -> None:
    with connection, contextlib.suppress(OSError):
        while request := _request(connection):
            behave(connection, request)


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    size = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < size:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def says(body: bytes, status: int = 200, head: str = "") -> Behave:
    """Return a behaviour that always sends this response."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(_head(len(body), status, head) + body)

    return behave


def drips(start: bytes, every_s: float, gone: threading.Event) -> Behave:
    """Return a behaviour that sends `start`, then one byte `every_s`, until `gone` is set or the peer closes."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        while not gone.wait(every_s):
            connection.sendall(b"x")

    return behave


def relays(
    url: str,
    date: str,
    changed: Callable[[bytes], bytes | None] = lambda _: None,
    rewritten: Callable[[bytes], bytes] = lambda body: body,
) -> Behave:
    """Return a behaviour that relays each request to the AWS at `url`, and its response with `date` and `rewritten`.

    If `changed` returns a body for a request, that body is the response.
    """
    host = urlsplit(url).netloc

    def behave(connection: socket.socket, request: bytes) -> None:
        other = changed(request)
        if other is not None:
            connection.sendall(_head(len(other), 200, f"Date: {date}\r\n") + other)
            return
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        upstream = HTTPConnection(host, timeout=60)
        upstream.request(method, target, body, headers)
        answer = upstream.getresponse()
        response = rewritten(answer.read())
        kind = f"Content-Type: {answer.getheader('Content-Type', 'text/xml')}\r\n"
        connection.sendall(_head(len(response), answer.status, f"Date: {date}\r\n{kind}") + response)

    return behave


def _head(size: int, status: int, more: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n{more}\r\n".encode()
