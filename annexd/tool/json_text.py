"""Parse JSON, or report where it is broken and what was probably meant.

Comments are accepted with a note: editors write them (VS Code calls this JSONC), and they are unambiguous.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

# For a text that may be broken: whole strings come first, so that their content is skipped.
TOKEN: Final = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/|[\[\]{}]', re.DOTALL)
CLOSES: Final = {"]": "[", "}": "{"}
NAMES: Final = {"[": "array", "{": "object"}


class BadJson(Exception):
    """The text is not usable JSON; the message says why and where."""


def parsed(content: bytes) -> tuple[Any, list[str]]:
    """Return the value, and notes for the user.  Raises BadJson."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadJson(f"is not UTF-8 at byte {error.start}") from error
    if not text.strip():
        raise BadJson("is empty")
    try:
        return _loaded(text), []
    except BadJson:
        plain, count = _without_comments(text)
        if not count:
            raise
        return _loaded(plain), [f"{count} comment{'s' if count > 1 else ''} ignored: JSON has no comments"]


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise BadJson(f"is not JSON: {_words(text, error)}") from error
    except RecursionError as error:
        raise BadJson("is nested too deeply") from error
    except ValueError as error:  # from the hooks below, and for numbers with thousands of digits
        raise BadJson(f"cannot be used: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object without names that differ only in case: ClassAd names are case-insensitive."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name.lower() in seen:
            raise ValueError(f"{json.dumps(name)} appears twice")
        seen.add(name.lower())
    return dict(pairs)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a number in JSON")


def _without_comments(text: str) -> tuple[str, int]:
    """Replace comments by blanks, so that lines and columns stay, and count them."""
    count = 0

    def blank(found: "re.Match[str]") -> str:
        nonlocal count
        if not found[0].startswith("/"):
            return found[0]
        count += 1
        return re.sub(r"[^\n]", " ", found[0])

    return TOKEN.sub(blank, text), count


def _words(text: str, error: json.JSONDecodeError) -> str:
    where = f"line {error.lineno}, column {error.colno}"
    return next((hint for look in _LOOKS if (hint := look(text, error, where))), f"{error.msg} at {where}")


def _cut_off(text: str, error: json.JSONDecodeError, where: str) -> str | None:
    if text[error.pos :].strip() and not error.msg.startswith("Unterminated string"):
        return None
    is_open = list(_open_at_end(text))
    if not is_open:
        return None
    kind, line = is_open[-1]
    return f"it ends at {where} inside the {kind} that begins in line {line}: was it cut off?"


def _open_at_end(text: str) -> Iterator[tuple[str, int]]:
    """Yield each open bracket or string with its line."""
    begun: list[tuple[str, int]] = []
    for token in TOKEN.finditer(text):
        if token[0] in NAMES:
            begun.append((token[0], text.count("\n", 0, token.start()) + 1))
        elif begun and CLOSES.get(token[0]) == begun[-1][0]:
            begun.pop()
    yield from ((NAMES[bracket], line) for bracket, line in begun)


def _line_break(_: str, error: json.JSONDecodeError, where: str) -> str | None:
    """Explain a line break in a string, as in a heredoc with the output of `base64`, which wraps its lines."""
    if not error.msg.startswith("Invalid control character"):
        return None
    return f"a string contains a line break at {where}: JSON uses \\n for it; base64 -w 0 writes one line"


def _comma_missing(text: str, error: json.JSONDecodeError, where: str) -> str | None:
    if error.msg.startswith("Expecting ',' delimiter") and text[error.pos] in '{["-0123456789tfn':
        return f"a comma is missing before {where}"
    return None


def _comma_too_many(text: str, error: json.JSONDecodeError, where: str) -> str | None:
    """Explain a trailing comma: Python 3.13 reports the comma's position, older versions the next bracket's."""
    here = text[error.pos : error.pos + 1]
    if here == "," or (here in CLOSES and text[: error.pos].rstrip().endswith(",")):
        return f"there is an extra comma at {where}"
    return None


_LOOKS: Final[tuple[Callable[[str, json.JSONDecodeError, str], str | None], ...]] = (
    _cut_off,
    _line_break,
    _comma_missing,
    _comma_too_many,
)
