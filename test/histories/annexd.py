"""Run the daemon's processes: the real engine, steps and journal, in virtual time, until they are killed.

A life ends at a point.  Its outer frames, which wait further out, are then dead as well and notice it at their next
point.  The code around the engine does the work of annexd/service/orders.py: it runs a stuck command again at its
retry time, and a command that the journal could not record some time later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any, NoReturn

from annexd.annex import steps
from annexd.annex.bulk_request import ORDER
from annexd.annex.commands import CommandContext, answer
from annexd.annex.fleet.access import KeyFiles
from annexd.annex.lease.heartbeat import Heartbeats
from annexd.annex.reconcile import reconcile
from annexd.annex.reply import ReplyAd
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.order import FleetOrder, Order
from annexd.annex.workflows import index_of
from annexd.aws import ClientCache, ClientHooks, Clients, Credentials, Endpoints, Limiter, Limiters
from annexd.workflow import Engine, Journal, JournalError, Json, Kind, Outcome, Paused, Refused, Retry, from_json
from test.annex.ads import OWNER
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.cloud.errors import Answer
from test.cloud.request import Request
from test.cloud.views import ACCOUNT
from test.histories import faults
from test.histories.cloud import Cloud
from test.histories.faults import ANNEXD, APPEND, Fault
from test.histories.transport import URL, Hop
from test.lease.account import BUCKET
from test.lease.enforcer import FUNCTION_ARN

PATIENCE_S = 30.0  # annexd/aws/clients.py: read_timeout
RECONCILE_S = 1800.0
WRITE_S = 20.0  # of a disk that hangs
LATER_S = 60.0  # annexd/service/orders.py: the delay after a failed write to the journal
KEYS = {"/home/alice/public": ACCESS_KEY_ID.encode(), "/home/alice/secret": SECRET_ACCESS_KEY.encode()}
DEFAULTS = Defaults(
    ec2_url=URL,
    lambda_url=URL,
    s3_url=URL,
    sts_url=URL,
    logs_url=URL,
    s3_bucket=BUCKET,
    lease_function_arn=FUNCTION_ARN,
    collector_host="cm.example.org",
    trust_domain="example.org",
    shortest_lease_s=60,
)  # shorter than any ordered lease, so that faults occur sooner


class Killed(BaseException):
    """The process is gone, and none of its code runs any more."""


def _identity(_: Request) -> Answer:
    """Respond to GetCallerIdentity.

    It is not part of a history, because it changes nothing and is called once an hour.
    """
    response = f"<Account>{ACCOUNT}</Account>"
    result = f"<GetCallerIdentityResult>{response}</GetCallerIdentityResult>"
    return Answer(200, f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>".encode())


class Attached(ClientCache):
    """Clients with an immediate STS."""

    def clients(self, credentials: Credentials | None, endpoints: Endpoints) -> Clients:
        clients = super().clients(credentials, endpoints)
        Hop(_identity).attach(clients.sts)
        return clients


class Kept:
    """The clients, which are reused because they cost more than a history.

    They remember throttling, so they are dropped after a history with throttling.
    """

    def __init__(self) -> None:
        self.hop, self.annexd = Hop(_nowhere), None  # type: Hop, Annexd | None
        self._cache: ClientCache | None = None

    @property
    def cache(self) -> ClientCache:
        if self._cache is None:
            limiters = Limiters(lambda: Limiter(clock_s=self._now_s, wait=self._wait))
            self._cache = Attached(now_s=lambda: 0.0, traffic=ClientHooks(limiters, self._now_s))
        return self._cache

    def forget(self) -> None:
        self._cache = None

    def _now_s(self) -> float:
        return self.annexd.now_s() if self.annexd else 0.0

    def _wait(self, seconds: float) -> None:
        if self.annexd is not None:
            self.annexd.wait(seconds)


def _nowhere(request: Request) -> Answer:
    raise AssertionError(f"{request.operation} outside of any history")


KEPT = defaultdict[str, Kept](Kept)  # by the daemon's name


class Annexd:
    """One daemon with one journal; its clock is `skew_s` ahead of AWS's.

    `reconcile_s` is the time between two reconciliations; 0 disables them, since the engine and the lease function
    must bear most faults alone.  A daemon that starts on an empty disk always reconciles.
    """

    def __init__(
        self,
        cloud: Cloud,
        home: Path,
        recorded: Callable[[str, Kind, Json], None],
        skew_s: float = 0.0,
        reconcile_s: float = 0.0,
        name: str = ANNEXD,
    ) -> None:
        self.cloud, self.home, self.recorded, self.skew_s = cloud, home, recorded, skew_s
        self.reconcile_s, self.name, self.kept = reconcile_s, name, KEPT[name]
        self.life: Life | None = None
        self.gone = False
        self.target: AccountTarget | None = None  # the account of all orders here, and of annexd's own keys

    def now_s(self) -> float:
        return self.cloud.timeline.now_s + self.skew_s

    def start(self) -> None:
        """Start a process, which continues all unfinished commands."""
        self.cloud.points.note("annexd starts")
        life = self.life = Life(self)
        for command_id in life.engine.unfinished():
            self._carry_on(life, command_id)
        if self.reconcile_s:
            self.cloud.timeline.after(0.0, lambda: self._look(life))

    def _start_anew(self) -> None:
        """Start on an empty disk."""
        self.home = self.home / "another"
        self.home.mkdir()
        self.reconcile_s = self.reconcile_s or RECONCILE_S
        self.start()

    def _look(self, life: Life) -> None:
        """Reconcile as annexd/service/reconciler.py does: at start and at intervals, while this process lives."""
        self._work(life, "reconciliation", lambda: self._reconcile(life))
        if not life.is_dead:
            self.cloud.timeline.after(self.reconcile_s, lambda: self._look(life), is_routine=True)

    def _reconcile(self, life: Life) -> None:
        if self.target is None:
            return
        try:
            report = reconcile(life.step_context, self.target, life.under_way, life.index.cancelled_ends)
        except (Retry, Refused) as error:
            self.cloud.points.note(f"reconciliation: {error}")
            return
        for message in filter(None, (*report.ended, *report.faults, report.enforcer.fault, report.enforcer.warning)):
            self.cloud.points.note(f"reconciliation: {message}")

    def order(self, ad: Json, answered: Callable[[ReplyAd], None] = lambda _: None) -> None:
        """Take a client's command; `answered` is not called while no daemon runs."""
        life = self.life
        if life is None or life.is_dead:
            return
        command_id = str(ad["CommandID"])
        if command_id in life.busy or life.is_accepting:
            self.cloud.timeline.after(1.0, lambda: self.order(ad, answered))
            return

        def take() -> None:
            answered(answer(ad, OWNER, CommandContext(life.index, life.step_context, SUPPLIES), DEFAULTS, self.now_s()))
            if command_id in life.engine.unfinished():
                self.cloud.timeline.after(0.0, lambda: self._carry_on(life, command_id))

        self._work(life, command_id, take)

    def _carry_on(self, life: Life, command_id: str) -> None:
        if command_id in life.busy and not life.is_dead:
            self.cloud.timeline.after(1.0, lambda: self._carry_on(life, command_id))
            return
        self._work(life, command_id, lambda: self._run_once(life, command_id))

    def _work(self, life: Life, command_id: str, act: Callable[[], None]) -> None:
        """Do the work of one worker thread; its death is the death of the process."""
        if life.is_dead or command_id in life.busy:
            return
        life.busy.add(command_id)
        try:
            act()
        except Killed:
            return
        finally:
            life.busy.discard(command_id)

    def _run_once(self, life: Life, command_id: str) -> None:
        try:
            retry_at_s = life.engine.run(command_id).retry_at_s
        except (JournalError, Paused) as error:
            self.cloud.points.note(f"annexd: {error}")
            retry_at_s = self.now_s() + LATER_S
        if retry_at_s is not None:
            delay_s = max(1.0, retry_at_s - self.now_s())
            self.cloud.timeline.after(delay_s, lambda: self._carry_on(life, command_id))

    def died(self, fault: Fault) -> None:
        self.life = None
        if fault.empty_disk:
            self.cloud.points.note("annexd is gone for good, with its disk")
            self.cloud.timeline.after(fault.away_s, self._start_anew)
        elif fault.away_s == faults.NEVER:
            self.gone = True
            self.cloud.points.note("annexd is gone for good")
        else:
            self.cloud.points.note("annexd is killed")
            self.cloud.timeline.after(fault.away_s, self.start)

    def wait(self, seconds: float) -> None:
        """Wait as a client does for the limit of its account."""
        life = self.life
        self.cloud.timeline.sleep(seconds)
        if life is not None:
            life.check()

    def close(self) -> None:
        """End the history."""
        if self.life is not None:
            self.life.journal.close()
        self.kept.annexd, self.kept.hop.way = None, _nowhere
        if any(fault.way in (faults.THROTTLED, faults.BUSY) for _, fault in self.cloud.points.struck):
            self.kept.forget()


