"""Create valid and invalid tokens as condor_token_create does."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

from annexd.cedar.crypto import hkdf
from annexd.cedar.secret import Secret
from annexd.cedar.signing_key import signing_secret

KEY_FILE = bytes(range(100, 164))
POOL_KEY = signing_secret("POOL", KEY_FILE)
HEADER: Mapping[str, object] = {"alg": "HS256", "kid": "POOL"}
CLAIMS: Mapping[str, object] = {
    "iat": 1700000000,
    "iss": "annex.test",
    "jti": "93c286709f81971e2959c88a092de563",
    "sub": "alice@annex.test",
}


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unsigned(header: Mapping[str, object] = HEADER, claims: Mapping[str, object] = CLAIMS) -> str:
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))


def signature(text: str, key: Secret = POOL_KEY, algorithm: str = "sha256") -> bytes:
    return hmac.digest(hkdf(key.reveal(), b"master jwt"), text.encode(), getattr(hashlib, algorithm))


def signed(text: str, key: Secret = POOL_KEY, algorithm: str = "sha256") -> str:
    return f"{text}.{base64url(signature(text, key, algorithm))}"
