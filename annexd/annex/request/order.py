"""Turn a request into an order: everything that the steps need, named and complete, for the journal.

Its request to AWS is exactly the one that is sent: AWS refuses a known client token with other parameters, so nothing
is recomputed when the request is sent again, perhaps by a later version of annexd.  An order holds no key, only the
paths of the requester's files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from annexd.annex.lease import lease
from annexd.annex.lease.identifiers import leased_token, new_annex_id
from annexd.annex.request.account_target import AccountTarget, Requester
from annexd.annex.request.fleet_api import EC2_FLEET, SPOT_FLEET
from annexd.annex.request.join_config import JoinOrder, join_order
from annexd.annex.request.request import BulkRequest
from annexd.annex.request.template_data import TemplateVersion
from annexd.workflow import Json

FLEET = "spot-fleet-request"
EC2_FLEET_RESOURCE = "fleet"
INSTANCE = "instance"
OrderT = TypeVar("OrderT", bound="Order")


@dataclass(frozen=True)
class Order:
    """The common part of orders: the annex, the account and keys, and the end of the lease."""

    annex_id: str
    target: AccountTarget
    end_of_lease_s: int

    @property
    def summary(self) -> str:
        """Return a short summary of the order, for the log."""
        return f"annex {self.annex_id}, until {lease.utc(self.end_of_lease_s)}"


@dataclass(frozen=True)
class FleetOrder(Order):
    """A new annex.  `config` is the request to this API, exactly as it is sent.

    An EC2 Fleet uses `versions`, those of a launch template of annexd's own.  The template's name is the client
    token, by which the lease function recognises it.  A Spot Fleet has no versions.
    """

    annex_name: str | None
    valid_until_s: int
    client_token: str
    config: Mapping[str, Any]
    notes: tuple[str, ...]  # what was ignored or changed, for the reply
    join: JoinOrder | None  # how the instances join the pool, if they join
    api: str = SPOT_FLEET
    versions: tuple[TemplateVersion, ...] = ()

    @property
    def summary(self) -> str:
        return f"order of {self.units} units for {super().summary}"

    @property
    def units(self) -> object:
        """Return the ordered amount, as AWS counts it."""
        wanted = self.config.get("TargetCapacitySpecification") or {}
        return wanted.get("TotalTargetCapacity") if self.api == EC2_FLEET else self.config.get("TargetCapacity")

    @property
    def offer_name(self) -> str | None:
        """Return the offer by which annexd ordered it for idle jobs, if it did."""
        return self.join.offer.name if self.join and self.join.offer else None

    @property
    def shown_name(self) -> str:
        """Return the user's name of the annex, or its ID."""
        return self.annex_name or self.annex_id


@dataclass(frozen=True)
class Subject:
    """The annex that an order concerns.

    `key` is its ID.  For an annex that the journal does not know it is the ID of its first fleet: anyone who can
    request fleets can tag one with another user's annex ID.
    """

    key: str
    fleet_ids: tuple[str, ...]  # the oldest first; empty: not known yet
    order_command_id: str | None  # None: only the cloud knows it
    order: FleetOrder | None

    @property
    def fleet_id(self) -> str | None:
        """Return the fleet with which the annex began."""
        return next(iter(self.fleet_ids), None)


@dataclass(frozen=True)
class OrderOnAnnex(Order):
    """An order for an existing annex."""

    subject: Subject


@dataclass(frozen=True)
class CancelOrder(OrderOnAnnex):
    """A cancellation.  `given`: its sender's own keys, which are also used to undo the annex's order."""

    cancelled_by: str
    given: Requester | None

    @property
    def summary(self) -> str:
        return f"cancellation of annex {self.annex_id}"


@dataclass(frozen=True)
class ChangeOrder(OrderOnAnnex):
    """A change of the lease's end, to `wanted_end_s` or by `extension_s`.

    `end_of_lease_s` is the resulting end as far as the journal knows.
    """

    command_id: str
    extension_s: int | None
    wanted_end_s: int | None
    now: bool  # even if the machines cannot drain in time
    asked_at_s: float
    longest_s: int
    drain_s: int
    reserved_end_s: int | None = None  # the latest end for which budgets reserve; None: no budget applies

    @property
    def summary(self) -> str:
        return f"change of the lease of {super().summary}"


