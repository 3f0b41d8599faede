"""Check values before they go to HTCondor's bindings, since some values crash the process there.

Measured with 25.14.1: a lone surrogate in an ad's string, lists nested 50,000 deep and an expression of 300,000
additions are segmentation faults; an integer of more than 64 bits is a SystemError, a NUL a ValueError.  Text for
display is sanitized.  Everything else is refused as Unsafe, since a changed value would mean something else.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

MAX_CHARACTERS: Final = 1_000_000  # of one text
MAX_AD_CHARACTERS: Final = 20_000_000  # of an ad
MAX_VALUES: Final = 200_000
MAX_DEPTH: Final = 20  # of nested lists and ads, as in ads from the network
MAX_SHOWN: Final = 4_000  # characters of a text for display
MAX_EXPRESSION_CHARACTERS: Final = 200_000  # characters
MAX_OPERATORS: Final = 10_000  # each may add a level of recursion; 8 MB of stack survive 150,000
INTEGERS: Final = range(-(2**63), 2**63)
C_INTEGERS: Final = range(-(2**31), 2**31)

REPLACEMENT: Final = "\ufffd"
FATAL: Final = re.compile("[\0\ud800-\udfff]")
ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
ANY_NAME: Final = re.compile("[^\0\ud800-\udfff]{1,255}")  # what an ad can hold and an expression can quote
KNOB: Final = re.compile(r"[!-~]{1,255}")
POOL: Final = re.compile(r"[!-~]{1,2000}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_OPERATOR = re.compile(r"[-+*/%&|^~!<>=?:.(\[{]|\bis(?:nt)?\b", re.IGNORECASE)
_SINFUL = re.compile(r"<(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,255}):(?P<port>\d{1,5})(?:\?[!#-;=?-~]{0,1500})?>")


class Unsafe(ValueError):
    """The bindings must not get this value; the text says why, quoting only part of it."""


def display_text(text: str) -> str:
    """Sanitize a text for display: replace fatal characters, and truncate it."""
    return FATAL.sub(REPLACEMENT, text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "...")


def checked_text(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return the text unchanged.  Raises Unsafe."""
    if len(text) > limit:
        raise Unsafe(f"a text of {len(text)} characters is too long (at most {limit})")
    if found := FATAL.search(text):
        raise Unsafe(f"a text contains the character {found[0]!r}")
    return text


def name(text: str, syntax: re.Pattern[str] = ATTRIBUTE) -> str:
    """Return a name that matches the syntax.  Raises Unsafe."""
    if not syntax.fullmatch(text):
        raise Unsafe(f"{text[:60]!r} is not a valid name")
    return text


def integer(value: int, of: range = INTEGERS) -> int:
    """Return an integer of the range.  Raises Unsafe."""
    if value not in of:
        raise Unsafe(f"a number is not between {of[0]} and {of[-1]}")
    return value


def expression(text: str) -> str:
    """Return an expression that can be parsed and evaluated without deep recursion.  Raises Unsafe."""
    checked_text(text, MAX_EXPRESSION_CHARACTERS)
    operators = sum(1 for _ in _OPERATOR.finditer(_QUOTED.sub("", text)))
    if operators > MAX_OPERATORS:
        raise Unsafe(f"an expression has {operators} operators (at most {MAX_OPERATORS})")
    return text


def setting(knob: str, text: str) -> str:
    """Return the new value of a knob; refuse a self-reference, whose expansion never ends.  Raises Unsafe."""
    if re.search(rf"\$\w*\(\s*{re.escape(name(knob, KNOB))}\b", text, re.IGNORECASE):
        raise Unsafe(f"the value of {knob} refers to {knob} itself")
    return checked_text(text)


def address(text: str) -> str:
    """Return an address `<host:port?parameters>`.  Raises Unsafe."""
    match = _SINFUL.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise Unsafe(f"not an address: {text[:200]!r}")
    return text


def pool(text: str) -> str:
    """Return the address, or host and port, of a collector.  Raises Unsafe."""
    return address(text) if text.startswith("<") else name(text, POOL)


def display_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Sanitize attributes for display: texts as in display_text; invalid names and values are left out."""
    copy = _Copy(is_exact=False)
    found = {}
    for key, value in values.items():
        try:
            found[name(key)] = copy.value(value, MAX_DEPTH)
        except Unsafe:
            continue
    return found


def checked_attributes(values: Mapping[str, Any], syntax: re.Pattern[str] = ATTRIBUTE) -> dict[str, Any]:
    """Return the attributes unchanged.  Raises Unsafe, with the name of the attribute."""
    copy = _Copy(is_exact=True, syntax=syntax)
    found = {}
    for key, value in values.items():
        try:
            found[name(key, syntax)] = copy.value(value, MAX_DEPTH)
        except Unsafe as error:
            raise Unsafe(f"attribute {key[:60]!r}: {error}") from error
    return found


class _Copy:
    """Copies the values of one ad, and counts them in total."""

    def __init__(self, *, is_exact: bool, syntax: re.Pattern[str] = ATTRIBUTE) -> None:
        self.is_exact, self.syntax = is_exact, syntax
        self.values = self.characters = 0

    def value(self, value: Any, levels: int) -> Any:
        """Copy a value, nested at most `levels` deep.  Raises Unsafe."""
        self.values += 1
        if self.values > MAX_VALUES or levels < 0:
            raise Unsafe(f"more than {MAX_DEPTH} levels or {MAX_VALUES} values")
        if isinstance(value, Mapping):
            return {name(key, self.syntax): self.value(each, levels - 1) for key, each in _items(value)}
        if isinstance(value, list | tuple):
            return [self.value(each, levels - 1) for each in value]
        return self._scalar(value)

    def _scalar(self, value: Any) -> Any:
        if isinstance(value, str):
            self.characters += len(value)
            if self.characters > MAX_AD_CHARACTERS:
                raise Unsafe(f"more than {MAX_AD_CHARACTERS} characters")
            return checked_text(value) if self.is_exact else display_text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return integer(value)
        if value is None or isinstance(value, bool | float):
            return value
        raise Unsafe(f"{type(value).__name__} is not a value of an ad")


def _items(value: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        if not isinstance(key, str):
            raise Unsafe(f"{type(key).__name__} is not a name")
        yield key, each
