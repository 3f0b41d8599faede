"""The rules that are compared: annexd's own, and those of two peers, written from their sources.

Only the ordering rule differs: age, boot time and idle shutdown are the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from annexd.demand.confirmation import Confirmation
from annexd.demand.decision import decide
from annexd.demand.situation import Confirmed, Decision, FreeRoom, OfferNow, Situation, WaitingGroup
from test.bench.demand.trace import MAIN, TraceOffer
from test.bench.demand.view import IdleJobs, OfferView, View

STEP: Final = 50  # the default of ANNEX_OFFER_<name>_STEP


@dataclass
class Annexd:
    """annexd's own decision, with the negotiator's matches of the cycle before or without them.

    With them, jobs that will be old enough at the next decision are shown to the negotiator, which knows their age.
    """

    step: int = STEP
    asks_negotiator: bool = True
    _shown: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, view: View) -> Mapping[str, int]:
        groups = view.soon if self.asks_negotiator else view.groups
        decision = self._decided(view, groups, self._confirmed(view, groups))
        self._shown = decision.ghosts
        return decision.orders

    def _decided(self, view: View, groups: Sequence[IdleJobs], confirmed: Mapping[str, Confirmed] | None) -> Decision:
        shapes = {_key(each): each.shape for each in groups}
        offers = {each.offer.name: each.offer for each in view.offers}
        free = {
            f"{each.offer.name} {left}": FreeRoom(f"{each.offer.name} {left}", left, count)
            for each in view.offers
            for left, count in each.left.items()
        }
        of_room = {f"{each.offer.name} {left}": each.offer for each in view.offers for left in each.left}
        return decide(
            Situation(
                [
                    WaitingGroup(_key(each), each.schedd, each.autocluster, each.count, each.shape.needs)
                    for each in groups
                ],
                [self._offer(each) for each in view.offers],
                list(free.values()),
                lambda group, machine: {**offers, **of_room}[machine].runs(shapes[group]),
                confirmed,
            )
        )

    def _offer(self, view: OfferView) -> OfferNow:
        offer = view.offer
        return OfferNow(
            offer.name,
            offer.has,
            offer.micro_dollars_per_hour,
            offer.max_machines,
            self.step,
            living=view.living,
            in_flight=view.flying,
        )

    def _confirmed(self, view: View, groups: Sequence[IdleJobs]) -> Mapping[str, Confirmed] | None:
        if not self.asks_negotiator:
            return None
        users: dict[tuple[str, int], set[str]] = {}
        for each in groups:
            users.setdefault((each.schedd, each.autocluster), set()).add(each.user)
        limited = frozenset(each.schedd for each in groups) if view.offered else frozenset[str]()
        found = view.ghosts(self._shown)
        answer = Confirmation(found, negotiators={name: name for name in found}, limited=limited)
        return {name: Confirmed(jobs, _full(answer.kept_back(name, users), groups)) for name, jobs in found.items()}


def _full(kept_back: Collection[tuple[str, str]], groups: Sequence[IdleJobs]) -> frozenset[str]:
    """Return the groups of users whose schedd offered as many of their jobs as it offers at once."""
    return frozenset(_key(each) for each in groups if (each.schedd, each.user) in kept_back)


def _key(group: IdleJobs) -> str:
    return f"{group.schedd}#{group.autocluster}#{group.user}"


def cores_counted(view: View) -> Mapping[str, int]:
    """Order as Google's autoscaler does, each minute: idle cores by a machine's cores, less the machines without a job.

    Source: GoogleCloudPlatform/cluster-toolkit 1047080375,
    community/modules/scripts/htcondor-install/files/autoscaler.py, `scale`.  It queries the schedd of its own host,
    adds up RequestCpus of the jobs whose RequireId names the instance group, divides the sum by the machine's cores and
    rounds up.  The new target is the old one, plus that number, less the machines that are being created or have no
    dynamic slot.  Memory and GPUs are queried but not used.  The user is assumed to know the prices and to have named
    the group that is the cheapest for the job or, where no group can run it, the largest of its sort.
    """
    orders = {}
    for each in view.offers:
        cores = sum(group.count * group.shape.needs.cpus for group in view.groups if _named(group, view) is each.offer)
        wanted = math.ceil(cores / each.offer.has.cpus) - each.flying - each.unused
        orders[each.offer.name] = max(0, min(wanted, each.offer.max_machines - each.living))
    return orders


def _named(group: IdleJobs, view: View) -> TraceOffer | None:
    if group.schedd != MAIN:
        return None
    offers = [each.offer for each in view.offers]
    running = [offer for offer in offers if offer.runs(group.shape)]
    if running:
        return min(running, key=lambda offer: offer.micro_dollars_per_hour * group.shape.needs.share_of(offer.has))
    of_its_sort = [offer for offer in offers if bool(offer.has.gpus) == bool(group.shape.needs.gpus)]
    return max(of_its_sort, key=lambda offer: offer.has.cpus)


OLD_S: Final = 600  # OldIdle
RESERVE: Final = 5  # idle_glideins_per_entry reserve
MOST_IDLE: Final = 100  # idle_glideins_per_entry max and idle_vms_per_entry max
CURB: Final = 5  # idle_vms_per_entry curb
ATTENUATION: Final = 3  # ramp_up_attenuation
ABOVE_QUEUE: Final = 1.15  # running_glideins_per_entry relative_to_queue
LEAST_MEMORY_MIB: Final = 2500


def third_of_need(view: View) -> Mapping[str, int]:
    """Keep a third of the need on its way, as glideinWMS does with its defaults (creation/lib/cvWParams.py).

    Source: glideinWMS/glideinwms efdc530a5.  `countMatch` of frontend/glideinFrontendLib.py divides jobs evenly among
    the matching entries, and their cores by a glidein's.  `compute_glidein_min_idle` of
    frontend/glideinFrontendElement.py subtracts the machines with cores left and requests a third, plus a reserve for
    jobs idle for ten minutes.  It requests half of that if five or more machines have cores left, and at least one.
    `compute_glidein_max_run` caps all.  `keepIdleGlideins` of factory/glideFactoryLib.py submits what is missing of
    those on their way.
    """
    return {each.offer.name: _missing(each, view) for each in view.offers}


def _missing(each: OfferView, view: View) -> int:
    need = _need(each.offer, view, 0)
    idle = _idle_machines(each)
    effective = max(need - idle, 0)
    if not effective or idle >= MOST_IDLE or each.living >= each.offer.max_machines:
        return 0
    asked = int(min(effective, each.offer.max_machines - each.living) / ATTENUATION)
    asked += min(max(_need(each.offer, view, OLD_S) - idle, 0) // 3, RESERVE)
    asked = min(asked, MOST_IDLE) // (2 if idle >= CURB else 1)
    most = int((effective + each.busy) * ABOVE_QUEUE + 1)
    return max(0, min(max(asked, 1) - each.flying, most - each.living))


def _need(offer: TraceOffer, view: View, age_s: int) -> int:
    """Return how many machines the offer's even share of the jobs fills, counted in cores."""
    cores = 0.0
    for group in view.groups:
        entries = sum(each.offer.runs(group.shape) for each in view.offers)
        if offer.runs(group.shape):
            cores += group.older(view.now_s - age_s) * group.shape.needs.cpus / entries
    return math.ceil(cores / offer.has.cpus)


def _idle_machines(each: OfferView) -> int:
    """Count machines as `getIdleCondorStatus` does: without a job, or with cores, memory and, if any, GPUs left."""
    return sum(
        count
        for left, count in each.left.items()
        if left.cpus > 0 and left.memory_mib > LEAST_MEMORY_MIB and (left.gpus > 0 or not each.offer.has.gpus)
    )
