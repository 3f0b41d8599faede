"""Find the AWS account of keys: STS returns it to every holder of the keys, and no policy can forbid that.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: "No permissions are required".
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from annexd.aws.answers import UnknownShape, text

ACCOUNT: Final = re.compile(r"\d{12}")
MAX_AGE_S: Final = 3600.0  # a key stays in its account, but it may be deleted, and boto3's own chain may find another
MAX_KEPT: Final = 1024


def account_of(sts: Callable[[], Any]) -> str:
    """Return the account from STS.  Raises AWS_ERRORS."""
    account = text(sts().get_caller_identity(), "Account")
    if not ACCOUNT.fullmatch(account):
        raise UnknownShape(what="the answer's Account is not an AWS account ID")
    return account


class Accounts:
    """Caches the accounts of keys; bounded in number and age.  Thread-safe."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, tuple[float, str]] = OrderedDict()

    def of(self, key: object, sts: Callable[[], Any]) -> str:
        """Return the account ID of 12 digits; `key` stands for credentials and endpoint.  Raises AWS_ERRORS."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self._now_s() - kept[0] <= MAX_AGE_S:
                return kept[1]
        account = account_of(sts)
        with self._lock:
            self._kept[key] = self._now_s(), account
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return account