@dataclass(frozen=True)
class GrowOrder(OrderOnAnnex):
    """A further fleet for an annex, under its present end.

    `further` is that fleet as an order of its own, with the annex's ID; `units`: the resulting size of the annex.
    """

    command_id: str
    further: FleetOrder
    units: int

    @property
    def summary(self) -> str:
        return f"{self.further.units} units more, {self.units} in all, for {super().summary}"


@dataclass(frozen=True)
class ShrinkOrder(OrderOnAnnex):
    """Fewer units for an annex, `units` in all; `claimed`: its instances that had jobs according to the collector's
    ads.
    """

    command_id: str
    units: int
    now: bool  # terminate the machines, with their jobs
    claimed: tuple[str, ...]

    @property
    def summary(self) -> str:
        return f"{self.units} units in all for {super().summary}"


@dataclass(frozen=True)
class OfferSwitch:
    """Pausing or resuming an offer of machines for idle jobs."""

    offer: str
    paused: bool


def with_requester(order: OrderT, requester: Requester) -> OrderT:
    """Return the order with these keys."""
    return replace(order, target=replace(order.target, requester=requester))


def target_of(request: BulkRequest, owner: str, account: str | None) -> AccountTarget:
    """Return where an order is carried out.  `account`: see Defaults.account_of."""
    return AccountTarget(Requester(owner, account, request.keys), request.endpoints, request.lease_function_arn)


def new_order(
    request: BulkRequest,
    owner: str,
    *,
    account: str | None = None,
    new_id: Callable[[], str] = new_annex_id,
) -> FleetOrder:
    """Return the order for `owner` (user@domain), under a new annex ID.  `account`: see Defaults.account_of.

    Raises InvalidRequest.
    """
    annex_id = new_id()
    end_of_lease_s = request.end_of_lease_s
    client_token = leased_token(annex_id, end_of_lease_s)
    tags = lease.tags(annex_id, owner, end_of_lease_s, request.annex_name)
    config = {**request.config, "ClientToken": client_token}
    by_ec2_fleet = request.fleet.api == EC2_FLEET
    return FleetOrder(
        annex_id,
        target_of(request, owner, account),
        end_of_lease_s,
        annex_name=request.annex_name,
        valid_until_s=request.valid_until_s,
        client_token=client_token,
        config=_named(config, client_token, tags) if by_ec2_fleet else _tagged(config, tags),
        notes=request.notes,
        join=join_order(request.join, annex_id, owner, end_of_lease_s) if request.join else None,
        api=request.fleet.api,
        versions=tuple(_tagged_version(each, tags) for each in request.fleet.versions),
    )


def _named(config: Json, template: str, tags: list[dict[str, str]]) -> Json:
    """Return a CreateFleet request with the name of its launch template, and with our tags on the fleet.

    Tags on instances come from the template: "the TagSpecifications of type instance" are for fleets of type instant
    only.
    """
    config["TagSpecifications"] = _with(config.get("TagSpecifications"), EC2_FLEET_RESOURCE, tags)
    config["LaunchTemplateConfigs"] = [
        {**each, "LaunchTemplateSpecification": {"LaunchTemplateName": template, **each["LaunchTemplateSpecification"]}}
        for each in config["LaunchTemplateConfigs"]
    ]
    return config


def _tagged_version(version: TemplateVersion, tags: list[dict[str, str]]) -> TemplateVersion:
    own = _with(version.data.get("TagSpecifications"), INSTANCE, tags)
    return replace(version, data={**version.data, "TagSpecifications": own})


def _tagged(config: Json, tags: list[dict[str, str]]) -> Json:
    """Add annexd's tags for the fleet and its instances to the request itself, so that no instance is ever untagged.

    With launch templates only the fleet's are added: AWS takes tags of instances from the template only.
    """
    config["TagSpecifications"] = _with(config.get("TagSpecifications"), FLEET, tags)
    if "LaunchSpecifications" in config:
        config["LaunchSpecifications"] = [
            {**spec, "TagSpecifications": _with(spec.get("TagSpecifications"), INSTANCE, tags)}
            for spec in config["LaunchSpecifications"]
        ]
    return config


def _with(given: list[Mapping[str, Any]] | None, resource: str, tags: list[dict[str, str]]) -> list[Json]:
    """Merge `given` tag specifications and ours into one entry per type of resource: EC2 refuses two."""
    others = [dict(entry) for entry in given or () if entry.get("ResourceType") != resource]
    same = [tag for entry in given or () if entry.get("ResourceType") == resource for tag in entry.get("Tags", ())]
    return [*others, {"ResourceType": resource, "Tags": [*same, *tags]}]
