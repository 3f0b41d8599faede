"""IAM Identity Center, as far as `aws sso` uses it after a login: roles' credentials, and token refresh.

The paths, members and the header of the access token are those of AWS's service models `sso` and `sso-oidc`, which
botocore ships; the same models have the response to a wrong or old token (UnauthorizedException, HTTP 401).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN_HEADER = "x-amz-sso_bearer_token"
REFRESHED_S = 28800


@dataclass
class IdentityCenter:
    """`access_token` is the valid one now; `credentials` are what it yields, with expiration in ms since the epoch."""

    url: str
    access_token: str
    credentials: dict[str, Any] = field(default_factory=dict)
    refresh_token: str = ""
    asked: list[str] = field(default_factory=list)  # paths, in order

    def answer(self, path: str, token: str | None, body: bytes) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        if path == "/token":
            return self._refreshed(json.loads(body))
        if path == "/federation/credentials" and token == self.access_token:
            return 200, {"roleCredentials": self.credentials}
        return 401, {"message": "Session token not found or invalid"}

    def _refreshed(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if asked.get("grantType") != "refresh_token" or asked.get("refreshToken") != self.refresh_token:
            return 400, {"error": "invalid_grant"}
        return 200, {"accessToken": self.access_token, "tokenType": "Bearer", "expiresIn": REFRESHED_S}


@contextmanager
def identity_center(access_token: str, **more: Any) -> Iterator[IdentityCenter]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, said = center.answer(self.path.partition("?")[0], self.headers.get(TOKEN_HEADER), body)
            answer = json.dumps(said).encode()
            self.send_response(status)
            if status == 401:
                self.send_header("x-amzn-ErrorType", "UnauthorizedException")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _serve  # noqa: N815 - names of http.server's

        def log_message(self, *_: object) -> None:
            """Print nothing: standard error belongs to the test."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        center = IdentityCenter(f"http://127.0.0.1:{server.server_address[1]}", access_token, **more)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield center
        finally:
            server.shutdown()
            thread.join()
