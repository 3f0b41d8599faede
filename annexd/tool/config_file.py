"""Read the config of a fleet, check its JSON, and apply the command line's changes.

annexd checks the config against AWS's service model and lists every fault.  This module finds what a ClassAd cannot
carry: names that differ only in case, integers over 64 bits, lone surrogates; the bindings abort the process at some
of them.
"""

import json
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from os import fsencode
from typing import Any, Final

from annexd.annex.request.ad_attributes import ADDED_BY_HTCONDOR, OWN
from annexd.tool import file_kinds, json_text
from annexd.tool.errors import BAD_FILE, ToolError
from annexd.tool.options import ToolOptions

Config = dict[str, Any]

MAX_FILE_BYTES: Final = 8 * 1024 * 1024  # ten thousand launch specifications
MAX_USER_DATA_BYTES: Final = 16 * 1024  # of EC2, before base64
MAX_DEPTH: Final = 20  # the same as in annexd's reader; the service model needs 7
MAX_FAULTS: Final = 20
INTEGERS: Final = range(-(2**63), 2**63)
NO_PLACE: Final = (
    "-user-data and -default-user-data apply only to LaunchSpecifications, and the file has none: the user data of "
    "LaunchTemplateConfigs belongs in the launch template"
)
IGNORED: Final = ("validfrom", "validuntil")
RESERVED: Final = OWN | ADDED_BY_HTCONDOR  # attributes of the command ad


def read(options: ToolOptions) -> tuple[Config, list[str]]:
    """Return the config with the options applied, and notes for the user.  Raises ToolError with all faults."""
    config, notes = _config(_text(options.file), options.file)
    config, more_notes = _without_ignored(config, options.file)
    return changed(config, options), notes + more_notes


def changed(config: Config, options: ToolOptions) -> Config:
    """Return the config with the options applied.  Raises ToolError with all faults."""
    faults = [f'"{name}" is not part of the config of a fleet' for name in config if name.lower() in RESERVED]
    faults += _faults(config)
    faults += _change(config, options)
    if faults:
        more = [f"... and {len(faults) - MAX_FAULTS} more faults"] if len(faults) > MAX_FAULTS else []
        where = f"{_shown(options.file)}: " if options.file else ""
        raise ToolError(BAD_FILE, *(f"{where}{fault}" for fault in faults[:MAX_FAULTS]), *more)
    return config


def _text(file: str) -> bytes:
    content = _content(file, MAX_FILE_BYTES)
    if len(content) > MAX_FILE_BYTES:
        raise ToolError(BAD_FILE, f"{_shown(file)} is larger than {MAX_FILE_BYTES} bytes")
    return content


def _content(file: str, limit: int) -> bytes:
    """Read at most one byte more than the limit, so that an endless file cannot fill the memory."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(limit + 1)
        with open(file, "rb") as opened:
            return opened.read(limit + 1)
    except OSError as error:
        raise ToolError(BAD_FILE, f"{_shown(file)} cannot be read: {error.strerror}") from error


def _config(content: bytes, file: str) -> tuple[Config, list[str]]:
    """Return the config in the file, and notes for the user."""
    try:
        value, notes = json_text.parsed(content)
        config, more = file_kinds.config_in(value)
    except (json_text.BadJson, file_kinds.NotTaken) as error:
        raise ToolError(BAD_FILE, f"{_shown(file)} {error}") from error
    except RecursionError as error:
        raise ToolError(BAD_FILE, f"{_shown(file)} is nested too deeply") from error
    return config, [f"{_shown(file)}: {note}" for note in (*notes, *more)]


def _without_ignored(config: Config, file: str) -> tuple[Config, list[str]]:
    ignored = [name for name in config if name.lower() in IGNORED and config[name] not in (None, "")]
    kept = {name: value for name, value in config.items() if name not in ignored}
    if not ignored:
        return kept, []
    return kept, [f"{_shown(file)}: {' and '.join(ignored)} ignored: a request is valid from now on"]


def _change(config: Config, options: ToolOptions) -> list[str]:
    """Put the command line's count and user data into the config, and return the faults."""
    if options.target_capacity is not None:
        _count(config, options.target_capacity)
    user_data, always = _user_data(options)
    if user_data is None:
        return []
    specifications = config.get(_spelled(config, "LaunchSpecifications"))
    if not isinstance(specifications, list) or not specifications:
        return [NO_PLACE]
    for specification in (each for each in specifications if isinstance(each, dict)):  # annexd reports the others
        name = _spelled(specification, "UserData")
        if always or not specification.get(name):
            specification[name] = user_data
    return []


def _count(config: Config, capacity: int) -> None:
    """Set the capacity, where this kind of fleet has it; annexd reports members that are not objects."""
    wanted = config.get(_spelled(config, "TargetCapacitySpecification"))
    if isinstance(wanted, dict):
        wanted[_spelled(wanted, "TotalTargetCapacity")] = capacity
    else:
        config[_spelled(config, "TargetCapacity")] = capacity


def _spelled(config: Config, name: str) -> str:
    """Return the name as the file spells it: AWS's SDKs use another case."""
    return next((written for written in config if written.lower() == name.lower()), name)


def _user_data(options: ToolOptions) -> tuple[str | None, bool]:
    """Return the user data in base64, as in a config, and whether it replaces the file's."""
    always = options.user_data is not None or options.user_data_file is not None
    text = options.user_data if always else options.default_user_data
    file = options.user_data_file if always else options.default_user_data_file
    if text is None and file is None:
        return None, False
    content = _content(file, MAX_USER_DATA_BYTES) if file is not None else fsencode(text or "")
    if len(content) > MAX_USER_DATA_BYTES:
        raise ToolError(BAD_FILE, f"{_shown(file or 'the user data')} exceeds EC2's {MAX_USER_DATA_BYTES} bytes")
    return b64encode(content).decode(), always


def _faults(value: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the parts of a value of the config that a ClassAd cannot carry."""
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
        yield f"{path or 'the config'} has the name {json.dumps(name)}, which is not a name that AWS uses"


def _fault_of_scalar(value: object, *, nested: bool) -> str | None:
    if isinstance(value, str):
        return fault_of_text(value, nested=nested)
    if isinstance(value, int) and value not in INTEGERS:
        return "does not fit into 64 bits"
    if isinstance(value, float) and abs(value) == float("inf"):
        return "is out of range"
    return None


def fault_of_text(value: str, *, nested: bool = False) -> str | None:
    """Return why a ClassAd cannot carry a text, or None."""
    if "\0" in value:
        return "contains a NUL character"
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        return "is not valid Unicode"
    if nested and value.endswith("\\"):
        return "ends with a backslash, which HTCondor cannot transfer inside a list"
    return None


def _shown(file: str) -> str:
    return "standard input" if file == "-" else file
