"""The requester's keys become clients, anew for each call: what was rotated is used, and nothing is kept
in a file.

The files are read by the daemon with the requester's own rights (`read_as`).  Keys live in memory only.  Every effect,
undo, cancellation and look gets its clients here, so here the two things are checked that must hold each time: that
the keys are of the account in which the order was made, and that lent keys go to nobody but the administrator's
endpoints.
"""

from collections.abc import Callable
from typing import Final, Protocol

from annexd.annex.asking import asking
from annexd.annex.defaults import Defaults
from annexd.annex.lending import URLS, faults_of_endpoints, own_endpoints
from annexd.aws import ClientCache, Clients, Credentials, Endpoints, SecretKey, account_of_function, key_in
from annexd.aws.errors import SHAPE_ERRORS
from annexd.workflow import Json, Refused, Retry

LONGEST: Final = 500  # of words that are not ours


class Access(Protocol):
    """Clients for an order, with keys of its account.  Raises Retry, or Refused in words for the requester."""

    def __call__(self, order: Json) -> Clients: ...


class KeyFiles:
    """Clients with the keys in the files that an order names; without files, with boto3's own chain.

    `read_as(owner, path)` gives a file's content with the owner's rights, or raises OSError with words.
    """

    def __init__(
        self,
        read_as: Callable[[str, str], bytes],
        cache: ClientCache | None = None,
        *,
        defaults: Defaults | None = None,
    ) -> None:
        self._read_as = read_as
        self._cache = cache or ClientCache()
        self.defaults = defaults or Defaults()

    @property
    def defaults(self) -> Defaults:
        return self._defaults

    @defaults.setter
    def defaults(self, defaults: Defaults) -> None:
        self._defaults = defaults
        own = own_endpoints(defaults)
        self._cache.traffic.trusted_urls = frozenset(getattr(own, name) for name in URLS)

    def __call__(self, order: Json) -> Clients:
        endpoints = _endpoints(order)
        clients = self._clients(self._credentials(order, endpoints), endpoints)
        self._check_account(order, clients)
        return clients

    @property
    def skew_s(self) -> int:
        """By how much AWS's clock is ahead of this host's, to be told; 0 when they agree."""
        return self._cache.traffic.skew_s

    @property
    def throttled_accounts(self) -> int:
        """How many accounts' calls are slowed down, since AWS throttled one."""
        return self._cache.traffic.limiters.limiting()

    def _credentials(self, order: Json, endpoints: Endpoints) -> Credentials | None:
        owner, public, secret = self._reader(order), order["public_key_file"], order["secret_key_file"]
        if public is None or secret is None:
            self._check_lending(endpoints)
            return None
        return Credentials(
            self._key(owner, "PublicKeyFile", public),
            SecretKey(self._key(owner, "SecretKeyFile", secret)),
        )

    def _reader(self, order: Json) -> str:
        """Return as whom the files are read: the account that the owner was when it was ordered, by today's name.

        The account is kept by its owner, so that an owner who takes another's place is never taken for him.
        """
        account, uid_domain = order.get("accounts", {}).get(order["owner"]), self._defaults.uid_domain
        return f"{account}@{uid_domain}" if account and uid_domain else str(order["owner"])

    def _clients(self, credentials: Credentials | None, endpoints: Endpoints) -> Clients:
        """Nothing is sent for it, except what boto3's chain asks to find annexd's own keys."""
        with asking("making clients with these keys and endpoints"):
            try:
                return self._cache.clients(credentials, endpoints)
            except (*SHAPE_ERRORS, OSError) as error:  # a host name, ~/.aws/config, what it names
                words = f"no clients can be made with these keys and endpoints: {str(error)[:LONGEST]}"
                raise Refused(words, untouched=True, local=True) from error

    def _check_lending(self, endpoints: Endpoints) -> None:
        """Again, since the order may be older than the configuration."""
        if not self._defaults.allow_default_credentials:
            raise Refused("this annexd lends no keys of its own (any more)", untouched=True, local=True)
        if faults := faults_of_endpoints(endpoints, self._defaults):
            raise Refused("; ".join(faults), untouched=True, local=True)

    def _check_account(self, order: Json, clients: Clients) -> None:
        """In another account all of an order looks gone, and all of it would be made a second time."""
        arn = str(order.get("lease_function_arn"))
        expected = account_of_function(arn)
        try:
            with asking(f"GetCallerIdentity with {_whose(order)}"):
                found = clients.account()
        except (Retry, Refused) as error:
            error.untouched = True  # of what the order is about
            raise
        if found != expected:
            words = (f"{_whose(order)} are of AWS account {found}, and this is of account {expected}, which "
                     f"{arn} names: nothing is done with them; put keys of {expected} there")
            raise Refused(words, untouched=True, local=True)

    def _key(self, owner: str, attribute: str, path: str) -> str:
        try:
            key = key_in(self._read_as(owner, path))
        except OSError as error:
            raise Refused(f"{attribute} cannot be used: {error}", untouched=True, local=True) from error
        if key is None:
            raise Refused(f"{attribute} {path} must hold one AWS key and nothing else", untouched=True, local=True)
        return key


def _endpoints(order: Json) -> Endpoints:
    try:
        return Endpoints(**order["endpoints"])
    except TypeError as error:
        words = f"the order's endpoints are not of this version of annexd: {error}"
        raise Refused(words, untouched=True, local=True) from error


def _whose(order: Json) -> str:
    path = order["public_key_file"]
    return f"the keys of {order['owner']} (PublicKeyFile {path})" if path else "the keys that annexd lends"
