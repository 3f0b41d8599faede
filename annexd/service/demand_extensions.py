"""Extend leases of machines that annexd ordered by itself, as condor_annex -extend does, and report why others are not
extended.

An extension is a workflow of the journal like any other: its budgets reserve first, and after a crash it continues,
once.  While it is under way the annex's end counts as being moved, and afterwards it is not due, so no extension is
made twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from annexd.annex.change import COMMAND
from annexd.annex.offered import OfferedAnnex
from annexd.annex.reply import ReplyAd
from annexd.annex.request.request import REQUEST_VERSION
from annexd.daemoncore import log
from annexd.demand.extension import Extension, Lease, Terms, extensions
from annexd.service.attempts import Attempts
from annexd.service.demand_look import Found
from annexd.service.demand_settings import DemandSettings
from annexd.workflow import SUCCESS


@dataclass(frozen=True)
class ExtendContext:
    """The parts of the daemon that extending needs: `extend(ad, owner)`, and ANNEX_MAX_LEASE."""

    extend: Callable[[Mapping[str, Any], str], Awaitable[ReplyAd]]
    max_lease_s: Callable[[], int]


class DemandExtensions:
    """`done` is called after each extension, whatever its result."""

    def __init__(self, context: ExtendContext, done: Callable[[], None]) -> None:
        self._context = context
        self._attempts = Attempts("Demand: annex {name} is not extended for {seconds} s", done)

    def reconfigure(self) -> None:
        """Forget earlier failures: the configuration may have been the cause."""
        self._attempts.cool_downs.forget()

    def cancel(self) -> None:
        self._attempts.cancel()

    def decide(self, found: Found) -> list[Extension]:
        """Return the decision about each lease that is due."""
        longest_s = self._context.max_lease_s()
        terms = {
            each.name: Terms(min(each.max_lease_s, longest_s), found.why_paused(each.name))
            for each in found.settings.offers
            if each.max_lease_s > each.lease_s
        }
        leases = [_lease(each, knows_jobs=found.knows_jobs) for each in found.annexes]
        for gone in self._attempts.cool_downs.names() - {each.annex_id for each in leases}:
            self._attempts.cool_downs.allow(gone)
        return [self._cooled(each, found.at_s) for each in extensions(leases, terms, found.at_s)]

    def extend(self, found: Found, decided: list[Extension]) -> None:
        """Begin the decided extensions that are not under way."""
        annexes = {each.annex_id: each for each in found.annexes}
        for each in decided:
            if each.length_s:
                act = partial(self._carry_out, found.settings, annexes[each.annex_id], each)
                self._attempts.begin(each.annex_id, act)

    def _cooled(self, extension: Extension, now_s: float) -> Extension:
        refusal = self._attempts.cool_downs.refusal(extension.annex_id, now_s) if extension.length_s else None
        if refusal is None:
            return extension
        return replace(extension, length_s=0, why=f"no further try before {refusal[0]}: {refusal[1]}")

    async def _carry_out(self, settings: DemandSettings, annex: OfferedAnnex, extension: Extension) -> str:
        log.always(f"Demand: extending annex {annex.annex_id} of offer {annex.offer} by {extension.length_s} s")
        answer = await self._context.extend(change_ad(settings, annex, extension), annex.owner)
        if answer["Result"] != SUCCESS:
            return str(answer.get("ErrorString"))
        log.always(f"Demand: annex {annex.annex_id} is extended")
        return ""


def change_ad(settings: DemandSettings, annex: OfferedAnnex, extension: Extension) -> dict[str, Any]:
    """Return the command ad.  Its CommandID is the same until a change of this annex's end is in the journal.

    It begins with that of the order, which no ad shows, so nobody else can have used it before.
    """
    return {
        **settings.keys,
        "Command": COMMAND,
        "RequestVersion": REQUEST_VERSION,
        "CommandID": f"{annex.command_id}-extension-{annex.moves + 1}",
        "Annex": annex.annex_id,
        "LeaseExtension": extension.length_s,
    }


def _lease(annex: OfferedAnnex, *, knows_jobs: bool) -> Lease:
    return Lease(
        annex.annex_id,
        annex.offer,
        annex.began_s,
        annex.lease_s,
        annex.end_s,
        annex.hears_s,
        annex.claimed if knows_jobs else None,
        annex.held,
    )
