"""Search regular expressions in linear time: those of map files, and those in queries for knob names.

RE2 searches in time linear in the text, for every pattern (https://github.com/google/re2/wiki/WhyRE2).  Its syntax is
PCRE's without look-around, back references, atomic groups and possessive quantifiers, which it rejects.  HTCondor's
names are bytes, so character classes and case are those of ASCII.
"""

from dataclasses import dataclass
from typing import Any

import re2

TRUSTED_BYTES = 8 * 1024 * 1024  # of memory: RE2's default, for administrators' patterns
_ERRORS = "surrogateescape"


class UnknownPattern(ValueError):
    """The regular expression is not supported; the text says why."""


@dataclass(frozen=True)
class Pattern:
    _compiled: Any

    def search(self, text: str) -> tuple[str | None, ...] | None:
        """Return the first match, followed by its groups; None if nothing matches."""
        found = self._compiled.search(text.encode(errors=_ERRORS))
        if found is None:
            return None
        parts = (found.group(0), *found.groups())
        return tuple(None if part is None else part.decode(errors=_ERRORS) for part in parts)


def compile_pattern(
    pattern: str, *, ignore_case: bool = False, ungreedy: bool = False, max_bytes: int = TRUSTED_BYTES
) -> Pattern:
    """Compile a pattern.  Raises UnknownPattern.

    ignore_case, ungreedy: PCRE2_CASELESS and PCRE2_UNGREEDY.  max_bytes: limits the size of the compiled program, and
    so the time for each byte of text.
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
        raise UnknownPattern("not valid text") from error
