"""Run a trace under a rule: event after event, in virtual time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from test.bench.demand.cluster import Bill, Machine, Queue, likeness, machine_of
from test.bench.demand.negotiation import Rights, Rooms, negotiate
from test.bench.demand.trace import Pool, Trace, TraceJob, TraceOffer
from test.bench.demand.view import IdleJobs, OfferView, Rule, View

PATIENCE_S = 48 * 3600  # after the last arrival; what has not run by then never will


@dataclass
class Outcome:
    """The outcome of a rule; a job's waiting times are added up, and a job without a span never ran to its end."""

    dollars: float = 0.0
    machines: Counter[str] = field(default_factory=Counter)
    waited_s: dict[int, int] = field(default_factory=dict)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)  # of each job's last run
    evicted: int = 0


def simulate(trace: Trace, rule: Rule, pool: Pool | None = None) -> Outcome:
    """Run the trace until all possible jobs have run, or patience is over, and all machines are gone."""
    return _Simulation(trace, rule, pool or Pool()).run()


class _Simulation:
    def __init__(self, trace: Trace, rule: Rule, pool: Pool) -> None:
        self._trace = trace
        self._rule = rule
        self._pool = pool
        self._now_s = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._queue = Queue()
        self._machines: list[Machine] = []
        self._where: dict[int, tuple[Machine, int]] = {}  # running jobs: the machine, and the number of the start
        self._starts: Counter[int] = Counter()
        self._used: Counter[str] = Counter()
        self._changed = True  # since the last negotiation
        self._bill = Bill(pool)
        self._outcome = Outcome()
        self._autoclusters = trace.autoclusters()
        self._unfinished = {job.number for job in trace.possible()}
        self._offers = {offer.name: offer for offer in trace.offers}
        self._end_s = max(job.arrives_s for job in trace.jobs) + PATIENCE_S

    def run(self) -> Outcome:
        for job in self._trace.jobs:
            self._at(job.arrives_s, partial(self._arrive, job))
        self._at(0, self._negotiate)
        self._at(self._pool.interval_s // 2, self._decide)
        while self._events:
            self._now_s, _, action = heapq.heappop(self._events)
            action()
        self._outcome.dollars = self._bill.micro_dollars / 1e6
        self._outcome.machines = self._bill.machines
        return self._outcome

    def _at(self, at_s: int, action: Callable[[], None]) -> None:
        self._scheduled += 1
        heapq.heappush(self._events, (at_s, self._scheduled, action))

    def _goes_on(self) -> bool:
        return bool(self._unfinished) and self._now_s < self._end_s

    # the queue

    def _arrive(self, job: TraceJob) -> None:
        self._queue.put(job, self._now_s)
        self._changed = True
        if job.held:
            self._at(max(job.held[0], self._now_s), partial(self._hold, job, job.held[1]))

    def _hold(self, job: TraceJob, until_s: int) -> None:
        if self._queue.take(job):
            self._at(until_s, partial(self._release, job))

    def _release(self, job: TraceJob) -> None:
        self._queue.put(job, self._now_s)
        self._changed = True

    def _negotiate(self) -> None:
        if self._changed and len(self._queue):
            rooms = Rooms()
            for machine in self._machines:
                if machine.joined:
                    rooms.add(machine.offer, machine.left, machine)
            rights = Rights(self._used.copy(), self._trace.quotas, self._trace.offered)
            matches = list(negotiate(self._queue, rooms, rights))
            for job, _, room in matches:
                self._start(job, machine_of(room))
            self._changed = bool(matches)  # a schedd that offered only some of its jobs continues in the next cycle
        if self._goes_on():
            self._at(self._now_s + self._pool.cycle_s, self._negotiate)

    def _start(self, job: TraceJob, machine: Machine) -> None:
        since_s = self._queue.since_s(job)
        assert since_s is not None
        self._queue.take(job)
        machine.start(job)
        self._used[job.user] += job.shape.needs.cpus
        self._starts[job.number] += 1
        self._where[job.number] = machine, self._starts[job.number]
        waited_s = self._outcome.waited_s
        waited_s[job.number] = waited_s.get(job.number, 0) + self._now_s - since_s
        self._at(self._now_s + job.runs_s, partial(self._finish, job, machine, self._starts[job.number], self._now_s))

    def _finish(self, job: TraceJob, machine: Machine, start: int, started_s: int) -> None:
        if self._where.get(job.number) != (machine, start):
            return  # evicted since
        self._stop(job, machine)
        self._unfinished.discard(job.number)
        self._outcome.spans[job.number] = started_s, self._now_s
        following = self._queue.next_like(job)
        if following and Rights(self._used, self._trace.quotas).allows(following):
            self._start(following, machine)

    def _stop(self, job: TraceJob, machine: Machine) -> None:
        machine.stop(job, self._now_s)
        del self._where[job.number]
        self._used[job.user] -= job.shape.needs.cpus
        self._changed = True
        if machine.unused_since_s is not None:
            self._watch(machine)

    # machines

    def _order(self, offer: TraceOffer) -> None:
        machine = Machine(offer, self._now_s, offer.has)
        self._machines.append(machine)
        self._at(self._now_s + self._pool.boot_s, partial(self._join, machine))
        self._at(self._now_s + self._pool.lease_s, partial(self._end, machine))

    def _join(self, machine: Machine) -> None:
        machine.joined = True
        machine.unused_since_s = self._now_s
        self._changed = True
        self._watch(machine)

    def _watch(self, machine: Machine) -> None:
        self._at(self._now_s + self._pool.shutdown_s, partial(self._shut_down, machine, self._now_s))

    def _shut_down(self, machine: Machine, since_s: int) -> None:
        if machine.unused_since_s == since_s:
            self._end(machine)

    def _end(self, machine: Machine) -> None:
        """End a machine by its idle shutdown or its lease; its jobs are idle again, and their work is lost."""
        if machine not in self._machines:
            return
        for job in list(machine.running.values()):
            self._stop(job, machine)
            self._queue.put(job, self._now_s)
            self._outcome.evicted += 1
        self._machines.remove(machine)
        machine.unused_since_s = None
        self._bill.add(machine, self._now_s)

    # the rule

    def _decide(self) -> None:
        soon = self._groups(self._pool.age_s - self._pool.interval_s)
        if soon:
            for name, count in self._rule(self._view(soon)).items():
                for _ in range(count):
                    self._order(self._offers[name])
        if self._goes_on():
            self._at(self._now_s + self._pool.interval_s, self._decide)

    def _groups(self, age_s: int) -> list[IdleJobs]:
        alike: dict[tuple[object, ...], list[tuple[TraceJob, int]]] = {}
        for each in self._queue.older(self._now_s - age_s):
            alike.setdefault(likeness(each.job), []).append((each.job, each.since_s))
        return [
            IdleJobs(
                jobs[0][0].user,
                jobs[0][0].schedd,
                self._autoclusters[jobs[0][0].shape],
                jobs[0][0].shape,
                tuple(since_s for _, since_s in jobs),
            )
            for jobs in alike.values()
        ]

    def _view(self, soon: list[IdleJobs]) -> View:
        offers = [self._offer_view(offer) for offer in self._trace.offers]
        groups = self._groups(self._pool.age_s)
        return View(self._now_s, groups, soon, offers, self._ghosts, self._trace.offered)

    def _offer_view(self, offer: TraceOffer) -> OfferView:
        machines = [machine for machine in self._machines if machine.offer is offer]
        joined = [machine for machine in machines if machine.joined]
        busy = [machine for machine in joined if machine.running]
        left = Counter(machine.left for machine in joined)
        return OfferView(offer, len(machines) - len(joined), len(joined) - len(busy), len(busy), left)

    def _ghosts(self, shown: Mapping[str, int]) -> Mapping[str, Mapping[tuple[str, int], int]]:
        """Negotiate for each offer as a negotiator of ghosts does, for the jobs that its last cycle saw."""
        old = {each.job.number for each in self._queue.older(self._now_s - self._pool.age_s)}
        idle = [job for job in self._queue if job.number in old]
        found: dict[str, Counter[tuple[str, int]]] = {}
        for name, count in shown.items():
            rooms = Rooms()
            for number in range(count):
                rooms.add(self._offers[name], self._offers[name].has, number)
            rights = Rights(self._used.copy(), self._trace.quotas, self._trace.offered)
            matches = negotiate(idle, rooms, rights)
            found[name] = Counter((job.schedd, self._autoclusters[job.shape]) for job, _, _ in matches)
        return found
