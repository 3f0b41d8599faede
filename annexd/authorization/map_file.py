r"""The unified map file: from the name that a method proved to the user that ALLOW_* lists know (MapFile.cpp).

    # method  principal                             canonical user
    SSL       "^/DC=org/O=Example Site/CN=([^/]+)$"  \1@example.org
    SSL       /^/O=Elsewhere/CN=(.*)$/i              \1@elsewhere.org      only where keys are literal
    @include  /etc/condor/mapfiles.d

The first line of a method that fits decides.  A principal is a regular expression, searched for anywhere in the
name; where CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS is set it is the name itself, unless it stands between slashes.
Expressions are RE2's, whose time is bounded whatever name a stranger shows (pattern.py).  As in HTCondor, a line
that is broken is left out, and the rest counts; here the administrator hears of it.
"""

import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from annexd.authorization.pattern import Pattern, UnknownPattern, compile_pattern

INCLUDE = "@include"
_BLANKS = " \t\r\n"
_FLAGS = "iU"
_ESCAPE = re.compile(r"\\(.)")

ReadFiles = Callable[[str], Sequence[tuple[str, str]]]
"""From the path of a file or a directory to the names and texts of the files; raises OSError."""


class Field(NamedTuple):
    """One word of a line, and what stands behind it.  flags: of a word between slashes; None for any other."""

    text: str
    rest: str
    flags: str | None = None


@dataclass(frozen=True)
class _Expression:
    pattern: Pattern
    canonical: str


_Literals = dict[str, str]  # principal -> canonical user
_Rule = _Expression | _Literals


@dataclass(frozen=True)
class MapFile:
    """Of one configuration.  rules: by method in upper case, in their order.  warnings: for the log, once."""

    rules: Mapping[str, Sequence[_Rule]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str, read_files: ReadFiles, *, literal_keys: bool = False) -> Self:
        """literal_keys: CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS.  A file that cannot be read is a warning."""
        reader = _Reader(read_files, literal_keys)
        reader.read(path, may_include=True)
        return cls(reader.rules, tuple(reader.warnings))

    def canonical_user(self, method: str, name: str) -> str | None:
        """The user whom the first fitting line names, or None if no line fits."""
        for rule in self.rules.get(method.upper(), ()):
            if isinstance(rule, _Expression):
                if found := rule.pattern.search(name):
                    return _substitute(rule.canonical, found)
            elif name in rule:
                return _substitute(rule[name], [name])
        return None


def _substitute(canonical: str, groups: Sequence[str | None]) -> str:
    r"""\0 is what fitted, \1 to \9 are its groups; the number of one behind the last that took part stays."""
    taken = max(index for index, group in enumerate(groups) if group is not None) + 1

    def replace(escape: re.Match[str]) -> str:
        digit = escape.group(1)
        is_known = digit in string.digits and int(digit) < taken
        return groups[int(digit)] or "" if is_known else escape.group(0)

    return _ESCAPE.sub(replace, canonical)


class _Reader:
    """Reads a file and those that it includes, which may include no others."""

    def __init__(self, read_files: ReadFiles, literal_keys: bool) -> None:
        self.rules: dict[str, list[_Rule]] = {}
        self.warnings: list[str] = []
        self._read_files = read_files
        self._literal_keys = literal_keys

    def read(self, path: str, *, may_include: bool) -> None:
        try:
            files = self._read_files(path)
        except OSError as error:
            why = error.strerror or error
            self.warnings.append(f"the map file {path} cannot be read: {why}; its lines are missing")
            return
        for name, text in files:
            for number, line in enumerate(text.split("\n"), 1):
                self._line(f"{name}, line {number}", name, line, may_include=may_include)

    def _line(self, where: str, file: str, line: str, *, may_include: bool) -> None:
        method = next_field(line)
        try:
            if method.text == INCLUDE:
                self._include(file, next_field(method.rest).text, may_include=may_include)
            elif method.text and not method.text.startswith("#"):
                self._add(method)
        except _BrokenLine as fault:
            self.warnings.append(f"{where}: {fault}; this line of the map file is ignored")

    def _include(self, file: str, path: str, *, may_include: bool) -> None:
        if not may_include:
            raise _BrokenLine("a file that is included cannot include another")
        if not path:
            raise _BrokenLine("@include names no file")
        folder, slash, _ = file.rpartition("/")
        self.read(path if path.startswith("/") else f"{folder}{slash}{path}", may_include=False)

    def _add(self, method: Field) -> None:
        principal = next_field(method.rest, slashes=self._literal_keys)
        canonical = next_field(principal.rest)
        if not principal.text or not canonical.text:
            raise _BrokenLine("it needs a method, a principal and a canonical user")
        rules = self.rules.setdefault(method.text.upper(), [])
        if self._literal_keys and principal.flags is None:
            _add_literal(rules, principal.text, canonical.text)
        else:
            rules.append(_Expression(_compiled(principal), canonical.text))


class _BrokenLine(Exception):
    """Why a line cannot be used."""


def _add_literal(rules: list[_Rule], principal: str, canonical: str) -> None:
    """Neighbours share a table; the first line of a name counts."""
    table = rules[-1] if rules else None
    if not isinstance(table, dict):
        table = {}
        rules.append(table)
    table.setdefault(principal, canonical)


def _compiled(principal: Field) -> Pattern:
    flags = principal.flags or ""
    try:
        return compile_pattern(principal.text, ignore_case="i" in flags, ungreedy="U" in flags)
    except UnknownPattern as error:
        raise _BrokenLine(f"the regular expression {principal.text!r} cannot be used, {error}") from error


def next_field(line: str, *, slashes: bool = False) -> Field:
    """The next word of a line: plain, "quoted" or, if slashes count, between /slashes/ and flags.

    A quote or slash that is never closed ends with the line (MapFile::ParseField).
    """
    line = line.lstrip(_BLANKS)
    end = line[:1]
    if end == '"' or (end == "/" and slashes):
        text, rest = _delimited(line[1:], end)
        if end == '"':
            return Field(text, rest)
        after = rest.lstrip(_FLAGS)
        return Field(text, after, flags=rest[: len(rest) - len(after)])
    length = next((position for position, char in enumerate(line) if char in _BLANKS), len(line))
    return Field(line[:length], line[length:])


def _delimited(line: str, end: str) -> tuple[str, str]:
    r"""The text up to the delimiter, in which \ keeps its meaning but before itself and the delimiter."""
    text = ""
    chars: Iterator[tuple[int, str]] = enumerate(line)
    for position, char in chars:
        if char == end:
            return text, line[position + 1 :]
        if char != "\\":
            text += char
            continue
        _, following = next(chars, (0, ""))
        text += following if following in {end, "\\"} else f"\\{following}" if following else ""
    return text, ""