class OneThread(Engine):
    """An engine whose workers share one thread, so that it cannot wait for a workflow in an outer frame."""

    def __init__(self, busy: set[str], *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._busy, self._running = busy, set[str]()

    def run(self, command_id: str) -> Outcome:
        """Run, but never wait for a workflow in progress in an outer frame: the client retries."""
        if command_id in self._running:
            raise Paused(f"{command_id} is under way")
        self._running.add(command_id)
        try:
            return super().run(command_id)
        finally:
            self._running.discard(command_id)

    def run_if_free(self, command_id: str) -> Outcome | None:
        if command_id in self._busy | self._running:
            return None
        self._busy.add(command_id)
        try:
            return super().run_if_free(command_id)
        finally:
            self._busy.discard(command_id)


class Life:
    """One process."""

    def __init__(self, annexd: Annexd) -> None:
        self._annexd = annexd
        self.is_dead = self.is_accepting = False
        self.busy: set[str] = set()
        self.journal = DyingJournal(self, annexd)
        annexd.kept.annexd, annexd.kept.hop.way = annexd, self._call
        self.step_context = steps.StepContext(
            self._access, annexd.now_s, bundle_sources=SUPPLIES, heartbeats=Heartbeats(annexd.now_s), pause=self._pause
        )
        self.engine = OneThread(
            self.busy,
            self.journal,
            steps.annex_steps(self.step_context),
            now_s=annexd.now_s,
            wait=self.wait,
            random=lambda: 1.0,
        )
        self.index = index_of(self.engine, self.step_context)

    def under_way(self) -> set[str]:
        return {order.annex_id for order in self.engine.unfinished_orders(Order)}

    def check(self) -> None:
        if self.is_dead:
            raise Killed

    def die(self, fault: Fault) -> NoReturn:
        self.is_dead = True
        self.journal.close()
        self._annexd.died(fault)
        raise Killed

    def _access(self, target: AccountTarget) -> Clients:
        kept = self._annexd.kept
        clients = KeyFiles(_read_as, kept.cache, defaults=DEFAULTS)(target)
        kept.hop.attach(clients.ec2, clients.functions, clients.logs, clients.s3)
        return clients

    def _call(self, request: Request) -> Answer:
        self.check()
        cloud = self._annexd.cloud
        answer = cloud.deliver(self._annexd.name, request, PATIENCE_S, self.die)
        self.check()
        return replace(answer, headers={**answer.headers, "Date": formatdate(cloud.timeline.now_s + cloud.date_skew_s)})

    def _pause(self, seconds: float) -> None:
        self.wait(seconds)

    def wait(self, seconds: float) -> bool:
        self._annexd.cloud.timeline.sleep(seconds)
        self.check()
        return False


class DyingJournal(Journal):
    """The journal, with a point at each append."""

    def __init__(self, life: Life, annexd: Annexd) -> None:
        super().__init__(annexd.home / "command_state", now_s=annexd.now_s)
        self._life, self._annexd = life, annexd

    def append(self, command_id: str, step: str, kind: Kind, body: Json, reserved: Json | None = None) -> None:
        self._life.check()
        cloud = self._annexd.cloud
        what = f"{kind.value} {step}".strip()
        fault = cloud.points.meet(self._annexd.name, APPEND, what)
        if fault and fault.way == faults.FULL:
            raise JournalError("the journal cannot be written", "the disk is full", "make room")
        if fault and fault.way == faults.SLOW:
            self._life.is_accepting = kind is Kind.ACCEPTED  # one at a time: the engine's other threads wait for it
            self._life.wait(WRITE_S)
            self._life.is_accepting = False
        super().append(command_id, step, kind, body, reserved)
        if kind is Kind.ACCEPTED and body["workflow"] == ORDER:
            self._annexd.target = from_json(FleetOrder, body["order"]).target
        self._annexd.recorded(command_id, kind, body)
        if fault and fault.way == faults.DIES:
            self._life.die(fault)


class BundleSources:
    """Tokens that name their signing key, and no files."""

    def sign(self, key_id: str, claims: Json) -> str:
        return f"{key_id} signed {claims['sub']}"

    def read_folder(self, owner: str, path: str) -> Mapping[str, bytes]:
        raise AssertionError(f"{owner} named no folder, and {path} is asked for")


SUPPLIES = BundleSources()


def _read_as(owner: str, path: str) -> bytes:
    assert owner == OWNER
    return KEYS[path]
