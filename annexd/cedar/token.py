"""Parse HTCondor's tokens: JSON Web Tokens, of which the client sends header and payload, but not the signature.

Every fault must be found before the reply: a client that is refused later believes that it succeeded, and waits
(condor_auth_passwd.cpp, doServerRec2).
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from annexd.cedar.akep2 import ALGORITHMS
from annexd.cedar.identity import TokenFacts
from annexd.cedar.method import MethodFailed

MAX_CACHED = 32  # tokens of at most 64 kB, the limit on messages before the peer is known

_BASE64_URL = re.compile(r"[A-Za-z0-9_-]+")
_KEY_ID = re.compile(r"(?!\.)[^/\x00-\x1f\x7f]{1,255}")  # a file name
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")
_SCOPE = "condor:/"


@dataclass(frozen=True)
class Token:
    """A well-formed token.  Nothing in it is verified yet."""

    text: str
    algorithm: str
    key_id: str
    facts: TokenFacts
    issued_at_s: float | None
    claims: Mapping[str, object]

    @property
    def limits(self) -> tuple[str, ...]:
        """Return the levels named by its condor:/ scopes; without such a scope it is unlimited."""
        return tuple(scope.removeprefix(_SCOPE) for scope in self.facts.scopes if scope.startswith(_SCOPE))

    def check_age(self, now_s: float, max_age_s: int) -> None:
        if self.facts.expires_at_s is not None and now_s >= self.facts.expires_at_s:
            raise MethodFailed("the token has expired")
        if max_age_s > 0 and (self.issued_at_s is None or now_s - self.issued_at_s > max_age_s):
            raise MethodFailed(f"the token is older than SEC_TOKEN_MAX_AGE ({max_age_s} s), or has no iat")


@lru_cache(maxsize=MAX_CACHED)
def parse_token(text: str) -> Token:
    """Parse header.payload, both base64.  Raises MethodFailed.

    Cached, since clients reuse their tokens.  A cached token is as unverified as a new one.
    """
    parts = text.split(".")
    if len(parts) != 2:
        raise MethodFailed("the token does not have a header and a payload")
    header, claims = (_object(part) for part in parts)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise MethodFailed(f"the token's algorithm is not one of {', '.join(ALGORITHMS)}")
    return Token(
        text=text,
        algorithm=algorithm,
        key_id=_text(header, "kid", _KEY_ID),
        facts=_facts(claims),
        issued_at_s=_seconds(claims, "iat"),
        claims=claims,
    )


def _facts(claims: Mapping[str, object]) -> TokenFacts:
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise MethodFailed("the token's scope is not a string")
    return TokenFacts(
        subject=_text(claims, "sub"),
        issuer=_text(claims, "iss"),
        token_id=_text(claims, "jti"),
        scopes=tuple(scope.replace(",", " ").split()),
        expires_at_s=_seconds(claims, "exp"),
    )


def _object(part: str) -> dict[str, object]:
    if not _BASE64_URL.fullmatch(part):
        raise MethodFailed("the token is not base64")
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MethodFailed("the token is not JSON") from error
    if not isinstance(found, dict):
        raise MethodFailed("the token is not a JSON object")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _text(claims: Mapping[str, object], name: str, accepted: re.Pattern[str] = _PRINTABLE) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not accepted.fullmatch(value):
        raise MethodFailed(f"the token's {name} is missing or unusable")
    return value


def _seconds(claims: Mapping[str, object], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**62) < value < 2**62:
        raise MethodFailed(f"the token's {name} is not a time")
    return value
