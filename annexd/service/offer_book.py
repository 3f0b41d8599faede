"""Keep the known facts of each offer's machines: their resources, their cost, and why they cannot be ordered.

Once a machine of an offer has joined, a photograph of its slot shows what such machines have; before that AWS's
description of the instance types does.  An offer is quoted as an order is, so the reasons for a refusal of its order
are known beforehand.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, Final

import classad2
import htcondor2

from annexd.annex.bulk_request import target_in
from annexd.annex.join.config_bundle import BundleSources
from annexd.annex.quote.money import price_in
from annexd.annex.quote.quote import COMMAND as QUOTE
from annexd.annex.quote.quote import quote_annex
from annexd.annex.reply import ANSWERED
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.request.request import COMMAND, REQUEST_VERSION
from annexd.annex.reservations import Reservations
from annexd.annex.steps import StepContext
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import answers
from annexd.condor import bindings
from annexd.condor.values import Unsafe
from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.demand.machine_ad import UnknownMachine, facts_of, machine_ad
from annexd.demand.offer import Offer, instance_types, sized, volume_gib
from annexd.demand.packing import Resources
from annexd.service.demand_settings import DemandSettings, in_knobs

AGAIN_S: Final = 600.0  # between two queries about the same offer: Spot prices change within hours
AFTER_FAULT_S: Final = 60.0
ANSWER_S: Final = 20.0  # time that a look waits for results; an AWS region that hangs delays no offer of another one
AT_ONCE: Final = 4
NOT_ASKED: Final = "AWS has not been asked about it yet"
MICRO: Final = 1_000_000
OF_AD: Final = "its AD"  # the origin of the ad
OF_A_MACHINE: Final = "a machine"
OF_AWS: Final = "AWS's description"


@dataclass(frozen=True)
class OfferFacts:
    """The known facts of an offer's machines; `ad` is empty while nothing is known."""

    ad: str = ""
    has: Resources | None = None
    source: str = ""
    micro_dollars_per_hour: int | None = None
    rank: float = 0.0
    at_s: float = 0.0
    fault: str = ""  # why its machines cannot be ordered now
    target: AccountTarget | None = None  # where they would be ordered; None while unknown


def order_ad(
    offer: Offer, config: Mapping[str, Any], settings: DemandSettings, now_s: float, command: str
) -> dict[str, Any]:
    """Return the command ad that orders, or quotes, machines of an offer by this config."""
    return {
        **config,
        **settings.keys,
        "Command": command,
        "RequestVersion": REQUEST_VERSION,
        "EndOfLease": int(now_s) + offer.lease_s,
        "LeaseDuration": offer.lease_s,
        "AnnexName": f"offer-{offer.name}".replace("_", "-"),
        "NoOwner": True,
        "MaxIdleTime": offer.idle_s,
    }


