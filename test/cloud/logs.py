"""CloudWatch Logs: the output of functions, and FilterLogEvents as in AWS.

Groups, streams and events are moto's.  moto's FilterLogEvents treats an unknown pattern as one that all events match,
never returns an empty page, and shows events at once.

Source (CERTAIN): CloudWatch Logs API reference, FilterLogEvents: pages may be partial or empty and there is more as
long as there is a nextToken; the order is by time; `interleaved` is ignored; searchedLogStreams is empty.  Lambda
developer guide, "Sending Lambda function logs to CloudWatch Logs": the lines START, END and REPORT, and the names of
groups and streams.  All lines of a run have the time of its end here; Lambda's have their own: LIKELY irrelevant.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import moto.logs.urls
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import logs_backends
from moto.logs.responses import LogsResponse

from test.cloud.behaviour import Behaviour, Chosen
from test.cloud.log_patterns import PatternError, compiled

MAX_PAGE, MAX_PAGE_BYTES, EVENT_BYTES = 10_000, 1_048_576, 26  # 26: what each event costs beside its text
May = Callable[[str, str], bool]  # (action, resource)
MAX_EVENT_BYTES = 262_144 - EVENT_BYTES  # of PutLogEvents; 1 MB in its newest text.  Lambda splits longer lines: LIKELY
_LOCK = threading.RLock()  # functions write while others read, or delete the group


class ActingLogs(LogsResponse):  # type: ignore[misc]  # moto has no types
    """The calls of CloudWatch Logs; `install` sets `chosen`."""

    chosen: ClassVar[Chosen] = Chosen(Behaviour())

    def call_action(self) -> Any:
        with _LOCK:
            return super().call_action()

    def filter_log_events(self) -> str:
        asked: dict[str, Any] = json.loads(self.body)
        group = self.logs_backend.groups.get(_group_name(asked))
        if group is None:
            raise ResourceNotFoundException
        events = list(_matching(group, asked, self.chosen.now.logs_late_s))
        found, token = page(events, asked, self.chosen.now)
        response: dict[str, Any] = {"events": found, "searchedLogStreams": []}
        return json.dumps(response | ({"nextToken": token} if token else {}))


def _group_name(asked: dict[str, Any]) -> str:
    name, identifier = asked.get("logGroupName"), asked.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise InvalidParameterException("Specify either logGroupName or logGroupIdentifier.")
    return str(name) if identifier is None else str(identifier).rpartition(":log-group:")[2]


def _matching(group: Any, asked: dict[str, Any], late_s: float) -> Iterator[dict[str, Any]]:
    try:
        matches = compiled(asked.get("filterPattern") or "")
    except PatternError as error:
        raise InvalidParameterException(str(error)) from error
    names, prefix = asked.get("logStreamNames"), asked.get("logStreamNamePrefix", "")
    if names and prefix:
        raise InvalidParameterException("logStreamNames and logStreamNamePrefix exclude each other.")
    begin_ms, end_ms = asked.get("startTime", 0), asked.get("endTime", float("inf"))
    shown_ms = (time.time() - late_s) * 1000 if late_s else float("inf")  # at once, even if a test changes the clock
    for name, stream in group.streams.items():
        if (names and name not in names) or not name.startswith(prefix):
            continue
        for event in stream.events:
            is_in_time = begin_ms <= event.timestamp <= end_ms and event.ingestion_time <= shown_ms
            if is_in_time and matches(event.message):
                yield event.to_filter_dict() | {"logStreamName": name, "eventId": f"{event.event_id:056d}"}


def page(
    events: list[dict[str, Any]], asked: dict[str, Any], behaviour: Behaviour
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page and the token of the next.

    The token has the place to go on, and the number of empty pages since the last full one.
    """
    limit = int(asked.get("limit", MAX_PAGE))
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidParameterException(constraint="Member must be 1 to 10000", parameter="limit", value=limit)
    position = _read(asked["nextToken"]) if "nextToken" in asked else {}
    forward = position.get("forward", asked.get("startFromHead", True))
    after, empty = position.get("after"), position.get("empty", 0)
    if empty < behaviour.empty_log_pages:
        return [], _token(forward, after, empty + 1)
    rest = _rest(events, forward, after)
    found = rest[: min(limit, behaviour.log_page, _fitting(rest))]
    has_more = len(found) < len(rest) or (found and behaviour.empty_log_pages)
    return found, _token(forward, _place(found[-1]), 0) if has_more else None


