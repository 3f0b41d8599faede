"""From the file of a signing key to the secret that signs tokens (condor_utils/token_utils, store_cred)."""

from itertools import cycle

from annexd.cedar.secret import Secret

POOL = "POOL"
_SCRAMBLE = b"\xde\xad\xbe\xef"  # simple_scramble: hides the key from a glance, no more


def signing_secret(key_id: str, file_content: bytes, *, pool_key_is_password: bool = False) -> Secret:
    """pool_key_is_password: SEC_TOKEN_POOL_SIGNING_KEY_IS_PASSWORD, by which POOL's key ends at its first
    NUL.
    """
    key = bytes(byte ^ mask for byte, mask in zip(file_content, cycle(_SCRAMBLE), strict=False))
    if key_id != POOL:
        return Secret(key)
    if pool_key_is_password:
        key = key.partition(b"\0")[0]
    return Secret(key + key)  # the pool password was always doubled
