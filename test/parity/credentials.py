"""Write the valid and invalid credentials of the parity suite (tokens, certificates, passwords) and the map file."""

import time
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from annexd.cedar.signing_key import signing_secret
from test.cedar.certificates import Authority, person
from test.cedar.tokens import base64url, signed, unsigned
from test.pool import DOMAIN

# NO_DNS derives such a name from NETWORK_INTERFACE; it is the alias in every address.
HOST, HOST_IPV6 = f"127-0-0-1.{DOMAIN}", f"0--1.{DOMAIN}"
KEYS = {"POOL": bytes(range(100, 164)), "second": b"the second key of this pool"}
STRANGERS_KEY = bytes(range(150, 214))
MAP = r"""
SSL  "^/O=Example Site/CN=alice$"        alice@mapped.org
SSL  ^/O=Example[[:space:]]Site/CN=car   \0@mapped.org
CLAIMTOBE  ^(eve)@(.*)$                  "\1-of-\2"
FS   ^nobody-is-called-this$             alice@mapped.org
ANONYMOUS  .*                            guest@mapped.org
"""
NOW = int(time.time())
CLAIMS: Mapping[str, object] = {
    "sub": f"alice@{DOMAIN}",
    "iss": DOMAIN,
    "iat": NOW - 60,
    "exp": NOW + 86400,
    "jti": "0123456789abcdef",
}


class TokenSpec(NamedTuple):
    """The differences of a token from a valid one.  A claim or header of None is omitted."""

    claims: Mapping[str, object] = {}
    header: Mapping[str, object] = {}
    key: bytes = KEYS["POOL"]
    algorithm: str = "sha256"
    cut: int = 0


def _second(**claims: object) -> TokenSpec:
    return TokenSpec(claims, {"kid": "second"}, KEYS["second"])


