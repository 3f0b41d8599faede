"""CA_SWITCH_OFFER: pause an offer of machines for idle jobs, or resume it.

The journal records it, so a paused offer stays paused after a restart.  It costs and ends nothing: machines that an
offer has ordered live until their leases end.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.carry_out import carry_out
from annexd.annex.index import SWITCH, AnnexIndex
from annexd.annex.lease.identifiers import new_command_id
from annexd.annex.reply import ReplyAd, reply
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest, shown
from annexd.annex.request.order import OfferSwitch
from annexd.annex.request.request import command_id_of, own_of
from annexd.annex.request.same_request import digest_of
from annexd.workflow import SUCCESS, Engine, NotOwner, Outcome, State, Workflow

COMMAND: Final = "CA_SWITCH_OFFER"
OWN: Final = frozenset(["command", "requestversion", "commandid", "offer", "paused"])


def add_switching(engine: Engine) -> None:
    """Register the workflow with an Engine of annexes; it has no steps: the order is all of it."""
    engine.add(SWITCH, Workflow(OfferSwitch, ()))


@dataclass(frozen=True)
class SwitchRequest:
    offer: str
    paused: bool

    @classmethod
    def from_ad(cls, ad: Mapping[str, Any], offers: Collection[str]) -> "SwitchRequest":
        """Parse an ad.  Raises InvalidRequest with every fault."""
        own = own_of(COMMAND, ad, OWN)
        offer, paused = own.text("Offer", lambda name: _fault_of(name, offers)), own.flag("Paused", True)
        if offer is None and own.missing("Offer"):
            own.faults.append("Offer is missing: condor_annex -offers shows them")
        if own.faults:
            raise InvalidRequest(own.faults)
        return cls(offer or "", paused)


def _fault_of(name: str, offers: Collection[str]) -> str | None:
    if name in offers:
        return None
    known = f"the offers are {', '.join(sorted(offers))}" if offers else "annexd has none (ANNEX_OFFERS)"
    return f"{shown(name)} does not exist: {known}"


def switch_offer(
    ad: Mapping[str, Any],
    owner: str,
    index: AnnexIndex,
    defaults: Defaults,
    offers: Collection[str],
    *,
    accepted: Callable[[State], None] = lambda _: None,
) -> ReplyAd:
    """Pause or resume the offer in `ad` for a super user, and reply when that is in the journal.  Blocks."""

    def begin() -> State:
        request = SwitchRequest.from_ad(ad, offers)
        if owner not in defaults.super_users:
            raise NotOwner("only a QUEUE_SUPER_USER may pause or resume an offer")
        switch = OfferSwitch(request.offer, request.paused)
        return index.engine.accept(command_id_of(ad) or new_command_id(), owner, switch, digest_of(ad))

    return carry_out(ad, owner, index.engine, COMMAND, (SWITCH,), begin, _reply_of_switch, accepted)


def _reply_of_switch(_: State, outcome: Outcome) -> ReplyAd:
    ad, found = reply(outcome.result, outcome.error, command_id=outcome.command_id), outcome.order_as(OfferSwitch)
    if found is not None and outcome.result == SUCCESS:
        ad |= {"Offer": found.offer, "Paused": found.paused}
    return ad
