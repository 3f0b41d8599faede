"""The commands that annexd accepts as an ad, by the ad's Command."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from annexd.annex import budgets, cancel, change, demand_query, history, offer_switch, resize, status
from annexd.annex.budgets import query_budgets
from annexd.annex.bulk_request import bulk_request
from annexd.annex.cancel import cancel_annex
from annexd.annex.change import change_lease
from annexd.annex.demand_query import query_demand
from annexd.annex.history import query_history
from annexd.annex.index import AnnexIndex
from annexd.annex.join.config_bundle import BundleSources
from annexd.annex.offer_switch import switch_offer
from annexd.annex.quote import quote
from annexd.annex.quote.quote import quote_annex
from annexd.annex.reply import ReplyAd
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.request import commands_in
from annexd.annex.reservations import Reservations
from annexd.annex.resize import resize_annex
from annexd.annex.status import PoolSnapshot, Snapshot, query_annexes
from annexd.annex.steps import StepContext
from annexd.workflow import Json, State

QUESTIONS = frozenset({status.COMMAND, history.COMMAND, demand_query.COMMAND, budgets.COMMAND})  # change nothing
ASIDE = frozenset({cancel.COMMAND, change.COMMAND, offer_switch.COMMAND, *QUESTIONS})  # do not queue behind orders


@dataclass(frozen=True)
class CommandContext:
    """Everything that a command needs."""

    index: AnnexIndex
    step_context: StepContext
    bundle_sources: BundleSources
    looks: Callable[[], Mapping[str, Snapshot]] = dict
    pool: Callable[[], PoolSnapshot] = PoolSnapshot
    reservations: Reservations | None = None
    demand: Callable[[], Json] = dict


def command_of(ad: Mapping[str, Any]) -> str | None:
    """Return the command that an ad names; None if it names no command or several, or not as text."""
    match commands_in(ad):
        case [str(command)]:
            return command
    return None


def answer(
    ad: Mapping[str, Any],
    owner: str,
    context: CommandContext,
    defaults: Defaults,
    now_s: float,
    accepted: Callable[[State], None] = lambda _: None,
) -> ReplyAd:
    """Return the reply ad when everything is done or undone.  Blocks.  `accepted(state)`: see bulk_request."""
    reservations = context.reservations
    command = command_of(ad)
    if command in QUESTIONS:
        return _answer_question(command, ad, owner, context, defaults, now_s)
    match command:
        case cancel.COMMAND:
            return cancel_annex(ad, owner, context.index, context.step_context, defaults, now_s, accepted=accepted)
        case change.COMMAND:
            return change_lease(
                ad,
                owner,
                context.index,
                context.step_context,
                defaults,
                now_s,
                reservations=reservations,
                accepted=accepted,
            )
        case resize.COMMAND:
            claimed = context.pool().claimed
            return resize_annex(
                ad, owner, context.index, context.step_context, defaults, now_s, claimed,
                reservations=reservations, accepted=accepted,
            )  # fmt: skip
        case offer_switch.COMMAND:
            offers = [str(each["Offer"]) for each in context.demand().get("Offers", ())]
            return switch_offer(ad, owner, context.index, defaults, offers, accepted=accepted)
        case quote.COMMAND:
            return quote_annex(ad, owner, context.step_context, defaults, now_s, context.bundle_sources, reservations)
    return bulk_request(
        ad,
        owner,
        context.index.engine,
        defaults,
        now_s,
        access=context.step_context.access,
        bundle_sources=context.bundle_sources,
        reservations=reservations,
        accepted=accepted,
    )


def _answer_question(
    command: str | None,
    ad: Mapping[str, Any],
    owner: str,
    context: CommandContext,
    defaults: Defaults,
    now_s: float,
) -> ReplyAd:
    match command:
        case history.COMMAND:
            return query_history(ad, owner, context.index, defaults, now_s)
        case demand_query.COMMAND:
            return query_demand(ad, context.demand())
        case budgets.COMMAND:
            return query_budgets(ad, context.reservations, now_s)
    return query_annexes(ad, owner, context.index, defaults, now_s, context.looks(), context.pool())
