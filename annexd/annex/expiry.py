"""Decide which requests ended so long ago that the journal can drop them."""

from collections.abc import Callable, Collection

from annexd.annex.living import LIVES_ON_S
from annexd.annex.request.order import FleetOrder, OfferSwitch, Order
from annexd.workflow import State


def is_over(
    state: State,
    finished_at_s: float,
    now_s: float,
    latest_end_s: Callable[[str], int],
    held: Collection[str] = (),
) -> bool:
    """Return whether a finished request no longer matters: it failed, or its lease ended, long ago.

    A cancellation matters for as long as the lease that it cut short would have lasted; so does an order that was given
    up.  `latest_end_s` returns the latest possible end of a moved lease, by annex ID.  `held`: annexes whose
    reservations are not settled.
    """
    if state.order_as(OfferSwitch) is not None:
        return False  # a paused offer stays paused
    order = state.order_as(Order)
    if order is not None and order.annex_id in held:
        return False
    if order is None or (isinstance(order, FleetOrder) and state.is_undone):
        return now_s > finished_at_s + LIVES_ON_S
    return now_s > max(finished_at_s, order.end_of_lease_s, latest_end_s(order.annex_id)) + LIVES_ON_S
