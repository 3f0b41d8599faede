"""From the file of a key to the secret in it (condor_utils/token_utils, store_cred)."""

from itertools import cycle

from annexd.cedar.secret import Secret

POOL = "POOL"
_SCRAMBLE = b"\xde\xad\xbe\xef"  # simple_scramble: hides the key from a glance, no more


def signing_secret(key_id: str, file_content: bytes, *, pool_key_is_password: bool = False) -> Secret:
    """pool_key_is_password: SEC_TOKEN_POOL_SIGNING_KEY_IS_PASSWORD, by which POOL's key ends at its first
    NUL.
    """
    key = _unscrambled(file_content)
    if key_id != POOL:
        return Secret(key)
    if pool_key_is_password:
        key = key.partition(b"\0")[0]
    return Secret(key + key)  # the pool password was always doubled


def pool_password(file_content: bytes) -> Secret | None:
    """The password of SEC_PASSWORD_FILE.  It ends at a NUL, before it is unscrambled as after; None if it is empty."""
    password = _unscrambled(file_content.partition(b"\0")[0]).partition(b"\0")[0]
    return Secret(password) if password else None


def _unscrambled(file_content: bytes) -> bytes:
    return bytes(byte ^ mask for byte, mask in zip(file_content, cycle(_SCRAMBLE), strict=False))
