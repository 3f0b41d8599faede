"""The common part of two responses to the same call: the names, types and forms of their members, not the values.

A path names a member as JSON would: `Reservations[].Instances[].State.Name`; `{}` stands for a key of a map.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.model import Shape

from test.cloud.recording import TYPES, NoSuchMemberError, model

FORMS = {  # of identifiers: a form that AWS's response has, the emulator's must have
    "arn": r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(\d{12}|aws)?:.+",
    "sfr": r"sfr-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "sir": r"sir-[0-9a-z]{8}",
    "other": r"(i|r|eni|vol|lt|sg|subnet|vpc|ami|eni-attach)-([0-9a-f]{8}|[0-9a-f]{17})",
    "account": r"\d{12}",
    "id": r"A(RO|ID|IP)[A-Z0-9]{13,18}",
}
STAND_INS = re.compile(
    r"(?P<arn>arn:aws[^\s'\"]*?(?=[.,]?(\s|'|\"|$)))|(?P<id>\b(i|sfr|sg|lt|subnet|vpc)-[0-9a-f-]{8,36}\b)"
    r"|(?P<encoded>(?<=failure message: )\S+)"
)


def paths(service: str, operation: str, response: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return each path of a response and the forms of its texts.  Raises NoSuchMemberError for a wrong type."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    output = model(service, operation).output_shape
    if output is not None:
        for path, word in _walk(output, response, ""):
            found[path].update({word} if word else ())
    return dict(found)


def _walk(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    match shape.type_name:
        case "structure":
            for name in value.keys() & shape.members.keys():
                inside = f"{path}.{name}".lstrip(".")
                yield from _walk(shape.members[name], value[name], inside)
        case "list":
            yield path, ""
            for each in value:
                yield from _walk(shape.member, each, f"{path}[]")
        case "map":
            yield path, ""
            for each in value.values():
                yield from _walk(shape.value, each, f"{path}{{}}")
        case kind:
            if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
                raise NoSuchMemberError(f"{path} is {value!r}, which is no {kind}")
            yield path, "" if path.endswith("Tags[].Value") else _word(shape, value)


def _word(shape: Shape, value: Any) -> str:
    """Return the form of an AWS identifier; empty for any other value."""
    if not isinstance(value, str) or getattr(shape, "enum", None):
        return ""
    return next((f"<{form}>" for form, pattern in FORMS.items() if re.fullmatch(pattern, value)), "")


def values(response: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Yield the values at a path."""
    name, _, rest = path.partition(".")
    found = response.get(name.removesuffix("[]"))
    if found is None:
        return
    for each in found if name.endswith("[]") else [found]:
        if rest:
            yield from values(each, rest)
        else:
            yield each


def plain(message: str) -> str:
    """Return an error's message with placeholders for the identifiers in it."""
    return STAND_INS.sub(lambda found: f"<{found.lastgroup}>", message)
