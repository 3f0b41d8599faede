"""Regular expressions that end in time: those of map files, and those by which strangers ask for names of knobs.

RE2 searches in a time that is linear in the text, whatever the pattern (https://github.com/google/re2/wiki/WhyRE2),
and its syntax is PCRE's but for what cannot be done so: look-around, references back, atomic groups and possessive
repetitions.  Those it refuses, as it does what it does not know.  Names are bytes to HTCondor, so classes and case
are ASCII's.
"""

from dataclasses import dataclass
from typing import Any

import re2

TRUSTED_BYTES = 8 * 1024 * 1024  # of memory: RE2's own limit, for patterns of administrators
_ERRORS = "surrogateescape"


class UnknownPattern(ValueError):
    """A regular expression that this daemon cannot search for; the text says why."""


@dataclass(frozen=True)
class Pattern:
    _compiled: Any

    def search(self, text: str) -> tuple[str | None, ...] | None:
        """The first part of the text that fits, and behind it each group's part; None if nothing fits."""
        found = self._compiled.search(text.encode(errors=_ERRORS))
        if found is None:
            return None
        parts = (found.group(0), *found.groups())
        return tuple(None if part is None else part.decode(errors=_ERRORS) for part in parts)


def compile_pattern(
    pattern: str, *, ignore_case: bool = False, ungreedy: bool = False, max_bytes: int = TRUSTED_BYTES
) -> Pattern:
    """ignore_case, ungreedy: PCRE2_CASELESS and PCRE2_UNGREEDY.  max_bytes: bounds the size of the program that is
    run for each byte of a text, and with it the time.  Raises UnknownPattern.
    """
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = max_bytes
    text = f"(?U){pattern}" if ungreedy else pattern
    try:
        return Pattern(re2.compile(text.encode(errors=_ERRORS), options))
    except re2.error as error:
        why = error.args[0]
        raise UnknownPattern(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from error
    except UnicodeEncodeError as error:
        raise UnknownPattern("it is no text") from error
