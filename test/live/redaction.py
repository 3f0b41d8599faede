"""Redact AWS's responses for publication: identities are removed, relations between values stay.

Each account, key, address and identifier gets a replacement of the same format, the same one everywhere, so that
botocore's parsers and annexd's readers accept a redacted response like the real one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

ACCOUNT: Final = "111122223333"  # as in AWS's own documentation
SHORTEST: Final = 4  # length of a name that is replaced wherever it occurs
PATTERNS: Final = {
    "message": r"(?<=Encoded authorization failure message: )[A-Za-z0-9_\-+/=]+",
    "host_id": r"(?<=<HostId>)[^<]+",
    "token": r"(?<=<SessionToken>)[^<]+",
    "secret": r"(?<=<SecretAccessKey>)[^<]+",
    "uuid": r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b",
    "digest": r"\b[0-9a-f]{64}\b",
    "key": r"\b(?:AKIA|ASIA|AROA|AIDA|AGPA|AIPA|ANPA|ANVA|APKA|ABIA|ACCA)[A-Z0-9]{12,124}\b",
    "mac": r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b",
    "ipv6": r"(?<![\w:])(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){2,6}(?::[0-9a-f]{1,4}){1,5})(?![\w:])",
    "ipv4": r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])",
    "host": r"(?<=\bip-)(?:\d{1,3}-){3}\d{1,3}\b|(?<=\bec2-)(?:\d{1,3}-){3}\d{1,3}\b",
    "session": r"(?<=:assumed-role/)[^\s\"'<>,)]+|(?<=:federated-user/)[^\s\"'<>,)]+|(?<=:user/)[^\s\"'<>,)]+",
    "id": r"\b(?:i|vol|vpc|subnet|sg|sgr|eni|sir|r|lt|eni-attach|snap|rtb|key)-[0-9a-f]{8,17}\b",
    "bucket": r"(?<=-bucket-)[a-z0-9]{6,}\b",
    "account": r"(?<![\w.])\d{12}(?![\w.])",
}


class Redactor:
    """Redacts texts; `names` must never appear: secret keys, user names, this host."""

    def __init__(self, account: str, names: Iterable[str] = ()) -> None:
        self._account = account
        self._names = sorted({each for each in names if len(each) >= SHORTEST}, key=len, reverse=True)
        alternatives = [f"(?P<{kind}>{pattern})" for kind, pattern in PATTERNS.items()]
        if self._names:
            alternatives.insert(0, f"(?P<name>{_words(self._names)})")
        self._pattern = re.compile("|".join(alternatives))
        self._known: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}

    def text(self, text: str) -> str:
        """Return the redacted text.  Redaction is idempotent: replacements stay as they are."""
        return self._pattern.sub(self._stand_in, text)

    def leaks(self, text: str) -> list[str]:
        """Return the kinds of secrets that are still in a text, without their values."""
        reasons = ["account"] if self._account in text else []
        return reasons + (["name"] if self._names and re.search(_words(self._names), text) else [])

    def _stand_in(self, found: re.Match[str]) -> str:
        kind, original = str(found.lastgroup), found[0]
        if original == ACCOUNT or original in self._known.values():
            return original
        if (kind, original) not in self._known:
            number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
            self._known[kind, original] = self._made(kind, original, number)
        return self._known[kind, original]

    def _made(self, kind: str, original: str, number: int) -> str:
        if kind == "account" and original == self._account:
            return ACCOUNT
        return MAKERS[kind](original, number)


def _words(names: Iterable[str]) -> str:
    """Return a pattern of whole words, so that a user `test` does not match in `latest`."""
    return rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9])"


def _address(_: str, number: int) -> str:
    """Return an address in one of the three networks for documentation of RFC 5737."""
    return f"{('192.0.2', '198.51.100', '203.0.113')[number // 254 % 3]}.{number % 254 + 1}"


def _of_the_same_length(original: str, number: int) -> str:
    prefix, _, digits = original.rpartition("-")
    return f"{prefix}-{number:0{len(digits)}x}"


MAKERS: Mapping[str, Callable[[str, int], str]] = {
    "name": lambda _, number: f"redacted-name-{number}",
    "message": lambda _, number: f"redacted-message-{number}",
    "host_id": lambda _, number: f"redacted-host-{number}",
    "token": lambda _, number: f"redacted-token-{number}",
    "secret": lambda _, number: f"redacted-secret-{number}",
    "uuid": lambda _, number: f"00000000-0000-4000-8000-{number:012x}",
    "digest": lambda _, number: f"{number:064x}",
    "key": lambda original, number: f"{original[:4]}REDACTED{number:0{max(8, len(original) - 12)}d}",
    "mac": lambda _, number: f"02:00:00:00:{number >> 8 & 255:02x}:{number & 255:02x}",
    "ipv6": lambda _, number: f"2001:db8::{number:x}:1",
    "ipv4": _address,
    "host": lambda _, number: _address("", number).replace(".", "-"),
    "session": lambda _, number: f"redacted-{number}",
    "id": _of_the_same_length,
    "bucket": lambda original, number: f"{number:0{len(original)}d}",
    "account": lambda _, number: f"22223333{number:04d}",
}
