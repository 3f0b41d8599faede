"""CA_BULK_REQUEST, from the command ad to the reply ad: order an annex."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from annexd.annex.carry_out import carry_out
from annexd.annex.fleet.access import Access, no_access
from annexd.annex.fleet.images import resolved
from annexd.annex.join.config_bundle import BundleSources, NoBundleSources, completed
from annexd.annex.reply import ReplyAd, reply_of
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.request.order import FleetOrder, new_order, target_of
from annexd.annex.request.request import COMMAND, BulkRequest
from annexd.annex.request.same_request import digest_of
from annexd.annex.reservations import Reservations
from annexd.workflow import Engine, State

ORDER: Final = ""  # an order's workflow has no name


def bulk_request(
    ad: Mapping[str, Any],
    owner: str,
    engine: Engine,
    defaults: Defaults,
    now_s: float,
    *,
    access: Access = no_access,
    bundle_sources: BundleSources | None = None,
    reservations: Reservations | None = None,
    offer: MachineOffer | None = None,
    accepted: Callable[[State], None] = lambda _: None,
) -> ReplyAd:
    """Carry out `ad` for `owner` (user@domain), and reply when everything is done or undone.  Blocks.

    `access` gives the clients that look up images.  `bundle_sources` provides the content of config bundles.
    `reservations`: the budgets, if any are possible.  `offer`: the offer by which annexd itself orders for idle jobs.
    `accepted`: see carry_out.  An order that is stuck gets a reply, too; `engine.unfinished()` lists it.
    """

    def begin() -> State:
        new_id, order, _ = order_in(ad, owner, defaults, now_s, access)
        order = completed(of_offer(order, offer), bundle_sources or NoBundleSources())
        if reservations is None:
            return engine.accept(new_id, owner, order, digest_of(ad))
        return reservations.order(new_id, owner, order, digest_of(ad), defaults)

    return carry_out(ad, owner, engine, COMMAND, (ORDER,), begin, lambda _, outcome: reply_of(outcome), accepted)


def of_offer(order: FleetOrder, offer: MachineOffer | None) -> FleetOrder:
    """Return the order of an offer.  Raises InvalidRequest for machines that would not join the pool."""
    if offer is None:
        return order
    if order.join is None:
        raise InvalidRequest([f"machines of offer {offer.name} must join the pool: set ANNEX_DEFAULT_S3_BUCKET"])
    return replace(order, join=replace(order.join, offer=offer))


def target_in(ad: Mapping[str, Any], owner: str, defaults: Defaults, now_s: float) -> AccountTarget:
    """Return where the order of this ad would be carried out.  Makes no calls.  Raises InvalidRequest."""
    return target_of(BulkRequest.from_ad(ad, now_s, defaults), owner, defaults.account_of(owner))


def order_in(
    ad: Mapping[str, Any], owner: str, defaults: Defaults, now_s: float, access: Access
) -> tuple[str, FleetOrder, Mapping[str, Any]]:
    """Return the CommandID, the order, and the ad with the IDs of its images.

    AWS is called for the images only after everything else was found valid.
    """
    account = defaults.account_of(owner)
    request = BulkRequest.from_ad(ad, now_s, defaults)
    whole, notes = resolved(ad, lambda: access(target_of(request, owner, account)))
    if whole != ad:
        request = BulkRequest.from_ad(whole, now_s, defaults)
    order = new_order(request, owner, account=account)
    return request.command_id, replace(order, notes=(*notes, *order.notes)), whole
