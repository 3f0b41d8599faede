"""What may go into HTCondor's bindings: plain values without what ends the process there.

Measured with 25.14.1: a lone surrogate in an ad's string is a segmentation fault, and so are lists nested 50,000 deep
and an expression of 300,000 additions; an integer of more than 64 bits is a SystemError, a NUL a ValueError.  Words
for people to read are made safe; whatever decides something is refused as Unsafe instead, since it would be another.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

MAX_CHARACTERS: Final = 1_000_000  # of one text
MAX_AD_CHARACTERS: Final = 20_000_000  # of an ad
MAX_VALUES: Final = 200_000
MAX_DEPTH: Final = 20  # of lists and ads in each other, as in an ad that is read from the network
MAX_SHOWN: Final = 4_000  # characters of a text for people
MAX_EXPRESSION_CHARACTERS: Final = 200_000  # characters
MAX_OPERATORS: Final = 10_000  # each may be one level deeper; 150,000 are survived with 8 MB of stack
INTEGERS: Final = range(-(2**63), 2**63)
C_INTEGERS: Final = range(-(2**31), 2**31)

REPLACEMENT: Final = "\ufffd"
FATAL: Final = re.compile("[\0\ud800-\udfff]")
ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
ANY_NAME: Final = re.compile("[^\0\ud800-\udfff]{1,255}")  # what an ad holds, and an expression can quote
KNOB: Final = re.compile(r"[!-~]{1,255}")
POOL: Final = re.compile(r"[!-~]{1,2000}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_OPERATOR = re.compile(r"[-+*/%&|^~!<>=?:.(\[{]|\bis(?:nt)?\b", re.IGNORECASE)
_SINFUL = re.compile(r"<(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,255}):(?P<port>\d{1,5})(?:\?[!#-;=?-~]{0,1500})?>")


class Unsafe(ValueError):
    """The bindings must not be given this; the text says why, without quoting it at length."""


def display_text(text: str) -> str:
    """A text for people: what kills is replaced, and the rest of a long one left out."""
    return FATAL.sub(REPLACEMENT, text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "...")


def checked_text(text: str, most: int = MAX_CHARACTERS) -> str:
    """The text itself.  Raises Unsafe."""
    if len(text) > most:
        raise Unsafe(f"a text of {len(text)} characters is too long (at most {most})")
    if found := FATAL.search(text):
        raise Unsafe(f"a text holds the character {found[0]!r}")
    return text


def name(text: str, syntax: re.Pattern[str] = ATTRIBUTE) -> str:
    """Raises Unsafe."""
    if not syntax.fullmatch(text):
        raise Unsafe(f"{text[:60]!r} is no name")
    return text


def integer(value: int, of: range = INTEGERS) -> int:
    """Raises Unsafe."""
    if value not in of:
        raise Unsafe(f"a number is not between {of[0]} and {of[-1]}")
    return value


def expression(text: str) -> str:
    """An expression that neither parsing nor evaluation carries too deep.  Raises Unsafe."""
    checked_text(text, MAX_EXPRESSION_CHARACTERS)
    operators = sum(1 for _ in _OPERATOR.finditer(_QUOTED.sub("", text)))
    if operators > MAX_OPERATORS:
        raise Unsafe(f"an expression of {operators} operators is too deep (at most {MAX_OPERATORS})")
    return text


def setting(knob: str, text: str) -> str:
    """What a knob may be set to: nothing that names the knob, which would be expanded for ever.  Raises Unsafe."""
    if re.search(rf"\$\w*\(\s*{re.escape(name(knob, KNOB))}\b", text, re.IGNORECASE):
        raise Unsafe(f"{knob} is set to a text that refers to {knob}")
    return checked_text(text)


def address(text: str) -> str:
    """`<host:port?parameters>`.  Raises Unsafe."""
    match = _SINFUL.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise Unsafe(f"not an address: {text[:200]!r}")
    return text


def pool(text: str) -> str:
    """A collector: an address, or host and port.  Raises Unsafe."""
    return address(text) if text.startswith("<") else name(text, POOL)


def display_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes for people: texts as `words` has them; what has no name, or is no value, is left out."""
    copy = _Copy(is_exact=False)
    found = {}
    for key, value in values.items():
        try:
            found[name(key)] = copy.value(value, MAX_DEPTH)
        except Unsafe:
            continue
    return found


def checked_attributes(values: Mapping[str, Any], syntax: re.Pattern[str] = ATTRIBUTE) -> dict[str, Any]:
    """These very attributes.  Raises Unsafe, with the attribute's name."""
    copy = _Copy(is_exact=True, syntax=syntax)
    found = {}
    for key, value in values.items():
        try:
            found[name(key, syntax)] = copy.value(value, MAX_DEPTH)
        except Unsafe as error:
            raise Unsafe(f"attribute {key[:60]!r}: {error}") from error
    return found


class _Copy:
    """One ad's values on their way; counts them over all."""

    def __init__(self, *, is_exact: bool, syntax: re.Pattern[str] = ATTRIBUTE) -> None:
        self.is_exact, self.syntax = is_exact, syntax
        self.values = self.characters = 0

    def value(self, value: Any, levels: int) -> Any:
        """Raises Unsafe."""
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
        raise Unsafe(f"{type(value).__name__} is no value of an ad")


def _items(value: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        if not isinstance(key, str):
            raise Unsafe(f"{type(key).__name__} is no name")
        yield key, each
