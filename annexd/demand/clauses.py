"""Split a ClassAd expression into the clauses that must all be true, to name the one that refuses.

The text is the ClassAd library's output for a parsed expression, so it is valid and its operators are written in one
way.  Nothing here recurses or takes more than linear time for each pass, whatever a user wrote.
"""

import re
from collections.abc import Iterator
from typing import Final

MAX_CLAUSES: Final = 1000
MAX_SCANNED: Final = 1_000_000  # characters, of all passes: nested parentheses are read once for each level
MAX_SHOWN: Final = 200  # characters of a clause
ELLIPSIS: Final = "..."
_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|=\?=|&&|\|\||[()\[\]{}?]""", re.DOTALL)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def clauses(text: str) -> list[str]:
    """Return the operands of all && that decide by themselves, also within parentheses, in order."""
    found: list[str] = []
    waiting = [text]
    left = MAX_SCANNED
    while waiting:
        part = waiting.pop().strip()
        left -= len(part)
        inner = [] if left < 0 or len(found) + len(waiting) >= MAX_CLAUSES else _operands(part)
        if inner:
            waiting.extend(reversed(inner))
        else:
            found.append(part)
    return found


def shown(clause: str) -> str:
    """Return a clause as one short line."""
    line = " ".join(clause.split())
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - len(ELLIPSIS)] + ELLIPSIS


def _operands(text: str) -> list[str]:
    """Return the operands of &&, or the content of the outermost parentheses; empty if it is one clause."""
    ands: list[tuple[int, int]] = []
    closed_at = 0  # the position at which the first bracket is closed
    for token, depth, start, end in _tokens(text):
        if depth == 0 and token in {"||", "?"}:  # both bind less tightly than &&
            return []
        if depth == 0 and token == "&&":  # noqa: S105 - an operator
            ands.append((start, end))
        if depth == 0 and token in _CLOSING and not closed_at:
            closed_at = end
    if ands:
        ends = [start for start, _ in ands] + [len(text)]
        starts = [0] + [end for _, end in ands]
        return [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return [text[1:-1]] if text.startswith("(") and closed_at == len(text) else []


def _tokens(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield brackets and operators with their depth, the same for both of a pair, and their place."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        depth -= token in _CLOSING
        yield token, depth, match.start(), match.end()
        depth += token in _OPENING
