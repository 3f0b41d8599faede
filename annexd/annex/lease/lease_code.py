"""Check whether the deployed lease function is lambda/lease.py, byte for byte.

The tests of leases cover that file only.  A function that someone changed by hand, or that another version's template
deployed, may do less.  So annexd compares the digest that each run reports, and warns.  It does not refuse: the
contract number in the receipt says whether the function does what an order needs.
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
    """Return the lambda/lease.py of this annexd; None if it is missing."""
    return shipped(*PLACE)


@lru_cache(maxsize=1)
def own_digest() -> str | None:
    """Return its SHA-256, in the form of the function's receipt."""
    code = own_code()
    return None if code is None else sha256(code).hexdigest()


def warning_of(receipt: Receipt, function_arn: str) -> str:
    """Return a warning for the administrator about the code that ran; empty if it is right."""
    own = own_digest()
    if own is None:
        nowhere = ", ".join(str(path.parent) for path in places(*PLACE))
        return f"annexd's own copy of {'/'.join(PLACE)} is not in {nowhere}: reinstall annexd"
    if receipt.digest != own:
        return (
            f"the lease function {function_arn} differs from {'/'.join(PLACE)} of this annexd: "
            "update the stack (condor_annex -setup)"
        )
    return ""