TOKENS: Mapping[str, TokenSpec] = {
    "good": TokenSpec(),
    "of bob": TokenSpec({"sub": f"bob@{DOMAIN}"}),
    "of an administrator": TokenSpec({"sub": f"condor@{DOMAIN}"}),
    "signed by another key of the pool": _second(),
    "signed by a stranger": TokenSpec(key=STRANGERS_KEY),
    "with a wrong signature": TokenSpec(cut=6),
    "of an unknown key": TokenSpec(header={"kid": "third"}),
    "of a key in another folder": TokenSpec(header={"kid": "../passwords.d/POOL"}),
    "of no key": TokenSpec(header={"kid": None}),
    "of another trust domain": TokenSpec({"iss": "elsewhere.org"}),
    "without an issuer": TokenSpec({"iss": None}),
    "without an id": TokenSpec({"jti": None}),
    "with an empty id": TokenSpec({"jti": ""}),
    "without a subject": TokenSpec({"sub": None}),
    "with an empty subject": TokenSpec({"sub": ""}),
    "without a domain": TokenSpec({"sub": "alice"}),
    "of the family": TokenSpec({"sub": "condor@family"}),
    "of nobody": TokenSpec({"sub": "unauthenticated@unmapped"}),
    "with capitals in its domain": TokenSpec({"sub": "Alice@Annexd.TEST"}),
    "of two domains": TokenSpec({"sub": f"alice@evil.org@{DOMAIN}"}),
    "with a number as subject": TokenSpec({"sub": 7}),
    "expired": TokenSpec({"exp": NOW - 10}),
    "that never expires": TokenSpec({"exp": None}),
    "with a word as expiry": TokenSpec({"exp": "tomorrow"}),
    "with an expiry in digits": TokenSpec({"exp": str(NOW + 86400)}),
    "with a fraction of a second": TokenSpec({"exp": NOW + 86400.5}),
    "old": TokenSpec({"iat": NOW - 10 * 86400}),
    "without its age": TokenSpec({"iat": None}),
    "of tomorrow": TokenSpec({"iat": NOW + 86400}),
    "not yet valid": TokenSpec({"nbf": NOW + 86400}),
    "for somebody else": TokenSpec({"aud": "elsewhere.org"}),
    "limited to READ": TokenSpec({"scope": "condor:/READ"}),
    "limited to WRITE": TokenSpec({"scope": "condor:/WRITE"}),
    "limited to what startds advertise": TokenSpec({"scope": "condor:/ADVERTISE_STARTD"}),
    "limited to READ and ADVERTISE_MASTER": TokenSpec({"scope": "condor:/READ condor:/ADVERTISE_MASTER"}),
    "of an administrator, limited to ADMINISTRATOR": TokenSpec(
        {"sub": f"condor@{DOMAIN}", "scope": "condor:/ADMINISTRATOR"}
    ),
    "of an administrator, limited to DAEMON, with a comma": TokenSpec(
        {"sub": f"condor@{DOMAIN}", "scope": "condor:/DAEMON,condor:/CONFIG"}
    ),
    "limited in lower case": TokenSpec({"scope": "condor:/write"}),
    "limited to ALLOW": TokenSpec({"scope": "condor:/ALLOW"}),
    "limited to an unknown level": TokenSpec({"scope": "condor:/BOGUS"}),
    "limited to nothing": TokenSpec({"scope": "condor:/"}),
    "of other scopes": TokenSpec({"scope": "storage.read:/ compute.create"}),
    "of no scope": TokenSpec({"scope": ""}),
    "with scopes in a list": TokenSpec({"scope": ["condor:/READ"]}),
    "signed by HS384": TokenSpec(header={"alg": "HS384"}, algorithm="sha384"),
    "signed by HS512": TokenSpec(header={"alg": "HS512"}, algorithm="sha512"),
    "not signed": TokenSpec(header={"alg": "none"}),
    "claiming to be signed by RS256": TokenSpec(header={"alg": "RS256"}),
    "without an algorithm": TokenSpec(header={"alg": None}),
    "revoked": TokenSpec({"jti": "revoked"}),
    "with claims of its own": TokenSpec(
        {"groups": ["a", "b"], "wlcg.ver": "1.0", "nested": {"deep": [1, 2.5, None, True]}}
    ),
}


def token(spec: TokenSpec) -> str:
    header = _without_none({"alg": "HS256", "kid": "POOL", **spec.header})
    key_id = str(header.get("kid", "POOL"))
    secret = signing_secret("second" if key_id == "second" else "POOL", _scrambled(spec.key))
    text = signed(unsigned(header, _without_none({**CLAIMS, **spec.claims})), secret, spec.algorithm)
    return text[: -spec.cut] + "A" * spec.cut if spec.cut else text


def _without_none(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _scrambled(key: bytes) -> bytes:
    return bytes(byte ^ mask for byte, mask in zip(key, cycle(b"\xde\xad\xbe\xef"), strict=False))


def folder(name: str) -> str:
    """Return the directory of a token, relative to the pool's."""
    return "token-" + base64url(name.encode())


def write_credentials(directory: Path, host: str) -> None:
    (directory / "map").write_text(MAP)
    (directory / "none.d").mkdir(mode=0o700)
    for name, spec in TOKENS.items():
        (directory / folder(name)).mkdir(mode=0o700)
        _private(directory / folder(name) / "token", token(spec).encode() + b"\n")
    for name, key in KEYS.items():
        _private(directory / "passwords.d" / name, _scrambled(key))
    for name, content in (("password", b"opensesame"), ("other-password", b"sesame")):
        _private(directory / name, content)
    _write_certificates(directory, host)


def _write_certificates(directory: Path, host: str) -> None:
    authority = Authority(directory)
    authority.make("host", person("host"), host=host)
    for name in ("alice", "bob", "carol"):
        authority.make(name, person(name))
    authority.make("expired", person("alice"), days=-1)
    Authority(directory, "stranger").make("foreign", person("alice"))


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
