"""Create a token as condor_token_create does, from given claims (token_utils.cpp).

The same claims and key always give the same token, so storing the claims is enough.
"""

import base64
import hmac
import json
from collections.abc import Mapping

from annexd.cedar.akep2 import ALGORITHMS
from annexd.cedar.crypto import hkdf
from annexd.cedar.secret import Secret

ALGORITHM = "HS256"  # as HTCondor signs


def issue(claims: Mapping[str, object], key_id: str, signing_secret: Secret) -> str:
    """Return header.payload.signature.  It authenticates as its subject: never log it."""
    text = f"{_part({'alg': ALGORITHM, 'kid': key_id})}.{_part(claims)}"
    jwt_key = hkdf(signing_secret.reveal(), b"master jwt")
    return f"{text}.{_base64url(hmac.digest(jwt_key, text.encode(), ALGORITHMS[ALGORITHM]))}"


def _part(values: Mapping[str, object]) -> str:
    return _base64url(json.dumps(values, separators=(",", ":"), sort_keys=True).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
