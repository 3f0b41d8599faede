"""Decode key files (condor_utils/token_utils, store_cred)."""

from itertools import cycle

from annexd.cedar.secret import Secret

POOL = "POOL"
_SCRAMBLE = b"\xde\xad\xbe\xef"  # simple_scramble: obfuscation, not protection


def signing_secret(key_id: str, file_content: bytes, *, pool_key_is_password: bool = False) -> Secret:
    """Return the secret in a key file.

    pool_key_is_password: SEC_TOKEN_POOL_SIGNING_KEY_IS_PASSWORD: the key POOL ends at its first NUL.
    """
    key = _unscrambled(file_content)
    if key_id != POOL:
        return Secret(key)
    if pool_key_is_password:
        key = key.partition(b"\0")[0]
    return Secret(key + key)  # HTCondor doubles the pool password


def pool_password(file_content: bytes) -> Secret | None:
    """Return the password in SEC_PASSWORD_FILE, or None if empty.  It ends at a NUL, scrambled or not."""
    password = _unscrambled(file_content.partition(b"\0")[0]).partition(b"\0")[0]
    return Secret(password) if password else None


def _unscrambled(file_content: bytes) -> bytes:
    return bytes(byte ^ mask for byte, mask in zip(file_content, cycle(_SCRAMBLE), strict=False))
