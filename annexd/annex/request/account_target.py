"""Where annexd acts, and with whose keys."""

from dataclasses import dataclass

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.key_source import KeySource
from annexd.annex.request.lending import own_endpoints
from annexd.aws import Endpoints, account_of_function


@dataclass(frozen=True)
class Requester:
    """Whose keys are used.

    The account is kept with its owner, so that an owner who takes another's place is never taken for him.
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
        """Equal for the same keys, endpoints and account."""
        return repr((self.requester, self.endpoints, account_of_function(self.lease_function_arn)))


def own_target(defaults: Defaults, *, keyed: bool = False) -> AccountTarget | None:
    """Return where annexd's own keys lead, if it lends them and knows a lease function; `keyed`: or others' keys."""
    arn = defaults.lease_function_arn
    if arn is None or not (keyed or defaults.allow_default_credentials):
        return None
    return AccountTarget(Requester("", None, KeySource()), own_endpoints(defaults), arn)
