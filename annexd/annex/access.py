"""The requester's keys become clients, anew for each call: what was rotated is used, and nothing is kept
in a file.

The files are read by the daemon with the requester's own rights (`read_as`).  Keys live in memory only.
"""

from collections.abc import Callable
from typing import Protocol

from annexd.aws import ClientCache, Clients, Credentials, Endpoints, SecretKey, key_in
from annexd.workflow import Json, Refused


class Access(Protocol):
    """Clients for an order.  Raises Refused, in words for the requester."""

    def __call__(self, order: Json) -> Clients: ...


class KeyFiles:
    """Clients with the keys in the files that an order names; without files, with boto3's own chain.

    `read_as(owner, path)` gives a file's content with the owner's rights, or raises OSError with words.
    `uid_domain()` is the domain of this host's accounts now.
    """

    def __init__(
        self,
        read_as: Callable[[str, str], bytes],
        cache: ClientCache | None = None,
        *,
        allow_default: bool = False,
        uid_domain: Callable[[], str] = str,
    ) -> None:
        self._read_as = read_as
        self._cache = cache or ClientCache()
        self.allow_default = allow_default
        self._uid_domain = uid_domain

    def __call__(self, order: Json) -> Clients:
        return self._cache.clients(self._credentials(order), Endpoints(**order["endpoints"]))

    @property
    def skew_s(self) -> int:
        """By how much AWS's clock is ahead of this host's, by its newest answer; 0 when they agree."""
        return self._cache.traffic.skew_s

    @property
    def throttled_accounts(self) -> int:
        """How many accounts' calls are slowed down, since AWS throttled one."""
        return self._cache.traffic.limiters.limiting()

    def _credentials(self, order: Json) -> Credentials | None:
        public, secret = order["public_key_file"], order["secret_key_file"]
        if public is None or secret is None:
            if self.allow_default:
                return None
            raise Refused("this annexd lends no keys of its own (any more)", untouched=True)
        owner = self._reader(order)
        return Credentials(
            self._key(owner, "PublicKeyFile", public),
            SecretKey(self._key(owner, "SecretKeyFile", secret)),
        )

    def _reader(self, order: Json) -> str:
        """As whom the files are read: the account that the owner was when the order was accepted, by today's name.

        The account is kept by its owner, so that an owner who takes another's place is never taken for him.
        """
        account, uid_domain = order.get("accounts", {}).get(order["owner"]), self._uid_domain()
        return f"{account}@{uid_domain}" if account and uid_domain else str(order["owner"])

    def _key(self, owner: str, attribute: str, path: str) -> str:
        try:
            key = key_in(self._read_as(owner, path))
        except OSError as error:
            raise Refused(f"{attribute} cannot be used: {error}", untouched=True) from error
        if key is None:
            raise Refused(f"{attribute} {path} must hold one AWS key and nothing else", untouched=True)
        return key
