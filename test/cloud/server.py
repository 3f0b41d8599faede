"""The HTTP server: HTTP/1.1 with persistent connections, and access to the socket for the faults that need it.

werkzeug's server would not do: it closes every connection, and a connection reset needs the socket itself.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from test.cloud.emulated_aws import Broken
from test.cloud.errors import Answer
from test.cloud.request import Request

Service = Callable[[Request], Answer | Broken]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST
OWN_HEADERS = frozenset({"content-length", "connection", "date", "server", "transfer-encoding", "status"})


class Server(ThreadingHTTPServer):
    """A server that listens on 127.0.0.1 only, or on a given socket that is already listening."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0, listening: socket.socket | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Exchange, bind_and_activate=listening is None)
        if listening is not None:
            self.socket.close()
            self.socket, self.server_address = listening, listening.getsockname()
        self.service: Service = _nothing_yet
        self.now_s: Callable[[], float] = time.time
        self.hanging: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="server", kwargs={"poll_interval": 0.1}, daemon=True).start()

    def end_hangs(self) -> int:
        """Reset the connections of the calls that hang now, and return their number."""
        hanging = tuple(self.hanging)
        for each in hanging:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RD)
        return len(hanging)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors: a client that disconnected is not worth a message."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _exchange(self) -> None:
        request = self._read()
        if request is None:
            self._write(Answer(411, b"Content-Length is required"))
            return
        answer = self.server.service(request)
        if isinstance(answer, Broken):
            self._break(answer)
        else:
            self._write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _exchange  # noqa: N815

    def _read(self) -> Request | None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "transfer-encoding" in headers:
            return None
        body = self.rfile.read(int(headers.get("content-length") or 0))
        address = self.server.server_address
        return Request(self.command, self.path, headers, body, (str(address[0]), int(address[1])))

    def _write(self, answer: Answer) -> None:
        """Write a response in one piece: two small writes would meet Nagle and a delayed acknowledgement."""
        own = [f"Content-Length: {len(answer.body)}", f"Date: {self.date_time_string(self.server.now_s())}"]
        given = [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() not in OWN_HEADERS]
        head = "\r\n".join([f"HTTP/1.1 {answer.status} {self._reason(answer.status)}", *own, *given, "", ""])
        self.wfile.write(head.encode("latin-1") + (b"" if self.command == "HEAD" else answer.body))

    def _reason(self, status: int) -> str:
        return next((message[0] for code, message in self.responses.items() if code == status), "")

    def _break(self, broken: Broken) -> None:
        self.close_connection = True
        if broken.hang_s:
            self.connection.settimeout(broken.hang_s)
            self.server.hanging.add(self.connection)
            self._wait_for_the_client_to_leave()
            self.server.hanging.discard(self.connection)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.connection.close()

    def _wait_for_the_client_to_leave(self) -> None:
        try:
            self.connection.recv(1)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Log nothing: the audit shows more."""


def _nothing_yet(_: Request) -> Answer:
    return Answer(503, b"starting")
