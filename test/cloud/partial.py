"""EventBridge's failures inside an HTTP 200: FailedEntryCount, which is easy to overlook."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from test.cloud.errors import Answer
from test.cloud.request import Request

ENTRIES = {"PutTargets": "Targets", "RemoveTargets": "Ids"}  # operation -> its list of entries
Refusal = Callable[[str, str], str | None]
Forward = Callable[[Request], Answer]


def with_refused_entries(request: Request, refuses: Refusal, forward: Forward) -> Answer:
    """Forward the entries that are not refused, and report the refused ones in the response."""
    asked = request.json()
    name = ENTRIES[request.operation]
    codes = {_id_of(entry): refuses(request.operation, _id_of(entry)) for entry in asked.get(name, [])}
    refused = {entry_id: code for entry_id, code in codes.items() if code}
    if not refused:
        return forward(request)
    asked[name] = [entry for entry in asked[name] if _id_of(entry) not in refused]
    if asked[name]:
        answer = forward(replace(request, body=json.dumps(asked).encode()))
        if answer.status != 200:
            return answer
    failed = [_failure(entry_id, code) for entry_id, code in refused.items()]
    body = json.dumps({"FailedEntryCount": len(failed), "FailedEntries": failed})
    return Answer(200, body.encode(), {"Content-Type": "application/x-amz-json-1.1"})


def _failure(entry_id: str, code: str) -> dict[str, str]:
    return {"TargetId": entry_id, "ErrorCode": code, "ErrorMessage": f"{code} for the target {entry_id}"}


def _id_of(entry: Any) -> str:
    return str(entry["Id"] if isinstance(entry, dict) else entry)
