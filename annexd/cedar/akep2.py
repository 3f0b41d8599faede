"""Derive the keys of IDTOKENS and PASSWORD: AKEP2 with and without a token (condor_auth_passwd.cpp).

Client and server prove to each other that they know a token's signature or the pool password.  Neither is ever sent.
"""

import hashlib
import hmac

from annexd.cedar.crypto import hkdf
from annexd.cedar.secret import Secret

NONCE_BYTES = 256  # AUTH_PW_KEY_LEN
ALGORITHMS = {
    "HS256": hashlib.sha256,
    "HS384": hashlib.sha384,
    "HS512": hashlib.sha512,
}  # no others

# condor_auth_passwd.cpp, setup_seed
SEED_KA = bytes.fromhex(
    "3e4a502047d5f4e5dc7c69bb5210cbb6167add8084f7dd9ef3ad2cca71d283dd114a4fbb7b1ee90adfa862c44304de54"
    "73a3172f735c2cbb6e775b5d40d39face873182523f9252b623be0d4b167a3a8040cacfee9ee3da02c0abbf4d9d8b11f"
    "89004c943923ce5d9508bb3f04bc66a3fa20a13a416c5e6f4e0d3187d45fc78335c5e485db2c5a3717970cc26e7b6b9d"
    "1965b47a67df77a31f22f08a6c0ba57097a21a9ca7c60424f72739ab5cb915a4185bd109828e35e42108ab851c08a3df"
    "fde0e3b06f3d3938cdad6df6ef9a6f6dc2cb74f0228512eb7a3d6823010684b015c12ac3014c4f9f938e384dad1e3bd7"
    "45ff8c141fd70b465ba8af5d1b98b4b1"
)


def shared_key(signing_secret: Secret, algorithm: str, token: str) -> Secret:
    """Derive the key "ka" from a token.

    token: header and payload exactly as sent.
    """
    text = token.encode()
    jwt_key = hkdf(signing_secret.reveal(), b"master jwt")
    signature = hmac.digest(jwt_key, text, ALGORITHMS[algorithm])
    return Secret(hkdf(signature, b"master ka", salt=SEED_KA + text))


def password_key(password: Secret) -> Secret:
    """Derive the key "ka" of version 1 from the pool password, which HTCondor doubles."""
    return Secret(hmac.digest(SEED_KA, password.reveal() * 2, hashlib.sha1))


def server_proof(key: Secret, client: str, server: str, client_nonce: bytes, server_nonce: bytes) -> bytes:
    names = f"{client} {server}".encode() + b"\0"
    return hmac.digest(key.reveal(), names + client_nonce + server_nonce, hashlib.sha1)


def client_proof(key: Secret, client: str, server_nonce: bytes) -> bytes:
    return hmac.digest(key.reveal(), client.encode() + b"\0" + server_nonce, hashlib.sha1)
