"""The account and region in which annexd acts, and the keys that it uses."""

from dataclasses import dataclass

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.key_source import KeySource
from annexd.annex.request.lending import own_endpoints
from annexd.aws import Endpoints, account_of_function


@dataclass(frozen=True)
class Requester:
    """The user whose keys are used.

    The account is kept with its owner, so that a later user of the same name is never mistaken for the owner.
    """

    owner: str  # user@domain; empty for annexd itself
    account: str | None  # of this host, see Defaults.account_of
    keys: KeySource


@dataclass(frozen=True)
class AccountTarget:
    """One account and region, which the lease function's ARN names, and the keys for it."""

    requester: Requester
    endpoints: Endpoints
    lease_function_arn: str

    @property
    def key(self) -> str:
        """Return a value that is equal for the same keys, endpoints and account."""
        return repr((self.requester, self.endpoints, account_of_function(self.lease_function_arn)))


def own_target(defaults: Defaults, *, keyed: bool = False) -> AccountTarget | None:
    """Return annexd's own target if it lends keys, or with `keyed` in any case; None without a lease function."""
    arn = defaults.lease_function_arn
    if arn is None or not (keyed or defaults.allow_default_credentials):
        return None
    return AccountTarget(Requester("", None, KeySource()), own_endpoints(defaults), arn)
