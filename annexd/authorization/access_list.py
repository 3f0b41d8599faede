"""One ALLOW_* or DENY_* list as it stands in the configuration, parsed once."""

import re
from dataclasses import dataclass

from annexd.authorization.entry import Entry, fault, parse_entry
from annexd.authorization.peer import Visit

_SEPARATOR = re.compile(r"[, \t\r\n]")  # StringTokenIterator's
_SPACE = " \t\r\n\v\f"


@dataclass(frozen=True)
class AccessList:
    knob: str  # where it was found: perhaps ALLOW_DEFAULT, or ALLOW_WRITE_ANNEXD
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]

    def match(self, visit: Visit) -> Entry | None:
        """The entry that lists this peer; entries that need no host name are tried first."""
        candidates = [entry for entry in self.entries if entry.admits_user(visit.user)]
        candidates.sort(key=lambda entry: entry.is_by_name)
        return next((entry for entry in candidates if visit.comes_from(entry)), None)


def read_list(knob: str, text: str, *, denies: bool, pool_equivalent: bool) -> AccessList:
    entries, warnings = [], []
    for word in _words(text):
        if word.startswith("+"):
            entry, problem = _netgroup(word, denies=denies)
        else:
            entry = parse_entry(word, pool_equivalent=pool_equivalent)
            problem = fault(entry)
        entries.append(entry)
        if problem:
            warnings.append(f"{knob}: check {word!r}: {problem}")
    return AccessList(knob, tuple(entries), tuple(warnings))


def _words(text: str) -> list[str]:
    words = (word.strip(_SPACE) for word in _SEPARATOR.split(text))
    return [word for word in words if word]


def _netgroup(word: str, *, denies: bool) -> tuple[Entry, str | None]:
    """Its members are unknown, so an ALLOW list admits none of them, and a DENY list lets nobody by."""
    effect = "denies everybody" if denies else "admits nobody"
    problem = f"annexd does not look up netgroups, so that this one {effect}; list its users instead"
    return Entry(word, users=("*",) if denies else (), host="*"), problem
