"""Where annexd may look, and with whose keys."""

from dataclasses import asdict, dataclass

from annexd.annex.key_source import KeySource
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.lending import own_endpoints
from annexd.aws import account_of_function
from annexd.workflow import Json


@dataclass(frozen=True)
class AccountTarget:
    """One account and region; `order` is as much of an order as Access needs."""

    order: Json
    lease_function_arn: str

    @property
    def key(self) -> str:
        """Equal for the same keys, endpoints and account."""
        return repr((sorted(self.order.items()), account_of_function(self.lease_function_arn)))

    @property
    def access_order(self) -> Json:
        """What Access needs: also of which account the keys have to be."""
        return {**self.order, "lease_function_arn": self.lease_function_arn}


def target_of(order: Json) -> AccountTarget:
    """Return where an order is carried out."""
    keys = ("owner", "endpoints")
    accounts = {"accounts": order["accounts"]} if order.get("accounts") else {}
    return AccountTarget(
        {key: order[key] for key in keys} | KeySource.of(order).as_order() | accounts, order["lease_function_arn"]
    )


def own_target(defaults: Defaults, *, keyed: bool = False) -> AccountTarget | None:
    """Return where annexd's own keys lead, if it lends them and knows a lease function; `keyed`: or others' keys."""
    arn = defaults.lease_function_arn
    if arn is None or not (keyed or defaults.allow_default_credentials):
        return None
    order = {"owner": "", "endpoints": asdict(own_endpoints(defaults)), **KeySource().as_order()}
    return AccountTarget(order, arn)
