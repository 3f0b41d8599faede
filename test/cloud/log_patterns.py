"""CloudWatch Logs' filter patterns, as far as annexd and its users need them: terms, and comparisons of JSON members.

Source (CERTAIN): CloudWatch Logs user guide, "Filter pattern syntax for metric filters, subscription filters, filter
log events, and Live Tail".  Unknown patterns are refused, as AWS refuses those that it cannot parse, so no pattern
works here by being misread.
"""

from __future__ import annotations

import fnmatch
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Matches = Callable[[str], bool]
TERM = re.compile(r'\s*(?P<mark>[?-]?)(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|(?P<word>\w+))(?=\s|$)', re.ASCII)
COMPARISON = re.compile(
    r"""\s*\$\.(?P<path>\w+(?:\.\w+)*)\s*
        (?:(?P<operator>=|!=|<=|>=|<|>)\s*(?:"(?P<text>[^"]*)"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z*][\w*]*))
        |(?P<is>IS\s+(?:TRUE|FALSE|NULL)|NOT\s+EXISTS))\s*""",
    re.VERBOSE | re.ASCII,
)
NUMERIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ABSENT = object()
CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}


class PatternError(ValueError):
    """A pattern that CloudWatch Logs refuses with InvalidParameterException: Invalid filter pattern."""


def compiled(pattern: str) -> Matches:
    text = pattern.strip()
    if not text:
        return lambda _: True
    if text.startswith("{") and text.endswith("}"):
        return _of_json(text[1:-1])
    return _of_terms(text)


def _of_terms(text: str) -> Matches:
    """Match messages with all plain terms, none of those with -, and one of those with ? if there are any."""
    found: dict[str, list[str]] = {"": [], "?": [], "-": []}
    position = 0
    while position < len(text):
        match = TERM.match(text, position)
        if match is None:
            raise PatternError(f"Invalid filter pattern: {text}")  # such as a-b, which must be quoted
        found[match["mark"]].append(match["word"] or re.sub(r"\\(.)", r"\1", match["phrase"]))
        position = match.end()

    def matches(message: str) -> bool:
        return (
            all(_holds(term, message) for term in found[""])
            and not any(_holds(term, message) for term in found["-"])
            and (not found["?"] or any(_holds(term, message) for term in found["?"]))
        )

    return matches


def _holds(term: str, message: str) -> bool:
    """Return whether the term is a word of its own.

    Whether AWS also finds parts of words is UNKNOWN, and not to be relied on.
    """
    return re.search(rf"(?<!\w){re.escape(term)}(?!\w)", message) is not None


def _of_json(text: str) -> Matches:
    """Compile comparisons joined by && and ||, of which && binds closer.  Parentheses are not emulated."""
    groups = [[_comparison(each) for each in group.split("&&")] for group in text.split("||")]

    def matches(message: str) -> bool:
        try:
            members = json.loads(message)
        except ValueError:
            return False
        return isinstance(members, dict) and any(all(each(members) for each in group) for group in groups)

    return matches


def _comparison(text: str) -> Callable[[Mapping[str, Any]], bool]:
    match = COMPARISON.fullmatch(text)
    if match is None:
        raise PatternError(f"Invalid filter pattern: {text}")
    path = match["path"].split(".")
    if match["is"]:
        word = match["is"].split()[-1]
        wanted = CONSTANTS.get(word, ABSENT)
        return lambda members: _member(members, path) is wanted
    if match["number"]:
        compare, number = NUMERIC[match["operator"]], float(match["number"])
        return lambda members: _is_number(found := _member(members, path)) and bool(compare(found, number))
    if match["operator"] not in {"=", "!="}:
        raise PatternError(f"Invalid filter pattern: {text}")
    pattern, equal = match["word"] if match["text"] is None else match["text"], match["operator"] == "="
    like = re.compile(fnmatch.translate(pattern.replace("[", "[[]").replace("?", "[?]")))
    return lambda members: isinstance(found := _member(members, path), str) and bool(like.match(found)) == equal


def _is_number(found: object) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _member(members: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(members, dict) or name not in members:
            return ABSENT
        members = members[name]
    return members
