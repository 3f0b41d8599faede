"""Parse an ALLOW_* or DENY_* list and match peers with it."""

import re
from dataclasses import dataclass

from annexd.authorization.entry import Entry, fault, parse_entry
from annexd.authorization.peer import AccessCheck

_SEPARATOR = re.compile(r"[, \t\r\n]")  # StringTokenIterator's
_SPACE = " \t\r\n\v\f"


@dataclass(frozen=True)
class AccessList:
    knob: str  # the knob that defines it, such as ALLOW_DEFAULT or ALLOW_WRITE_ANNEXD
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]

    def match(self, check: AccessCheck) -> Entry | None:
        """Return an entry that matches the peer, or None.  Tries entries that need no lookup first."""
        candidates = [entry for entry in self.entries if entry.admits_user(check.user)]
        candidates.sort(key=lambda entry: entry.needs_lookup)
        return next((entry for entry in candidates if check.comes_from(entry)), None)


def read_list(knob: str, text: str, *, pool_equivalent: bool) -> AccessList:
    entries = tuple(parse_entry(word, pool_equivalent=pool_equivalent) for word in _words(text))
    problems = ((entry, fault(entry)) for entry in entries)
    warnings = tuple(f"{knob}: check {entry.text!r}: {problem}" for entry, problem in problems if problem)
    return AccessList(knob, entries, warnings)


def _words(text: str) -> list[str]:
    words = (word.strip(_SPACE) for word in _SEPARATOR.split(text))
    return [word for word in words if word]
