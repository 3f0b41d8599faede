"""Remote configuration, condor_config_val -rset and -set, stored as HTCondor's daemons store it.

Nothing can be set unless ENABLE_RUNTIME_CONFIG or ENABLE_PERSISTENT_CONFIG is true; both are false by default.
A setting takes effect at the next reconfig, after all files.  -set is kept in PERSISTENT_CONFIG_DIR, in the files and
the format of condor_config.cpp: .config.SUBSYSTEM lists the names, .config.SUBSYSTEM.NAME holds one setting.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from annexd.condor import bindings, values
from annexd.condor.values import Unsafe
from annexd.daemoncore import log
from annexd.daemoncore.atomic_file import replace_file
from annexd.daemoncore.config.parameters import Parameters, param
from annexd.daemoncore.privileges import root_files
from annexd.daemoncore.program import current, knob

NAME = r"[A-Za-z_][A-Za-z0-9_.]{0,199}"
ASSIGNMENT = re.compile(rf"\s*+(?P<name>{NAME})\s*+=\s*+(?P<value>[^\x00-\x1f\x7f]*+)")  # linear: strangers' lines
RUNTIME = "<runtime>"  # the source of what -rset sets
NAMES_KNOB = "RUNTIME_CONFIG_ADMIN"  # in the file that lists the names

_runtime: dict[str, str] = {}  # knob in upper case -> the line that sets it, for this process


class CannotSet(Exception):
    """A knob cannot be set remotely; the text says why."""


def name_in(knob: str, line: str) -> str:
    """Return the knob that a line sets, in upper case; an empty line unsets `knob`.  Raises CannotSet.

    Only one line and one plain knob are accepted: HTCondor's daemons would also write more lines, or a path, into their
    files.
    """
    match = ASSIGNMENT.fullmatch(line or f"{knob} =")
    if match is None or match["name"].upper() != knob.upper():
        raise CannotSet(f"{knob[:60]!r} must be set by one line NAME = VALUE")
    try:
        values.setting(match["name"], match["value"])
    except Unsafe as error:
        raise CannotSet(str(error)) from error
    return match["name"].upper()


def set_runtime(name: str, line: str) -> None:
    """Set a knob for this process; an empty line unsets it.  Raises CannotSet."""
    if not Parameters().boolean("ENABLE_RUNTIME_CONFIG", False):
        raise CannotSet("ENABLE_RUNTIME_CONFIG is not true")
    _runtime.pop(name, None)
    if line:
        _runtime[name] = line


def set_persistent(name: str, line: str) -> None:
    """Set a knob persistently; an empty line unsets it.  Raises CannotSet."""
    if not Parameters().boolean("ENABLE_PERSISTENT_CONFIG", False):
        raise CannotSet("ENABLE_PERSISTENT_CONFIG is not true")
    top = _top()
    try:
        with root_files():
            names = {each: None for each in _names(top) if each != name} | ({name: None} if line else {})
            if line:
                replace_file(_file(top, name), line, suffix=".tmp")
            replace_file(top, f"{NAMES_KNOB} = {', '.join(names)}\n", suffix=".tmp")
            if not line:
                _file(top, name).unlink(missing_ok=True)
    except OSError as error:
        raise CannotSet(f"{error.filename}: {error.strerror}") from error


def apply() -> None:
    """Add to HTCondor's configuration, just reloaded, the persistent settings and over them the runtime ones."""
    look_up = Parameters()
    if look_up.boolean("ENABLE_PERSISTENT_CONFIG", False):
        _set_all(persistent())
    if look_up.boolean("ENABLE_RUNTIME_CONFIG", False):
        _set_all(_runtime)


def persistent() -> Mapping[str, str]:
    """Return the line of each persistently set knob; files of another user are logged and ignored."""
    lines = {}
    try:
        top = _top()
        with root_files():
            lines = {name: _read(_file(top, name)) for name in _names(top)}
    except (CannotSet, OSError) as error:
        log.error(f"Failed to read the persistent configuration: {error}")
    return lines


def runtime_names() -> list[str]:
    """Return the names of the knobs that are set for this process."""
    return sorted(_runtime) if Parameters().boolean("ENABLE_RUNTIME_CONFIG", False) else []


def place_of(name: str) -> tuple[str, str] | None:
    """Return the line that sets a knob remotely and where it is stored, or None."""
    if (line := _runtime.get(name.upper())) and Parameters().boolean("ENABLE_RUNTIME_CONFIG", False):
        return line, RUNTIME
    if Parameters().boolean("ENABLE_PERSISTENT_CONFIG", False) and (line := persistent().get(name.upper(), "")):
        return line, f"{_file(_top(), name.upper())}, line 1"
    return None


def _set_all(lines: Mapping[str, str]) -> None:
    for line in lines.values():
        if match := ASSIGNMENT.fullmatch(line.rstrip("\n")):
            try:
                bindings.set_param(match["name"], match["value"].strip())
            except Unsafe as error:
                log.error(f"Ignoring a remotely set knob: {error}")


def _top() -> Path:
    """Return the file that lists the names.  Raises CannotSet."""
    if configured := param(knob("CONFIG")):
        return Path(configured)
    if directory := param("PERSISTENT_CONFIG_DIR"):
        return Path(directory, f".config.{current().subsystem}")
    raise CannotSet(f"ENABLE_PERSISTENT_CONFIG is true, but neither PERSISTENT_CONFIG_DIR nor {knob('CONFIG')} is set")


def _file(top: Path, name: str) -> Path:
    return top.with_name(f"{top.name}.{name}")


def _names(top: Path) -> list[str]:
    if not top.exists():
        return []
    _, _, listed = _read(top).partition("=")
    return [name for name in listed.replace(",", " ").split() if re.fullmatch(NAME, name)]


def _read(path: Path) -> str:
    """Read a file.  Raises OSError, also if the daemon's user does not own it (Check_config_source_security)."""
    with path.open() as file:
        if os.fstat(file.fileno()).st_uid != os.getuid():
            raise PermissionError(1, "must be owned by the user who starts this daemon", str(path))
        return file.read()
