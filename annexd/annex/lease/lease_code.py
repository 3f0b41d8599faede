"""Whether the lease function that runs is lambda/lease.py, byte for byte.

Everything that is proved of leases is proved of that file.  A function that somebody changed by hand, or that another
version's template deployed, may do less; so annexd compares the digest that each run tells of itself, and warns.  It
does not refuse: what an order needs, the contract number in the receipt says.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Final

from annexd.annex.lease.heartbeat import Receipt
from annexd.annex.resources import places, shipped

PLACE: Final = ("lambda", "lease.py")
FILE: Final = "index.py"  # as CloudFormation names inline code


@lru_cache(maxsize=1)
def own_code() -> bytes | None:
    """Return lambda/lease.py as it came with this annexd; None where it is missing."""
    return shipped(*PLACE)


@lru_cache(maxsize=1)
def own_digest() -> str | None:
    """Return its SHA-256, as the function's receipt has it."""
    code = own_code()
    return None if code is None else sha256(code).hexdigest()


def warning_of(receipt: Receipt, function_arn: str) -> str:
    """Return what an administrator should know of the code that ran; empty when all is well."""
    own = own_digest()
    if own is None:
        nowhere = ", ".join(str(path.parent) for path in places(*PLACE))
        return f"annexd's own copy of {'/'.join(PLACE)} is in none of {nowhere}: install annexd again"
    if receipt.digest != own:
        return (
            f"the lease function {function_arn} is not the {'/'.join(PLACE)} of this annexd: "
            "update the stack (condor_annex -setup)"
        )
    return ""
