"""Order machines of offers, one order of an offer at a time, and report why an offer orders nothing now.

An order that fails is not repeated at once: its offer waits, three minutes at first, then twice as long each time.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annexd.annex.reply import ReplyAd
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.request.markets import FleetScope
from annexd.annex.request.request import COMMAND
from annexd.daemoncore import log
from annexd.demand.narrowing import Narrowed, Places, narrowed
from annexd.demand.offer import Offer, sized
from annexd.demand.reasons import counted
from annexd.service.attempts import Attempts
from annexd.service.capacity_watch import CapacityPicture
from annexd.service.demand_look import Found
from annexd.service.demand_settings import DemandSettings, in_knobs
from annexd.service.missing_machines import MissingMachines
from annexd.service.offer_book import OfferFacts, order_ad
from annexd.workflow import SUCCESS


@dataclass(frozen=True)
class OrderContext:
    """The parts of the daemon that ordering needs."""

    order: Callable[[Mapping[str, Any], str, MachineOffer], Awaitable[ReplyAd]]
    facts: Callable[[Offer], OfferFacts]
    capacity: Callable[[AccountTarget, float], CapacityPicture]
    subnets: Callable[[], Sequence[str]]


class DemandOrders:
    """`done` is called after each order, whatever its result."""

    def __init__(self, context: OrderContext, done: Callable[[], None]) -> None:
        self._context = context
        self._attempts = Attempts("Demand: offer {name} orders nothing for {seconds} s", done)
        self._missing = MissingMachines()

    def reconfigure(self) -> None:
        """Forget earlier failures: the configuration may have been the cause."""
        self._attempts.cool_downs.forget()
        self._missing.forget()

    def look(self, found: Found) -> None:
        """Take in which machines have joined, if the collector and the journal have just reported it."""
        if found.knows_jobs and found.may_order:
            self._missing.look(found.annexes)

    def cancel(self) -> None:
        self._attempts.cancel()

    def running(self) -> frozenset[str]:
        """Return the offers whose orders are under way."""
        return self._attempts.running()

    def why_closed(self, offer: Offer, found: Found) -> str:
        """Return why the offer takes no orders now, or "".

        An order that ended during the look may be missing among its annexes.
        """
        if paused := found.why_paused(offer.name):
            return paused
        if fault := found.facts[offer.name].fault:
            return fault
        if offer.name in self.running() or offer.name in found.ordering:
            return "its last order is under way"
        if refusal := self._attempts.cool_downs.refusal(offer.name, found.at_s):
            return f"no further order before {refusal[0]}, since the last one failed: {refusal[1]}"
        if refusal := self._missing.refusal(offer.name, found.at_s):
            return f"no further order before {refusal[0]}: {refusal[1]}"
        return self._open_part(offer, 1).words

    def order(self, settings: DemandSettings, offer: Offer, machines: int) -> None:
        """Begin an order, unless the last one of the offer is under way."""
        self._attempts.begin(offer.name, lambda: self._carry_out(settings, offer, machines))

    async def _carry_out(self, settings: DemandSettings, offer: Offer, machines: int) -> str:
        refused = await self._send(settings, offer, machines)
        if refused is None:
            return ""
        text, fitting = refused
        if 0 < fitting < machines:  # a part is better than nothing; the rest waits as after any refusal
            refused = await self._send(settings, offer, fitting)
        return in_knobs(offer.name, text if refused is None else refused[0])

    async def _send(self, settings: DemandSettings, offer: Offer, machines: int) -> tuple[str, int] | None:
        """Send an order; return why it was refused, and how many machines would fit the budgets, or None if it was
        accepted.
        """
        narrow = self._open_part(offer, machines)
        if narrow.config is None:
            return None  # closed since the decision; the next decision reports it
        log.always(f"Demand: ordering {counted(machines)} of offer {offer.name}")
        ad = order_ad(offer, narrow.config, settings, time.time(), COMMAND)
        answer = await self._context.order(ad, settings.owner, MachineOffer(offer.name, offer.start))
        if answer["Result"] == SUCCESS:
            return None
        fitting = answer.get("CapacityLeft")
        return str(answer.get("ErrorString")), fitting if isinstance(fitting, int) else 0

    def _open_part(self, offer: Offer, machines: int) -> Narrowed:
        """Return the config of an order without the capacity that AWS has just refused or taken back."""
        config, target = sized(offer, machines), self._context.facts(offer).target
        if target is None:
            return Narrowed(config)
        closed = self._context.capacity(target, time.time()).closed
        return narrowed(config, closed, FleetScope.of(config).markets, Places({}, tuple(self._context.subnets())))
