"""Read the lists of each level: ALLOW_<level>_<subsystem>, ALLOW_<level>, and so on down to ALLOW_DEFAULT.

After SecMan::getSecSetting and DCpermissionHierarchy::nextConfig.  An empty value counts as unset, as in param().
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from annexd.authorization.access_list import AccessList, read_list
from annexd.cedar.levels import Level

Param = Callable[[str], str | None]

_NEXT: dict[str, str] = {
    **dict.fromkeys(Level, "DEFAULT"),
    **dict.fromkeys((Level.ADVERTISE_STARTD, Level.ADVERTISE_SCHEDD, Level.ADVERTISE_MASTER), "DAEMON"),
}
_NO_DEFAULT = ("ALLOW", Level.ANNEX)  # an ALLOW_DEFAULT from before this level existed was not meant for it
_LEGACY_NEXT = {**_NEXT, "DAEMON": "WRITE"}  # LEGACY_ALLOW_SEMANTICS, set by use SECURITY:HOST_BASED
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class LevelLists:
    allow: AccessList | None = None
    deny: AccessList | None = None

    @property
    def present(self) -> tuple[AccessList, ...]:
        return tuple(found for found in (self.allow, self.deny) if found)


@dataclass(frozen=True)
class AccessLists:
    lists: dict[Level, LevelLists]
    warnings: tuple[str, ...]  # what an administrator should correct, without duplicates


def read_configuration(param: Param, subsystem: str) -> AccessLists:
    legacy, legacy_fault = _boolean(param, "LEGACY_ALLOW_SEMANTICS", default=False)
    equivalent, equivalent_fault = _boolean(param, "USE_POOL_USERNAME_EQUIVALENT", default=True)

    def lookup(kind: str, level: Level) -> AccessList | None:
        for knob in _knobs(kind, level, subsystem, _LEGACY_NEXT if legacy else _NEXT):
            if text := (param(knob) or "").strip():
                return read_list(knob, text, pool_equivalent=equivalent)
        return None

    lists = {level: LevelLists(lookup("ALLOW", level), lookup("DENY", level)) for level in Level}
    faults = [fault for level in Level for found in lists[level].present for fault in found.warnings]
    return AccessLists(lists, tuple(dict.fromkeys([*legacy_fault, *equivalent_fault, *faults])))


def _knobs(kind: str, level: Level, subsystem: str, following: dict[str, str]) -> Iterator[str]:
    name: str | None = level
    while name:
        yield f"{kind}_{name}_{subsystem}"
        yield f"{kind}_{name}"
        name = None if (kind, level) == _NO_DEFAULT else following.get(name)


def _boolean(param: Param, name: str, *, default: bool) -> tuple[bool, tuple[str, ...]]:
    text = (param(name) or "").strip()
    value = _BOOLEANS.get(text.lower())
    if value is None and text:
        return default, (f"{name} is {text!r}, neither true nor false; using {default}",)
    return default if value is None else value, ()
