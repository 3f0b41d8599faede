"""Compare AWS's responses with those of the emulated AWS to the same call in the same state."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.recording import FOLDER, Recording
from test.cloud.scenes import client_for, kinds, play
from test.cloud.shapes import paths, plain

Paths = Mapping[str, set[str]]


@dataclass(frozen=True)
class Listed:
    """An accepted difference; `path` is a pattern, `side` the only side that shows it."""

    operation: str
    path: str
    side: str
    reason: str

    def is_about(self, operation: str, side: str, path: str) -> bool:
        return (self.operation, self.side) == (operation, side) and fnmatchcase(path, self.path.replace("[]", "[[]]"))


@cache
def listed() -> Sequence[Listed]:
    answered = tomllib.loads((FOLDER / "differences.toml").read_text(encoding="utf-8"))
    return [Listed(**each) for each in answered.get("difference", [])]


class Emulated:
    """The responses of the emulated AWS in the scenes of a recording."""

    def __init__(self, cloud: Cloud, recording: Recording) -> None:
        self.missing: list[str] = []  # scenes that do not exist
        self.status, self.error = 200, {"Code": "", "Message": ""}
        self.paths: dict[str, set[str]] = {}
        for kind in sorted(kinds(recording)) or [""]:
            cloud.reset()
            self._play(cloud, recording, kind)

    def _play(self, cloud: Cloud, recording: Recording, kind: str) -> None:
        asked = play(cloud, recording, kind)
        if asked is None:
            self.missing.append(f"the emulator has no scene for {recording.operation} {kind}")
            return
        try:
            answered = getattr(client_for(cloud, recording), xform_name(recording.operation))(**asked)
        except ClientError as error:
            self.status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            self.error = {key: str(error.response["Error"].get(key, "")) for key in self.error}
            return
        self.status = answered.pop("ResponseMetadata")["HTTPStatusCode"]
        for path, message in paths(recording.service, recording.operation, answered).items():
            self.paths.setdefault(path, set()).update(message)


def differences(cloud: Cloud, recording: Recording, known: Paths) -> Iterator[tuple[str, str]]:
    """Yield (side, path or message).  `known`: the paths of the operation's recordings, see known_paths."""
    emulated = Emulated(cloud, recording)
    yield from (("scene", message) for message in emulated.missing)
    if emulated.missing:
        return
    if (recording.status >= 300) != (emulated.status >= 300):
        yield "status", f"AWS {recording.status}, the emulator {emulated.status} {json.dumps(emulated.error)}"
    elif recording.is_error:
        yield from _of_errors(recording, emulated)
    else:
        answered = paths(recording.service, recording.operation, recording.response())
        yield from _of_members(answered, emulated.paths, known)


def _of_errors(recording: Recording, emulated: Emulated) -> Iterator[tuple[str, str]]:
    error = recording.response()["Error"]
    for name, real, ours in (
        ("status", str(recording.status), str(emulated.status)),
        ("code", error["Code"], emulated.error["Code"]),
        ("message", plain(error["Message"]), plain(emulated.error["Message"])),
    ):
        if real != ours:
            yield name, f"AWS {real!r}, the emulator {ours!r}"


def _of_members(real: Paths, ours: Paths, known: Paths) -> Iterator[tuple[str, str]]:
    yield from (("AWS", path) for path in sorted(real.keys() - ours.keys()))
    if known:
        yield from (("emulator", path) for path in sorted(ours.keys() - known.keys() - real.keys()))
    for path in sorted(real.keys() & ours.keys()):
        if (real[path] or ours[path]) and not real[path] & ours[path]:
            yield "form", f"{path}: AWS {sorted(real[path])}, the emulator {sorted(ours[path])}"


def known_paths(recordings: Sequence[Recording], operation: str) -> dict[str, Any]:
    """Return the paths of all recorded responses to an operation except errors; empty if none of them is complete."""
    whole = [each for each in recordings if each.operation == operation and not each.is_error and not each.is_partial]
    found: dict[str, Any] = {}
    for each in whole:
        for path in paths(each.service, operation, each.response()):
            found[path] = set()
    if not whole:
        return {}
    partial = [each for each in recordings if each.operation == operation and each.is_partial]
    for each in partial:
        found.update({path: set() for path in paths(each.service, operation, each.response())})
    return found


def unlisted(recording: Recording, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the differences without an entry in differences.toml."""
    operation = recording.operation
    return [each for each in found if not any(line.is_about(operation, *each) for line in listed())]


def distinct(recordings: Iterable[Recording]) -> list[Recording]:
    """Keep one of the recordings that show the same of a state: a rehearsal calls many times."""
    found: dict[tuple[str, ...], Recording] = {}
    for each in recordings:
        answered = [] if each.is_error else sorted(paths(each.service, each.operation, each.response()))
        found.setdefault((each.operation, str(each.status), *sorted(kinds(each)), *answered), each)
    return list(found.values())