class OfferBook:
    """Queries AWS about offers periodically."""

    def __init__(
        self,
        context: StepContext,
        bundle_sources: BundleSources,
        defaults: Defaults,
        reservations: Reservations | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._context, self._bundle_sources, self._defaults = context, bundle_sources, defaults
        self._reservations, self._answer_s = reservations, answer_s
        self._facts: dict[str, OfferFacts] = {}
        self._offers: dict[str, Offer] = {}
        self._photographs: dict[str, tuple[Offer, str]] = {}  # with each offer as it was then
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def reconfigure(self, defaults: Defaults) -> None:
        """Query AWS again about all offers."""
        self._defaults = defaults
        for name in {*self._offers, *self._asking}:
            self._ask_again(name)

    def facts(self, offer: Offer) -> OfferFacts:
        """Return the known facts; with the fault NOT_ASKED for an offer that was not queried since it changed."""
        known = self._facts.get(offer.name, OfferFacts())
        return known if self._offers.get(offer.name) == offer else replace(known, fault=NOT_ASKED)

    def has_photograph(self, offer: Offer) -> bool:
        return self._photographs.get(offer.name, (None, ""))[0] == offer

    def photograph(self, offer: Offer, ad: str) -> None:
        """Keep the ad of a machine of this offer that has joined, instead of AWS's description, and query AWS again."""
        self._photographs[offer.name] = offer, ad
        self._ask_again(offer.name)

    def _ask_again(self, name: str) -> None:
        """Discard the known result and any that is on its way: their input has changed."""
        self._offers.pop(name, None)
        if name in self._asking:
            self._asking[name].cancel()

    async def refresh(self, settings: DemandSettings) -> None:
        """Query AWS about the offers that are due; return after ANSWER_S at the latest."""
        for offer in settings.offers:
            known = self._facts.get(offer.name)
            wait_s = AFTER_FAULT_S if known and known.fault else AGAIN_S
            is_due = known is None or self._offers.get(offer.name) != offer or time.time() - known.at_s >= wait_s
            if is_due and offer.name not in self._asking:
                self._asking[offer.name] = task = asyncio.create_task(self._refresh(offer, settings))
                task.add_done_callback(partial(self._asked_about, offer.name))
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=self._answer_s)

    async def _refresh(self, offer: Offer, settings: DemandSettings) -> None:
        async with self._at_once:
            facts = await in_thread(partial(self._ask, offer, settings))
        self._facts[offer.name] = replace(facts, fault=in_knobs(offer.name, facts.fault))
        self._offers[offer.name] = offer

    def _asked_about(self, name: str, _task: object) -> None:
        del self._asking[name]

    def _ask(self, offer: Offer, settings: DemandSettings) -> OfferFacts:
        """Query AWS about one offer.  Blocks."""
        before = self._facts.get(offer.name, OfferFacts())
        try:
            return self._asked(offer, settings)
        except (UnknownMachine, *ANSWERED) as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001  the edge of one offer: the others continue
            fault = f"internal error: {type(error).__name__}: {error}"
            log.error(f"Offer {offer.name} cannot be checked: {fault}")
        return replace(before, fault=fault, at_s=time.time())

    def _asked(self, offer: Offer, settings: DemandSettings) -> OfferFacts:
        now_s = time.time()
        ad = order_ad(offer, sized(offer, 1), settings, now_s, QUOTE)
        reply = quote_annex(
            ad,
            settings.owner,
            self._context,
            self._defaults,
            now_s,
            self._bundle_sources,
            self._reservations,
            MachineOffer(offer.name, offer.start),
        )
        if "Quote" not in reply:
            return OfferFacts(fault=str(reply.get("ErrorString")), at_s=now_s)
        price = price_of(json.loads(str(reply["Quote"])), on_demand=offer.on_demand)
        as_order = order_ad(offer, sized(offer, 1), settings, now_s, COMMAND)
        target = target_in(as_order, settings.owner, self._defaults, now_s)
        text, source = self._machine(offer, target)
        values = bindings.literals(text)
        has, rank = resources_in(values), rank_of(offer.rank, values, price)
        return OfferFacts(text, has, source, price, rank, now_s, str(reply.get("ErrorString") or ""), target)

    def _machine(self, offer: Offer, target: AccountTarget) -> tuple[str, str]:
        """Return the text of the machine's ad, and its origin.  Raises UnknownMachine or the errors in ANSWERED."""
        if offer.machine_ad:
            return _checked(offer.machine_ad), OF_AD
        if self.has_photograph(offer):
            return self._photographs[offer.name][1], OF_A_MACHINE
        types = instance_types(offer.config)
        if not types:
            raise UnknownMachine("its order names no instance types: ANNEX_OFFER_<name>_AD can say what they have")
        clients = self._context.access(target)
        with translate_aws_errors("DescribeInstanceTypes"):
            rows = list(
                answers.listed(clients.ec2, "describe_instance_types", "InstanceTypes", InstanceTypes=list(types))
            )
        facts = facts_of(rows, volume_gib(offer.config))
        version, domain = htcondor2.version(), self._defaults.uid_domain
        values, expressions = machine_ad(offer.name, offer.start, facts, types[0], version, (domain, domain))
        return str(bindings.make_ad(values, expressions)), OF_AWS


def price_of(quote: Mapping[str, Any], *, on_demand: bool) -> int | None:
    """Return the hourly price of the cheapest pool in micro-dollars; None if no price is known."""
    prices: list[Fraction] = []
    for pool in quote.get("Pools") or ():
        found = [pool.get("OnDemandPrice")]
        if not on_demand and pool.get("SpotPrices"):
            found = [each.get("Now") for each in pool["SpotPrices"].values()]
        prices += [price for each in found if each is not None and (price := price_in(str(each))) is not None]
    return int(min(prices) * MICRO) if prices else None


def resources_in(values: Mapping[str, object]) -> Resources:
    """Return the total resources of the machine of this ad.  Raises UnknownMachine for an ad without them."""
    found = {name: _number(values, f"TotalSlot{name}", name) for name in ("Cpus", "Memory", "Disk", "GPUs")}
    if not found["Cpus"] or not found["Memory"]:
        raise UnknownMachine("the ad of its machine has no Cpus and Memory")
    return Resources(found["Cpus"], found["Memory"], found["Disk"], found["GPUs"])


def _number(values: Mapping[str, object], *names: str) -> int:
    found = (values.get(name) for name in names)
    return next((max(0, int(each)) for each in found if isinstance(each, int | float)), 0)


def rank_of(rank: str, values: Mapping[str, object], micro_dollars: int | None) -> float:
    """Evaluate RANK over the machine's plain values and AnnexPrice; 0.0 if it is not a number."""
    price = {} if micro_dollars is None else {"AnnexPrice": micro_dollars / MICRO}
    try:
        value = bindings.evaluated(rank, {**values, **price})
    except (classad2.ClassAdException, Unsafe):
        return 0.0
    return float(value) if isinstance(value, int | float) and not isinstance(value, classad2.Value) else 0.0


def _checked(text: str) -> str:
    try:
        return str(bindings.parse_ad(text))
    except (classad2.ClassAdException, Unsafe) as error:
        raise UnknownMachine(f"ANNEX_OFFER_<name>_AD is not an ad: {error}") from error
