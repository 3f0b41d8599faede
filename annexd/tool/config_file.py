"""The Spot Fleet request config: read, looked at as far as JSON goes, and with the command line's changes in it.

Whether AWS's service model has all this is for annexd to say, whose answer lists every fault.  What has to be
found here is what would not survive the journey: HTCondor's ClassAds know no case, no 65th bit and no lone
surrogate, and the bindings end the process at some of them.
"""

import json
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from os import fsencode
from typing import Any, Final

from annexd.tool.errors import BAD_FILE, ToolError
from annexd.tool.options import Options

Config = dict[str, Any]

MAX_FILE_BYTES: Final = 8 * 1024 * 1024  # ten thousand launch specifications
MAX_USER_DATA_BYTES: Final = 16 * 1024  # of EC2, before base64
MAX_DEPTH: Final = 20  # as annexd's reader; the service model needs 7
MAX_FAULTS: Final = 20
INTEGERS: Final = range(-(2**63), 2**63)
WRAPPER: Final = "SpotFleetRequestConfig"  # the AWS CLI's file holds the config in this
IGNORED: Final = ("ValidFrom", "ValidUntil")
# Attributes of the command ad that are no matter of the file's.
RESERVED: Final = frozenset(
    [
        "annexname",
        "annexowner",
        "command",
        "commandid",
        "configdir",
        "endoflease",
        "eventsurl",
        "joinpool",
        "lambdaurl",
        "leasefunctionarn",
        "maxidletime",
        "mytype",
        "noowner",
        "publickeyfile",
        "requestversion",
        "s3bucket",
        "s3url",
        "secretkeyfile",
        "serviceurl",
        "targettype",
    ]
)


def read(options: Options) -> tuple[Config, list[str]]:
    """The config that the options ask for, and what to say about it; raises ToolError with all faults."""
    config = _unwrapped(_parsed(_text(options.file), options.file), options.file)
    config, notes = _without_ignored(config, options.file)
    faults = [f'"{name}" is no part of a Spot Fleet request config' for name in config if name.lower() in RESERVED]
    faults += _faults(config)
    faults += _change(config, options)
    if faults:
        more = [f"... and {len(faults) - MAX_FAULTS} faults more"] if len(faults) > MAX_FAULTS else []
        raise ToolError(BAD_FILE, *(f"{_shown(options.file)}: {fault}" for fault in faults[:MAX_FAULTS]), *more)
    return config, notes


def _text(file: str) -> bytes:
    content = _content(file, MAX_FILE_BYTES)
    if len(content) > MAX_FILE_BYTES:
        raise ToolError(BAD_FILE, f"{_shown(file)} is larger than {MAX_FILE_BYTES} bytes")
    return content


def _content(file: str, limit: int) -> bytes:
    """At most one byte more than the limit, so that an endless file is seen and does not fill the memory."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(limit + 1)
        with open(file, "rb") as opened:
            return opened.read(limit + 1)
    except OSError as error:
        raise ToolError(BAD_FILE, f"{_shown(file)} cannot be read: {error.strerror}") from error


def _parsed(content: bytes, file: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ToolError(BAD_FILE, f"{_shown(file)} is not JSON: {error.msg} at {where}") from error
    except RecursionError as error:
        raise ToolError(BAD_FILE, f"{_shown(file)} is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ToolError(BAD_FILE, f"{_shown(file)} is not UTF-8 at byte {error.start}") from error
    except ValueError as error:  # of the hooks below, and of numbers with thousands of digits
        raise ToolError(BAD_FILE, f"{_shown(file)} cannot be used: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> Config:
    """ClassAds do not tell names by case, so neither may the file."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name.lower() in seen:
            raise ValueError(f"{json.dumps(name)} is there twice")
        seen.add(name.lower())
    return dict(pairs)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")


def _unwrapped(config: Any, file: str) -> Config:
    if isinstance(config, dict) and list(config) == [WRAPPER]:
        config = config[WRAPPER]
    if not isinstance(config, dict):
        kind = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(config), "a number")
        raise ToolError(BAD_FILE, f"{_shown(file)} must be a JSON object, the Spot Fleet request config, not {kind}")
    return config


def _without_ignored(config: Config, file: str) -> tuple[Config, list[str]]:
    ignored = [name for name in IGNORED if name in config]
    kept = {name: value for name, value in config.items() if name not in ignored}
    if not ignored:
        return kept, []
    return kept, [f"{' and '.join(ignored)} in {_shown(file)} ignored: a request is valid now, or not at all"]


def _change(config: Config, options: Options) -> list[str]:
    """Put the command line's count and user data into the config; faults if that cannot be."""
    if options.target_capacity is not None:
        config["TargetCapacity"] = options.target_capacity
    user_data, always = _user_data(options)
    if user_data is None:
        return []
    specifications = config.get("LaunchSpecifications")
    if not isinstance(specifications, list) or not all(isinstance(each, dict) for each in specifications):
        return ["user data can be given only to LaunchSpecifications; with LaunchTemplateConfigs, edit the template"]
    for specification in specifications:
        if always or not specification.get("UserData"):
            specification["UserData"] = user_data
    return []


def _user_data(options: Options) -> tuple[str | None, bool]:
    """Base64, as it stands in a config, and whether it replaces the file's."""
    always = options.user_data is not None or options.user_data_file is not None
    text = options.user_data if always else options.default_user_data
    file = options.user_data_file if always else options.default_user_data_file
    if text is None and file is None:
        return None, False
    content = _content(file, MAX_USER_DATA_BYTES) if file is not None else fsencode(text or "")
    if len(content) > MAX_USER_DATA_BYTES:
        raise ToolError(BAD_FILE, f"{_shown(file or 'the user data')} is larger than EC2's {MAX_USER_DATA_BYTES} bytes")
    return b64encode(content).decode(), always


def _faults(value: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """What in a value of the config cannot be carried by a ClassAd."""
    if depth > MAX_DEPTH:
        yield f"{path} is nested too deeply"
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _faults_of_name(name, path)
            yield from _faults(item, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, f"{path}[{index}]", depth + 1)
    elif fault := _fault_of_scalar(value, nested=depth > 1):
        yield f"{path} {fault}"


def _faults_of_name(name: str, path: str) -> Iterator[str]:
    if not (name.isascii() and name.isidentifier()):
        yield f"{path or 'the config'} has the name {json.dumps(name)}, which no AWS member has"


def _fault_of_scalar(value: object, *, nested: bool) -> str | None:
    if isinstance(value, str):
        return fault_of_text(value, nested=nested)
    if isinstance(value, int) and value not in INTEGERS:
        return "does not fit into 64 bits"
    if isinstance(value, float) and abs(value) == float("inf"):
        return "is out of range"
    return None


def fault_of_text(value: str, *, nested: bool = False) -> str | None:
    """Why a ClassAd cannot hold a text, or None."""
    if "\0" in value:
        return "holds a NUL character"
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        return "is no valid Unicode"
    if nested and value.endswith("\\"):
        return "ends with a backslash, which HTCondor cannot carry inside a list"
    return None


def _shown(file: str) -> str:
    return "standard input" if file == "-" else file
