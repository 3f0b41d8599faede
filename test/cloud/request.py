"""One request as received: service, operation, caller and parameters.

They have AWS's names, whatever the protocol: EC2's query form, EventBridge's JSON, Lambda's REST.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request as MotoRequest
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.datastructures import MultiDict

CREDENTIAL = re.compile(r"Credential=([^/,]*)/[^/]*/([^/]*)/([^/]*)/aws4_request")
MODELS = {"servicequotas": "service-quotas"}  # signing name -> botocore's name, where they differ


@dataclass(frozen=True)
class Request:
    """The bytes of an HTTP request; everything else is parsed from them on demand."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    host: tuple[str, int] = field(default=("127.0.0.1", 80))

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @cached_property
    def _scope(self) -> tuple[str, str, str]:
        match = CREDENTIAL.search(self.headers.get("authorization", ""))
        return (match[1], match[2], match[3]) if match else ("", "us-east-1", "")

    @property
    def access_key_id(self) -> str:
        return self._scope[0]

    @property
    def region(self) -> str:
        return self._scope[1]

    @property
    def service(self) -> str:
        return self._scope[2]

    @cached_property
    def operation(self) -> str:
        """Return AWS's name of the operation; empty if it cannot be determined."""
        if target := self.headers.get("x-amz-target"):
            return target.rpartition(".")[2]
        if action := self._form.get("Action"):
            return action
        return self._routed[0]

    @cached_property
    def _form(self) -> dict[str, str]:
        """Return the query protocol's parameters: the body's, or the query string's (as signature version 2 allows)."""
        is_form = self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        text = self.body.decode("utf-8", "replace") if is_form else self.target.partition("?")[2]
        pairs = parse_qs(text, keep_blank_values=True)
        return {name: values[0] for name, values in pairs.items()}

    @cached_property
    def _routed(self) -> tuple[str, dict[str, Any]]:
        try:
            operation, uri = get_service_router(self.service).match(MotoRequest(self.environ()))
        except Exception:  # noqa: BLE001  a request that cannot be named is passed on to moto, which responds
            return "", {}
        return str(operation.name), dict(uri)

    def model(self) -> OperationModel:
        return get_service_model(MODELS.get(self.service, self.service)).operation_model(self.operation)

    def parameters(self) -> dict[str, Any]:
        """Return every parameter by its name in the service model; times are seconds since the epoch."""
        if not self.service or not self.operation:
            return {}
        model = self.model()
        parser = PROTOCOL_PARSERS[str(model.service_model.protocol)](
            model, map_type=dict, timestamp_parser=_seconds_of, blob_parser=_text_of
        )
        uri = {} if "Action" in self._form or "x-amz-target" in self.headers else self._routed[1]
        parsed: dict[str, Any] = parser.parse(
            {
                "method": self.method,
                "values": MultiDict(self._form),
                "headers": dict(self.headers),
                "body": self.body,
                "url_path": self.path,
                "url_params": uri,
            }
        )
        return parsed

    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body or b"{}")
        return loaded

    def environ(self) -> dict[str, Any]:
        """Return a PEP 3333 environment with RAW_URI, from which moto restores percent-encoded characters."""
        path, _, query = self.target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": self.target,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(self.body)),
            "SERVER_NAME": self.host[0],
            "SERVER_PORT": str(self.host[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        return environ | {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}


def _seconds_of(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()


def _text_of(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
