"""Read ClassAds as plain values, without evaluating anything, and write flat ads.

An ad is sent as lines `Name = expression` in the old syntax, in which a backslash is an ordinary character except
before a quote.  classad2 could read them too, but 600 kB of `1+1+1+...` overflow its stack and end the process
(measured with 25.14.1).  This reader accepts literals, lists and nested ads; anything else is refused with the name of
the attribute.

The syntax cannot express every string.  A backslash at the end of a string inside a list or nested ad escapes the
closing quote (in HTCondor's reader too), and HTCondor's reader takes a quote before a newline for the end.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from annexd.cedar.errors import MalformedMessage, PeerError, TooLarge

Scalar = bool | int | float | str | None  # None is UNDEFINED
Value = Scalar | list["Value"] | dict[str, "Value"]

INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class AdLimits:
    """Limits for one ad: top-level attributes, values in total, and nesting depth."""

    attributes: int = 1000
    values: int = 200_000
    depth: int = 20


HANDSHAKE_AD = AdLimits(attributes=100, values=100, depth=0)  # as getPODClassAd; an honest client sends about 20

# Includes the value if it is a string without quotes, as most are.
_LINE = re.compile(r'[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?:"([^"]*+)"[ \t\r\n]*+\Z)?')
# A whole line of an ad in clear; matches nearly all lines of a handshake.
_PLAIN_LINE = re.compile(r'(?<![^\0])([A-Za-z_]\w*+) = (?:"([^"\0]*+)"|([1-9][0-9]{0,17}|true|false))\0', re.ASCII)
_TOKEN = re.compile(
    r"""[ \t\r\n]*+(?:
      (?P<string> "(?: [^"\\]++ | \\"(?!\Z) | \\(?!") )*+ \\?" )
    | (?P<real>   -?(?: [0-9]*\.[0-9]+ | [0-9]+(?=[eE]) )(?: [eE][+-]?[0-9]+ )?(?![\w.]) )
    | (?P<integer>-?(?: 0 | [1-9][0-9]* )(?![\w.]) )
    | (?P<name>   [A-Za-z_][A-Za-z0-9_]* | '(?: [^'\\]++ | \\'(?!\Z) | \\(?!') )*+ ' )
    | (?P<mark>   [\[\]{};,=] )
    )""",
    re.VERBOSE,
)
_SMALL_INTEGER = re.compile(r"[1-9][0-9]{0,17}")
_SPACE = " \t\r\n"
_KEYWORDS: Mapping[str, Scalar] = {"true": True, "false": False, "undefined": None}
_MAX_DIGITS = 400  # int() and float() accept any number
_MAX_SHOWN = 60  # characters of a name; an error is one log line


class _NotPlain(Exception):
    """The value is not a literal, list or ad."""


def plain_ad(lines: str) -> dict[str, Value]:
    """Return the simplest attributes by lower-case name: strings without quotes, small numbers, true and false.

    lines: each ends with NUL.  The result is complete if it has as many attributes as there are lines: none was left
    out, and none is duplicated.
    """
    return {
        name.lower(): text if not word else _KEYWORDS[word] if word in _KEYWORDS else int(word)
        for name, text, word in _PLAIN_LINE.findall(lines)
    }


class AdReader:
    """Collects the attributes of one ad, line by line."""

    def __init__(self, limits: AdLimits) -> None:
        self.attributes: dict[str, Value] = {}
        self._names: set[str] = set()
        self._limits = limits
        self._budget = _Budget(limits.values)

    def line(self, line: str) -> None:
        """Add one `Name = value`.  Raises PeerError."""
        match = _LINE.match(line)
        if not match:
            raise MalformedMessage("malformed ClassAd", "a line does not have the form Name = value")
        name, text = match.groups()
        folded = name.lower()
        if folded in self._names:
            raise MalformedMessage("malformed ClassAd", f"attribute {name[:_MAX_SHOWN]} is duplicated")
        self._names.add(folded)
        if text is not None:
            self._budget.spend()
            self.attributes[name] = text
            return
        try:
            self.attributes[name] = self._value(line[match.end() :].rstrip(_SPACE))
        except _NotPlain as error:
            raise _refusal(name[:_MAX_SHOWN], error, self._limits) from error

    def _value(self, text: str) -> Value:
        if text in _KEYWORDS or _SMALL_INTEGER.fullmatch(text):
            self._budget.spend()
            return _KEYWORDS[text] if text in _KEYWORDS else int(text)
        inner = text[1:-1]
        if len(text) >= 2 and text[0] == text[-1] == '"' and '"' not in inner.replace('\\"', ""):
            self._budget.spend()
            return inner.replace('\\"', '"')
        return _Parser(text, self._budget, self._limits.depth).whole()


def _refusal(name: str, fault: _NotPlain, limits: AdLimits) -> PeerError:
    if limits.depth:
        accepted = "numbers, strings, booleans, UNDEFINED, lists and nested ads"
    else:
        accepted = "numbers, strings, booleans and UNDEFINED"
    return MalformedMessage(
        f"attribute {name} is not a plain value",
        f"{fault}; {accepted} are accepted",
        f"send {name} as a literal",
    )


class _Budget:
    def __init__(self, values: int) -> None:
        self._allowed = values
        self._left = values

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooLarge("too many values in a ClassAd", f"more than {self._allowed}")


class _Parser:
    """Parses one expression; recurses at most `depth` levels."""

    def __init__(self, text: str, budget: _Budget, depth: int) -> None:
        self._text = text
        self._position = 0
        self._budget = budget
        self._depth = depth

    def whole(self) -> Value:
        value = self._value(self._next(), self._depth)
        if self._text[self._position :].strip(_SPACE):
            raise _NotPlain(f"unexpected text, such as an operator, at character {self._position + 1}")
        return value

    def _next(self) -> re.Match[str]:
        match = _TOKEN.match(self._text, self._position)
        if not match:
            raise _NotPlain(f"no value at character {self._position + 1}")
        self._position = match.end()
        return match

    def _value(self, token: re.Match[str], depth: int) -> Value:
        self._budget.spend()
        kind, text = token.lastgroup, token[token.lastgroup or 0]
        if kind == "string":
            return text[1:-1].replace('\\"', '"')
        if kind in {"integer", "real"}:
            return _number(kind, text)
        if kind == "name":
            return _keyword(text, token.start(kind))
        return self._container(text, token.start("mark"), depth)

    def _container(self, mark: str, position: int, depth: int) -> Value:
        if mark not in "{[":
            raise _NotPlain(f"{mark} instead of a value at character {position + 1}")
        if depth == 0:
            raise _NotPlain(f"a list or ad at character {position + 1} is nested too deeply")
        return self._list(depth - 1) if mark == "{" else self._ad(depth - 1)

    def _list(self, depth: int) -> list[Value]:
        items: list[Value] = []
        token = self._next()
        if token["mark"] == "}":
            return items
        while True:
            items.append(self._value(token, depth))
            if self._mark(",}") == "}":
                return items
            token = self._next()

    def _ad(self, depth: int) -> dict[str, Value]:
        attributes: dict[str, Value] = {}
        seen: set[str] = set()
        while (token := self._next())["mark"] != "]":
            name = self._name(token)
            if name.lower() in seen:
                raise _NotPlain(f"{name[:_MAX_SHOWN]} is duplicated in a nested ad")
            seen.add(name.lower())
            self._mark("=")
            attributes[name] = self._value(self._next(), depth)
            if self._mark(";]") == "]":
                break
        return attributes

    def _name(self, token: re.Match[str]) -> str:
        name = token["name"]
        if not name:
            raise _NotPlain(f"no attribute name before character {self._position + 1}")
        return name[1:-1].replace("\\'", "'") if name[0] == "'" else name

    def _mark(self, accepted: str) -> str:
        mark: str | None = self._next()["mark"]
        if not mark or mark not in accepted:
            raise _NotPlain(f"{' or '.join(accepted)} is missing before character {self._position + 1}")
        return mark


def _number(kind: str, text: str) -> int | float:
    if len(text) > _MAX_DIGITS:
        raise _NotPlain("a number has too many digits")
    number = int(text) if kind == "integer" else float(text)
    if isinstance(number, int) and number not in INTEGERS:
        raise _NotPlain("an integer does not fit into 64 bits")
    if not math.isfinite(number):
        raise _NotPlain("a real number is out of range")
    return number


def _keyword(text: str, position: int) -> Scalar:
    try:
        return _KEYWORDS[text.lower()]
    except KeyError:
        raise _NotPlain(f"a reference or function at character {position + 1}") from None


def line_of(name: str, value: Scalar) -> str:
    """Format `Name = value` as HTCondor does; text that its reader cannot take is approximated."""
    return f"{name} = {_quoted(value) if isinstance(value, str) else _expression(value)}"


def _expression(value: bool | int | float | None) -> str:
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _real(value)
    if value not in INTEGERS:
        raise ValueError(f"{value} does not fit into 64 bits")
    return str(value)


def _quoted(value: str) -> str:
    """Quote a string, with a space between a quote and a newline, which HTCondor's reader would take for the end."""
    if '"' not in value and "\0" not in value:
        return f'"{value}"'
    readable = value.replace("\0", "\N{REPLACEMENT CHARACTER}").replace('"\n', '" \n')
    return '"' + readable.replace('"', '\\"') + '"'


def _real(value: float) -> str:
    if not math.isfinite(value):
        return "undefined"
    text = f"{value:.16G}" if float(f"{value:.16G}") == value else f"{value:.17G}"
    return text if any(mark in text for mark in ".E") else f"{text}.0"
