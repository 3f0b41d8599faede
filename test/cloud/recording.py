"""AWS's own responses in one format, from public sources and from rehearsals (docs/live.md).

A file in test/cloud/recordings is a JSON list of recordings.  Those from public sources are excerpts that we wrote:
names, types, states and messages are the source's, everything else is ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import botocore.parsers
import botocore.session
from botocore.model import OperationModel, Shape

FOLDER = Path(__file__).parent / "recordings"
REFUSED = 300  # HTTP statuses from here on are errors
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "boolean": (bool,),
    "timestamp": (datetime,),
    "blob": (str, bytes),
}


class NoSuchMemberError(Exception):
    """A recording, or the emulator, has a member that AWS's service model does not have or whose type differs."""


@dataclass(frozen=True)
class Recording:
    """One response: `body` as on the wire, or `answer` as botocore's parser returns it, with times in ISO 8601.

    asked       the parameters of the call
    because     the fact that it supports: a key of test/live/facts.py or of test/cloud/evidence.toml
    source      a public address; empty for a rehearsal
    is_partial  the source omits members that AWS does return
    """

    service: str
    operation: str
    status: int
    asked: Mapping[str, Any] = field(default_factory=dict)
    body: str = ""
    answer: Mapping[str, Any] | None = None
    because: str = ""
    source: str = ""
    is_partial: bool = False
    at_s: float = 0.0

    @property
    def is_error(self) -> bool:
        return self.status >= REFUSED

    def response(self) -> Mapping[str, Any]:
        """Return the response as botocore parses it; an error is {"Error": {"Code": ..., "Message": ...}}."""
        if self.answer is None:
            return parsed(self.service, self.operation, self.status, self.body)
        if self.is_error:
            return {"Error": self.answer["Error"]}
        output = model(self.service, self.operation).output_shape
        return {} if output is None else dict(_typed(output, self.answer, ""))


def load(folder: Path = FOLDER) -> Iterator[tuple[str, Recording]]:
    """Yield every recording in a folder and its subfolders, each after its location, "FILE[NUMBER]"."""
    for file in sorted(folder.rglob("*.json")):
        for number, each in enumerate(json.loads(file.read_text(encoding="utf-8"))):
            yield f"{file.relative_to(folder)}[{number}]", Recording(**each)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.Session()


@cache
def _service(name: str) -> Any:
    return _session().get_service_model(name)


def model(service: str, operation: str) -> OperationModel:
    return _service(service).operation_model(operation)


def parsed(service: str, operation: str, status: int, body: str) -> Mapping[str, Any]:
    """Parse a response's body, as botocore's clients do."""
    found = model(service, operation)
    parser = botocore.parsers.create_parser(found.service_model.protocol)
    answer = {"status_code": status, "headers": {}, "body": body.encode()}
    return {key: value for key, value in parser.parse(answer, found.output_shape).items() if key != "ResponseMetadata"}


def _typed(shape: Shape, value: Any, path: str) -> Any:
    """Return `value` with its times as datetimes.  Raises NoSuchMemberError for a member that is not in the model."""
    if shape.type_name == "structure":
        if unknown := value.keys() - shape.members.keys():
            raise NoSuchMemberError(f"{path or shape.name} has no {', '.join(sorted(unknown))}")
        return {name: _typed(shape.members[name], each, f"{path}.{name}") for name, each in value.items()}
    if shape.type_name == "list":
        return [_typed(shape.member, each, f"{path}[]") for each in value]
    if shape.type_name == "map":
        return {key: _typed(shape.value, each, f"{path}{{}}") for key, each in value.items()}
    if shape.type_name == "timestamp" and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value