def _rest(events: list[dict[str, Any]], forward: bool, after: list[Any] | None) -> list[dict[str, Any]]:
    """Return the events after that place, or before it if the newest come first."""
    ordered = sorted(events, key=_place, reverse=not forward)
    if after is None:
        return ordered
    return [each for each in ordered if (_place(each) > tuple(after) if forward else _place(each) < tuple(after))]


def _fitting(events: Sequence[dict[str, Any]]) -> int:
    """Return how many of them fit into a page, at least one."""
    room = MAX_PAGE_BYTES
    for number, each in enumerate(events):
        room -= len(each["message"].encode()) + EVENT_BYTES
        if room < 0:
            return max(1, number)
    return len(events)


def _place(event: dict[str, Any]) -> tuple[int, int, str]:
    return event["timestamp"], event["ingestionTime"], event["eventId"]


def _token(forward: bool, after: Any, empty: int) -> str:
    return base64.b64encode(json.dumps({"forward": forward, "after": after, "empty": empty}).encode()).decode()


def _read(token: str) -> dict[str, Any]:
    try:
        position: dict[str, Any] = json.loads(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidParameterException("The specified nextToken is invalid.") from error
    return position


def lines_of(request_id: str, log: str, duration_s: float, memory_mb: int, used_mb: int) -> list[str]:
    """Return the lines that Lambda writes for one invocation."""
    took = f"Duration: {duration_s * 1000:.2f} ms\tBilled Duration: {int(duration_s * 1000) + 1} ms"
    return [
        f"START RequestId: {request_id} Version: $LATEST\n",
        *(piece for line in log.splitlines() for piece in _pieces(f"{line}\n")),
        f"END RequestId: {request_id}\n",
        f"REPORT RequestId: {request_id}\t{took}\tMemory Size: {memory_mb} MB\tMax Memory Used: {used_mb} MB\t\n",
    ]


def _pieces(line: str) -> Iterator[str]:
    data = line.encode()
    for start in range(0, len(data), MAX_EVENT_BYTES):
        yield data[start : start + MAX_EVENT_BYTES].decode("utf-8", "replace")


def write(function: Any, environment: str, lines: Sequence[str], may: May) -> bool:
    """Append to the function's group, as far as its role may; return whether it could.

    A missing group is created, as by Lambda.
    """
    name = function.logging_config["LogGroup"]
    arn = f"arn:aws:logs:{function.region}:{function.account_id}:log-group:{name}"
    stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{environment}"
    backend, now_ms = logs_backends[function.account_id][function.region], int(time.time() * 1000)
    with _LOCK:
        if name not in backend.groups:
            if not may("logs:CreateLogGroup", f"{arn}:*"):
                return False
            backend.create_log_group(name, {})
        if stream not in backend.groups[name].streams:
            if not may("logs:CreateLogStream", f"{arn}:*"):
                return False
            backend.create_log_stream(name, stream)
        if not may("logs:PutLogEvents", f"{arn}:log-stream:{stream}"):
            return False
        backend.put_log_events(name, stream, [{"timestamp": now_ms, "message": line} for line in lines])
    return True


def install(chosen: Chosen) -> None:
    """Install the calls before the first request: moto reads its routing table once."""
    ActingLogs.chosen = chosen
    for pattern in moto.logs.urls.url_paths:
        moto.logs.urls.url_paths[pattern] = ActingLogs.dispatch
