r"""Read the unified map file, which maps authenticated names to the users of ALLOW_* lists (MapFile.cpp).

    # method  principal                             canonical user
    SSL       "^/DC=org/O=Example Site/CN=([^/]+)$"  \1@example.org
    SSL       /^/O=Elsewhere/CN=(.*)$/i              \1@elsewhere.org      only with literal keys
    @include  /etc/condor/mapfiles.d

The first matching line of a method decides.  A principal is a regular expression, searched for anywhere in the name.
With CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS it is the literal name, unless it is between slashes.  RE2 evaluates the
expressions, in bounded time for any name (pattern.py).  As in HTCondor, a malformed line is ignored, but with a
warning.
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
"""Maps the path of a file or directory to the names and texts of its files; raises OSError."""


class Field(NamedTuple):
    """A word of a line and the rest of the line.  flags: of a word between slashes; otherwise None."""

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
    """The map of one configuration.  rules: in order, by method in upper case.  warnings: to log once."""

    rules: Mapping[str, Sequence[_Rule]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str, read_files: ReadFiles, *, literal_keys: bool = False) -> Self:
        """Read a map file; an unreadable one gives a warning.

        literal_keys: CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS.
        """
        reader = _Reader(read_files, literal_keys)
        reader.read(path, may_include=True)
        return cls(reader.rules, tuple(reader.warnings))

    def canonical_user(self, method: str, name: str) -> str | None:
        """Return the user of the first matching line, or None."""
        for rule in self.rules.get(method.upper(), ()):
            if isinstance(rule, _Expression):
                if found := rule.pattern.search(name):
                    return _substitute(rule.canonical, found)
            elif name in rule:
                return _substitute(rule[name], [name])
        return None


def _substitute(canonical: str, groups: Sequence[str | None]) -> str:
    r"""Replace \0 by the match and \1 to \9 by its groups; numbers after the last matched group stay literal."""
    taken = max(index for index, group in enumerate(groups) if group is not None) + 1

    def replace(escape: re.Match[str]) -> str:
        digit = escape.group(1)
        is_known = digit in string.digits and int(digit) < taken
        return groups[int(digit)] or "" if is_known else escape.group(0)

    return _ESCAPE.sub(replace, canonical)


class _Reader:
    """Reads a file and the files it includes, which cannot include others."""

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
            self.warnings.append(f"the map file {path} cannot be read: {why}; its lines are ignored")
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
            raise _BrokenLine("an included file cannot include another")
        if not path:
            raise _BrokenLine("@include names no file")
        folder, slash, _ = file.rpartition("/")
        self.read(path if path.startswith("/") else f"{folder}{slash}{path}", may_include=False)

    def _add(self, method: Field) -> None:
        principal = next_field(method.rest, slashes=self._literal_keys)
        canonical = next_field(principal.rest)
        if not principal.text or not canonical.text:
            raise _BrokenLine("a line needs a method, a principal and a canonical user")
        rules = self.rules.setdefault(method.text.upper(), [])
        if self._literal_keys and principal.flags is None:
            _add_literal(rules, principal.text, canonical.text)
        else:
            rules.append(_Expression(_compiled(principal), canonical.text))


class _BrokenLine(Exception):
    """A line is malformed; the text says why."""


def _add_literal(rules: list[_Rule], principal: str, canonical: str) -> None:
    """Add a literal name; adjacent literals share a table, in which the first line of a name counts."""
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
        raise _BrokenLine(f"invalid regular expression {principal.text!r}: {error}") from error


def next_field(line: str, *, slashes: bool = False) -> Field:
    """Split off the next word of a line: plain, "quoted" or, with `slashes`, /between slashes/ and with flags.

    An unterminated quote or slash extends to the end of the line (MapFile::ParseField).
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
    r"""Split at the delimiter `end`; \ escapes itself and the delimiter, and is literal otherwise."""
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
