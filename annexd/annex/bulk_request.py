"""CA_BULK_REQUEST, from the command ad to the reply ad: what the daemon calls in a worker thread.

A CommandID that is known is answered from the journal before the ad is looked at: it may be years old,
and its lease long over.  Whatever the ad, the answer is an ad.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from annexd.annex.fleet.access import Access, no_access
from annexd.annex.fleet.images import resolved
from annexd.annex.join.config_bundle import BundleSources, NoBundleSources, completed
from annexd.annex.reply import ANSWERED, ReplyAd, reply_of, reply_of_error
from annexd.annex.request.account_target import AccountTarget, Requester
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.request.order import FleetOrder, new_order
from annexd.annex.request.request import BulkRequest, check_command, command_id_of
from annexd.annex.request.same_request import check_same, digest_of, known_state
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
    """Carry out `ad` for `owner` (user@domain), and answer when all is done or undone.  Blocks.

    `access` gives the clients that look up images.  `bundle_sources` are what instances that join the pool are given.
    `reservations`: the budgets, if there may be any.
    `offer`: by which annexd itself orders for idle jobs.
    `accepted(state)` is called once the request is in the journal, from where on it goes on by itself.
    An order that is stuck is answered too; `engine.unfinished()` has it.
    """
    command_id, begun = command_id_of(ad), False
    try:
        check_command(ad)
        state = known_state(ad, owner, engine, ORDER)
        if state is None:
            new_id, order, _ = order_in(ad, owner, defaults, now_s, access)
            order = completed(of_offer(order, offer), bundle_sources or NoBundleSources())
            if reservations is None:
                state = engine.accept(new_id, owner, order, digest_of(ad))
            else:
                state = reservations.order(new_id, owner, order, digest_of(ad), defaults)
            check_same(state, ad)  # another may have been accepted at the same moment
        command_id, begun = state.command_id, True
        accepted(state)
        return reply_of(engine.run(command_id))
    except ANSWERED as error:
        return reply_of_error(error, command_id, begun=begun)


def of_offer(order: FleetOrder, offer: MachineOffer | None) -> FleetOrder:
    """Return the order of an offer.  Raises InvalidRequest for machines that would not join the pool."""
    if offer is None:
        return order
    if order.join is None:
        raise InvalidRequest([f"machines of offer {offer.name} must join the pool: set ANNEX_DEFAULT_S3_BUCKET"])
    return replace(order, join=replace(order.join, offer=offer))


def order_in(
    ad: Mapping[str, Any], owner: str, defaults: Defaults, now_s: float, access: Access
) -> tuple[str, FleetOrder, Mapping[str, Any]]:
    """Return the CommandID, the order, and the ad with the IDs of its images.

    AWS is asked about the images once all else was found to be right.
    """
    account = defaults.account_of(owner)
    request = BulkRequest.from_ad(ad, now_s, defaults)
    target = AccountTarget(Requester(owner, account, request.keys), request.endpoints, request.lease_function_arn)
    whole, notes = resolved(ad, lambda: access(target))
    if whole != ad:
        request = BulkRequest.from_ad(whole, now_s, defaults)
    order = new_order(request, owner, account=account)
    return request.command_id, replace(order, notes=(*notes, *order.notes)), whole
