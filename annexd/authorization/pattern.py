"""PCRE's regular expressions, as far as they are not Python's: what administrators have in their map files.

Names are bytes to HTCondor, so classes and case are ASCII's.  What Python would silently take for something
else is translated here or refused; what it does not know, it refuses itself.
"""

import re
import warnings
from collections.abc import Iterator

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
    "word": r"\w",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f",
}
_TOKEN = re.compile(
    r"""
    (?P<escape> \\. )
  | (?P<set>    \[ \^? \]? (?: \\. | \[:\^?\w+:\] | [^\]\\] )* \] )
  | (?P<named>  \(\?< (?![=!]) )
  | (?P<group>  \( \?? )
  | (?P<repeat> (?: [*+?] | \{\d*,?\d*\} ) [?+]? )
  | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_SET = re.compile(r"\\.|\[:(\^?\w+):\]|\[", re.DOTALL)
_BRACES = re.compile(r"\{(\d*),?\d*\}")


class UnknownPattern(ValueError):
    """A regular expression that this daemon cannot search for; the text says why."""


def compile_pattern(pattern: str, *, ignore_case: bool = False, ungreedy: bool = False) -> re.Pattern[str]:
    """ignore_case, ungreedy: PCRE2_CASELESS and PCRE2_UNGREEDY.  Raises UnknownPattern."""
    translated = "".join(_translated(pattern, ungreedy=ungreedy))
    flags = re.ASCII | (re.IGNORECASE if ignore_case else re.NOFLAG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # FutureWarning: what another version may read differently
            return re.compile(translated, flags)
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise UnknownPattern(str(error)) from error


def _translated(pattern: str, *, ungreedy: bool) -> Iterator[str]:
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token["set"]:
            yield "[" + _IN_SET.sub(_member, text[1:])
        elif token["escape"]:
            yield {r"\z": r"\Z", r"\Z": r"(?=\n?\Z)", r"\h": r"[ \t]"}.get(text, text)
        elif token["named"]:
            yield "(?P<"
        elif token["repeat"] and ungreedy:
            yield _turned(text)
        else:
            yield text


def _member(found: re.Match[str]) -> str:
    name = found.group(1)
    if name is None:
        return r"\[" if found.group() == "[" else found.group()
    if name not in _CLASSES:
        raise UnknownPattern(f"its class [:{name}:] is unknown")
    return _CLASSES[name]


def _turned(repeat: str) -> str:
    """Greedy to reluctant and back; a possessive one has no other side."""
    if (braces := _BRACES.match(repeat)) and not braces.group(1):
        return repeat  # {,3} repeats nothing in PCRE
    if repeat.endswith("+") and len(repeat) > 1:
        return repeat
    return repeat[:-1] if repeat.endswith("?") and len(repeat) > 1 else f"{repeat}?"
